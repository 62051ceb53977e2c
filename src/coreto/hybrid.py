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
from coreto.providers.catalog import split_id
from coreto.providers.discovery import probe

#: Seconds that a message waits, once it is answered, for a look at how the models are; the look itself goes on.
LOOK_WITHIN = 1.0


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

    As ``async with`` it ends with the block, else with the event loop (``asyncio.run`` closes it); in the next loop
    it starts anew. Messages may be processed several at a time, in one loop.
    """

    def __init__(self, make: Callable[[], Coreto]) -> None:
        """``make`` gives a :class:`Coreto` that is not running yet."""
        self._make = make
        self._keeper: asyncio.Task[None] | None = None
        self._coreto: asyncio.Future[Coreto] | None = None
        self._over: asyncio.Event | None = None
        self._looks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._running()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def process_message(self, text: str, *, user: str | None = None, private: bool = False) -> Reply:
        """Answer ``text``: plan, write, run and mend where it asks for that. Raises :class:`CoretoError` when nothing
        could be done; ``reply.result`` has the plan, the code, its output, files, models and cost."""
        async with self._at_work() as coreto:
            return Reply.of(await coreto.commander().result(text, user=user, private=private))

    @asynccontextmanager
    async def stream(
        self, text: str, *, user: str | None = None, private: bool = False
    ) -> AsyncGenerator[AsyncIterator[CrewEvent]]:
        """The same as events; the last one is ``complete``, with the result in ``params``, or ``error``."""
        async with (
            self._at_work() as coreto,
            coreto.commander().run(text, user=user, private=private) as events,
        ):
            yield events

    def get_status(self) -> Json:
        """As :meth:`ModelManager.get_status`; of a commander at work in this process, as its last message left it."""
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
        keeper = self._keeper
        return keeper is not None and not keeper.done() and not keeper.get_loop().is_closed()

    async def _running(self) -> Coreto:
        if not self._is_running():
            self._coreto, self._over = asyncio.get_running_loop().create_future(), asyncio.Event()
            self._keeper = asyncio.create_task(self._keep(self._coreto, self._over))
        assert self._keeper is not None
        assert self._coreto is not None
        if self._keeper.get_loop() is not asyncio.get_running_loop():
            raise CoretoError("this commander is at work in another event loop: make one for each")
        await asyncio.wait({self._coreto, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        if not self._coreto.done():
            self._keeper.result()  # why it did not start
        return self._coreto.result()

    async def _keep(self, ready: "asyncio.Future[Coreto]", over: asyncio.Event) -> None:
        """Owns the running Coreto, so that it ends where this task does: when told, or with the loop."""
        async with self._make() as coreto:
            ready.set_result(coreto)
            try:
                await over.wait()
            finally:
                looks = tuple(self._looks)
                for look in looks:
                    look.cancel()
                await asyncio.gather(*looks, return_exceptions=True)

    @asynccontextmanager
    async def _at_work(self) -> AsyncGenerator[Coreto]:
        """The running Coreto for one message, after which :meth:`get_status`, which cannot wait, is up to date."""
        coreto = await self._running()
        app = coreto.backend
        if not isinstance(app, App):
            yield coreto
            return
        before = _counts(app)
        try:
            yield coreto
        except CoretoError:
            await self._looked(app, before)
            raise
        await self._looked(app, before)

    async def _looked(self, app: App, before: Mapping[str, tuple[int, int]]) -> None:
        if not self._is_running():
            return
        look = asyncio.create_task(_look(app, before))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        await asyncio.wait({look}, timeout=LOOK_WITHIN)


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


def _counts(app: App) -> dict[str, tuple[int, int]]:
    """Calls and failures of each deployment so far."""
    return {name: (record.calls, record.failures) for name, record in app.health.records.items()}


async def _look(app: App, before: Mapping[str, tuple[int, int]]) -> None:
    """Look what is in memory, and how the providers are that failed since ``before``, were asked for the first time,
    or were down: the status tells it. No other provider is asked; who answers the next message is not decided here."""
    wanted = {name for name, found in app.inventory.items() if not found.health.ok}
    for name, (calls, failures) in _counts(app).items():
        provider, (calls_before, failures_before) = split_id(name)[0], before.get(name, (0, 0))
        new = calls > calls_before and provider not in app.inventory
        if new or failures > failures_before:
            wanted.add(provider)
    app.inventory.update(await probe(site for name, site in app.sites.items() if name in wanted))
    await app.look()


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
