"""Calls and answers in the OpenAI vocabulary, the normal form of every wire.

Bodies stay plain JSON objects: what a caller or a server sends that we do not know survives untouched,
and the hot path pays for no models. A body is never changed in place; who needs another one copies it.
"""

import math
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

from coreto.errors import CallError
from coreto.labels import Label

Json = dict[str, Any]

NANO = 1_000_000_000
"""Costs are kept in whole nano-dollars (``nusd``), so that sums are exact."""


Failover = Literal["hold", "continue", "restart"]
"""What happens when a stream dies midway: it was held back until whole, the next model goes on from the
partial text, or the client is told to forget what it has. With none of them the stream ends with an error."""


Preference = Literal["chain", "local", "cloud", "cheap", "fast"]
"""Who of a role's deployments is asked first: in the order of the chain, those on this machine, those off it,
the cheapest, the quickest so far."""

PREFERENCES: tuple[Preference, ...] = ("chain", "local", "cloud", "cheap", "fast")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds an attempt may take: to connect; to the first token of a stream, or to the whole of a
    non-stream answer; and between two tokens."""

    connect: float = 5.0
    attempt: float = 60.0
    stall: float = 30.0


class Call(NamedTuple):
    """One chat completion on its way down. (A named tuple: a changed copy costs a quarter of a dataclass's, and
    every call is copied twice.)

    ``body`` is the OpenAI request as the caller wrote it. ``model`` is the name asked for at the gateway
    and, below it, the upstream's name for the model. ``deadline`` is in the clock's monotonic seconds.
    ``context`` fixes the engine's window in tokens (a changed one reloads the model in Ollama).
    """

    id: str
    body: Json
    model: str
    stream: bool = False
    role: str | None = None
    label: Label = Label.INTERNAL
    limits: Limits = Limits()
    deadline: float = math.inf
    context: int | None = None
    user: str | None = None
    run: str | None = None
    #: the span that the request came from, as the caller's header says
    traceparent: str | None = None
    #: what shall happen when the stream dies midway; ``None``: as the role says
    failover: Failover | None = None
    #: the client has declared that it understands :class:`Restart`
    restartable: bool = False
    #: whose key the call came with, and what it says about the cache and its tags, as written
    tenant: str | None = None
    cache: str | None = None
    cache_tags: str | None = None
    #: who is asked first, whatever role and task say
    prefer: Preference | None = None


@dataclass(frozen=True, slots=True)
class EmbedCall:
    """One embeddings request (OpenAI shape) on its way down. ``context``: as of a :class:`Call`."""

    id: str
    body: Json
    model: str
    label: Label = Label.INTERNAL
    limits: Limits = Limits()
    user: str | None = None
    run: str | None = None
    traceparent: str | None = None
    context: int | None = None


class Usage(NamedTuple):
    """Tokens of one attempt; ``estimated`` when the server did not say. ``cost_nusd`` is the price the
    server itself reported (OpenRouter), else ``None``."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cost_nusd: int | None = None
    estimated: bool = False


class Whole(NamedTuple):
    """A complete non-stream answer. ``raw`` is the server's own body where it is already in our form.
    ``unmapped`` names request fields that the wire could not carry."""

    body: Json
    raw: bytes | None = None
    unmapped: tuple[str, ...] = ()


class Chunk(NamedTuple):
    """One piece of a streamed answer (``chat.completion.chunk``). ``more``: the next one has already
    arrived with it, so both may be passed on in one write."""

    body: Json
    raw: bytes | None = None
    unmapped: tuple[str, ...] = ()
    more: bool = False


class Attempt(NamedTuple):
    """What one try at one deployment came to. ``outcome``: ``ok``, an error code, or ``skipped``."""

    deployment: str
    outcome: str
    ms: float = 0.0
    ttft_ms: float | None = None
    usage: Usage = Usage()
    cost_nusd: int | None = 0
    local: bool = True
    detail: str | None = None
    scope: str | None = None
    until: float | None = None

    def as_json(self) -> Json:
        """The attempt as the trace shows it; absent figures are left out."""
        out: Json = {"deployment": self.deployment, "outcome": self.outcome, "ms": round(self.ms, 2)}
        if self.ttft_ms is not None:
            out["ttft_ms"] = round(self.ttft_ms, 2)
        if self.usage.prompt or self.usage.completion:
            out["tokens"] = {"prompt": self.usage.prompt, "completion": self.usage.completion}
        if self.detail:
            out["detail"] = self.detail
        if self.scope and self.outcome != "ok":
            out["scope"] = self.scope
        if self.until is not None:
            out["until"] = self.until
        if not self.local:
            out["local"] = False
            out["cost_usd"] = None if self.cost_nusd is None else self.cost_nusd / NANO
        return out

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> "Attempt":
        """The attempt that :meth:`as_json` showed, as far as it shows it."""
        tokens = as_object(shown.get("tokens"))
        cost = shown.get("cost_usd", 0)
        return cls(
            deployment=str(shown.get("deployment")),
            outcome=str(shown.get("outcome")),
            ms=float(shown.get("ms") or 0.0),
            ttft_ms=shown.get("ttft_ms"),
            usage=Usage(int(tokens.get("prompt") or 0), int(tokens.get("completion") or 0)),
            cost_nusd=None if cost is None else round(cost * NANO),
            local=shown.get("local") is not False,
            detail=shown.get("detail"),
            scope=shown.get("scope"),
            until=shown.get("until"),
        )


class Trace(NamedTuple):
    """Who answered, what was tried and what it cost: the last item of every gateway answer."""

    call_id: str
    deployment: str | None
    role: str | None
    label: Label
    attempts: tuple[Attempt, ...] = ()
    task: str | None = None
    cached: bool = False
    unmapped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: candidates not considered at all, with the reason
    dropped: tuple[tuple[str, str], ...] = ()
    #: what led to the route: the task, private data found, a preference
    why: tuple[str, ...] = ()

    @property
    def cost_nusd(self) -> int | None:
        """Cost of all attempts together in nano-dollars; ``None`` when one of them has no known price."""
        total = 0
        for attempt in self.attempts:
            if attempt.cost_nusd is None:
                return None
            total += attempt.cost_nusd
        return total

    def as_json(self) -> Json:
        """The ``coreto`` object of a response (DESIGN 4)."""
        cost = self.cost_nusd
        out: Json = {
            "id": self.call_id,
            "deployment": self.deployment,
            "role": self.role,
            "task": self.task,
            "label": str(self.label),
            "cached": self.cached,
            "cost_usd": None if cost is None else cost / NANO,
            "attempts": [attempt.as_json() for attempt in self.attempts],
        }
        if self.unmapped:
            out["unmapped"] = list(self.unmapped)
        if self.warnings:
            out["warnings"] = list(self.warnings)
        if self.why:
            out["why"] = list(self.why)
        if self.dropped:
            out["dropped"] = [{"deployment": name, "reason": why} for name, why in self.dropped]
        return out

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> "Trace":
        """The trace that :meth:`as_json` showed."""
        return cls(
            call_id=str(shown.get("id")),
            deployment=shown.get("deployment"),
            role=shown.get("role"),
            label=Label.parse(str(shown.get("label") or Label.INTERNAL)),
            attempts=tuple(Attempt.from_json(a) for a in as_objects(shown.get("attempts"))),
            task=shown.get("task"),
            cached=bool(shown.get("cached")),
            unmapped=tuple(shown.get("unmapped") or ()),
            warnings=tuple(shown.get("warnings") or ()),
            why=tuple(shown.get("why") or ()),
            dropped=tuple(
                (str(d.get("deployment")), str(d.get("reason"))) for d in as_objects(shown.get("dropped"))
            ),
        )


class Restart(NamedTuple):
    """The client must forget what it has of this stream: another model starts over."""

    reason: str
    deployment: str


Item = Whole | Chunk | Trace | Restart


async def whole_of(items: AsyncIterator[Item]) -> tuple[Json, Trace]:
    """The body and the trace of a non-stream call to a gateway. Raises :class:`~coreto.errors.CallError` where there is
    no trace."""
    body: Json = {}
    async for item in items:
        if isinstance(item, Whole):
            body = item.body
        elif isinstance(item, Trace):
            return body, item
    raise CallError("the gateway ended without a trace")


@dataclass(slots=True)
class Accumulator:
    """Collects a stream's text, usage and finish as its chunks pass by."""

    parts: list[str] = field(default_factory=list[str])
    usage: Usage | None = None
    finish: str | None = None
    has_tool_calls: bool = False

    def add(self, body: Mapping[str, Any]) -> None:
        """Take note of one chunk."""
        choices = body.get("choices")
        if choices:
            choice = choices[0]
            delta = choice.get("delta")
            if delta:
                content = delta.get("content")
                if content and isinstance(content, str):
                    self.parts.append(content)
                elif delta.get("tool_calls"):
                    self.has_tool_calls = True
            finish = choice.get("finish_reason")
            if finish:
                self.finish = finish
        if body.get("usage"):
            self.usage = usage_of(body)

    @property
    def text(self) -> str:
        return "".join(self.parts)


def new_call_id() -> str:
    """An id of 24 hexadecimal digits, for a trace and not for a secret: a system call for each costs 5 µs. It
    begins with the time in milliseconds, so that the ledger's indexes grow at their end."""
    return f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(48):012x}"


def as_object(value: object) -> Json:
    """``value`` if it is a JSON object, else an empty one: servers leave out or null what they like."""
    return cast("Json", value) if isinstance(value, dict) else {}


def as_objects(value: object) -> list[Json]:
    """The JSON objects in ``value`` if it is a list, else none."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Json", item) for item in items if isinstance(item, dict)]


def count_of(value: object) -> int:
    """``value`` if it is a number of tokens, else 0."""
    return value if isinstance(value, int) and value > 0 else 0


def usage_of(body: Mapping[str, Any]) -> Usage | None:
    """The usage a response or a chunk reports; ``None`` where it reports none."""
    reported = as_object(body.get("usage"))
    if not reported:
        return None
    details = as_object(reported.get("prompt_tokens_details"))
    cost = reported.get("cost")
    return Usage(
        prompt=count_of(reported.get("prompt_tokens")),
        completion=count_of(reported.get("completion_tokens")),
        cached=count_of(details.get("cached_tokens")),
        cost_nusd=round(cost * NANO) if isinstance(cost, int | float) and 0 <= cost < NANO else None,
    )


def message_of(body: Mapping[str, Any]) -> Json:
    """The first choice's message of a whole answer; empty where there is none."""
    return as_object(_first_choice(body).get("message"))


def text_of(body: Mapping[str, Any]) -> str:
    """The first choice's text of a whole answer; ``""`` where it has none."""
    content = message_of(body).get("content")
    return content if isinstance(content, str) else ""


def finish_of(body: Mapping[str, Any]) -> str | None:
    """The first choice's finish reason of a whole answer."""
    return _first_choice(body).get("finish_reason")


def _first_choice(body: Mapping[str, Any]) -> Json:
    choices = as_objects(body.get("choices"))
    return choices[0] if choices else {}


def prompt_text(body: Mapping[str, Any]) -> str:
    """All text of a request's messages, one after the other."""
    parts: list[str] = []
    for message in as_objects(body.get("messages")):
        content = message.get("content")
        if isinstance(content, str):
            parts.append(content)
        else:
            parts.extend(str(part.get("text") or "") for part in as_objects(content))
    return "\n".join(parts)


def estimate_tokens(text: str) -> int:
    """A rough count: four characters a token, as English and Portuguese average in common vocabularies."""
    return (len(text) + 3) // 4
