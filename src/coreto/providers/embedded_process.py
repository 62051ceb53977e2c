"""One child process of the embedded engine: started, watched and ended without leaving anything behind."""

import asyncio
import contextlib
import importlib.util
import json
import re
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from mmap import PAGESIZE
from pathlib import Path

from coreto.errors import (
    CallError,
    CutError,
    MissingExtraError,
    MissingModelError,
    OutOfMemoryError,
    TimedOutError,
)
from coreto.messages import Json, as_object
from coreto.providers.embedded_child import Options
from coreto.providers.http import Endpoint
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.providers.weights import GgufModel, flaw_of
from coreto.redaction import brief

#: Run by path, not by name, so that a child imports nothing of the package.
CHILD = Path(__file__).with_name("embedded_child.py")
START_TIMEOUT = 60.0
_GRACE = 2.0
#: Seconds in which a process whose connection broke is expected to be seen dead.
_DYING = 0.5
_TAIL = 8192
_MEMORY = re.compile(r"failed to allocate|unable to allocate|out of memory|bad_alloc", re.IGNORECASE)
_LOG_PREFIX = re.compile(r"^[\d.]+ [A-Z] ")
_KILLED = -9


class EngineProcess:
    """A running child. Made by :meth:`start` only."""

    def __init__(self, model: GgufModel, process: Process) -> None:
        self.model = model
        self._process = process
        self._tail = b""
        self._listener = asyncio.create_task(self._listen())
        self._ending = asyncio.create_task(process.wait())
        self._api: OpenAICompatible | None = None

    @classmethod
    async def start(
        cls, model: GgufModel, threads: int, *, on_spawn: "Callable[[EngineProcess], None]" = lambda _: None
    ) -> "EngineProcess":
        """Load ``model``; returns when it can answer. ``on_spawn`` hears of the process before that. Raises
        :class:`MissingModelError` where it cannot be loaded, :class:`OutOfMemoryError` where it does not fit,
        :class:`TimedOutError` after 60 s."""
        require(model)
        arguments = ("-P", str(CHILD), model.name)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        self = cls(model, process)
        on_spawn(self)
        try:
            await self._await_ready(threads)
        except BaseException:
            await asyncio.shield(asyncio.create_task(self.stop()))
            raise
        return self

    async def _await_ready(self, threads: int) -> None:
        key = secrets.token_urlsafe(32)
        model = self.model
        options = Options(
            path=str(model.path),
            name=model.name,
            context=model.context,
            slots=model.slots,
            threads=threads,
            api_key=key,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT):
                answer = await self._handshake(options)
        except TimeoutError as error:
            raise TimedOutError(
                f"the embedded engine did not load {model.name!r} within {START_TIMEOUT:g} s"
            ) from error
        url = answer.get("url")
        if not isinstance(url, str):
            raise await self._start_error(answer)
        self._api = OpenAICompatible(Endpoint(f"embedded/{model.name}", f"{url}/v1", local=True, api_key=key))

    async def _handshake(self, options: Options) -> Json:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(ConnectionError):  # a child that died at once: its status tells
            self._process.stdin.write(json.dumps(options).encode() + b"\n")
            await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        try:
            return as_object(json.loads(line))
        except ValueError:
            return {}

    async def _start_error(self, answer: Json) -> CallError:
        """What went wrong, from the child's answer, its log and its exit status."""
        await self.is_dead()
        name, path = self.model.name, self.model.path
        log = self._tail.decode(errors="replace")
        code = answer.get("code")
        if code == "missing_extra":
            return MissingModelError(MissingExtraError("local", f"the embedded model {name!r}").message)
        if code == "out_of_memory" or _MEMORY.search(log) or self._process.returncode == _KILLED:
            return OutOfMemoryError(
                f"the embedded model {name!r} does not fit in memory: {reason_in(log) or 'its process was killed'}; "
                "set a smaller `context` for it, or take a smaller model"
            )
        reason = reason_in(log) or str(answer.get("error") or f"exit status {self._process.returncode}")
        return _unusable(self.model, f"cannot be loaded ({reason}): {path}")

    @property
    def api(self) -> OpenAICompatible:
        assert self._api is not None
        return self._api

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ending.done()

    async def is_dead(self) -> bool:
        """Whether the process has ended; waits a moment, as its connections break before it is gone."""
        await asyncio.wait({self._ending}, timeout=_DYING)
        return not self.alive

    def death(self) -> CutError:
        """The error for a call that the process's end cut short."""
        status = self._process.returncode
        said = reason_in(self._tail.decode(errors="replace"))
        how = (
            f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with {status}"
        )
        return CutError(
            f"the embedded engine of {self.model.name!r} {how} while answering{said and f': {said}'}"
        )

    def memory(self) -> int:
        """Bytes resident; the size of the weights where the system does not say (not Linux)."""
        try:
            statm = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii")
            return int(statm.split()[1]) * PAGESIZE
        except (OSError, IndexError, ValueError):
            return self.model.path.stat().st_size if self.model.path.is_file() else 0

    async def stop(self) -> None:
        """End the process: ask, then insist, then kill. Returns when it is gone. Idempotent."""
        if self._api is not None:
            await self._api.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        for insist in (self._process.terminate, self._process.kill):
            if (await asyncio.wait({self._ending}, timeout=_GRACE))[0]:
                break
            with contextlib.suppress(ProcessLookupError):
                insist()
        await asyncio.wait({self._ending})
        await asyncio.wait({self._listener})

    async def _listen(self) -> None:
        """Keep the end of what the child logs; a pipe that nobody reads would stop it."""
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4096):
            self._tail = (self._tail + data)[-_TAIL:]


def require(model: GgufModel) -> None:
    """Raise :class:`MissingModelError` when ``model`` cannot be started at all."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingModelError(MissingExtraError("local", f"the embedded model {model.name!r}").message)
    flaw = flaw_of(model.path)
    if flaw:
        raise _unusable(model, f"has no weights: {model.path} {flaw}")


def _unusable(model: GgufModel, why: str) -> MissingModelError:
    return MissingModelError(
        f"the embedded model {model.name!r} {why}; `coreto models pull smollm2` fetches one that works"
    )


def reason_in(log: str) -> str:
    """The line of llama.cpp's log that says most: its first error, which the others follow from."""
    for line in log.splitlines():
        if re.match(r"^[\d.]+ E ", line):
            return brief(_LOG_PREFIX.sub("", line))
    return ""
