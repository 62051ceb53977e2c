"""One panel for all who ask the same: those who ask at the same time share it, those who ask later get what it came to."""

import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import orjson

from coreto.cache.single_flight import Flight, Listener, SingleFlight
from coreto.clock import Clock
from coreto.durable import InlineDurable
from coreto.labels import Label
from coreto.messages import Json
from coreto.panel.model import PanelResult
from coreto.panel.panel import Panel

TTL: Final = 300.0
MOST: Final = 256
"""Results that are remembered, the least recently used forgotten first."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a panel, and by whom. ``version``: of whatever else changes the answers (prompts, models).
    ``tenant``: whose key the request came with. The rest is as of :meth:`~coreto.panel.panel.Panel.results`."""

    request: Json
    label: Label = Label.INTERNAL
    tenant: str | None = None
    user: str | None = None
    version: str = ""
    required: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        """The same for those who may share a result: everybody for a public one, a tenant for an internal one, a user for
        a private one. 64 hexadecimal digits."""
        tenant = None if self.label is Label.PUBLIC else self.tenant
        user = self.user if self.label is Label.PRIVATE else None
        only = None if self.only is None else sorted(self.only)
        parts = [str(self.label), tenant, user, self.version, sorted(self.required), only, self.request]
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


Hold = Callable[[Question], AsyncGenerator[PanelResult, None]]
"""Holds a panel for a question, in a run of its own."""


@dataclass(frozen=True, slots=True)
class Served:
    """A result as it was given. ``age``: seconds since it was complete; ``cached``: it was remembered; ``shared``: it
    is of a panel that somebody else had begun."""

    result: PanelResult
    age: float = 0.0
    cached: bool = False
    shared: bool = False

    def as_json(self) -> Json:
        return {**self.result.as_json(), "cached": self.cached, "age": round(self.age, 3)}


@dataclass(frozen=True, slots=True)
class _Kept:
    result: PanelResult
    at: float


class SharedPanel:
    """Holds panels for many who ask, each in a task of its own: whoever began it may leave. When the last one leaves, it is
    cancelled. Belongs to one event loop; :meth:`close` it.

    Remembered are final results that lack nothing: see :func:`worth_keeping`.
    """

    def __init__(self, hold: Hold, clock: Clock, *, ttl: float = TTL, most: int = MOST) -> None:
        """``ttl``: seconds that a result is remembered; 0: not at all. ``most``: how many."""
        self._hold = hold
        self._clock = clock
        self._ttl = ttl
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._flights: SingleFlight[PanelResult] = SingleFlight(_weigh)
        self._finishing: dict[Flight[PanelResult], Listener[PanelResult]] = {}

    async def ask(
        self,
        question: Question,
        *,
        fresh: bool = False,
        early: bool = False,
        max_age: float | None = None,
    ) -> Served:
        """The result: a remembered one, that of the panel under way, or of a new one.

        ``fresh``: a new panel whatever there is; others may join it, and its result is
        remembered. ``max_age``: seconds from which on a remembered result is too old. ``early``: the first result will do;
        the panel goes on without its caller, and what it comes to is remembered. Raises what the panel raises.
        """
        key = question.key
        if not fresh and (kept := self._remembered(key, max_age)) is not None:
            return kept
        joined = None if fresh else self._flights.get(key)
        flight = joined or self._flights.start(key, _Holding(self._hold, question, self._keep))
        listener = flight.listen()
        result: PanelResult | None = None
        try:
            async with aclosing(listener.items()) as results:
                async for result in results:
                    if early and not result.final:
                        self._finish(flight)
                        break
        finally:
            await listener.leave()
        assert result is not None, "a panel has a final result"
        return Served(result, shared=joined is not None)

    def forget(self, question: Question | None = None) -> None:
        """Remember nothing of ``question``, or of any; who asks it from now on does not join a panel under way either."""
        if question is None:
            self._kept.clear()
        else:
            self._kept.pop(question.key, None)
            self._flights.forget(question.key)

    async def close(self) -> None:
        """End what is under way, and return when it has ended."""
        await self._flights.close()
        self._kept.clear()

    def _remembered(self, key: str, max_age: float | None) -> Served | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        age = self._clock.monotonic() - kept.at
        if age >= self._ttl:
            del self._kept[key]
            return None
        if max_age is not None and age >= max_age:
            return None
        self._kept.move_to_end(key)
        return Served(kept.result, age, cached=True)

    def _keep(self, question: Question, result: PanelResult) -> None:
        if self._ttl <= 0 or not worth_keeping(question, result):
            return
        key = question.key
        self._kept[key] = _Kept(result, self._clock.monotonic())
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def _finish(self, flight: Flight[PanelResult]) -> None:
        """Let it go on when nobody listens."""
        if flight in self._finishing:
            return
        self._finishing[flight] = flight.listen()
        flight.task.add_done_callback(lambda _: self._finishing.pop(flight, None))


class _Holding:
    """The work of a flight: a panel, whose result is remembered before its listeners know it."""

    def __init__(self, hold: Hold, question: Question, keep: Callable[[Question, PanelResult], None]) -> None:
        self._hold = hold
        self._question = question
        self._keep = keep
        self._last: PanelResult | None = None

    async def run(self) -> AsyncGenerator[PanelResult, None]:
        async with aclosing(self._hold(self._question)) as results:
            async for result in results:
                self._last = result
                yield result

    def finish(self) -> bool:
        if self._last is not None:
            self._keep(self._question, self._last)
        return False  # who comes now finds it remembered, or it was not worth it

    async def after(self) -> None:
        """Nothing is left to do."""


def in_place(panel: Panel) -> Hold:
    """Holds ``panel`` without a durable run: a kill loses it."""

    def hold(question: Question) -> AsyncGenerator[PanelResult, None]:
        return panel.results(
            InlineDurable(),
            question.request,
            label=question.label,
            required=question.required,
            only=question.only,
        )

    return hold


def worth_keeping(question: Question, result: PanelResult) -> bool:
    """Whether others may get it later: it lacks nothing that another panel might bring, and is no more private than
    what was asked."""
    complete = result.final and not result.degraded and result.error is None
    return complete and result.quality != "fallback" and result.label <= question.label


def _weigh(result: PanelResult) -> int:
    return sum(part.bytes for part in (*result.parts, *result.consolidations))
