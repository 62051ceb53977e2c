"""A sandbox that keeps nothing in, for code that a test wrote itself."""

import asyncio
import builtins
import contextlib
import io
import linecache
import posixpath
import sys
import traceback
from collections.abc import Callable, Generator
from types import FrameType, TracebackType
from typing import IO, Any, Self, cast

from coreto.tools.sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from coreto.tools.sandbox.jobs import NO_FILES, Job, LimitName, SandboxKind, SandboxResult

LINES_A_SECOND = 100_000
"""How many lines of code pass for a second of CPU time, so that an endless loop ends without waiting."""


class TrustingSandbox:
    """Behaves as a sandbox does towards its caller, and runs the code in this process: only ever a test's own.

    Files are in memory, by ``open`` alone. The limits on CPU (in lines), output and files hold; time, memory and
    processes are not looked at. ``jobs`` lists what it was asked to run. While ``fault`` is set it does not hold.
    """

    def __init__(self, kind: SandboxKind = SandboxKind.BUBBLEWRAP, fault: str | None = None) -> None:
        self.fault = fault
        self.jobs: list[Job] = []
        self._kind = kind

    @property
    def kind(self) -> SandboxKind:
        return self._kind

    async def obstacle(self) -> str | None:
        return self.fault

    async def run(self, job: Job) -> SandboxResult:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise SandboxUnavailableError(self.fault)
        if job.language != "python":
            raise SandboxRefusedError("the fake has no shell")
        self.jobs.append(job)
        play = _Play(job)
        exit_code, limit = play.run()
        return SandboxResult(
            kind=self._kind,
            stdout=play.out.getvalue(),
            stderr=play.err.getvalue(),
            exit_code=exit_code,
            seconds=0.0,
            limit_hit=limit,
            files=NO_FILES if limit else play.changed(),
        )


class _HitError(BaseException):
    """Ends the code at a limit; not an ``Exception``, so that the code does not catch it by accident."""

    def __init__(self, limit: LimitName) -> None:
        super().__init__(limit)
        self.limit: LimitName = limit


class _Stream(io.StringIO):
    """A text stream within an allowance that it shares: ``take`` says how many bytes of so many there is room for."""

    def __init__(self, take: Callable[[int], int]) -> None:
        super().__init__()
        self._take = take

    def write(self, text: str, /) -> int:
        raw = text.encode("utf-8", "replace")
        room = self._take(len(raw))
        super().write(raw[:room].decode("utf-8", "ignore"))
        if room < len(raw):
            raise _HitError("output")
        return len(text)


class _Written(io.BytesIO):
    """A file that is there as soon as it is opened, and has its content when it is closed."""

    def __init__(self, files: dict[str, bytes], name: str) -> None:
        super().__init__()
        self._files, self._name = files, name
        files.setdefault(name, b"")

    def close(self) -> None:
        if not self.closed:
            self._files[self._name] = self.getvalue()
        super().close()


class _Ended:
    """Takes the error that the code ended with, and lets a limit's pass."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> bool:
        self.error = error
        return isinstance(error, (Exception, SystemExit))


class _Play:
    """One run."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.files = dict(job.files)
        self.out, self.err = _Stream(self._output), _Stream(self._output)
        self._room = job.limits.output_bytes
        self._lines = int(job.limits.cpu_seconds * LINES_A_SECOND)

    def run(self) -> tuple[int, LimitName | None]:
        """The exit code, and the limit that was hit."""
        limits = self.job.limits
        try:
            with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(self.err), self._stdin():
                exit_code = self._execute()
        except _HitError as hit:
            return 137, hit.limit
        size = sum(map(len, self.files.values()))
        if len(self.files) > limits.files_count or size > limits.files_bytes:
            return 137, "files"
        return exit_code, None

    def open(self, name: str, mode: str = "r", **_: Any) -> IO[Any]:
        """As the built-in, on the files in memory."""
        name = posixpath.normpath(name)
        if name.startswith(("/", "..")):
            raise PermissionError(13, "Permission denied", name)
        if "r" in mode and name not in self.files:
            raise FileNotFoundError(2, "No such file or directory", name)
        content = b"" if "w" in mode else self.files.get(name, b"")
        file = io.BytesIO(content) if "r" in mode else _Written(self.files, name)
        if "a" in mode:
            file.write(content)
        return file if "b" in mode else cast("IO[Any]", io.TextIOWrapper(file, encoding="utf-8"))

    def changed(self) -> dict[str, bytes]:
        """The files that are new or changed."""
        return {name: content for name, content in self.files.items() if self.job.files.get(name) != content}

    def _execute(self) -> int:
        source, program = self.job.source.decode(), self.job.program
        # so that a traceback shows the code's lines
        linecache.cache[program] = (len(source), None, source.splitlines(keepends=True), program)
        names = {"__name__": "__main__", "__builtins__": {**vars(builtins), "open": self.open}}
        before = sys.gettrace()
        try:
            with _Ended() as ended:
                code = compile(source, program, "exec")
                sys.settrace(self._trace)
                exec(code, names)  # noqa: S102 a test's own code
        finally:
            sys.settrace(before)
            names.clear()  # closes what the code left open
        return self._exit_code(ended.error)

    def _exit_code(self, error: BaseException | None) -> int:
        if error is None:
            return 0
        if isinstance(error, SystemExit):
            code = cast("object", error.code)
            return code & 0xFF if isinstance(code, int) else int(code is not None)
        frames = error.__traceback__.tb_next if error.__traceback__ else None  # ours is the first
        self.err.write("".join(traceback.format_exception(type(error), error, frames)))
        return 1

    @contextlib.contextmanager
    def _stdin(self) -> Generator[None]:
        before = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(self.job.stdin), encoding="utf-8", errors="replace")
        try:
            yield
        finally:
            sys.stdin = before

    def _output(self, size: int) -> int:
        given = min(size, self._room)
        self._room -= given
        return given

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != self.job.program:
            return None
        self._lines -= event == "line"
        if self._lines < 0:
            raise _HitError("cpu")
        return self._trace
