"""Processes under measurement and the load on them."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

URL = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Process:
    """A started server."""

    name: str
    url: str
    pid: int
    ready_s: float

    def cpu_s(self) -> float:
        """CPU seconds of the process and its children so far."""
        process = psutil.Process(self.pid)
        return sum(sum(p.cpu_times()[:2]) for p in (process, *process.children(recursive=True)))

    def rss_mb(self) -> float:
        return psutil.Process(self.pid).memory_info().rss / 2**20


@contextlib.contextmanager
def started(
    name: str, argv: list[str], *, env: dict[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Process]:
    """Run ``argv`` until the end of the block; it must print its URL when it is ready."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}, cwd=cwd
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        found = URL.search(line)
        if found is None:
            sys.exit(f"{name} did not start: {line!r}")
        yield Process(name, found.group(), child.pid, time.perf_counter() - begun)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(15)


@contextlib.contextmanager
def listening(
    name: str, argv: list[str], port: int, *, env: dict[str, str] | None = None, within: float = 90.0
) -> Iterator[Process]:
    """Run ``argv``, which is ready when it accepts connections at ``port``, until the end of the block."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})}
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if child.poll() is not None or time.perf_counter() - begun > within:
                    sys.exit(f"{name} did not start")
                time.sleep(0.1)
        yield Process(name, f"http://127.0.0.1:{port}", child.pid, time.perf_counter() - begun)
    finally:
        child.terminate()
        child.wait(30)


def free_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Window:
    """One stretch of load: latencies and times to the first chunk in ms, CPU ms a request."""

    latency: list[float]
    first: list[float]
    cpu_ms: float
    bad: int

    def p(self, share: float) -> float:
        ordered = sorted(self.latency)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


async def load(
    process: Process, path: str, bodies: Iterator[bytes], *, requests: int, concurrency: int
) -> Window:
    """Send ``requests`` requests over ``concurrency`` connections, one after the other on each."""
    latency: list[float] = []
    first: list[float] = []
    bad = 0
    parts = urlsplit(process.url)
    start = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    )

    async def connection(count: int) -> None:
        nonlocal bad
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(count):
            body = next(bodies)
            begun = time.perf_counter()
            writer.write(f"{start}{len(body)}\r\n\r\n".encode() + body)
            status, first_at = await _read(reader)
            now = time.perf_counter()
            latency.append((now - begun) * 1000)
            first.append((first_at - begun) * 1000)
            bad += status != 200
        writer.close()

    before = process.cpu_s()
    await asyncio.gather(*(connection(requests // concurrency) for _ in range(concurrency)))
    cpu = process.cpu_s() - before
    return Window(latency, first, cpu * 1000 / len(latency), bad)


async def _read(reader: asyncio.StreamReader) -> tuple[int, float]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    lower = head.lower()
    if b"content-length:" in lower:
        length = int(re.search(rb"content-length: *(\d+)", lower).group(1))  # type: ignore[union-attr]
        await reader.readexactly(length)
        return status, time.perf_counter()
    first_at = 0.0
    while True:
        size = int((await reader.readline()).strip() or b"0", 16)
        data = await reader.readexactly(size + 2)
        if not first_at and size:
            first_at = time.perf_counter()
        if size == 0:
            return status, first_at
        del data


def median(values: list[float]) -> float:
    return statistics.median(values)
