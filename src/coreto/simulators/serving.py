"""Start one simulator, say so in one line, run until told to stop."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from aiohttp import web

try:
    import uvloop
except ImportError:  # not on Windows
    uvloop = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how to serve. `with_stdin`: stop when standard input ends (the parent died)."""

    kind: str
    host: str = "127.0.0.1"
    port: int = 0
    quiet: bool = False
    with_stdin: bool = False


def serve(place: Place, build: Callable[[], web.Application]) -> int:
    """Serve until SIGTERM, SIGINT or the end of standard input; 0 when all went well, 1 if the port is taken."""
    factory = uvloop.new_event_loop if uvloop is not None else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_serve(place, build))


async def _serve(place: Place, build: Callable[[], web.Application]) -> int:
    stop = asyncio.Event()
    _watch(stop, with_stdin=place.with_stdin)
    # Cancelling the handler when its client is gone is how a simulator knows about hang-ups.
    runner = web.AppRunner(build(), access_log=None, handler_cancellation=True, shutdown_timeout=0.05)
    await runner.setup()
    try:
        site = web.TCPSite(runner, place.host, place.port)
        try:
            await site.start()
        except OSError as error:
            sys.stderr.write(
                f"coreto sim {place.kind}: cannot listen on {place.host}:{place.port}: {error}\n"
            )
            return 1
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"coreto sim {place.kind} listening on http://{_bracketed(host)}:{port}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()
    if not place.quiet:
        sys.stderr.write(f"coreto sim {place.kind} stopped\n")
    return 0


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _watch(stop: asyncio.Event, *, with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()

    def told_to_stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, told_to_stop)

    def wait_for_the_end() -> None:
        # Not sys.stdin: its lock, held by this thread, would break the interpreter's exit.
        while os.read(0, 4096):
            pass
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    if with_stdin:
        threading.Thread(target=wait_for_the_end, daemon=True).start()
