"""A panel on a virtual clock: specialists that answer after so many seconds, or do worse."""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass, field

from coreto.durable import InlineDurable
from coreto.panel.model import Answer, Draft, PanelResult, Part, Seat, Specialist
from coreto.panel.panel import Panel
from coreto.panel.policy import Rules
from coreto.testing.clock import VirtualClock

NAMES = ("cpu", "memory", "storage", "network", "limits")
HANGS = 1e9


@dataclass
class Act:
    """What a specialist does: answer after ``seconds``, or raise ``error``. ``linger``: seconds that it takes to end when it
    is cancelled."""

    seconds: float = 7.0
    error: Exception | None = None
    linger: float = 0.0


@dataclass
class House:
    """Counts what is asked and whether all of it has ended."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    acts: dict[str, Act] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    drafts: list[Draft] = field(default_factory=list)
    consolidating: float = 0.0
    consolidation_error: Exception | None = None
    observed: list[Part] = field(default_factory=list)
    labels: list = field(default_factory=list)

    def specialist(self, name: str, **options) -> Specialist:
        async def ask(seat: Seat, request) -> Answer:
            act = self.acts.get(name, Act())
            self.asked.append(name)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            try:
                await self.clock.sleep(act.seconds)
                if act.error is not None:
                    raise act.error
                return Answer({"from": name, "of": request}, tokens=10, cost_nusd=1000)
            except asyncio.CancelledError:
                if act.linger:
                    await self.clock.sleep(act.linger)
                raise
            finally:
                self.open -= 1

        return Specialist(name, ask, **options)

    async def consolidate(self, seat: Seat, draft: Draft) -> str:
        self.open += 1
        self.labels.append(seat.label)
        try:
            self.drafts.append(draft)
            await self.clock.sleep(self.consolidating)
            if self.consolidation_error is not None:
                raise self.consolidation_error
            return "+".join(part.name for part in draft.answers)
        finally:
            self.open -= 1

    def panel(
        self, rules: Rules | None = None, *, required=(), timeout=30.0, names=NAMES, **options
    ) -> Panel:
        specialists = [self.specialist(n, required=n in required, timeout=timeout) for n in names]
        return Panel(
            "panel",
            specialists,
            self.consolidate,
            rules=rules,
            clock=self.clock,
            observe=self.observed.append,
            **options,
        )

    def acting(self, **acts: float | Exception | Act) -> "House":
        """Change what specialists do: seconds, or the error they raise after one."""
        for name, act in acts.items():
            if isinstance(act, Exception):
                act = Act(1.0, act)  # noqa: PLW2901
            self.acts[name] = act if isinstance(act, Act) else Act(act)
        return self


async def passing(clock: VirtualClock, work: Awaitable, *, tick: float = 0.5, most: float = 1000.0):
    """Do ``work`` while the clock moves; it must be over within ``most`` seconds."""
    task = asyncio.ensure_future(work)
    until = clock.monotonic() + most
    try:
        await settle()
        while not task.done():
            assert clock.monotonic() < until, "it takes too long"
            await clock.advance(tick)
            await settle()
        return await task
    finally:
        task.cancel()


async def settle(turns: int = 60) -> None:
    """Let everything happen that can without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def held(
    panel: Panel, clock: VirtualClock, run=None, request=None, **options
) -> list[tuple[float, PanelResult]]:
    """All results of a panel, each with the time at which it was there."""
    found: list[tuple[float, PanelResult]] = []

    async def collect() -> None:
        async with aclosing(panel.results(run or InlineDurable(), request or {"q": 1}, **options)) as results:
            async for result in results:
                found.append((clock.monotonic(), result))

    await passing(clock, collect())
    return found


def outcomes(result: PanelResult) -> dict[str, str]:
    return {part.name: part.outcome for part in result.parts}
