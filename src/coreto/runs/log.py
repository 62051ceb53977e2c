"""What runs say: kept and numbered, and told at once to who listens in this process.

Numbered events are in the database before anybody hears them, so who comes back with the last number misses nothing.
Between them come deltas, pieces of a text as a model writes it: they have no number, live in this process only, and are
forgotten. The numbered ``content`` behind them repeats the whole.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from coreto.clock import Clock
from coreto.events import CrewEvent
from coreto.messages import Json, as_object
from coreto.runs.errors import UnknownRunError
from coreto.runs.outcome import portable
from coreto.stores.errors import StoreDownError
from coreto.stores.runs import RunEnd, RunEventRecord, RunRecord, RunStore

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds after which a listener looks for what another process has written.
POLL: Final = 0.5
#: Events that a slow listener may be behind before deltas are left out and the rest is read from the database.
BEHIND: Final = 1000

_PAGE = 500


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that a run said. ``seq``: its number, ``None`` for a delta; ``at_ms``: epoch milliseconds; ``step``: the
    step that said it."""

    event: CrewEvent
    seq: int | None = None
    at_ms: int = 0
    step: str | None = None

    @property
    def delta(self) -> bool:
        """Whether it is a piece of a text that will come whole."""
        return self.seq is None

    def as_json(self) -> Json:
        """The five fields of SPEC C8, the number and the time."""
        return {**self.event.as_json(), "seq": self.seq, "at_ms": self.at_ms, "step": self.step}


class Inbox:
    """One listener's events. Bounded: when it overflows, all is dropped and :attr:`lost` is set."""

    def __init__(self) -> None:
        self._events: deque[RunEvent] = deque()
        self._woken = asyncio.Event()
        self.lost = False

    def put(self, event: RunEvent | None) -> None:
        """``None`` only wakes the listener: there is something in the database."""
        if event is None or len(self._events) >= BEHIND:
            self._events.clear()
            self.lost = True
        elif not self.lost:
            self._events.append(event)
        self._woken.set()

    def pop(self, after: int) -> RunEvent | None:
        """The next event, if there is one. What came before a numbered event up to ``after`` is left out."""
        known = [i for i, one in enumerate(self._events) if one.seq is not None and one.seq <= after]
        for _ in range(known[-1] + 1 if known else 0):
            self._events.popleft()
        return self._events.popleft() if self._events else None

    async def wait(self, seconds: float) -> bool:
        """Until something is put in; ``False`` after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class RunLog:
    """Writes, tells and follows what runs say."""

    def __init__(self, store: RunStore, clock: Clock, *, poll: float = POLL) -> None:
        """``poll``: seconds between two looks for what other processes have written."""
        self._store = store
        self._clock = clock
        self._poll = poll
        self._inboxes: dict[str, set[Inbox]] = {}

    def now_ms(self) -> int:
        return round(self._clock.time() * 1000)

    async def append(
        self,
        run_id: str,
        event: Json,
        *,
        step: str | None = None,
        once: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Keep an event and tell it. ``once``: a key under which it is said once only; ``attempt``: the execution that
        says it: one that another has replaced is not heard any more."""
        record = replace(_kept(event), step=step, once=once, at_ms=self.now_ms())
        kept = await patiently(self._clock, self._store.append, run_id, record, attempt)
        if kept is not None:
            self._tell(run_id, shown(kept))

    def delta(self, run_id: str, event: CrewEvent, step: str | None) -> None:
        """Tell a piece of a text."""
        self._tell(run_id, RunEvent(event, at_ms=self.now_ms(), step=step))

    async def waiting(self, run_id: str, name: str | None) -> None:
        """Note which signal a run waits for; ``None``: for none any more."""
        await patiently(self._clock, self._store.wait, run_id, name, self.now_ms())

    async def end(self, run_id: str, end: RunEnd) -> None:
        """Keep a run's end and its last word, and tell them."""
        if end.event is not None:
            end = replace(end, event=replace(end.event, at_ms=self.now_ms()))
        kept = await patiently(self._clock, self._store.end, run_id, end, self.now_ms())
        if kept is not None:
            self._tell(run_id, shown(kept))
        self.wake(run_id)

    def wake(self, run_id: str) -> None:
        """Have the listeners of a run look at the database."""
        self._tell(run_id, None)

    def _tell(self, run_id: str, event: RunEvent | None) -> None:
        for inbox in self._inboxes.get(run_id, ()):
            inbox.put(event)

    @contextmanager
    def listening(self, run_id: str) -> Generator[Inbox]:
        """An inbox of what a run says from now on."""
        inbox = Inbox()
        self._inboxes.setdefault(run_id, set()).add(inbox)
        try:
            yield inbox
        finally:
            self._inboxes[run_id].discard(inbox)
            if not self._inboxes[run_id]:
                del self._inboxes[run_id]

    async def follow(self, run_id: str, after: int = 0) -> AsyncGenerator[RunEvent]:
        """The events with a number above ``after``, then what comes, until the run has ended. Raises
        :class:`UnknownRunError`, also when it is erased meanwhile."""
        with self.listening(run_id) as inbox:
            while True:
                inbox.lost = False
                ended = (
                    await self.record(run_id)
                ).ended  # before the events: what it says at its end is there then
                rows = await asyncio.to_thread(self._store.events, run_id, after, _PAGE)
                for row in rows:
                    yield shown(row)
                    after = row.seq
                if not rows and ended:
                    return
                if len(rows) == _PAGE or ended:
                    continue
                async with aclosing(self._live(inbox, after)) as live:
                    async for event in live:
                        yield event
                        after = after if event.seq is None else event.seq

    async def _live(self, inbox: Inbox, after: int) -> AsyncGenerator[RunEvent]:
        """What comes, as long as the numbers follow each other and it comes in time."""
        while not inbox.lost:
            event = inbox.pop(after)
            if event is None:
                if not await inbox.wait(self._poll):
                    return
            elif event.seq is None:
                yield event
            elif event.seq == after + 1:
                after = event.seq
                yield event
            else:  # another process has said something in between
                return

    async def ended(self, run_id: str) -> RunRecord:
        """The run, once it has ended. Raises :class:`UnknownRunError`."""
        with self.listening(run_id) as inbox:
            while True:
                record = await patiently(self._clock, self._store.get, run_id)
                if record is None:
                    raise UnknownRunError(run_id)
                if record.ended:
                    return record
                await inbox.wait(self._poll)

    async def record(self, run_id: str) -> RunRecord:
        """The run as it is. Raises :class:`UnknownRunError`."""
        record = await asyncio.to_thread(self._store.get, run_id)
        if record is None:
            raise UnknownRunError(run_id)
        return record


async def patiently(clock: Clock, work: Callable[..., T], *args: Any) -> T:
    """The result of ``work`` in a thread. A database that is down is waited for: a run does not fail by it, as the engine
    waits for its own."""
    pause = 0.2
    while True:
        try:
            return await asyncio.to_thread(work, *args)
        except StoreDownError as error:
            log.warning("a run waits for the database: %s", error.message)
            await clock.sleep(pause)
            pause = min(pause * 2, 30.0)


def shown(record: RunEventRecord) -> RunEvent:
    """A kept event, as it is told."""
    kind: Any = record.type
    event = CrewEvent(kind, record.content, record.agent, record.tool, record.params)
    return RunEvent(event, record.seq, record.at_ms, record.step)


def _kept(event: Json) -> RunEventRecord:
    fields = as_object(portable(event))
    agent, tool = fields.get("agent"), fields.get("tool")
    return RunEventRecord(
        type=str(fields.get("type")),
        content=str(fields.get("content") or ""),
        agent=None if agent is None else str(agent),
        tool=None if tool is None else str(tool),
        params=as_object(fields.get("params")),
    )
