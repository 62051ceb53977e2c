"""Time as a seam: everything that waits, expires or backs off asks a :class:`Clock`.

So schedules, breakers and backoff are tested without waiting (``coreto.testing.clock``).
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Three questions about time."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``; at once when not positive."""
        ...


class SystemClock:
    """The machine's own clock."""

    __slots__ = ()

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))
