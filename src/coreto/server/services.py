"""What the server is given to work with. It knows no application, only this."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from coreto.clock import SystemClock
from coreto.events import EventBus
from coreto.messages import Call, EmbedCall, Item, Json, Trace, Whole
from coreto.routing.directory import Directory
from coreto.server.keys import KeyRing
from coreto.server.limits import Gate


class GatewayPort(Protocol):
    """What answers. ``directory`` is replaced whenever the models at hand change: read it anew."""

    @property
    def directory(self) -> Directory: ...

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """The items of an answer, its trace last. Raises :class:`~coreto.errors.CoretoError`."""
        ...

    async def whole(self, call: Call) -> tuple[Whole, Trace]:
        """A non-stream call's answer and its trace. Raises as :meth:`open`."""
        ...

    async def explain(self, call: Call) -> Json:
        """Where ``call`` would go, and why; nobody is asked. Raises as :meth:`open`."""
        ...

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]:
        """Embeddings and their trace. Raises :class:`~coreto.errors.CoretoError`."""
        ...


class CachePort(Protocol):
    """The answers that are kept."""

    async def invalidate_tag(self, tag: str) -> int:
        """Forget the answers that carry ``tag``; how many there were."""
        ...

    async def invalidate_pattern(self, pattern: str) -> int:
        """Forget the answers whose key or one of whose tags matches a glob; how many there were."""
        ...


class PlanPort(Protocol):
    """Who hears of plans."""

    async def announce(self, plan: str, steps: Sequence[tuple[str, int]], *, private: bool = False) -> None:
        """Roles or deployments with the calls of each, in order; none: the plan is over."""
        ...


def _gate() -> Gate:
    return Gate(SystemClock())


@dataclass(frozen=True, slots=True)
class Services:
    """``status``: the body of ``/api/status``. ``why_not_ready``: why no model can answer now, ``None``
    when one can. ``keys``: the bearer keys accepted; none: every client on this machine is. ``gate``: how
    many calls are answered at once, each in ``request_timeout`` seconds, the waiting included. ``bus`` hears
    of every request. ``metrics``: the text of ``/metrics``; ``None``: there is none. ``cache``: the answers kept. ``plans``: who hears what will be asked. ``model_aliases``: what
    names that are not known here mean, by patterns, the first that fits."""

    gateway: GatewayPort
    status: Callable[[], Awaitable[Json]]
    why_not_ready: Callable[[], str | None]
    keys: KeyRing = field(default_factory=KeyRing, repr=False)
    gate: Gate = field(default_factory=_gate)
    request_timeout: float = 300.0
    bus: EventBus = field(default_factory=EventBus)
    metrics: Callable[[], str] | None = None
    cache: CachePort | None = None
    plans: PlanPort | None = None
    model_aliases: Mapping[str, str] = field(default_factory=dict[str, str])

    def resolve(self, name: str) -> str:
        """What ``name`` means: itself if it is known here or no alias fits."""
        for pattern, target in self.model_aliases.items():
            if fnmatchcase(name, pattern):
                directory = self.gateway.directory
                known = name in directory.plans or directory.make(name) is not None
                return name if known else target
        return name
