"""What anybody may do to runs, from any process: look at them, follow them, signal, cancel, resume, retry, erase."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from coreto.clock import Clock, SystemClock
from coreto.errors import MissingExtraError
from coreto.messages import Json
from coreto.runs.errors import RunCancelledError, RunError, RunFailedError, RunOverError, UnknownRunError
from coreto.runs.log import RunEvent, RunLog, shown
from coreto.runs.outcome import portable
from coreto.runs.place import place_of
from coreto.runs.retrying import StepRecord, restart_at
from coreto.stores.database import Database
from coreto.stores.runs import RunEnd, RunEventRecord, RunFilter, RunRecord, RunStatus, SqlRunStore

if TYPE_CHECKING:
    from coreto.runs.records import Records

T = TypeVar("T")

#: Seconds that a run which has ended may take until the engine has noted it.
_NOTED: Final = 5.0


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with its steps and events."""

    record: RunRecord
    steps: tuple[StepRecord, ...] = ()
    events: tuple[RunEvent, ...] = ()
    branches: tuple[RunRecord, ...] = ()

    def as_json(self) -> Json:
        """The run as ``GET /api/runs/<id>`` shows it. Times are epoch milliseconds."""
        return {
            **summary(self.record),
            "result": self.record.result,
            "steps": [
                {
                    "name": "signal" if step.signal else step.name,
                    "started_ms": step.started_ms,
                    "ended_ms": step.ended_ms,
                    "ok": not step.failed,
                }
                for step in self.steps
            ],
            "events": [event.as_json() for event in self.events],
            "branches": [summary(branch) for branch in self.branches],
        }


def summary(record: RunRecord) -> Json:
    """A run as lists show it: nothing of what it is about, but for the error."""
    ended = record.ended_ms
    return {
        "run": record.run_id,
        "workflow": record.workflow,
        "status": record.status,
        "waiting_for": record.waiting_for,
        "user": record.user,
        "label": record.label,
        "created_ms": record.created_ms,
        "updated_ms": record.updated_ms,
        "ended_ms": ended,
        "seconds": None if ended is None else (ended - record.created_ms) / 1000,
        "attempts": record.attempts,
        "worker": record.worker,
        "error": None if record.error_code is None else {"code": record.error_code, "message": record.error},
    }


class RunsClient:
    """Runs as seen from any process of this user; it executes none. :meth:`close` it.

    Methods raise :class:`~coreto.stores.errors.StoreError`, and :class:`UnknownRunError` where they take an id.
    """

    def __init__(
        self, database: Database, database_url: str, data_dir: Path, *, clock: Clock | None = None
    ) -> None:
        """``database``: opened from the setting ``database_url`` and ``data_dir``, with our schema."""
        self.place = place_of(database_url, data_dir)
        self.clock = clock or SystemClock()
        self.store = SqlRunStore(database)
        self.log = RunLog(self.store, self.clock)
        self._opening = threading.Lock()
        self._records: Records | None = None

    @property
    def records(self) -> "Records":
        """The engine's. For threads: the first use loads the engine. Raises :class:`~coreto.errors.MissingExtraError`."""
        with self._opening:
            if self._records is None:
                try:
                    from coreto.runs.records import Records  # noqa: PLC0415 - an optional extra
                except ImportError:
                    raise MissingExtraError("crews", "durable runs") from None
                self._records = Records(self.place)
            return self._records

    async def show(self, run_id: str, *, events: int = 500) -> RunView:
        """A run with its steps and its first ``events`` events."""
        family = await self._family(run_id)
        record = family[0]
        steps = await self._steps(record)
        said = await self._thread(self.store.events, run_id, 0, events)
        return RunView(record, tuple(steps), tuple(map(shown, said)), tuple(family[1:]))

    def events(self, run_id: str, after: int = 0) -> AsyncGenerator[RunEvent]:
        """The events with a number above ``after``, then what comes, until the run has ended. Deltas come only from runs
        that this process executes."""
        return self.log.follow(run_id, after)

    async def result(self, run_id: str) -> Json:
        """The result of a run, once it has ended. Raises :class:`RunFailedError`, :class:`RunCancelledError`."""
        record = await self.log.ended(run_id)
        if record.status == "done":
            return record.result or {}
        if record.status == "cancelled":
            raise RunCancelledError(f"the run {run_id!r} was cancelled")
        raise RunFailedError(record.error or "", record.error_code or "error")

    async def signal(self, run_id: str, name: str, payload: Json, *, key: str | None = None) -> None:
        """Wake the run that waits for ``name``, now or later. ``key``: the same one twice is one signal. Raises
        :class:`RunOverError` when the run has ended."""
        record = await self.log.record(run_id)
        if record.ended:
            raise RunOverError(f"the run {run_id!r} has ended ({record.status})")
        sent = portable(payload)
        await self._recorded(lambda records: records.send(run_id, name, sent, key))

    async def cancel(self, run_id: str) -> None:
        """End a run and its branches where they are; what steps have done stays done. Raises :class:`RunOverError` when
        it has ended otherwise."""
        family = await self._family(run_id)
        if family[0].ended:
            if family[0].status == "cancelled":
                return
            raise RunOverError(f"the run {run_id!r} has ended ({family[0].status})")
        event = (
            None if family[0].parent else RunEventRecord("error", params={"code": "cancelled", "run": run_id})
        )
        await self.log.end(run_id, RunEnd("cancelled", error_code="cancelled", event=event))
        ids = [one.run_id for one in family]
        await self._recorded(lambda records: records.cancel(ids))
        await self._stop(ids)
        for one in family[1:]:  # at last: a run that still were at work would take it for their outcome
            await self.log.end(one.run_id, RunEnd("cancelled", error_code="cancelled"))

    async def resume(self, run_id: str) -> None:
        """Let a cancelled run go on from its last finished step. Raises :class:`RunOverError` when it is not one."""
        family = await self._family(run_id)
        if family[0].status != "cancelled":
            raise RunOverError(f"the run {run_id!r} is not cancelled but {family[0].status}")
        await self._ready()
        for one in reversed(family):  # branches first: the run itself waits for them
            if one.status == "cancelled":
                await self._reopen(one, ("cancelled",), None)

    async def retry(self, run_id: str, *, step: str | None = None) -> None:
        """Let a failed run go on after its last finished step, or have it done again from ``step`` on, also when it has
        not failed. Branches that failed go on, too. Raises :class:`RunOverError`, :class:`RunError`."""
        family = await self._family(run_id)
        was: tuple[RunStatus, ...] = ("failed",) if step is None else ("failed", "done", "cancelled")
        if family[0].status not in was:
            raise RunOverError(f"the run {run_id!r} has not failed but is {family[0].status}")
        await self._ready()
        for one in reversed(family[1:]):
            if one.status == "failed":
                await self._reopen(one, ("failed",), None)
        await self._reopen(family[0], was, step)

    async def _reopen(self, record: RunRecord, was: Collection[RunStatus], step: str | None) -> None:
        """Have a run executed again that ended; ``step``: from there, else from where it stopped."""
        execution = await self._noted(record.run_id)
        number = restart_at(await self._steps(record, whole=True), step)
        if not await self._thread(self.store.reopen, record.run_id, was, self.log.now_ms()):
            raise RunOverError(f"the run {record.run_id!r} is going on already")
        if step is None and execution:
            await self._recorded(lambda records: records.again([record.run_id]))
        else:
            await self._recorded(lambda records: records.rewind(record.run_id, number))

    async def _noted(self, run_id: str) -> bool:
        """Wait until the engine knows that a run has ended; whether it was stopped by the cancellation."""
        until = self.clock.monotonic() + _NOTED
        while True:
            found = (await self._recorded(lambda records: records.executions([run_id]))).get(run_id)
            if found is None:
                raise UnknownRunError(run_id)
            if not found.active:
                return found.cancelled
            if self.clock.monotonic() > until:
                raise RunError(f"the run {run_id!r} has not come to its end yet: try again")
            await self.clock.sleep(0.05)

    async def erase_user(self, user: str) -> int:
        """End and forget all runs of a user, with their branches, steps and events; how many runs. Files that they have
        produced are not theirs."""
        runs = await self._thread(self.store.of_user, user)
        for run_id in runs:
            with suppress(RunOverError, UnknownRunError):
                await self.cancel(run_id)
        await self._forget(runs)
        return len(runs)

    async def retain(self, seconds: float) -> int:
        """Forget runs that ended longer ago than ``seconds``; how many."""
        before, count = self.log.now_ms() - round(seconds * 1000), 0
        while old := await self._thread(self.store.ended_before, before):
            await self._forget(old)
            count += len(old)
        return count

    async def _forget(self, run_ids: Sequence[str]) -> None:
        family = [one.run_id for one in await self._thread(self.store.family, run_ids)]
        if family:
            await self._recorded(lambda records: records.delete(family))
            await self._thread(self.store.delete, family)
            for one in family:
                self.log.wake(one)

    async def close(self) -> None:
        """Free what was opened. Idempotent."""
        if self._records is not None:
            await self._thread(self._records.close)
            self._records = None

    async def _stop(self, run_ids: Iterable[str]) -> None:
        """End executions in this process."""

    async def _ready(self) -> None:
        """Be able to execute runs, where this process does."""

    async def _family(self, run_id: str) -> list[RunRecord]:
        family = await self._thread(self.store.family, [run_id])
        if not family:
            raise UnknownRunError(run_id)
        return family

    async def _steps(self, record: RunRecord, *, whole: bool = False) -> list[StepRecord]:
        """The steps of a run and the signals that it waited for; ``whole``: what the engine has noted for itself, too."""
        steps = await self._recorded(lambda records: records.steps(record.run_id))
        return steps if whole else [step for step in steps if step.own or step.signal]

    async def _recorded(self, work: "Callable[[Records], T]") -> T:
        return await asyncio.to_thread(lambda: work(self.records))

    @staticmethod
    async def _thread(work: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(work, *args)

    async def list(self, which: RunFilter | None = None) -> list[RunRecord]:
        """Runs, the newest first."""
        return await self._thread(self.store.find, which or RunFilter())
