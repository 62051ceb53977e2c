"""Which sandboxes hold on this machine, and running code in the strongest of them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from coreto.tools.sandbox.bubblewrap import Bubblewrap
from coreto.tools.sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from coreto.tools.sandbox.interpreter import Interpreter
from coreto.tools.sandbox.jobs import (
    DEFAULT_LIMITS,
    NO_FILES,
    Job,
    Sandbox,
    SandboxKind,
    SandboxLimits,
    SandboxResult,
)


class Offers:
    """Sandboxes, the strongest first, each tried once: a namespace may be forbidden where its program is there."""

    def __init__(self, sandboxes: Sequence[Sandbox]) -> None:
        self._sandboxes = tuple(sandboxes)
        self._obstacles: dict[SandboxKind, str | None] = {}

    async def obstacles(self) -> Mapping[SandboxKind, str | None]:
        """What is in the way of each; ``None``: it holds."""
        for sandbox in self._sandboxes:
            if sandbox.kind not in self._obstacles:
                self._obstacles[sandbox.kind] = await sandbox.obstacle()
        return dict(self._obstacles)

    async def strongest(self) -> Sandbox:
        """The first that holds. Raises :class:`SandboxUnavailableError` with what is in the way of the first."""
        for sandbox in self._sandboxes:
            if sandbox.kind not in self._obstacles:
                self._obstacles[sandbox.kind] = await sandbox.obstacle()
            if self._obstacles[sandbox.kind] is None:
                return sandbox
        raise SandboxUnavailableError(next((text for text in self._obstacles.values() if text), ""))


@lru_cache(maxsize=1)
def offers() -> Offers:
    """This process's; ``offers.cache_clear()`` forgets what was tried."""
    return Offers((Bubblewrap(), Interpreter()))


async def probe() -> tuple[SandboxKind, ...]:
    """The kinds of sandbox that hold here, the strongest first; tried at the first call of a process."""
    return tuple(kind for kind, obstacle in (await offers().obstacles()).items() if obstacle is None)


async def run_python(
    code: str,
    *,
    limits: SandboxLimits = DEFAULT_LIMITS,
    files: Mapping[str, bytes] = NO_FILES,
    stdin: bytes = b"",
    packages: bool = False,
    sandbox: Sandbox | None = None,
) -> SandboxResult:
    """Run Python code that nobody vouches for, in ``sandbox`` or the strongest one that holds here.

    ``files`` lie in the folder that it starts in; ``packages``: whether it sees those installed beside this
    process's Python. Raises :class:`SandboxUnavailableError` when no sandbox holds: then nothing was run; and
    :class:`InvalidRequestError` for files whose names lead out of the folder.
    """
    job = Job(code, files=files, stdin=stdin, limits=limits, packages=packages)
    return await (sandbox or await offers().strongest()).run(job)


async def run_shell(
    script: str,
    *,
    allowed: bool = False,
    limits: SandboxLimits = DEFAULT_LIMITS,
    files: Mapping[str, bytes] = NO_FILES,
    stdin: bytes = b"",
    sandbox: Sandbox | None = None,
) -> SandboxResult:
    """The same for a script of the POSIX shell, which takes somebody who has ``allowed`` it.

    Raises :class:`SandboxRefusedError` otherwise, and where only an interpreter of Python holds.
    """
    if not allowed:
        raise SandboxRefusedError("shell scripts are off; who wants them run says so (`allowed=True`)")
    job = Job(script, "shell", files=files, stdin=stdin, limits=limits)
    return await (sandbox or await offers().strongest()).run(job)
