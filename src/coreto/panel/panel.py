"""A panel: asks specialists at the same time and makes one answer of theirs."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from coreto.clock import Clock, SystemClock
from coreto.durable import Durable
from coreto.errors import ConfigError
from coreto.labels import Label
from coreto.messages import Json
from coreto.panel.attendance import Room
from coreto.panel.breakers import Breakers
from coreto.panel.model import CONSOLIDATE, UPDATE, Consolidate, PanelResult, Part, Specialist
from coreto.panel.policy import Rules, decide
from coreto.panel.sitting import Agenda, Sitting

_UNLIMITED: Final = 1_000_000


class Panel:
    """Specialists and who consolidates what they say. Belongs to one event loop; any number of runs may use it at once."""

    def __init__(
        self,
        name: str,
        specialists: Sequence[Specialist],
        consolidate: Consolidate,
        *,
        rules: Rules | None = None,
        limit: int | None = None,
        clock: Clock | None = None,
        breakers: Breakers | None = None,
        observe: Callable[[Part], None] | None = None,
    ) -> None:
        """``name``: of the panel's steps in a run. ``limit``: how many specialists are asked at once by all runs together,
        for an engine that does one thing at a time. ``observe``: gets the metrics of everybody who was asked, and of the
        consolidations. Raises :class:`~coreto.errors.ConfigError`."""
        _check(specialists, limit)
        clock = clock or SystemClock()
        self.name = name
        self.rules = rules or Rules()
        self.specialists = tuple(specialists)
        self.breakers = breakers or Breakers(clock)
        self._consolidate = consolidate
        places = asyncio.Semaphore(limit or _UNLIMITED)
        self._room = Room(clock, self.breakers, places, observe or _nobody)

    async def results(
        self,
        run: Durable,
        request: Json,
        *,
        label: Label = Label.INTERNAL,
        required: Collection[str] = (),
        only: Collection[str] | None = None,
    ) -> AsyncGenerator[PanelResult, None]:
        """The result as soon as enough have answered, if others may still be folded in, and the final one.

        ``required``: who is, besides those that always are; ``only``: who is asked at all. Both must be the same whenever
        the run is continued. Close it (``contextlib.aclosing``): that cancels what is under way and waits for its end.
        Members and consolidations that fail are told in the result; what is raised comes from ``run``.
        """
        specialists = [
            replace(one, required=one.required or one.name in required)
            for one in self.specialists
            if only is None or one.name in only
        ]
        agenda = Agenda(self.name, request, self.rules, label)
        sitting = Sitting(self._room, specialists, self._consolidate, run, agenda)
        told = False
        try:
            sitting.begin()
            decision = decide(self.rules, sitting.snapshot())
            while not decision.over:
                sitting.act(decision)
                if sitting.consolidated and not told:
                    told = True
                    yield sitting.result(final=False)
                await sitting.wait(decision.wake_at)
                decision = decide(self.rules, sitting.snapshot())
            yield sitting.result(final=True)
        finally:
            await sitting.close()

    async def ask(
        self,
        run: Durable,
        request: Json,
        *,
        label: Label = Label.INTERNAL,
        required: Collection[str] = (),
        only: Collection[str] | None = None,
    ) -> PanelResult:
        """The final one of :meth:`results`."""
        sitting = self.results(run, request, label=label, required=required, only=only)
        async with aclosing(sitting) as results:
            async for result in results:
                if result.final:
                    return result
        raise AssertionError("the last result is final")


def _check(specialists: Sequence[Specialist], limit: int | None) -> None:
    names = Counter(one.name for one in specialists)
    wrong = [name for name, count in names.items() if count > 1 or name in {"", CONSOLIDATE, UPDATE}]
    if wrong:
        raise ConfigError(f"specialists need names of their own, which {wrong[0]!r} is not")
    if limit is not None and limit < 1:
        raise ConfigError(f"a panel's limit is at least 1, not {limit}")
    late = [one.name for one in specialists if not one.timeout > 0]
    if late:
        raise ConfigError(f"the timeout of the specialist {late[0]!r} must be more than 0 s")


def _nobody(part: Part) -> None:
    """Observes nothing."""
