"""What a long job asks of the engine below it: steps done once, signals waited for, events emitted.

Agents, approvals and the commander are written against :class:`Durable`, so they need no engine;
:class:`InlineDurable` runs them in place, for one process and for tests.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from coreto.messages import Json

T = TypeVar("T")


class Durable(Protocol):
    """A run that may be killed and continued."""

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work`` once under ``name``; a continued run gets the first result again.

        Results must be JSON values. Names are unique within a run.
        """
        ...

    async def wait_signal(self, name: str, *, within: float | None = None) -> Json | None:
        """Wait for a signal's payload; ``None`` after ``within`` seconds."""
        ...

    async def emit(self, event: Json) -> None:
        """Append ``event`` to the run's log."""
        ...


class InlineDurable:
    """Runs in place and remembers in memory: nothing survives the process."""

    def __init__(self) -> None:
        self.results: dict[str, object] = {}
        self.events: list[Json] = []
        self._signals: dict[str, asyncio.Queue[Json]] = {}

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        if name in self.results:
            return self.results[name]  # type: ignore[return-value]  # stored by this step's own work
        result = await work()
        self.results[name] = result
        return result

    async def wait_signal(self, name: str, *, within: float | None = None) -> Json | None:
        queue = self._signals.setdefault(name, asyncio.Queue())
        try:
            async with asyncio.timeout(within):
                return await queue.get()
        except TimeoutError:
            return None

    async def emit(self, event: Json) -> None:
        self.events.append(event)

    def signal(self, name: str, payload: Json) -> None:
        """Wake the waiter of ``name``, now or later."""
        self._signals.setdefault(name, asyncio.Queue()).put_nowait(payload)
