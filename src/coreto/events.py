"""The only way up: lower rooms emit frozen events; ledger, telemetry, server and CLI subscribe."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from coreto.messages import Attempt, Json, Trace

log = logging.getLogger(__name__)


class CallFinished(NamedTuple):
    """A call ended, well or badly. ``ended_at``: epoch seconds; ``outcome``: ``ok`` or an error code."""

    call_id: str
    ended_at: float
    ms: float
    outcome: str
    stream: bool
    trace: Trace
    user: str | None = None
    run: str | None = None
    #: what the role's first cloud deployment would have charged for the same tokens (SPEC R9)
    baseline: str | None = None
    baseline_nusd: int | None = None
    #: the span that its request came from
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """A deployment, endpoint or account was taken out of, or put back into, service."""

    key: str
    state: str
    reason: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class ModelMoved:
    """A model came into memory, left it, or failed to. ``what``: as :class:`~coreto.residency.effects.Happening`
    names it; ``detail``: in words, with the figures."""

    provider: str
    model: str
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the operator should know: a retired model replaced, a field that could not be mapped."""

    message: str


class RequestServed(NamedTuple):
    """The server has dealt with a request. ``route``: its path, or the name of where no path leads;
    ``status``: 499 when the client hung up; ``key``: the name of its key; ``trace``: of the call, if it was
    one."""

    method: str
    path: str
    route: str
    status: int
    ms: float
    key: str | None = None
    trace: Trace | None = None


CrewEventType = Literal["status", "agent_switch", "tool_call", "content", "complete", "error", "approval"]


@dataclass(frozen=True, slots=True)
class CrewEvent:
    """Something that a run of a crew did (SPEC C8). ``content``: the text, for people; ``agent`` and ``tool``: who
    was at work, with what; ``params``: the rest, as JSON."""

    type: CrewEventType
    content: str = ""
    agent: str | None = None
    tool: str | None = None
    params: Json = field(default_factory=dict[str, object])

    def as_json(self) -> Json:
        """The five fields, as clients get them."""
        return {
            "type": self.type,
            "content": self.content,
            "agent": self.agent,
            "tool": self.tool,
            "params": self.params,
        }


Event = CallFinished | HealthChanged | ModelMoved | Warned | RequestServed
E = TypeVar("E", CallFinished, HealthChanged, ModelMoved, Warned, RequestServed)


class EventBus:
    """Delivers each event at once to every subscriber of its type; a subscriber never breaks a call."""

    __slots__ = ("_subscribers",)

    def __init__(self) -> None:
        self._subscribers: dict[type, list[Callable[..., None]]] = {}

    def subscribe(self, kind: type[E], hook: Callable[[E], None]) -> Callable[[], None]:
        """Call ``hook`` with every later event of type ``kind``; returns what ends the subscription."""
        hooks = self._subscribers.setdefault(kind, [])
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def emit(self, event: Event) -> None:
        """Deliver ``event``. A hook's exception is logged, not raised."""
        for hook in tuple(self._subscribers.get(type(event), ())):  # one may leave meanwhile
            try:
                hook(event)
            except Exception:  # boundary: an observer's fault must not fail the call it observes
                log.exception("an event hook failed on %s", type(event).__name__)


__all__ = [
    "Attempt",
    "CallFinished",
    "CrewEvent",
    "CrewEventType",
    "Event",
    "EventBus",
    "HealthChanged",
    "ModelMoved",
    "RequestServed",
    "Warned",
]
