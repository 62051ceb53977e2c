"""What goes into a sandbox and what comes out of it, whichever sandbox it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, Protocol

from coreto.errors import InvalidRequestError
from coreto.tools.sandbox.names import conflict
from coreto.tools.sandbox.printable import printable

MIB = 1024 * 1024

NO_FILES: Mapping[str, bytes] = MappingProxyType({})

Language = Literal["python", "shell"]

LimitName = Literal["cpu", "memory", "processes", "output", "wall", "files"]

PROGRAMS: Mapping[Language, str] = MappingProxyType({"python": "main.py", "shell": "main.sh"})
"""The name of the file in the job's folder that the code is put into."""


class SandboxKind(StrEnum):
    """What keeps the code in, the strongest first."""

    BUBBLEWRAP = "bubblewrap"
    INTERPRETER = "interpreter"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a run may use. CPU seconds, memory and processes (threads count too) are those of all its processes
    together; ``output_bytes`` of both streams together, ``files_bytes`` and ``files_count`` of everything in its
    folder and its ``/tmp``."""

    cpu_seconds: float = 10.0
    memory_bytes: int = 512 * MIB
    processes: int = 32
    output_bytes: int = MIB
    files_bytes: int = 64 * MIB
    files_count: int = 1000
    wall_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Raises :class:`InvalidRequestError` for a limit that allows nothing."""
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise InvalidRequestError(f"`{limit.name}` must be above 0", limit.name)


DEFAULT_LIMITS = SandboxLimits()


@dataclass(frozen=True, slots=True)
class Job:
    """Code and what it is given: ``files`` lie in its folder, which is also where it starts.

    ``packages``: whether it sees the packages installed beside this process's Python.
    """

    code: str
    language: Language = "python"
    files: Mapping[str, bytes] = field(default_factory=lambda: NO_FILES)
    stdin: bytes = b""
    limits: SandboxLimits = DEFAULT_LIMITS
    packages: bool = False

    def __post_init__(self) -> None:
        """Raises :class:`InvalidRequestError` for names that lead out of the folder, and for too much."""
        problem = conflict([*self.files, self.program])
        if problem:
            raise InvalidRequestError(problem, "files")
        if len(self.files) > self.limits.files_count or self.size > self.limits.files_bytes:
            raise InvalidRequestError(
                f"{len(self.files)} files, {self.size} bytes with code and stdin: more than the limits allow",
                "files",
            )
        if "\0" in self.code:
            raise InvalidRequestError("code holds no NUL characters", "code")

    @property
    def program(self) -> str:
        return PROGRAMS[self.language]

    @property
    def source(self) -> bytes:
        """The code as it is written to its file; lone surrogates, which no file can hold, become ``?``."""
        return self.code.encode("utf-8", "replace")

    @property
    def size(self) -> int:
        """Bytes that the job brings along."""
        return sum(map(len, self.files.values())) + len(self.stdin) + len(self.source)


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """What a run came to. All of it is data that a stranger wrote.

    ``exit_code``: as a shell says it, 128 + n for signal n. ``limit_hit``: the limit that ended the run, or that
    its last error speaks of. ``files``: those new or changed in its folder; ``left_out``: names of others that
    are too much for the limits, links, or nothing that can be returned. ``seconds``: from the call to the result.
    """

    kind: SandboxKind
    stdout: str
    stderr: str
    exit_code: int
    seconds: float
    limit_hit: LimitName | None = None
    files: Mapping[str, bytes] = field(default_factory=lambda: NO_FILES)
    left_out: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.limit_hit is None

    def printable(self) -> str:
        """Standard output, then standard error, without anything that a terminal would obey."""
        return "\n".join(text for text in (printable(self.stdout), printable(self.stderr)) if text)


class Sandbox(Protocol):
    """Runs code that nobody vouches for."""

    @property
    def kind(self) -> SandboxKind: ...

    async def obstacle(self) -> str | None:
        """Why this sandbox does not hold here, found by running something in it; ``None``: it holds."""
        ...

    async def run(self, job: Job) -> SandboxResult:
        """Run ``job`` to its end or to a limit; leaving, by cancellation too, leaves nothing of it behind.

        Raises :class:`SandboxUnavailableError` when there is no sandbox to run it in, and
        :class:`SandboxRefusedError` for a job that this one cannot run.
        """
        ...
