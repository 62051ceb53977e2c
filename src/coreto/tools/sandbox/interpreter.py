"""The sandbox of a machine without namespaces: Monty, a small Python interpreter that has no way out.

It knows part of the language and of the standard library, no packages, no standard input and no ``exit``: enough
for snippets that compute. The code runs in a process of Monty's; its files are entries in this process's memory,
so they are kept few and small. Should this process be killed, Monty's ends at its CPU limit at the latest.
"""

import asyncio
import errno
import importlib
import os
import time
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, cast

from coreto.tools.sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from coreto.tools.sandbox.jobs import MIB, Job, LimitName, SandboxKind, SandboxLimits, SandboxResult
from coreto.tools.sandbox.layout import WORK
from coreto.tools.sandbox.names import safe

INSTALL = 'pip install "coreto[sandbox]"'

FILES_MOST = 4 * MIB
"""Bytes of files, whatever the job allows: each access copies one in this process, and there may be a thousand."""

GRACE = 2.0
"""Seconds beyond the wall limit after which Monty kills its process by itself."""

_SIGNS: tuple[tuple[str, LimitName], ...] = (
    ("TimeoutError: feed time limit", "cpu"),
    ("TimeoutError: sleep limit", "wall"),
    ("MemoryError: memory limit", "memory"),
)


class Interpreter:
    """Runs Python code in Monty."""

    @property
    def kind(self) -> SandboxKind:
        return SandboxKind.INTERPRETER

    async def obstacle(self) -> str | None:
        try:
            result = await self.run(Job("print('in')"))
        except SandboxUnavailableError as error:
            return error.message
        return (
            None if result.stdout == "in\n" else f"Monty does not work here: {result.stderr.strip()[-200:]}"
        )

    async def run(self, job: Job) -> SandboxResult:
        if job.language != "python" or job.packages or job.stdin:
            raise SandboxRefusedError(
                "shell scripts, packages and standard input need bubblewrap: apt install bubblewrap"
            )
        try:
            monty = cast("Any", importlib.import_module("pydantic_monty"))
        except ImportError:
            raise SandboxUnavailableError(f"no interpreter for small snippets: {INSTALL}") from None
        started = time.monotonic()
        output, files = Output(job.limits.output_bytes), _files(monty, job)
        drive = Drive(files, min(job.limits.files_bytes, FILES_MOST), job.limits.files_count)
        exit_code, error, limit = await _feed(monty, job, output, drive)
        if error:
            output.stderr.append(error.replace("<python-input-0>", job.program) + "\n")
        changed, left_out = drive.changed(job)
        return SandboxResult(
            kind=self.kind,
            stdout="".join(output.stdout),
            stderr="".join(output.stderr),
            exit_code=exit_code,
            seconds=time.monotonic() - started,
            limit_hit="output" if output.full else "files" if drive.full else limit,
            files=changed,
            left_out=left_out,
        )


@dataclass(slots=True)
class Output:
    """What was printed, as far as there is room for it; beyond it the run ends."""

    room: int
    stdout: list[str] = field(default_factory=list[str])
    stderr: list[str] = field(default_factory=list[str])
    full: bool = False

    def write(self, stream: str, text: str) -> None:
        raw = text.encode("utf-8", "replace")
        kept = raw[: self.room]
        self.room -= len(kept)
        (self.stderr if stream == "stderr" else self.stdout).append(kept.decode("utf-8", "ignore"))
        if len(kept) < len(raw):
            self.full = True
            raise OSError(errno.ENOSPC, "more output than allowed")


@dataclass(slots=True)
class Drive:
    """The code's files: Monty's own, with an end to the bytes and the number that are written."""

    files: Any
    bytes_most: int
    count_most: int
    full: bool = False

    def __call__(self, *, name: str, args: tuple[Any, ...], **more: Any) -> Any:
        if name in {"Path.write_text", "Path.write_bytes", "Path.append_text", "Path.append_bytes"}:
            self.bytes_most -= len(_raw(args[1]))
        elif name in {"open", "Path.mkdir"}:
            self.count_most -= 1
        if self.bytes_most < 0 or self.count_most < 0:
            self.full = True
            raise OSError(errno.ENOSPC, "more files than allowed")
        return self.files(name=name, args=args, **more)

    def changed(self, job: Job) -> tuple[dict[str, bytes], tuple[str, ...]]:
        """The files of the folder that are new or changed, and the names that cannot be returned."""
        names = {_name(file.path): _raw(file.read_content()) for file in self.files.files if not file.deleted}
        new = {
            name: content
            for name, content in names.items()
            if job.files.get(name) != content and name and name != job.program
        }
        return (
            {name: content for name, content in new.items() if safe(name)},
            tuple(name.encode("utf-8", "backslashreplace").decode() for name in new if not safe(name)),
        )


async def _feed(monty: Any, job: Job, output: Output, drive: Drive) -> tuple[int, str, LimitName | None]:
    """Run the code: the exit code, the error as text, and the limit that it came to."""
    limits = job.limits
    try:
        async with (
            asyncio.timeout(limits.wall_seconds),
            _pool(monty, limits) as pool,
            pool.checkout(limits=_limits(limits), os_policy=_POLICY) as session,
        ):
            await session.feed_run(job.source.decode(), print_callback=output.write, os=drive, cwd=WORK)
    except TimeoutError:
        return 137, "", "wall"
    except monty.MontyCrashedError as error:
        return 137, str(error), "wall" if error.timed_out else None
    except (monty.MontySyntaxError, monty.MontyRuntimeError) as error:
        text: str = error.display()
        last = text.strip().rpartition("\n")[2]
        return 1, text, next((name for sign, name in _SIGNS if last.startswith(sign)), None)
    except (monty.MontyError, OSError, LookupError) as error:
        raise SandboxUnavailableError(f"Monty does not start: {error}; {INSTALL}") from error
    return 0, "", None


_POLICY = {"sleep_system_max": float("inf")}
"""A sleep is as long as the code says; without this, Monty cuts it to ten seconds."""


def _pool(monty: Any, limits: SandboxLimits) -> Any:
    return monty.AsyncMonty(min_processes=1, max_processes=1, request_timeout=limits.wall_seconds + GRACE)


def _limits(limits: SandboxLimits) -> dict[str, float]:
    return {
        "max_feed_duration_secs": limits.cpu_seconds,
        "max_memory": limits.memory_bytes,
        "max_total_sleep_secs": limits.wall_seconds,
    }


def _files(monty: Any, job: Job) -> Any:
    files = [monty.MemoryFile(f"{WORK}/{name}", content) for name, content in job.files.items()]
    # the folder is there when there is something in it
    files.append(monty.MemoryFile(f"{WORK}/{job.program}", job.source))
    return monty.OSAccess(files, root_dir=WORK)


def _name(path: PurePosixPath) -> str:
    text = os.fspath(path)
    return text.removeprefix(f"{WORK}/") if text.startswith(f"{WORK}/") else ""


def _raw(content: str | bytes) -> bytes:
    return content.encode("utf-8", "replace") if isinstance(content, str) else content
