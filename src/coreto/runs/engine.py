"""The durable engine at work in this process: DBOS, launched inside the running loop.

With :mod:`coreto.runs.records` the only module that imports it. What the engine is told is kept small: a run's id, its
request, the outcomes of its steps; its own outcome of a run is never looked at.
"""

import asyncio
import contextvars
import logging
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, ClassVar, Final

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID
from dbos import error as dbos_error

from coreto.messages import Json
from coreto.runs.errors import RunConflictError, RunError, RunsElsewhereError, StepOrderError
from coreto.runs.place import SCHEMA, Place
from coreto.stores.errors import translated
from coreto.stores.wal import use_wal

log = logging.getLogger(__name__)

#: Fixed: by default it is a hash of the source, and a changed comment would strand the runs of yesterday.
VERSION: Final = "coreto"
NAME: Final = "coreto"
#: A wait without an end; the engine wants a number of seconds.
FOREVER: Final = 10 * 366 * 86_400.0
#: Executions of a run that may end with the process before it is given up.
MOST_ATTEMPTS: Final = 100

_THREADS = 32
_BUSY = 5.0

Execute = Callable[[str, str, Json], Awaitable[None]]
"""Executes a run: the name of its workflow, its id, its request."""


class DurableEngine:
    """Records steps, delivers signals, and begins again what a kill has interrupted."""

    _launched: ClassVar[bool] = False
    """DBOS is one a process."""

    def __init__(self, place: Place, worker: str, workflows: Collection[str], execute: Execute) -> None:
        """``worker``: the id under which runs are continued; ``workflows``: names of those that are executed here."""
        self._place = place
        self._worker = worker
        self._workflows = tuple(workflows)
        self._execute = execute
        self._bodies: dict[str, Any] = {}

    async def launch(self, *, poll: float) -> None:
        """Take up the runs of this worker. ``poll``: seconds between two looks for signals on SQLite. Raises
        :class:`RunsElsewhereError` when another engine is at work in this process,
        :class:`~coreto.stores.errors.StoreError` when the database cannot be used."""
        if DurableEngine._launched:
            raise RunsElsewhereError(
                "runs are executed in this process already: one data directory a process"
            )
        DurableEngine._launched = True
        try:
            await asyncio.to_thread(self._prepare)
            self._launch(poll)
        except BaseException:
            await self.close()
            raise

    def _prepare(self) -> None:
        """Everything that takes long, before the loop is held up by the launch itself."""
        quieten()
        if self._place.file is not None:
            with translated(self._place.where):
                self._place.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self._place.file, os.O_RDWR | os.O_CREAT, 0o600))
                self._place.file.chmod(0o600)
            with translated(self._place.where), closing(sqlite3.connect(self._place.file)) as connection:
                use_wal(connection, _BUSY)
        with self._translated():
            DBOS.migrate(self._place.url, schema=SCHEMA)

    def _launch(self, poll: float) -> None:
        config = DBOSConfig(
            name=NAME,
            system_database_url=self._place.url,
            dbos_system_schema=SCHEMA,
            application_version=VERSION,
            executor_id=self._worker,
            serializer=DBOSPortableJSONSerializer(),
            log_level="WARNING",
            max_executor_threads=_THREADS,
            notification_listener_polling_interval_sec=poll,
        )
        with self._translated():
            DBOS(config=config)
            for name in self._workflows:
                decorate = DBOS.workflow(name=name, max_recovery_attempts=MOST_ATTEMPTS)
                self._bodies[name] = decorate(self._body(name))
            DBOS.launch()  # inside the running loop: workflows are executed on it

    def _translated(self) -> Any:
        return translated(self._place.where, self._place.secret)

    def _body(self, name: str) -> Callable[[Json], Awaitable[None]]:
        async def body(request: Json) -> None:
            run_id = DBOS.workflow_id
            assert run_id is not None, "a workflow has an id"
            await self._execute(name, run_id, request)

        return body

    async def start(self, workflow: str, run_id: str, request: Json) -> None:
        """Begin a run, once whatever is called how often. It goes on by itself. Raises :class:`RunConflictError`."""
        # in a context of its own: begun by a step, it would be recorded as the other run's
        starting = self._start(workflow, run_id, request)
        await asyncio.create_task(starting, context=contextvars.Context())

    async def _start(self, workflow: str, run_id: str, request: Json) -> None:
        try:
            with SetWorkflowID(run_id):
                await DBOS.start_workflow_async(self._bodies[workflow], request)
        except dbos_error.DBOSConflictingWorkflowError:
            raise RunConflictError(run_id) from None

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """As :meth:`coreto.runs.durable.Engine.step`. A step of a run that is cancelled elsewhere ends in a second."""

        async def done() -> Json:  # not `work` itself: the engine writes what it is given into its log
            return await work()

        try:
            return await DBOS.run_step_async({"name": name, "preemptible": True}, done)
        except (dbos_error.DBOSUnexpectedStepError, dbos_error.DBOSStepNondeterminismError) as error:
            raise StepOrderError(
                f"at the step {name!r} the run was begun by another one: a workflow whose steps or their order "
                f"have changed needs a new name ({error.message})"
            ) from None

    async def receive(self, name: str, within: float | None) -> Json | None:
        """As :meth:`coreto.runs.durable.Engine.receive`."""
        seconds = FOREVER if within is None else max(within, 0.0)
        try:
            return await DBOS.recv_async(name, timeout_seconds=seconds)
        except dbos_error.DBOSUnexpectedStepError as error:
            raise StepOrderError(f"the run was begun otherwise: {error.message}") from None
        except dbos_error.DBOSException as error:
            raise RunError(f"a signal cannot be waited for here: {error.message}") from None

    async def close(self) -> None:
        """End the engine; its runs stay pending. The executions must have ended. Idempotent."""
        if not DurableEngine._launched:
            return
        loop = asyncio.get_running_loop()
        # the engine has made its own pool the loop's, and is about to shut it down
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        ended = loop.create_future()

        def end() -> None:
            DBOS.destroy(destroy_registry=True)
            loop.call_soon_threadsafe(ended.set_result, None)

        # not in this thread: the engine's threads may be waiting for the loop
        thread = threading.Thread(target=end, name="runs-end", daemon=True)
        thread.start()
        await ended
        thread.join()
        DurableEngine._launched = False


#: What it says when runs are cancelled, closed or taken over.
_EXPECTED: Final = ("task cancelled", "no longer owned", "was cancelled")


class _Teller(logging.Handler):
    """Passes on what the engine says, without the errors behind it: they may quote what runs work on."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        text = record.getMessage().split("\n", 1)[0][:200]
        expected = kind.endswith("CancelledError") or any(one in text for one in _EXPECTED)
        log.log(logging.DEBUG if expected else record.levelno, "durable engine: %s %s", text, kind)


def quieten() -> None:
    """Have the engine say its warnings through our log, and nothing else: else it writes to the terminal."""
    theirs = logging.getLogger("dbos")
    theirs.setLevel(logging.WARNING)
    theirs.propagate = False
    if not any(isinstance(handler, _Teller) for handler in theirs.handlers):
        theirs.addHandler(_Teller())
