"""The sandbox as the commander's tool: code in, what came of it out, as JSON."""

import asyncio
import base64
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coreto.crews.commander.state import File
from coreto.errors import InvalidRequestError
from coreto.messages import Json, as_objects
from coreto.tools.sandbox import (
    SandboxLimits,
    SandboxRefusedError,
    SandboxResult,
    SandboxUnavailableError,
)
from coreto.tools.sandbox.jobs import PROGRAMS
from coreto.tools.sandbox.printable import printable

log = logging.getLogger(__name__)

RunPython = Callable[..., Awaitable[SandboxResult]]
"""As :func:`coreto.tools.sandbox.run_python`: code, ``files`` and ``limits`` by name."""

Keep = Callable[[str, Mapping[str, bytes]], Awaitable[tuple[Path, ...]]]
"""Keeps files of a run (first its id) and says where, in the order given. Names are relative paths that lead nowhere
else, below a folder for the step. A second time the same name replaces the first."""

_RAISED = 400
"""Characters of an error's last line."""

_TYPED = "EOFError"
_ABSENT = re.compile(r"^(?:ModuleNotFoundError|ImportError): (?:No module named|cannot import name)")
_NETWORK = re.compile(
    r"Network is unreachable|name resolution|Name or service not known|nodename nor servname|\[Errno 101\]"
    r"|gaierror|Connection refused"
)
_FILES = re.compile(
    r"^PermissionError|Read-only file system|\[Errno 30\]|^FileNotFoundError.*: '/(?!box/|tmp/)"
)
_SYSTEM = re.compile(r"Operation not permitted|\[Errno 1\]|Function not implemented")
_SIGSYS = 128 + 31
_RUN = re.compile(r"[A-Za-z0-9][\w.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run of code.

    ``output``: both streams, fit to be shown; ``trace``: the errors' stream; both cut to a bound. ``problem``: the
    key of the text that says why it failed, with ``error``, the last line of what was raised.
    ``unavailable``: no sandbox holds, so nothing was run. ``contents``: files as base64, where nobody keeps them.
    """

    output: str = ""
    trace: str = ""
    exit_code: int | None = None
    problem: str | None = None
    error: str = ""
    limit: str | None = None
    unavailable: str | None = None
    seconds: float = 0.0
    files: tuple[File, ...] = ()
    left_out: tuple[str, ...] = ()
    contents: Mapping[str, str] | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None and self.unavailable is None

    @property
    def lacks_surroundings(self) -> bool:
        """It failed for want of a package, or of somebody who types."""
        return bool(_ABSENT.match(self.error)) or self.error.startswith(_TYPED)

    def as_json(self) -> Json:
        return {
            "output": self.output,
            "trace": self.trace,
            "exit_code": self.exit_code,
            "problem": self.problem,
            "error": self.error,
            "limit": self.limit,
            "unavailable": self.unavailable,
            "seconds": self.seconds,
            "files": [file.as_json() for file in self.files],
            "left_out": list(self.left_out),
            "contents": None if self.contents is None else dict(self.contents),
        }

    @classmethod
    def from_json(cls, shown: Json) -> "Outcome":
        """The outcome that :meth:`as_json` showed."""
        changed: Json = {
            "files": tuple(map(File.from_json, as_objects(shown["files"]))),
            "left_out": tuple(shown["left_out"]),
        }
        return cls(**{**shown, **changed})


@dataclass(frozen=True, slots=True)
class Bounds:
    """``output`` and ``trace`` in characters; ``carried``: bytes of files that an outcome may hold itself."""

    output: int
    trace: int
    carried: int


@dataclass(frozen=True, slots=True)
class _Kept:
    """What became of a run's files."""

    files: tuple[File, ...] = ()
    contents: Mapping[str, str] | None = None
    left_out: tuple[str, ...] = ()


class PythonTool:
    """Runs a step's code in the sandbox, and keeps the files that it produced."""

    name = "run_python"

    def __init__(self, run: RunPython, limits: SandboxLimits, bounds: Bounds, keep: Keep | None) -> None:
        self._run = run
        self._limits = limits
        self._bounds = bounds
        self._keep = keep

    async def run(self, code: str, earlier: Sequence[Outcome], *, run: str, step: int) -> Outcome:
        """Run ``code`` with the files of ``earlier`` outcomes in its folder."""
        files = await self._given(earlier)
        try:
            result = await self._run(code, files=files, limits=self._limits)
        except SandboxUnavailableError as error:
            return Outcome(unavailable=first_line(error.message))
        except (SandboxRefusedError, InvalidRequestError) as error:
            return Outcome(problem="refused", error=first_line(error.message))
        problem, raised = judged(result)
        kept = await self._kept(result, run, step) if problem is None else _Kept()
        return Outcome(
            output=cut(result.printable(), self._bounds.output),
            trace=cut(printable(result.stderr), self._bounds.trace),
            exit_code=result.exit_code,
            problem=problem,
            error=raised,
            limit=result.limit_hit,
            seconds=round(result.seconds, 3),
            files=kept.files,
            left_out=kept.left_out,
            contents=kept.contents,
        )

    async def _kept(self, result: SandboxResult, run: str, step: int) -> _Kept:
        """What becomes of the files of a run that went well."""
        new = {name: content for name, content in result.files.items() if name != PROGRAMS["python"]}
        if self._keep is None or not new:
            return _carried(new, self._bounds.carried, result.left_out)
        try:
            paths = await self._keep(run, {f"step-{step}/{name}": content for name, content in new.items()})
        except OSError as error:
            log.warning("files of a run cannot be kept: %s", error.strerror)
            return _Kept(left_out=(*result.left_out, *new))
        kept = zip(new.items(), paths, strict=True)
        files = tuple(File(name, len(content), str(path)) for (name, content), path in kept)
        return _Kept(files, left_out=result.left_out)

    async def _given(self, earlier: Sequence[Outcome]) -> dict[str, bytes]:
        """The files of earlier steps; of one name the latest. Those that somebody has removed are not there."""
        files: dict[str, bytes] = {}
        for outcome in earlier:
            files |= {name: base64.b64decode(text) for name, text in (outcome.contents or {}).items()}
            for file in outcome.files:
                if file.path is not None:
                    content = await asyncio.to_thread(_content, Path(file.path))
                    if content is not None:
                        files[file.name] = content
        return files


def _carried(files: Mapping[str, bytes], room: int, left_out: Sequence[str]) -> _Kept:
    """As many of ``files`` as fit into ``room`` bytes, with their contents."""
    carried: dict[str, bytes] = {}
    over: list[str] = []
    for name, content in files.items():
        if len(content) > room:
            over.append(name)
        else:
            room -= len(content)
            carried[name] = content
    contents = {name: base64.b64encode(content).decode() for name, content in carried.items()}
    kept = tuple(File(name, len(content)) for name, content in carried.items())
    return _Kept(kept, contents or None, (*left_out, *over))


def judged(result: SandboxResult) -> tuple[str | None, str]:
    """Why a run failed, as the key of a text, and the last line of its error; ``None``: it did not."""
    raised = last_line(printable(result.stderr))
    if result.limit_hit is not None:
        return f"limit.{result.limit_hit}", raised
    if result.exit_code == 0:
        return None, ""
    if result.exit_code == _SIGSYS or _SYSTEM.search(raised):
        return "blocked.system", raised
    if _NETWORK.search(raised):
        return "blocked.network", raised
    if _FILES.search(raised):
        return "blocked.files", raised
    return "raised" if raised else "error.exit", raised


def first_line(text: str) -> str:
    """The first line of ``text``, at most :data:`_RAISED` characters."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:_RAISED]


def last_line(text: str) -> str:
    """The last line of ``text`` that is not indented: in a traceback, what was raised."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith((" ", "\t"))]
    return lines[-1][:_RAISED] if lines else ""


def cut(text: str, most: int) -> str:
    """``text`` of at most ``most`` characters: its head and, twice as long, its tail."""
    if len(text) <= most:
        return text
    head = most // 3
    return f"{text[:head]}\n[…]\n{text[len(text) - (most - head) :]}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


class Shelf:
    """Keeps files of runs in a folder: ``<folder>/<run>/step-2/report.csv``. A :data:`Keep`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, run: str, files: Mapping[str, bytes]) -> tuple[Path, ...]:
        """Raises :class:`InvalidRequestError` for an id that is no name of a folder, and ``OSError``."""
        if not _RUN.fullmatch(run):
            raise InvalidRequestError(f"{run!r} cannot be the name of a folder", "run")
        return await asyncio.to_thread(self._written, self._folder / run, dict(files))

    @staticmethod
    def _written(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
        paths: list[Path] = []
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o600)
            paths.append(path)
        return tuple(paths)
