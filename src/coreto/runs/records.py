"""The engine's records, from any process: DBOS's client, which executes nothing.

Synchronous: called from threads. Methods raise :class:`~coreto.stores.errors.StoreError`.
"""

import contextlib
import threading
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Final

from dbos import DBOSClient, DBOSPortableJSONSerializer
from dbos import error as dbos_error

from coreto.messages import Json
from coreto.runs.engine import NAME, quieten
from coreto.runs.errors import RunError, UnknownRunError
from coreto.runs.outcome import has_failed
from coreto.runs.place import SCHEMA, Place
from coreto.runs.retrying import StepRecord
from coreto.stores.errors import translated

_ACTIVE: Final = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
_SIGNAL: Final = "DBOS.recv"
_OWN: Final = "DBOS."


@dataclass(frozen=True, slots=True)
class Execution:
    """What the engine knows of a run. ``active``: it is executed or will be; ``queued``: nobody executes it yet;
    ``worker``: who executes it."""

    active: bool
    queued: bool
    cancelled: bool
    worker: str


class Records:
    """Made when they are first needed; :meth:`close` them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._client: DBOSClient | None = None

    @contextlib.contextmanager
    def _opened(self) -> Generator[DBOSClient]:
        """The client. The engine has been at work here before: else there is no run to ask about."""
        with translated(self._place.where, self._place.secret):
            with self._lock:
                if self._client is None:
                    quieten()
                    self._client = DBOSClient(
                        system_database_url=self._place.url,
                        dbos_system_schema=SCHEMA,
                        serializer=DBOSPortableJSONSerializer(),
                        system_database_pool_size=2,
                        application_name=NAME,
                        retry_connection_errors=False,
                        lazy=True,
                    )
            yield self._client

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.destroy()
                self._client = None

    def send(self, run_id: str, name: str, payload: Json, key: str | None) -> None:
        """Deliver a signal, once for a ``key``. Raises :class:`UnknownRunError`."""
        with self._opened() as client:
            try:
                client.send(run_id, payload, name, key)
            except dbos_error.DBOSNonExistentWorkflowError:
                raise UnknownRunError(run_id) from None

    def cancel(self, run_ids: Sequence[str]) -> None:
        with self._opened() as client:
            client.cancel_workflows(list(run_ids))

    def again(self, run_ids: Sequence[str]) -> None:
        """Have runs that did not end by themselves executed again, by any worker."""
        with self._opened() as client:
            client.resume_workflows(list(run_ids))

    def rewind(self, run_id: str, number: int) -> None:
        """Have a run that ended executed again from the step ``number`` on. Signals that it has not waited for are lost.
        Raises :class:`RunError` when it has not ended."""
        with self._opened() as client:
            try:
                client.rewind_workflow(run_id, start_step=number)
            except dbos_error.DBOSException as error:
                raise RunError(error.message) from None

    def delete(self, run_ids: Collection[str]) -> None:
        """Forget runs, their requests, steps and signals."""
        with self._opened() as client:
            client.delete_workflows(list(run_ids))

    def steps(self, run_id: str) -> list[StepRecord]:
        """What was recorded of a run, in order."""
        with self._opened() as client:
            found = client.list_workflow_steps(run_id)
        return [
            StepRecord(
                number=step["function_id"],
                name=step["function_name"],
                started_ms=step["started_at_epoch_ms"],
                ended_ms=step["completed_at_epoch_ms"],
                failed=step["error"] is not None or has_failed(step["output"]),
                signal=step["function_name"] == _SIGNAL,
                own=not step["function_name"].startswith(_OWN),
            )
            for step in found
        ]

    def executions(self, run_ids: Collection[str]) -> dict[str, Execution]:
        """What is known of each run that is known."""
        if not run_ids:
            return {}
        with self._opened() as client:
            found = client.list_workflows(workflow_ids=list(run_ids), load_input=False, load_output=False)
        return {
            one.workflow_id: Execution(
                active=one.status in _ACTIVE,
                queued=one.status in _ACTIVE and one.status != "PENDING",
                cancelled=one.status == "CANCELLED",
                worker=one.executor_id or "",
            )
            for one in found
        }
