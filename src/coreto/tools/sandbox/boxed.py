"""A running bubblewrap and its pipes. Leaving it ends everything inside."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Argv = Callable[[int], Sequence[str]]
"""The argument vector, with the number of the file from which the filter is read."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """A bubblewrap that has been started. ``answers``: what its process 1 writes to the file ``control``."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    answers: asyncio.StreamReader
    control: int

    async def ask(self, request: bytes) -> None:
        """Send the request; a box that is gone already has said why on its standard error."""
        with contextlib.suppress(ConnectionError):
            self.stdin.write(request)
            await self.stdin.drain()

    def stop(self) -> None:
        """Have process 1 end the code and report."""
        self.stdin.close()

    def kill(self) -> None:
        """End it at once. Process 1 first: where it is another user than bubblewrap, the kernel does not let the
        one's death kill the other, and it would see by its pipe only that it is alone."""
        if self.process.returncode is not None:
            return
        for pid in [*_children(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def boxed(argv: Argv, seccomp: bytes) -> AsyncGenerator[Boxed]:
    """A started bubblewrap. On leaving, however that happens, it is killed, and gone but for a second
    cancellation, which does not wait for the last of it."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as passed:
        readable, control = os.pipe()
        passed.callback(os.close, control)
        answers = await _reader(ours.enter_context(os.fdopen(readable, "rb")), ours)
        filter_end = _filled(seccomp)
        passed.callback(os.close, filter_end)
        process = await asyncio.create_subprocess_exec(
            *argv(filter_end),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(control, filter_end),
            start_new_session=True,  # neither our terminal nor its Ctrl-C
            env={},
            cwd="/",
        )
        passed.close()
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin is not None, "asked for as a pipe"
        assert stdout is not None, "asked for as a pipe"
        assert stderr is not None, "asked for as a pipe"
        box = Boxed(process, stdin, stdout, stderr, answers, control)
        try:
            yield box
        finally:
            box.kill()
            box.stop()
            await asyncio.shield(asyncio.ensure_future(_gone(box)))


async def _gone(box: Boxed) -> None:
    """Wait until every process of the box has let go of its pipes."""
    await asyncio.gather(*(_drop(stream) for stream in (box.stdout, box.stderr, box.answers)))
    await box.process.wait()


async def _drop(stream: asyncio.StreamReader) -> None:
    while await stream.read(1 << 16):
        pass


async def _reader(pipe: BinaryIO, stack: contextlib.ExitStack) -> asyncio.StreamReader:
    """What comes out of ``pipe``, until ``stack`` is left."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    stack.callback(transport.close)
    return reader


def _filled(content: bytes) -> int:
    """A pipe to read ``content`` from, which fits into it as a whole."""
    ours, theirs = os.pipe()
    try:
        os.write(theirs, content)
    finally:
        os.close(theirs)
    return ours


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]
