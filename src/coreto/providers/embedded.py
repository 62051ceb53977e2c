"""The embedded engine: real models on this machine, with no server to install and no key.

Each model is a child process (``embedded_child.py``) that starts with the first call and stops when idle,
so that a crash or an out-of-memory kill stays there and stopping gives all memory back.

::

    open(call)
    ├── 1  no such model                        MissingModelError
    ├── 2  process runs                         use it
    ├── 3  process is starting                  wait for that start (one start for all who ask)
    ├── 4  nothing runs, or what ran has died   start one, after the one that is stopping
    ├── 5  died before it took the call         4, once
    └── 6  died while answering                 CutError; the next call finds 4

State changes between two awaits only, all in one event loop, so nothing is locked. A process in use never
stops for idleness; ``unload`` and ``close`` stop it all the same and running calls end with a CutError.
"""

import asyncio
import importlib.metadata
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from coreto.clock import Clock, SystemClock
from coreto.errors import (
    CutError,
    GarbledError,
    MissingModelError,
    TimedOutError,
    UnreachableError,
)
from coreto.messages import Call, Item
from coreto.providers import gguf
from coreto.providers.base import Described, Health, Items, ModelInfo, Resident
from coreto.providers.embedded_process import EngineProcess, require
from coreto.providers.weights import GgufModel, flaw_of

#: How the end of a process shows on a connection to it.
_BROKEN = (UnreachableError, CutError, GarbledError)


@dataclass(eq=False, slots=True)
class _Slot:
    """What is known of one model. ``context``: tokens that it was last loaded with; ``busy``: calls using or
    awaiting its process; ``process`` can answer, ``latest`` is the one started last, loaded or not, ended or not."""

    model: GgufModel
    context: int | None = None
    process: EngineProcess | None = None
    starting: "asyncio.Task[EngineProcess] | None" = None
    stopping: "asyncio.Task[None] | None" = None
    expiring: "asyncio.Task[None] | None" = None
    busy: int = 0
    last_used: float = 0.0
    latest: EngineProcess | None = None

    def spawned(self, process: EngineProcess) -> None:
        self.latest = process

    @property
    def as_loaded(self) -> GgufModel:
        """The model with the window that was asked for."""
        return self.model if self.context is None else replace(self.model, context=self.context)


class EmbeddedEngine:
    """Answers with GGUF models in child processes of its own (a ``LocalEngine``)."""

    def __init__(
        self,
        weights: Mapping[str, GgufModel],
        *,
        idle_timeout: float = 300.0,
        threads: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """``weights``: models by the name they are called by; ``idle_timeout``: seconds without a call
        before a process stops; ``threads``: default half the cores, one on small machines."""
        self._slots = {name: _Slot(model) for name, model in weights.items()}
        self._idle_timeout = idle_timeout
        self._threads = threads or default_threads(os.cpu_count())
        self._clock = clock or SystemClock()
        self._closed = False

    def offer(self, weights: Mapping[str, GgufModel]) -> None:
        """Take up models that it does not have yet: weights may be pulled while it runs."""
        for name, model in weights.items():
            self._slots.setdefault(name, _Slot(model))

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._items(call))

    async def _items(self, call: Call) -> Items:
        slot = self._slot(call.model)
        async with self._in_use(slot):
            taken = retried = False
            while True:
                process = await self._running(slot, call.deadline)
                try:
                    async with process.api.open(call) as items:
                        async for item in items:
                            taken = True
                            yield item
                except _BROKEN as error:
                    if not await process.is_dead():
                        raise
                    if taken or retried:
                        raise process.death() from error
                    retried = True
                else:
                    return

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models whose weights are on this machine."""
        infos = (_info_of(slot.model) for slot in self._slots.values())
        return tuple(info for info in infos if info is not None)

    async def health(self) -> Health:
        """Whether at least one model could answer; starts nothing."""
        failure: MissingModelError | None = None
        for slot in self._slots.values():
            try:
                require(slot.model)
            except MissingModelError as error:
                failure = failure or error
            else:
                version = importlib.metadata.version("xllamacpp")
                loaded = sum(1 for s in self._slots.values() if s.process is not None and s.process.alive)
                return Health(
                    ok=True, detail=f"{loaded} of {len(self._slots)} models loaded", version=version
                )
        failure = failure or MissingModelError("not pulled: `coreto models pull smollm2`")
        return Health(ok=False, detail=failure.message, code=failure.code)

    async def load(self, model: str, *, context: int | None = None) -> None:
        slot = self._slot(model)
        if slot.process is None and slot.starting is None:
            slot.context = context
        async with self._in_use(slot):
            await self._running(slot, math.inf)

    async def describe(self, model: str) -> Described | None:
        known = self._slot(model).model
        require(known)
        try:
            header = await asyncio.to_thread(gguf.read, known.path)
        except (gguf.GgufError, OSError) as error:
            raise MissingModelError(f"the embedded model {model!r} cannot be used: {error}") from error
        return Described(header.metadata, header.tensor_bytes, known.context, known.slots)

    async def unload(self, model: str) -> None:
        await self._stop(self._slot(model))

    async def resident(self) -> tuple[Resident, ...]:
        """Models whose process has memory: those that are starting, and those that have not ended yet, too."""
        offset = self._clock.time() - self._clock.monotonic()
        return tuple(
            Resident(
                name=name,
                size=slot.latest.memory(),
                context=slot.as_loaded.context,
                expires_at=None if slot.busy else slot.last_used + self._idle_timeout + offset,
            )
            for name, slot in self._slots.items()
            if slot.latest is not None and slot.latest.alive
        )

    async def close(self) -> None:
        """Stop every process. Calls that come later fail with an :class:`UnreachableError`."""
        self._closed = True
        for slot in self._slots.values():
            if slot.starting is not None:
                slot.starting.cancel()
        await asyncio.gather(*(self._stop(slot) for slot in self._slots.values()))

    def _slot(self, name: str) -> _Slot:
        slot = self._slots.get(name)
        if slot is None:
            there = ", ".join(sorted(self._slots)) or "none"
            raise MissingModelError(f"the embedded engine has no model {name!r}; it has: {there}")
        return slot

    @asynccontextmanager
    async def _in_use(self, slot: _Slot) -> AsyncGenerator[None, None]:
        slot.busy += 1
        try:
            yield
        finally:
            slot.busy -= 1
            slot.last_used = self._clock.monotonic()

    async def _running(self, slot: _Slot, deadline: float) -> EngineProcess:
        """The process of ``slot``, started if need be. ``deadline``: monotonic seconds."""
        if self._closed:
            raise UnreachableError("the embedded engine is closed")
        if slot.process is not None and slot.process.alive:
            return slot.process
        if slot.starting is None:
            slot.starting = asyncio.create_task(self._start(slot))
            slot.starting.add_done_callback(_look_at)
        start = slot.starting
        left = None if deadline == math.inf else max(deadline - self._clock.monotonic(), 0.0)
        if not (await asyncio.wait({start}, timeout=left))[0]:
            raise TimedOutError(f"the embedded engine was still loading {slot.model.name!r} at the deadline")
        if start.cancelled():
            raise UnreachableError("the embedded engine was closed")
        return start.result()

    async def _start(self, slot: _Slot) -> EngineProcess:
        """Runs as a task of its own: whoever asked first may give up while others wait."""
        try:
            await self._stop(slot)  # what is left of one that died
            process = await EngineProcess.start(slot.as_loaded, self._threads, on_spawn=slot.spawned)
        finally:
            slot.starting = None
        slot.process = process
        slot.last_used = self._clock.monotonic()
        slot.expiring = asyncio.create_task(self._expire(slot, process))
        return process

    async def _stop(self, slot: _Slot) -> None:
        """Stop what runs or is about to; calls that come meanwhile wait, then start anew."""
        start = slot.starting
        if start is not None and start is not asyncio.current_task():
            await asyncio.wait({start})
        if slot.expiring is not None and slot.expiring is not asyncio.current_task():
            slot.expiring.cancel()
        slot.expiring = None
        if slot.process is not None:
            slot.stopping = asyncio.create_task(slot.process.stop())
            slot.process = None
        if slot.stopping is not None:
            await asyncio.wait({slot.stopping})

    async def _expire(self, slot: _Slot, process: EngineProcess) -> None:
        """Stop ``process`` when it has been idle for long enough."""
        while slot.process is process:
            left = slot.last_used + self._idle_timeout - self._clock.monotonic()
            if slot.busy:
                left = self._idle_timeout
            if left <= 0:
                await self._stop(slot)
                return
            await self._clock.sleep(left)


def default_threads(cores: int | None) -> int:
    """Half the cores; one on machines with one or two, where a second thread waits more than it works."""
    return 1 if not cores or cores <= 2 else cores // 2


def _info_of(model: GgufModel) -> ModelInfo | None:
    if flaw_of(model.path):
        return None
    size = model.path.stat().st_size
    return ModelInfo(model.name, size, model.context, frozenset({"completion"}))


def _look_at(task: "asyncio.Task[EngineProcess]") -> None:
    """Take note of a start's failure, which nobody may be waiting for any more."""
    if not task.cancelled():
        task.exception()
