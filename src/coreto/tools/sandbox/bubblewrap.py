"""The sandbox of namespaces: bubblewrap builds it, :mod:`.inside` runs the code in it."""

import asyncio
import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from coreto.tools.sandbox import wire
from coreto.tools.sandbox.arguments import SYSTEM, Host, arguments, environment, folders, spare_uid
from coreto.tools.sandbox.boxed import Boxed, boxed
from coreto.tools.sandbox.errors import SandboxUnavailableError
from coreto.tools.sandbox.jobs import MIB, Job, Language, LimitName, SandboxKind, SandboxResult
from coreto.tools.sandbox.printable import shortened
from coreto.tools.sandbox.python import Fitted, Python, fit
from coreto.tools.sandbox.seccomp import MACHINES, program
from coreto.tools.sandbox.streams import Meter, read_most
from coreto.tools.sandbox.verdict import spoken_limit

INSTALL = "install bubblewrap 0.8 or newer: apt install bubblewrap"

GRACE = 15.0
"""Seconds on top of the wall limit before a run is killed from outside: process 1 keeps the limit itself and is
given the time to start (30 at once on two cores: 3 s) and to hand the files back."""

_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Heard:
    """All that came out of a box."""

    stdout: bytes
    stderr: bytes
    answers: bytes
    limit: LimitName | None


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Runs code in namespaces of its own, with this process's Python.

    ``command``: the name or the path of bubblewrap's program.
    """

    command: str = "bwrap"
    python: Python = field(default_factory=Python.current)

    @property
    def kind(self) -> SandboxKind:
        return SandboxKind.BUBBLEWRAP

    async def obstacle(self) -> str | None:
        try:
            result = await self.run(Job("print('in')"))
        except SandboxUnavailableError as error:
            return error.message
        if result.stdout != "in\n":
            return f"Python does not start in the sandbox: {_line(result.stderr)}"
        return None

    async def run(self, job: Job) -> SandboxResult:
        started = time.monotonic()
        host, seccomp = self._host(), _filter()
        fitted = fit(self.python, packages=job.packages, exists=lambda path: Path(path).exists())
        size = job.size + job.limits.files_bytes + MIB

        def argv(filter_end: int) -> list[str]:
            return arguments(host, fitted, box_bytes=size, seccomp=filter_end)

        async with boxed(argv, seccomp) as box:
            start = wire.Start(
                argv=command(job.language, fitted),
                environment=environment(fitted),
                folders=folders(),
                control=box.control,
                uid=host.uid,
                box_bytes=size,
            )
            heard = await listen(box, wire.request(job, start), job)
        if not heard.answers.startswith(wire.READY):
            raise SandboxUnavailableError(
                f"bubblewrap cannot make a sandbox here ({_line(_text(heard.stderr))}); {INSTALL}"
            )
        return verdict(heard, time.monotonic() - started)

    def _host(self) -> Host:
        found = shutil.which(self.command) if sys.platform == "linux" else None
        if found is None:
            raise SandboxUnavailableError(f"no sandbox: {INSTALL}")
        there = [path for path in SYSTEM if os.path.lexists(path)]
        links = {path: str(Path(path).readlink()) for path in there if Path(path).is_symlink()}
        return Host(
            program=found,
            uid=_uid() if os.geteuid() == 0 else None,
            links=links,
            folders=[path for path in there if path not in links],
            inside=str(Path(__file__).resolve().with_name("inside.py")),
        )


def command(language: Language, fitted: Fitted) -> list[str]:
    """What runs the job's file; the code itself is never part of a command line."""
    if language == "shell":
        return [_SHELL, "main.sh"]
    return [fitted.executable, "main.py"]


async def listen(box: Boxed, request: bytes, job: Job) -> Heard:
    """Send ``request`` and hear the box out, for no longer and no more than ``job``'s limits allow."""
    late = False

    def overdue() -> None:
        nonlocal late
        late = True
        box.kill()

    meter = Meter(job.limits.output_bytes, box.stop)
    most = len(wire.READY) + wire.HEAD_MOST + job.limits.files_bytes
    timer = asyncio.get_running_loop().call_later(job.limits.wall_seconds + GRACE, overdue)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(box.ask(request))
            out = group.create_task(meter.read(box.stdout))
            err = group.create_task(meter.read(box.stderr))
            answers = group.create_task(read_most(box.answers, most, box.kill))
    finally:
        timer.cancel()
    limit: LimitName | None = "output" if meter.full else "wall" if late else None
    return Heard(out.result(), err.result(), answers.result(), limit)


def verdict(heard: Heard, seconds: float) -> SandboxResult:
    """What a run came to. One that process 1 did not report was killed with it."""
    report = wire.report(heard.answers[len(wire.READY) :]) or wire.Report(137)
    stderr = shortened(_text(heard.stderr))
    limit = heard.limit
    if limit is None and report.limit in get_args(LimitName):
        limit = cast("LimitName", report.limit)
    return SandboxResult(
        kind=SandboxKind.BUBBLEWRAP,
        stdout=_text(heard.stdout),
        stderr=stderr,
        exit_code=report.exit_code,
        seconds=seconds,
        limit_hit=limit or spoken_limit(stderr, report.exit_code),
        files=report.files,
        left_out=report.left_out,
    )


def _filter() -> bytes:
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        names: Mapping[str, object] = MACHINES
        raise SandboxUnavailableError(
            f"no sandbox: its filter of system calls is written for {' and '.join(names)} only"
        )
    return program(machine)


def _uid() -> int | None:
    return spare_uid(Path("/proc/self/uid_map").read_text(), secrets.randbits(32))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _line(text: str) -> str:
    return " ".join(text.split())[-200:] or "it gave no reason"
