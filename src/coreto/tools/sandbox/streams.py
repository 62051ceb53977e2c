"""Reads what a sandbox writes: two streams within one allowance, and the answers of process 1."""

from collections.abc import Callable
from typing import Protocol


class Stream(Protocol):
    """What can be read to its end."""

    async def read(self, most: int, /) -> bytes: ...


class Meter:
    """Keeps at most ``most`` bytes of several streams together, and calls ``on_full`` once there are more."""

    def __init__(self, most: int, on_full: Callable[[], None]) -> None:
        self.full = False
        self._room = most
        self._on_full = on_full

    async def read(self, stream: Stream) -> bytes:
        """What arrives on ``stream`` until its end, as far as there is room; the rest is read and dropped."""
        kept: list[bytes] = []
        while chunk := await stream.read(1 << 16):
            kept.append(chunk[: self._room])
            if len(chunk) > self._room and not self.full:
                self.full = True
                self._on_full()
            self._room -= len(kept[-1])
        return b"".join(kept)


async def read_most(stream: Stream, most: int, on_full: Callable[[], None]) -> bytes:
    """All of ``stream``; nothing, and ``on_full`` is called, once it is more than ``most`` bytes."""
    parts: list[bytes] = []
    size = 0
    while chunk := await stream.read(1 << 16):
        size += len(chunk)
        if size <= most:
            parts.append(chunk)
        else:
            parts.clear()
            on_full()
    return b"".join(parts)
