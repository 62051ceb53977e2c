"""What a workflow works with: steps, signals, events and branches of one run."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from coreto.durable import Durable
from coreto.errors import CoretoError
from coreto.events import CrewEvent
from coreto.messages import Json
from coreto.runs.errors import RunError
from coreto.runs.log import RunLog
from coreto.runs.outcome import ERROR, OK, PARTLY, digest_of, error_of, portable, settled, value_of
from coreto.stores.runs import RunRecord

T = TypeVar("T")

Workflow = Callable[[Durable, Json], Awaitable[Json]]
"""Does the work of a run: asks for steps in the same order whenever it is given the same request and results."""

Branch = tuple[Workflow, Json]
"""A workflow, registered as those of runs are, and its request."""

#: Between a run's id and the names of its branches.
BETWEEN = "::"

_STEP: ContextVar[tuple[str, str] | None] = ContextVar("coreto_run_step", default=None)
"""The run and the step that are at work in this task."""


class Engine(Protocol):
    """What records steps and delivers signals."""

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """The outcome of ``work``, done once at this place of the run that is executed. Its place is drawn before the
        first thing that is waited for. Raises :class:`~coreto.runs.errors.StepOrderError`."""
        ...

    async def receive(self, name: str, within: float | None) -> Json | None:
        """As :meth:`coreto.durable.Durable.wait_signal`."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """How a run has branches. ``begin``: a workflow, its request, the branch's id and its parent; ``outcome``: what
    became of the branch of an id, once it has ended."""

    begin: Callable[[Workflow, Json, str, RunRecord], Awaitable[None]]
    outcome: Callable[[str], Awaitable[Json]]


class RunDurable:
    """One execution of a run: a :class:`~coreto.durable.Durable` whose steps survive a kill.

    Steps that fail are kept as well, and a continued run meets the same failures; errors that are none of ours become
    :class:`~coreto.runs.errors.StepError`. In parallel branches of a workflow a step must be the first thing that is
    waited for, or the branches be runs of their own: :func:`branches`.
    """

    def __init__(
        self, record: RunRecord, engine: Engine, log: RunLog, family: Family, spoken: frozenset[str]
    ) -> None:
        """``spoken``: the steps that an earlier execution of the run has begun, as far as they have said something."""
        self.record = record
        self._engine = engine
        self._log = log
        self._family = family
        self._spoken = spoken
        self._continued = record.attempts > 1
        self._results: dict[str, Any] = {}
        self._at_work: set[str] = set()
        self._said: Counter[str] = Counter()
        # branches speak in the name of the run that they are branches of
        self._speaker, _, self._path = record.run_id.partition(BETWEEN)

    @property
    def run_id(self) -> str:
        return self.record.run_id

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        if name in self._results:
            return self._results[name]
        if name in self._at_work:
            raise RunError(f"the step {name!r} is at work already: names of steps are unique within a run")
        self._at_work.add(name)
        try:
            # nothing is waited for before this line: the order of the calls is the order of the steps
            outcome = await self._engine.step(name, partial(self._done, name, work))
        finally:
            self._at_work.discard(name)
        value: T = value_of(outcome)
        self._results[name] = value
        return value

    async def wait_signal(self, name: str, *, within: float | None = None) -> Json | None:
        noting = asyncio.ensure_future(self._note(name))  # beside it: the signal must be waited for first
        payload = await self._engine.receive(name, within)
        await noting
        await self._note(None)
        return payload

    async def emit(self, event: Json) -> None:
        step, once = self._step(), None
        if step is None:
            # said again when the run is continued, perhaps in another order
            words = digest_of(portable(event))
            self._said[words] += 1
            once = self._named(f"said/{words}/{self._said[words]}")
        attempt = None if self._path else self.record.attempts
        step = step and self._named(step)
        await self._log.append(self._speaker, event, step=step, once=once, attempt=attempt)

    async def tell(self, event: CrewEvent) -> None:
        """Say a delta: a piece of a text as it comes, or that it starts over. Whatever else is said so, or from outside
        of a step, is left to :meth:`emit`; so a crew may hand all it says to both."""
        step = self._step()
        if step is not None and (event.type == "content" or event.params.get("restart")):
            self._log.delta(self._speaker, event, self._named(step))

    async def branches(self, works: Mapping[str, Branch]) -> dict[str, Json | CoretoError]:
        """As :func:`branches`."""
        name = "branches/" + "+".join(works)
        if name in self._results:
            return self._results[name]
        outcome = await self._engine.step(name, partial(self._branched, works))
        outcomes = cast("dict[str, Json]", value_of(outcome))
        found: dict[str, Json | CoretoError] = {
            branch: error_of(one[ERROR]) if ERROR in one else one[OK] for branch, one in outcomes.items()
        }
        self._results[name] = found
        return found

    def _step(self) -> str | None:
        at_work = _STEP.get()
        return at_work[1] if at_work is not None and at_work[0] == self.run_id else None

    def _named(self, name: str) -> str:
        return f"{self._path}/{name}" if self._path else name

    async def _done(self, name: str, work: Callable[[], Awaitable[T]]) -> Json:
        """Do a step that is not recorded. If an earlier execution may have begun it, what it told is void."""
        token = _STEP.set((self.run_id, name))
        try:
            if self._named(name) in self._spoken or self._continued:
                self._continued = False
                params: Json = {"restart": True, "step": self._named(name), "attempt": self.record.attempts}
                await self.emit(CrewEvent("status", params=params).as_json())
            return await settled(work)
        finally:
            _STEP.reset(token)

    async def _branched(self, works: Mapping[str, Branch]) -> Json:
        self._continued = False  # the branches say themselves what they do again
        ids = {name: f"{self.run_id}{BETWEEN}{name}" for name in works}
        for name, (work, request) in works.items():
            await self._family.begin(work, request, ids[name], self.record)
        outcomes = await asyncio.gather(*(self._family.outcome(one) for one in ids.values()))
        found: Json = {OK: dict(zip(ids, outcomes, strict=True))}
        return {**found, PARTLY: True} if any(ERROR in one for one in outcomes) else found

    async def _note(self, name: str | None) -> None:
        await self._log.waiting(self.run_id, name)


async def branches(run: Durable, works: Mapping[str, Branch]) -> dict[str, Json | CoretoError]:
    """Do ``works`` at the same time, each as a run of its own, and return what became of each by its name, when all
    have ended: its result, or why it failed.

    A continued run finds the branches as far as they came. The names must be the same whenever the run is continued.
    Where ``run`` is no :class:`RunDurable`, the branches are done in place, their steps named after them.
    """
    if isinstance(run, RunDurable):
        return await run.branches(works)
    outcomes = await asyncio.gather(
        *(settled(partial(work, _Prefixed(run, name), request)) for name, (work, request) in works.items())
    )
    return {
        name: error_of(one[ERROR]) if ERROR in one else one[OK]
        for name, one in zip(works, outcomes, strict=True)
    }


class _Prefixed:
    """A part of a run in place: its names have a prefix."""

    def __init__(self, run: Durable, name: str) -> None:
        self._run = run
        self._name = name

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        return await self._run.step(f"{self._name}/{name}", work)

    async def wait_signal(self, name: str, *, within: float | None = None) -> Json | None:
        return await self._run.wait_signal(f"{self._name}/{name}", within=within)

    async def emit(self, event: Json) -> None:
        await self._run.emit(event)
