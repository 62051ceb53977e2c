"""From a request's body and headers to a call. Pure but for the call's id."""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from coreto.errors import InvalidRequestError
from coreto.labels import Label, combine
from coreto.messages import PREFERENCES, Call, EmbedCall, Failover, Json, Preference, new_call_id
from coreto.routing.directory import AUTO
from coreto.server.exchange import Exchange
from coreto.server.validate import MAX_NAME, check_chat, check_embeddings, is_name


class _Caller(NamedTuple):
    label: Label
    user: str | None
    run: str | None


def _as_asked(name: str) -> str:
    return name


def chat_call(body: Json, exchange: Exchange, resolve: Callable[[str], str] = _as_asked) -> Call:
    """The call that a chat request asks for; ``resolve`` says what a model's name means here. Raises
    :class:`InvalidRequestError`, and :class:`~coreto.server.keys.ForbiddenModelError` when it is not the
    caller's to ask."""
    check_chat(body)
    model = _model(body, exchange, resolve)
    caller = _caller(body, exchange)
    return Call(
        new_call_id(),
        _upstream_body(body),
        model,
        stream=body.get("stream") is True,
        label=caller.label,
        user=caller.user,
        run=caller.run,
        failover=_failover(exchange),
        restartable=exchange.header(b"x-coreto-accept-restart") in ("1", "true"),
        tenant=exchange.caller.name,
        cache=exchange.header(b"x-coreto-cache"),
        traceparent=exchange.header(b"traceparent"),
        cache_tags=exchange.header(b"x-coreto-cache-tags"),
        prefer=_prefer(exchange) or body.get("prefer"),
    )


def embed_call(body: Json, exchange: Exchange, resolve: Callable[[str], str] = _as_asked) -> EmbedCall:
    """The call that an embeddings request asks for. Raises as :func:`chat_call`."""
    check_embeddings(body)
    model = _model(body, exchange, resolve)
    caller = _caller(body, exchange)
    return EmbedCall(
        new_call_id(),
        _upstream_body(body),
        model,
        caller.label,
        user=caller.user,
        run=caller.run,
        traceparent=exchange.header(b"traceparent"),
    )


def _model(body: Json, exchange: Exchange, resolve: Callable[[str], str]) -> str:
    model = resolve(body.get("model") or AUTO)
    exchange.caller.check(model)
    return model


def _upstream_body(body: Json) -> Json:
    """``body`` without the fields that are ours."""
    if "private" not in body and "prefer" not in body:
        return body
    return {name: value for name, value in body.items() if name not in ("private", "prefer")}


def _caller(body: Json, exchange: Exchange) -> _Caller:
    label = _label(exchange.header(b"x-coreto-label"))
    if body.get("private"):
        label = combine(label, Label.PRIVATE)
    named = _name(exchange, "x-coreto-user") or body.get("user")
    return _Caller(label, exchange.caller.user_of(named), _name(exchange, "x-coreto-run"))


def _label(text: str | None) -> Label:
    if text is None:
        return Label.INTERNAL
    try:
        return Label.parse(text)
    except ValueError as error:
        raise InvalidRequestError(f"x-coreto-label: {error}", "x-coreto-label") from None


def _failover(exchange: Exchange) -> Failover | None:
    text = exchange.header(b"x-coreto-stream-failover")
    match text:
        case None | "hold" | "continue" | "restart":
            return text
        case _:
            header = "x-coreto-stream-failover"
            raise InvalidRequestError(f"{header} is one of hold, continue, restart; got {text!r}", header)


def _prefer(exchange: Exchange) -> Preference | None:
    text = exchange.header(b"x-coreto-prefer")
    match text:
        case None | "chain" | "local" | "cloud" | "cheap" | "fast":
            return text
        case _:
            header = "x-coreto-prefer"
            raise InvalidRequestError(f"{header} is one of {', '.join(PREFERENCES)}; got {text!r}", header)


def _name(exchange: Exchange, header: str) -> str | None:
    value = exchange.header(header.encode())
    if not value:
        return None
    with suppress(UnicodeDecodeError):  # headers are Latin-1 by the book, and UTF-8 as terminals send them
        typed = value.encode("latin-1").decode()
        value = typed if is_name(typed) else value
    if not is_name(value):
        problem = f"{header} must be a text without control characters, of {MAX_NAME} at most"
        raise InvalidRequestError(problem, header)
    return value
