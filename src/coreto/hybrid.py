"""The names of the earlier designs (SPEC K1), on top of :class:`~coreto.client.Coreto`.

>>> commander = create_hybrid_commander(cloud_enabled=False)
>>> answer = await commander.process_message("Execute um código Python que soma números")
>>> commander.get_status()["local_available"]
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Self

from coreto.app import App
from coreto.client import Coreto
from coreto.crews.commander.state import CommanderResult
from coreto.errors import CoretoError
from coreto.events import CrewEvent
from coreto.hardware.base import suggested_budget
from coreto.hardware.machine import Machine
from coreto.messages import Json


class Reply(str):
    """A commander's answer: its text, as earlier designs gave it, and the whole ``result``."""

    __slots__ = ("result",)
    result: CommanderResult

    @classmethod
    def of(cls, result: CommanderResult) -> Self:
        """The reply that a run came to."""
        reply = cls(result.text)
        reply.result = result
        return reply


class ModelManager:
    """How the models are: who can answer, what is in memory."""

    def __init__(self, make: Callable[[], Coreto]) -> None:
        self._make = make

    def get_status(self) -> Json:
        """The keys of SPEC R13 and R11 (``cloud_available``, ``local_available``, ``fallback_enabled``,
        ``current_model``, ``current_role``, ``vram_used_gb``, ``vram_total_gb``, ``brain_loaded``,
        ``executor_loaded``), among others. Asks everybody anew: a second or two. Raises :class:`CoretoError`."""
        return _at_once(self._asked)

    async def _asked(self) -> Json:
        async with self._make() as coreto:
            if isinstance(coreto.backend, App):
                await coreto.backend.refresh(everything=True)
            return await coreto.status()


class HybridCommander:
    """A commander that starts with its first message.

    As ``async with`` it ends with the block, else with the event loop (``asyncio.run`` closes it). Messages may be
    processed several at a time.
    """

    def __init__(self, make: Callable[[], Coreto]) -> None:
        """``make`` gives a :class:`Coreto` that is not running yet."""
        self._make = make
        self._keeper: asyncio.Task[None] | None = None
        self._coreto: asyncio.Future[Coreto] | None = None
        self._over: asyncio.Event | None = None

    async def __aenter__(self) -> Self:
        await self._running()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def process_message(self, text: str, *, user: str | None = None, private: bool = False) -> Reply:
        """Answer ``text``: plan, write, run and mend where it asks for that. Raises :class:`CoretoError` when nothing
        could be done; ``reply.result`` has the plan, the code, its output, files, models and cost."""
        coreto = await self._running()
        try:
            return Reply.of(await coreto.commander().result(text, user=user, private=private))
        finally:
            await _look(coreto)

    @asynccontextmanager
    async def stream(
        self, text: str, *, user: str | None = None, private: bool = False
    ) -> AsyncGenerator[AsyncIterator[CrewEvent]]:
        """The same as events; the last one is ``complete``, with the result in ``params``, or ``error``."""
        coreto = await self._running()
        try:
            async with coreto.commander().run(text, user=user, private=private) as events:
                yield events
        finally:
            await _look(coreto)

    def get_status(self) -> Json:
        """As :meth:`ModelManager.get_status`; a commander at work in this process is not asked anew."""
        future = self._coreto
        if future is not None and future.done() and not future.cancelled() and future.exception() is None:
            backend = future.result().backend if self._is_running() else None
            if isinstance(backend, App):
                return backend.snapshot()
        return ModelManager(self._make).get_status()

    async def close(self) -> None:
        """End it; the next message starts it anew. Idempotent."""
        keeper = self._keeper
        if keeper is None or keeper.done() or self._over is None:
            return
        self._over.set()
        await asyncio.wait({keeper})

    def _is_running(self) -> bool:
        return self._keeper is not None and not self._keeper.done()

    async def _running(self) -> Coreto:
        if not self._is_running():
            self._coreto, self._over = asyncio.get_running_loop().create_future(), asyncio.Event()
            self._keeper = asyncio.create_task(self._keep(self._coreto, self._over))
        assert self._coreto is not None
        return await asyncio.shield(self._coreto)

    async def _keep(self, ready: "asyncio.Future[Coreto]", over: asyncio.Event) -> None:
        """Owns the running Coreto, so that it ends where this task does: when told, or with the loop."""
        try:
            async with self._make() as coreto:
                ready.set_result(coreto)
                await over.wait()
        except CoretoError as error:
            if ready.done():
                raise
            ready.set_exception(error)


def create_hybrid_commander(
    *,
    cloud_model: str | None = None,
    cloud_api_key: str | None = None,
    cloud_enabled: bool | None = None,
    fallback_enabled: bool | None = None,
    **options: Any,
) -> HybridCommander:
    """A commander that plans in the cloud first and executes here first.

    ``cloud_model``, ``cloud_api_key``: of Ollama Cloud. ``fallback_enabled=False``: the first model of a role answers
    or nobody does. What is left out is as configured; ``options`` are those of :class:`~coreto.client.Coreto`.
    """
    return HybridCommander(
        _maker(
            {
                "OLLAMA_CLOUD_MODEL": cloud_model,
                "OLLAMA_CLOUD_API_KEY": cloud_api_key,
                "OLLAMA_CLOUD_ENABLED": _switch(cloud_enabled),
                "FALLBACK_ENABLED": _switch(fallback_enabled),
            },
            options,
        )
    )


def create_smart_commander(
    *, brain_model: str | None = None, executor_model: str | None = None, **options: Any
) -> HybridCommander:
    """A commander of two models of the local Ollama that take turns in memory, without the cloud.

    The budget is ``providers.ollama.memory_budget``, or "auto" where nothing is configured.
    """
    return HybridCommander(_smart(brain_model, executor_model, options))


def get_hybrid_model_manager(**options: Any) -> ModelManager:
    """The models as configured, cloud and local."""
    return ModelManager(_maker({}, options))


def get_model_manager(**options: Any) -> ModelManager:
    """The local models that take turns in memory."""
    return ModelManager(_smart(None, None, options))


async def _look(coreto: Coreto) -> None:
    """So that :meth:`HybridCommander.get_status`, which cannot wait, knows what is in memory."""
    if isinstance(coreto.backend, App):
        await coreto.backend.look()


def _smart(brain: str | None, executor: str | None, options: Mapping[str, Any]) -> Callable[[], Coreto]:
    given = {"DEFAULT_MODEL": brain, "EXECUTOR_MODEL": executor, "OLLAMA_CLOUD_ENABLED": "false"}
    make = _maker(given, options)

    def smart() -> Coreto:
        coreto = make()
        ollama = coreto.loaded.settings.providers.get("ollama")
        if ollama is None or ollama.memory_budget is not None or not ollama.local or not ollama.enabled:
            return coreto
        if suggested_budget(Machine()) is None:
            return coreto
        settings = {**options.get("settings", {}), "providers.ollama.memory_budget": "auto"}
        return _maker(given, {**options, "settings": settings})()

    return smart


def _maker(given: Mapping[str, str | None], options: Mapping[str, Any]) -> Callable[[], Coreto]:
    """What makes a :class:`Coreto` in which ``given`` variables stand above the environment."""

    def make() -> Coreto:
        environ = options.get("environ") or os.environ
        said = {name: value for name, value in given.items() if value is not None}
        arguments: dict[str, Any] = {**options, "environ": {**environ, **said}}
        return Coreto(**arguments)

    return make


def _switch(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _at_once(work: Callable[[], Awaitable[Json]]) -> Json:
    """The result of ``work``, in a loop of its own: whoever calls may be in one."""

    async def whole() -> Json:
        return await work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, whole()).result()
