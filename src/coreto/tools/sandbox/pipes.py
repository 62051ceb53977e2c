"""Pipes on the event loop, each end a file number that is ours to close.

Not the loop's own transports: under uvloop a connected pipe's number was closed once more when it was another's
already (300 runs, each cancelled at some moment: one hung, or libuv aborted the process), and asyncio's processes
get sockets for their output there, which the code cannot open as ``/dev/stdout``.
"""

import asyncio
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadEnd:
    """The end of a pipe that one task reads from."""

    file: int

    async def read(self, most: int, /) -> bytes:
        """What has arrived, up to ``most`` bytes; nothing when the other end is closed. However much arrives, others
        have their turn in between."""
        await asyncio.sleep(0)
        while True:
            try:
                return os.read(self.file, most)
            except BlockingIOError:
                await ready(self.file)


@dataclass(frozen=True, slots=True)
class WriteEnd:
    """The end of a pipe that one task writes to."""

    file: int

    async def write(self, content: bytes) -> None:
        """Write all of ``content``. Raises :class:`BrokenPipeError` when nobody reads any more."""
        view = memoryview(content)
        while view:
            try:
                view = view[os.write(self.file, view) :]
            except BlockingIOError:
                await ready(self.file, writing=True)


async def ready(file: int, *, writing: bool = False) -> None:
    """Wait until ``file`` can be read from, or written to."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(file, _wake, woken)
    try:
        await woken
    finally:
        remove(file)


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


def pipe_in() -> tuple[ReadEnd, int]:
    """A pipe that we read from, and the file number of its other end."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    return ReadEnd(ours), theirs


def pipe_out() -> tuple[int, WriteEnd]:
    """A pipe that we write to, after the file number of its other end."""
    theirs, ours = os.pipe()
    os.set_blocking(ours, False)
    return theirs, WriteEnd(ours)


def filled(content: bytes) -> int:
    """A pipe to read ``content`` from, which fits into it as a whole."""
    theirs, ours = os.pipe()
    try:
        os.write(ours, content)
    finally:
        os.close(ours)
    return theirs
