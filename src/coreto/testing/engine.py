"""A local engine in virtual time: loads that take a second a gigabyte, memory that is free some time after it says so."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from coreto.clock import Clock
from coreto.errors import CallError, MissingModelError
from coreto.messages import Call, EmbedCall, Item, Json
from coreto.providers.base import Described, ModelInfo, Resident
from coreto.testing.provider import FakeProvider, Say

#: Bytes that a load brings into memory in a second.
SPEED = 10**9


class FakeEngine(FakeProvider):
    """A :class:`~coreto.providers.base.LocalEngine` that has models of the ``sizes`` (bytes when loaded).

    ``described``: what it tells of some of them; of the others nothing. ``lag``: seconds between its word that a
    model is unloaded and that it no longer lists it. Every answer lasts ``seconds``. ``log`` lists loads and unloads
    in order, ``windows`` those that models were last loaded with, ``contexts`` the ones that calls came with, and ``unloaded_answers`` the models that were called while
    they were not in memory. ``most`` is the largest sum in memory so far. ``errors`` are raised by the next calls of
    ``load``, ``unload``, ``resident`` and ``describe``.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        clock: Clock,
        *,
        described: Mapping[str, Described] | None = None,
        lag: float = 0.2,
        seconds: float = 2.0,
        script: Sequence[Say] = (),
    ) -> None:
        infos = tuple(ModelInfo(name, size) for name, size in sizes.items())
        super().__init__(*(script or [Say(delay=seconds)]), models=infos, clock=clock)
        self.sizes = dict(sizes)
        self.memory: dict[str, int] = {}
        self.windows: dict[str, int | None] = {}
        self.most = 0
        self.log: list[tuple[str, str]] = []
        self.contexts: list[int | None] = []
        self.unloaded_answers: list[str] = []
        self.errors: dict[str, list[CallError]] = {"load": [], "unload": [], "resident": [], "describe": []}
        self.descriptions = 0
        self._described = dict(described or {})
        self._lag = lag
        self._going: dict[str, float] = {}

    def restart(self) -> None:
        """Forget what is in memory, as an engine does that was started anew."""
        self.memory.clear()
        self._going.clear()

    async def load(self, model: str, *, context: int | None = None) -> None:
        self.log.append(("load", model))
        self._raise("load")
        size = self._size(model)
        if model not in self.memory:
            self.memory[model] = size
            self.windows[model] = context
            self.most = max(self.most, sum(self.memory.values()))
            await self._clock.sleep(size / SPEED)

    async def unload(self, model: str) -> None:
        self.log.append(("unload", model))
        self._raise("unload")
        self._going[model] = self._clock.monotonic() + self._lag

    async def resident(self) -> tuple[Resident, ...]:
        self._raise("resident")
        for model, at in list(self._going.items()):
            if at <= self._clock.monotonic():
                self.memory.pop(model, None)
                del self._going[model]
        return tuple(Resident(model, size, size, self.windows[model]) for model, size in self.memory.items())

    async def describe(self, model: str) -> Described | None:
        self.descriptions += 1
        self._raise("describe")
        self._size(model)
        return self._described.get(model)

    async def embed(self, call: EmbedCall) -> Json:
        self._note(call)
        return await super().embed(call)

    async def _play(self, call: Call) -> AsyncGenerator[Item, None]:
        self._note(call)
        async with aclosing(super()._play(call)) as items:
            async for item in items:
                yield item

    def _note(self, call: Call | EmbedCall) -> None:
        self.contexts.append(call.context)
        if call.model not in self.memory:
            self.unloaded_answers.append(call.model)

    def _size(self, model: str) -> int:
        size = self.sizes.get(model)
        if size is None:
            raise MissingModelError(f"the engine has no model {model!r}")
        return size

    def _raise(self, what: str) -> None:
        if self.errors[what]:
            raise self.errors[what].pop(0)
