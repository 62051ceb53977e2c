"""A gateway that answers so many calls at once; the others wait."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from coreto.messages import Call, EmbedCall, Item, Json, Trace, Whole
from coreto.routing.directory import Directory
from coreto.server.limits import Gate
from coreto.server.services import GatewayPort


class Queued:
    """A gateway whose calls need a place of ``gate``. Waiting for it spends the call's deadline."""

    def __init__(self, gateway: GatewayPort, gate: Gate, request_timeout: float) -> None:
        """``request_timeout``: seconds a whole call may take, the waiting included."""
        self._gateway = gateway
        self._gate = gate
        self._request_timeout = request_timeout

    @property
    def directory(self) -> Directory:
        return self._gateway.directory

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return _Placed(self._gateway, self._gate, call, self._request_timeout)

    async def whole(self, call: Call) -> tuple[Whole, Trace]:
        """A non-stream call's answer and its trace. Raises :class:`BusyError` too."""
        clock = self._gate.clock
        arrived = started = clock.monotonic()
        if await self._gate.enter(self._request_timeout):
            call = call._replace(deadline=min(call.deadline, arrived + self._request_timeout))
            started = clock.monotonic()
        try:
            return await self._gateway.whole(call)
        finally:
            self._gate.leave(clock.monotonic() - started)

    async def explain(self, call: Call) -> Json:
        """As the gateway does; nothing is asked, so that no place is needed."""
        return await self._gateway.explain(call)

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]:
        """Embeddings by the gateway. Raises :class:`BusyError` too."""
        await self._gate.enter(self._request_timeout)
        started = self._gate.clock.monotonic()
        try:
            return await self._gateway.embed(call)
        finally:
            self._gate.leave(self._gate.clock.monotonic() - started)


class _Placed(AbstractAsyncContextManager[AsyncIterator[Item]]):
    """A call that is opened once it has its place. A class and not a generator: every call passes here."""

    __slots__ = ("_call", "_gate", "_gateway", "_opened", "_started", "_within")

    def __init__(self, gateway: GatewayPort, gate: Gate, call: Call, within: float) -> None:
        self._gateway = gateway
        self._gate = gate
        self._call = call
        self._within = within

    async def __aenter__(self) -> AsyncIterator[Item]:
        clock, call = self._gate.clock, self._call
        arrived = clock.monotonic()
        self._started = arrived
        if await self._gate.enter(self._within):
            call = call._replace(deadline=min(call.deadline, arrived + self._within))
            self._started = clock.monotonic()
        try:
            self._opened = self._gateway.open(call)
            return await self._opened.__aenter__()
        except BaseException:
            self._gate.leave(clock.monotonic() - self._started)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._opened.__aexit__(kind, error, trace)
        finally:
            self._gate.leave(self._gate.clock.monotonic() - self._started)
