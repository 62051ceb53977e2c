"""Starts workflows as durable runs and brings them to their end, in this process."""

import asyncio
import logging
import os
import re
import secrets
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coreto.clock import Clock
from coreto.errors import CoretoError, InvalidRequestError, MissingExtraError
from coreto.labels import Label, combine, permit
from coreto.messages import Json, as_object, new_call_id
from coreto.owner import OwnerLock, find_owner
from coreto.runs.client import RunsClient
from coreto.runs.durable import BETWEEN, Family, RunDurable, Workflow
from coreto.runs.errors import (
    PrivateRunError,
    RunConflictError,
    RunError,
    RunsElsewhereError,
    UnknownWorkflowError,
)
from coreto.runs.log import patiently
from coreto.runs.outcome import ERROR, OK, digest_of, portable, settled
from coreto.runs.retrying import restart_at
from coreto.stores.database import Database
from coreto.stores.runs import RunEnd, RunEventRecord, RunRecord

if TYPE_CHECKING:
    from coreto.runs.engine import DurableEngine

log = logging.getLogger(__name__)

_RUN_ID = re.compile(r"[\w./:@+=~-]{1,200}")
#: The worker's id on SQLite, where the data directory's owner is the only one.
ALONE: Final = "local"
#: Milliseconds after which a run that the engine has never heard of was left behind by a kill, not being begun.
_LEFT_BEHIND: Final = 60_000
_DAY = 86_400.0
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class RunsSettings:
    """``retention``: seconds after its end that a run is kept. ``beat``: seconds between two looks for runs that nobody
    executes, and between two signs of life; ``silent``: seconds without one after which a worker's runs are taken over.
    ``signals``: seconds between two looks for signals on SQLite."""

    retention: float = 30 * _DAY
    beat: float = 5.0
    silent: float = 30.0
    signals: float = 0.1


class Runs(RunsClient):
    """Durable runs of this process. :meth:`start` it, :meth:`begin` runs, :meth:`close` it: runs that have not ended stay
    pending and go on with the next start, here or, on PostgreSQL, with any other worker.

    The engine is launched by the first run, or by one that is pending.
    """

    def __init__(
        self,
        database: Database,
        database_url: str,
        data_dir: Path,
        *,
        owner: OwnerLock,
        clock: Clock | None = None,
        settings: RunsSettings | None = None,
        sensitivity: Callable[[Json], Label] | None = None,
    ) -> None:
        """``database``: opened from the setting ``database_url`` and ``data_dir``, with our schema. ``owner``: of the data
        directory; on SQLite only who holds it executes runs. ``sensitivity``: the label of a request's own words."""
        super().__init__(database, database_url, data_dir, clock=clock)
        self._settings = settings or RunsSettings()
        self._data_dir = data_dir
        self._owner = owner
        self._sensitivity = sensitivity
        self._alone = self.place.file is not None
        self.worker = ALONE if self._alone else f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._workflows: dict[str, Workflow] = {}
        self._engine: DurableEngine | None = None
        self._launching = asyncio.Lock()
        self._executions: dict[str, asyncio.Task[Any]] = {}
        self._durables: dict[str, RunDurable] = {}
        self._watch: asyncio.Task[None] | None = None
        self._looked = False
        self._since_ms = self.log.now_ms()
        self._tidied = float("-inf")
        self._closing = False

    @property
    def launched(self) -> bool:
        """Whether the engine is at work."""
        return self._engine is not None

    async def start(self, workflows: Mapping[str, Workflow]) -> None:
        """Take up what is pending. ``workflows`` by their names; one whose steps or their order change gets a new name,
        and the old one stays until its runs have ended."""
        self._workflows = dict(workflows)
        await self._look_once()
        self._watch = asyncio.ensure_future(self._keep_looking())

    async def begin(
        self,
        workflow: str,
        request: Json,
        *,
        run_id: str | None = None,
        user: str | None = None,
        label: Label = Label.INTERNAL,
    ) -> str:
        """Begin a run and return its id; it goes on by itself. The same ``run_id`` with the same request again is the
        same run. Raises :class:`RunError` and its kin, :class:`~coreto.errors.InvalidRequestError`."""
        if run_id is not None and (BETWEEN in run_id or not _RUN_ID.fullmatch(run_id)):
            raise InvalidRequestError(f"{run_id!r} is no id of a run", "run")
        if self._sensitivity is not None:
            label = combine(label, self._sensitivity(request))
        record = RunRecord(
            run_id=run_id or f"{workflow}-{new_call_id()}",
            workflow=workflow,
            worker=self.worker,
            user=user,
            label=str(label),
        )
        await self._begin(record, request)
        return record.run_id

    async def _begin(self, record: RunRecord, request: Json) -> None:
        if record.workflow not in self._workflows:
            known = ", ".join(map(repr, self._workflows)) or "none"
            raise UnknownWorkflowError(f"there is no workflow {record.workflow!r}; there are: {known}")
        if not permit(Label.parse(record.label), sink_is_local=self.place.local):
            raise PrivateRunError
        request = as_object(portable(request))
        engine = await self.launch()
        digest = digest_of(request)
        now = self.log.now_ms()
        record = replace(record, request_digest=digest, created_ms=now, updated_ms=now)
        # a branch is begun by a step, which must not fail by a database that is down
        patient = partial(patiently, self.clock) if record.parent else self._thread
        if not await patient(self.store.add, record):
            known = await self.log.record(record.run_id)
            if (known.workflow, known.user, known.request_digest) != (record.workflow, record.user, digest):
                raise RunConflictError(record.run_id)
            if known.status != "pending" or known.attempts:
                return
        await engine.start(record.workflow, record.run_id, request)

    def durable(self, run_id: str) -> RunDurable:
        """What the run that is executed here and now works with. Raises :class:`RunError`."""
        found = self._durables.get(run_id)
        if found is None:
            raise RunError(f"the run {run_id!r} is not executed here")
        return found

    async def close(self) -> None:
        """End the executions, not the runs. Idempotent."""
        self._closing = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        await self._end_executions(list(self._executions))
        async with self._launching:
            engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()
            if not self._alone:
                await self._thread(self.store.leave, self.worker)
        await super().close()

    async def launch(self) -> "DurableEngine":
        """The engine, launched if it is not yet. Raises :class:`RunsElsewhereError`, :class:`~coreto.errors.MissingExtraError`,
        :class:`~coreto.stores.errors.StoreError`."""
        async with self._launching:
            if self._closing:
                raise RunError("runs have been closed")
            if self._engine is not None:
                return self._engine
            if self._alone and not self._owner.held:
                raise RunsElsewhereError(_elsewhere(self._data_dir))
            kind = await self._thread(_engine_kind)
            if not self._alone:
                await self._thread(self.store.beat, self.worker)
            engine = kind(self.place, self.worker, self._workflows, self._execute)
            await engine.launch(poll=self._settings.signals)
            self._engine = engine
            return engine

    async def _execute(self, workflow: str, run_id: str, request: Json) -> None:
        """Execute a run, from its beginning or from where it was stopped, and note its end."""
        task = asyncio.current_task()
        if self._closing or task is None:
            raise asyncio.CancelledError
        self._executions[run_id] = task
        try:
            record = await patiently(self.clock, self.store.begin, run_id, self.worker, self.log.now_ms())
            if record is None:  # cancelled, or erased
                return
            speaker = run_id.partition(BETWEEN)[0]
            if record.parent is not None:
                root = await patiently(self.clock, self.store.get, speaker)
                if (
                    root is None or root.status == "cancelled"
                ):  # and the process was killed before its branches were
                    await self.log.end(run_id, RunEnd("cancelled", error_code="cancelled"))
                    return
            spoken: frozenset[str] = frozenset()
            if record.attempts > 1:
                spoken = await patiently(self.clock, self.store.spoken, speaker)
            assert self._engine is not None, "who executes is launched"
            family = Family(self._begin_branch, self._outcome_of)
            durable = RunDurable(record, self._engine, self.log, family, spoken)
            self._durables[run_id] = durable
            outcome = await settled(partial(self._workflows[workflow], durable, request))
            if ERROR in outcome:
                code = outcome[ERROR]["code"]
                log.warning("the run %s failed: %s (%s)", run_id, code, outcome[ERROR]["type"])
            await self.log.end(run_id, _end_of(record, outcome))
        finally:
            self._durables.pop(run_id, None)
            if self._executions.get(run_id) is task:
                del self._executions[run_id]

    async def _begin_branch(self, work: Workflow, request: Json, run_id: str, parent: RunRecord) -> None:
        name = next((name for name, known in self._workflows.items() if known == work), None)
        if name is None:
            raise UnknownWorkflowError(f"the branch {run_id!r} is no workflow that was given to the start")
        record = RunRecord(
            run_id=run_id,
            workflow=name,
            worker=self.worker,
            user=parent.user,
            label=parent.label,
            parent=parent.run_id,
        )
        await self._begin(record, request)

    async def _outcome_of(self, run_id: str) -> Json:
        record = await self.log.ended(run_id)
        if record.status == "done":
            return {OK: record.result}
        kind = "RunCancelledError" if record.status == "cancelled" else "RunFailedError"
        return {ERROR: {"type": kind, "code": record.error_code, "message": record.error or record.status}}

    async def _stop(self, run_ids: Iterable[str]) -> None:
        await self._end_executions(run_ids)

    async def _ready(self) -> None:
        await self.launch()

    async def _end_executions(self, run_ids: Iterable[str]) -> None:
        here = asyncio.current_task()
        tasks = [task for one in run_ids if (task := self._executions.get(one)) and task is not here]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep_looking(self) -> None:
        while True:
            await self.clock.sleep(self._settings.beat)
            await self._look_once()

    async def _look_once(self) -> None:
        try:
            await self._look()
        except CoretoError as error:  # the next look may go better
            log.warning("cannot look for pending runs: %s", error.message)

    async def _look(self) -> None:
        """Give a sign of life, take up what nobody executes, forget what is old."""
        if self._alone and not self._owner.held:
            return
        if self.launched and not self._alone:
            await self._thread(self.store.beat, self.worker)
        if not (self._alone and self._looked) and await self._thread(self._deserted):
            await self.launch()
            await self._thread(self._take_up)
        self._looked = True
        await self._end_executions(await self._thread(self._cancelled, list(self._executions)))
        if self.clock.monotonic() - self._tidied > _HOUR:
            self._tidied = self.clock.monotonic()
            await self.retain(self._settings.retention)

    def _cancelled(self, run_ids: Collection[str]) -> list[str]:
        """Those that another process has cancelled or erased; a wait for a signal would not hear of it."""
        if not run_ids:
            return []
        going = {one.run_id for one in self.store.family(run_ids) if one.status != "cancelled"}
        return [one for one in run_ids if one not in going]

    def _deserted(self) -> list[RunRecord]:
        """Unfinished runs whose worker gives no sign of life; on SQLite, all of them."""
        alive = self._alive()
        return [one for one in self.store.unfinished() if one.worker not in alive]

    def _alive(self) -> frozenset[str]:
        return frozenset() if self._alone else self.store.alive(round(self._settings.silent * 1000))

    def _take_up(self) -> None:
        """Have deserted runs executed. One worker at a time: of two, the second one would begin a run again that the
        first one's help has just begun."""
        with self.store.sweeping() as mine:
            deserted = self._deserted() if mine else []
            found = self.records.executions([one.run_id for one in deserted])
            alive = {self.worker, *self._alive()}
            for record in deserted:
                if record.workflow not in self._workflows:
                    log.warning("the run %s waits for a workflow %r", record.run_id, record.workflow)
                    continue
                execution = found.get(record.run_id)
                if execution is None:
                    before = self._since_ms if self._alone else self.log.now_ms() - _LEFT_BEHIND
                    if record.created_ms < before:
                        self.store.delete([record.run_id])  # nobody was told of it
                elif not execution.active:  # it ended for the engine, and the note of it was lost
                    self.records.rewind(record.run_id, restart_at(self.records.steps(record.run_id)))
                elif not execution.queued and execution.worker not in alive:
                    log.warning("the run %s goes on without %s", record.run_id, execution.worker)
                    self.records.again([record.run_id])


def _engine_kind() -> "type[DurableEngine]":
    """In a thread: loading it takes most of a second."""
    try:
        from coreto.runs.engine import DurableEngine  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise MissingExtraError("crews", "durable runs") from None
    return DurableEngine


def _end_of(record: RunRecord, outcome: Json) -> RunEnd:
    if ERROR in outcome:
        code, message = outcome[ERROR]["code"], outcome[ERROR]["message"]
        event = RunEventRecord("error", message, params={"code": code, "run": record.run_id})
        return RunEnd("failed", None, code, message, None if record.parent else event)
    result = outcome[OK]
    event = RunEventRecord("complete", params=as_object(result))
    return RunEnd("done", result, event=None if record.parent else event)


def _elsewhere(data_dir: Path) -> str:
    owner = find_owner(data_dir)
    who = "another process" if owner is None else f"the process {owner.pid}"
    where = f" at {owner.url}" if owner is not None and owner.url else ""
    return (
        f"the runs of {data_dir} are executed by {who}{where}: ask it, end it, "
        "or give several servers one PostgreSQL database (database.url)"
    )
