"""Runs a command's coroutine and ends cleanly, whoever ends it."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine

INTERRUPTED = 130
TERMINATED = 143


def run(work: Coroutine[None, None, int]) -> int:
    """The exit code of ``work``; 130 after Ctrl-C and 143 after SIGTERM, once it has cleaned up."""
    try:
        return asyncio.run(_guarded(work))
    except KeyboardInterrupt:
        return INTERRUPTED


async def _guarded(work: Coroutine[None, None, int]) -> int:
    task = asyncio.ensure_future(work)
    terminated = False

    def end() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows has no SIGTERM to handle
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        return await task
    except asyncio.CancelledError:
        if terminated:
            return TERMINATED
        raise
