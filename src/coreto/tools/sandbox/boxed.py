"""A running bubblewrap and its pipes. Leaving it ends everything inside."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coreto.tools.sandbox.errors import SandboxUnavailableError
from coreto.tools.sandbox.pipes import ReadEnd, WriteEnd, filled, pipe_in, pipe_out, ready

Argv = Callable[[int], Sequence[str]]
"""The argument vector, with the number of the file from which the filter is read."""

GENTLY = 3.0
"""Seconds for process 1 to end by itself; it takes a fiftieth, or what the start of a Python takes."""

AT_ONCE = 5.0
"""Seconds to wait for what has been killed."""

_LOOKS = 1000
"""How often the state of a stopped process is looked at, some 20 µs each."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """A bubblewrap that has been started. ``answers``: what its process 1 writes to its file ``control``;
    ``lifeline`` closes its standard input, which ends it; ``release`` closes all that is ours."""

    process: "subprocess.Popen[bytes]"
    stdin: WriteEnd
    stdout: ReadEnd
    stderr: ReadEnd
    answers: ReadEnd
    control: int
    lifeline: contextlib.ExitStack
    release: contextlib.ExitStack

    async def ask(self, request: bytes) -> None:
        """Send the request; a box that is gone already has said why on its standard error."""
        with contextlib.suppress(BrokenPipeError):
            await self.stdin.write(request)

    def stop(self) -> None:
        """Have process 1 end the code and report."""
        self.lifeline.close()

    def kill(self) -> None:
        """End it at once.

        Bubblewrap is stopped first: killed between making process 1 and letting it go on, it would leave one that
        waits for ever. Process 1 is killed by its number: being another user where we are root, it does not get
        the signal of bubblewrap's death.
        """
        if self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.process.pid, signal.SIGSTOP)
            for _ in range(_LOOKS):
                if _state(self.process.pid) in {"T", "Z", ""}:
                    break
            for pid in [*_children(self.process.pid), self.process.pid]:
                os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def boxed(argv: Argv, seccomp: bytes) -> AsyncGenerator[Boxed]:
    """A started bubblewrap. On leaving, however that happens, it is ended and waited for; a second cancellation
    does not wait, and the ending goes on behind it.

    Raises :class:`SandboxUnavailableError` when it does not start.
    """
    try:
        box = _started(argv, seccomp)
    except OSError as error:
        raise SandboxUnavailableError(f"bubblewrap does not start: {error}") from error
    try:
        yield box
    finally:
        await asyncio.shield(asyncio.ensure_future(_ended(box)))


def _started(argv: Argv, seccomp: bytes) -> Boxed:
    """Start it without an await in between, in which we could be cancelled. It takes what a fork takes, 2 ms."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        (stdout, out), (stderr, err), (answers, control) = pipe_in(), pipe_in(), pipe_in()
        request, stdin = pipe_out()
        rules = filled(seccomp)
        for file in (out, err):  # opened once more as /dev/stdout, by a user who is not us
            os.fchmod(file, 0o666)
        for file in (out, err, control, request, rules):
            theirs.callback(os.close, file)
        for end in (stdout, stderr, answers):
            ours.callback(os.close, end.file)
        lifeline = ours.enter_context(contextlib.ExitStack())
        lifeline.callback(os.close, stdin.file)
        process = subprocess.Popen(  # noqa: S603 the arguments are our own
            argv(rules),
            stdin=request,
            stdout=out,
            stderr=err,
            pass_fds=(control, rules),
            start_new_session=True,  # neither our terminal nor its Ctrl-C
            env={},
            cwd="/",
        )
        return Boxed(process, stdin, stdout, stderr, answers, control, lifeline, ours.pop_all())


async def _ended(box: Boxed) -> None:
    """End the box and wait until every process of it has let go of its pipes.

    Process 1 sees the end of its standard input and takes all others with it, even when it is only just being
    made. If it does not in time, it is killed.
    """
    with box.release:
        box.stop()
        for seconds in (GENTLY, AT_ONCE):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await _gone(box)
                    return
            box.kill()


async def _gone(box: Boxed) -> None:
    for end in (box.stdout, box.stderr, box.answers):
        while await end.read(1 << 16):
            pass
    if box.process.poll() is None:
        handle = os.pidfd_open(box.process.pid)
        try:
            await ready(handle)
        finally:
            os.close(handle)
        box.process.wait()


def _state(pid: int) -> str:
    """One letter for what a process does; nothing when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]
