"""The hosts of this machine: each an engine with a budget, and what is known of its models."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from coreto.clock import Clock
from coreto.errors import CallError, UnreachableError
from coreto.providers.base import LocalEngine
from coreto.residency.effects import Effects, Note
from coreto.residency.model import ModelId, PlanId, Rules, Step
from coreto.residency.runtime import Residency, Turn
from coreto.residency.scheduler import Scheduler
from coreto.residency.sizes import Sized, Wanted, counted, sized
from coreto.residency.status import HostStatus

#: Happenings that are remembered for the status.
REMEMBERED = 32
#: Seconds that an engine may take to describe a model, and before one that it could not describe is looked up again.
DESCRIBED_WITHIN = 15.0
LOOK_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class Happened:
    """A note with its time (epoch seconds)."""

    at: float
    note: Note


@dataclass(frozen=True, slots=True)
class Terms:
    """How a host is run. ``budget`` in bytes; ``full_name``: a model's name as its engine lists it."""

    budget: int
    wanted: Wanted
    rules: Rules = Rules()
    home: ModelId | None = None
    full_name: Callable[[str], ModelId] = str


class Host:
    """One engine whose models take turns in ``terms.budget`` bytes. Started by :meth:`start`."""

    def __init__(
        self,
        name: str,
        engine: LocalEngine,
        terms: Terms,
        *,
        clock: Clock,
        on_note: Callable[[str, Note], None] = lambda _name, _note: None,
    ) -> None:
        """``on_note`` hears what happens, with the host's name."""
        self.name = name
        self.terms = terms
        self.happened: deque[Happened] = deque(maxlen=REMEMBERED)
        self._engine = engine
        self._clock = clock
        self._on_note = on_note
        self._known: dict[ModelId, Sized] = {}
        self._learning: dict[ModelId, asyncio.Task[Sized]] = {}
        self._failed_at: dict[ModelId, float] = {}
        self._closed = False
        self._residency = Residency(engine, self._scheduler, clock=clock, measure=counted, on_note=self._note)

    def _scheduler(self, effects: Effects) -> Scheduler:
        return Scheduler((), self.terms.budget, effects, rules=self.terms.rules, home=self.terms.home)

    async def start(self) -> None:
        """Take up requests."""
        await self._residency.__aenter__()

    async def turn(self, model: str, *, spill_after: float | None = None, plan: PlanId | None = None) -> Turn:
        """A turn of ``model``, as :meth:`~coreto.residency.runtime.Residency.turn` gives it."""
        full = self.terms.full_name(model)
        if full not in self._known:
            await self.sized(model)
        return await self._residency.turn(full, spill_after=spill_after, plan=plan)

    async def sized(self, model: str) -> Sized:
        """The figures of ``model``. Raises :class:`~coreto.errors.CallError`; who asks for a model that the engine
        does not have changes nothing here."""
        full = self.terms.full_name(model)
        known = self._known.get(full)
        if known is not None:
            return known
        if self._closed:
            raise self._gone()
        task = self._learning_of(full)
        await asyncio.wait({task})  # whoever of them goes
        if task.cancelled():
            raise self._gone()
        return task.result()

    def _gone(self) -> UnreachableError:
        return UnreachableError(f"the host {self.name!r} is closed")

    def look_up(self, model: str) -> None:
        """See to it that :meth:`predicted_wait` knows ``model`` soon, if its engine has it; does not wait."""
        full = self.terms.full_name(model)
        failed_at = self._failed_at.get(full)
        lately = failed_at is not None and self._clock.monotonic() < failed_at + LOOK_AGAIN
        if full not in self._known and not lately and not self._closed:
            self._learning_of(full)

    def _learning_of(self, full: ModelId) -> "asyncio.Task[Sized]":
        task = self._learning.get(full)
        if task is None:  # one for all who ask at the same time
            task = self._learning[full] = asyncio.create_task(self._learn(full))
            task.add_done_callback(partial(self._learned, full))
        return task

    async def _learn(self, full: ModelId) -> Sized:
        try:
            async with asyncio.timeout(DESCRIBED_WITHIN):
                described = await self._engine.describe(full)
        except TimeoutError:
            raise UnreachableError(
                f"{self.name!r} did not describe {full!r} within {DESCRIBED_WITHIN:g} s"
            ) from None
        found = sized(full, described, self.terms.wanted, self.terms.budget)
        self._known[full] = found
        self._residency.offer([found.hosted])
        return found

    def _learned(self, full: ModelId, task: "asyncio.Task[Sized]") -> None:
        self._learning.pop(full, None)
        if not task.cancelled() and task.exception() is not None:  # nobody may be waiting for it any more
            self._failed_at[full] = self._clock.monotonic()

    async def announce(self, plan: PlanId, steps: Sequence[tuple[str, int]]) -> None:
        """Say which models ``plan`` will ask for, with the calls of each, in order; nothing: it is over. What the
        engine does not have, or does not tell of, is passed over."""
        ahead: list[Step] = []
        for model, calls in steps:
            with contextlib.suppress(CallError):
                ahead.append(Step((await self.sized(model)).hosted.id, calls))
        self._residency.announce(plan, ahead)

    def predicted_wait(self, model: str) -> float:
        """Seconds that a request for ``model`` would wait; infinite where nothing is known of it."""
        return self._residency.predicted_wait(self.terms.full_name(model))

    def status(self) -> HostStatus:
        """What is in memory, who uses it and who waits."""
        return self._residency.status()

    async def close(self) -> None:
        """Send away who waits; what is loaded stays. Idempotent."""
        self._closed = True
        for task in tuple(self._learning.values()):
            task.cancel()
        await self._residency.close()

    def _note(self, note: Note) -> None:
        self.happened.append(Happened(self._clock.time(), note))
        self._on_note(self.name, note)
