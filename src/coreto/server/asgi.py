"""The server's edge: every request comes in here, and no exception leaves."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import metadata
from typing import cast

import orjson

from coreto.errors import CallError, CoretoError
from coreto.events import RequestServed
from coreto.redaction import brief
from coreto.server.access import Access
from coreto.server.api import build_api
from coreto.server.chat import chat, embeddings, explain
from coreto.server.dialects.anthropic_answers import AnthropicEnvelope
from coreto.server.dialects.handler import MESSAGES, RESPONSES, answer, count_tokens
from coreto.server.exchange import ASGIApp, Exchange, Receive, Reply, Scope, Send, SlowBodyError
from coreto.server.failures import failed, refused, unexpected
from coreto.server.limits import Bucket
from coreto.server.models import list_models, show_model
from coreto.server.queued import Queued
from coreto.server.services import Services

Handler = Callable[[Exchange], Awaitable[Reply | None]]
_MODEL = "/v1/models/"
_ANTHROPIC = "/v1/messages"
_PROBES = ("/healthz", "/readyz")
_METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
#: What a hung-up client's request is counted as, as nginx does.
_HUNG_UP = 499


class Edge:
    """The ASGI application: finds the handler, keeps out who may not in, turns errors into responses."""

    def __init__(self, services: Services) -> None:
        self._bus = services.bus
        self._clock = services.gate.clock
        queued = Queued(services.gateway, services.gate, services.request_timeout)
        self._services = services = replace(services, gateway=queued)
        self._access = Access(services.keys)
        self._api: ASGIApp = cast("ASGIApp", build_api(services, metadata.version("coreto")))
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/chat/completions": {"POST": partial(chat, services=services)},
            "/v1/embeddings": {"POST": partial(embeddings, services=services)},
            "/v1/responses": {"POST": partial(answer, services=services, dialect=RESPONSES)},
            _ANTHROPIC: {"POST": partial(answer, services=services, dialect=MESSAGES)},
            f"{_ANTHROPIC}/count_tokens": {"POST": partial(count_tokens, services=services)},
            "/api/route": {"POST": partial(explain, services=services)},
            "/v1/models": {"GET": self._list_models},
            "/": {"GET": self._greet},
            **({"/metrics": {"GET": self._metrics}} if services.metrics else {}),
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "lifespan and websockets are off"
        started = self._clock.monotonic()
        exchange = Exchange(scope, receive, send)
        if exchange.path.startswith(_ANTHROPIC):
            exchange.envelope = AnthropicEnvelope()
        try:
            reply = self._refusal(exchange)
            if reply is None and exchange.path.startswith("/api/") and exchange.path not in self._routes:
                await self._api(scope, receive, exchange.relay)
            elif reply is None:
                reply = await self._handler(exchange)(exchange)
        except SlowBodyError as error:
            reply = refused(error.http_status, error.message, error.code, [(b"connection", b"close")])
        except CoretoError as error:
            exchange.trace = error.trace if isinstance(error, CallError) else None
            reply = failed(error)
        except asyncio.CancelledError:  # the grace of a shutdown is over
            reply = refused(503, "the server is shutting down", "shutting_down")
        except Exception as error:  # noqa: BLE001 boundary: our own faults reach the client as errors
            # what FastAPI has answered it raises all the same
            reply = None if exchange.relayed else unexpected(error, exchange.method, exchange.path)
        if reply is not None and not exchange.gone:
            await exchange.finish(reply)
        self._tell(exchange, (self._clock.monotonic() - started) * 1000)

    def _tell(self, exchange: Exchange, ms: float) -> None:
        path = exchange.path
        if path in self._routes:
            route = path
        else:
            route = next((start for start in (_MODEL, "/api/") if path.startswith(start)), "other")
        self._bus.emit(
            RequestServed(
                method=exchange.method,
                path=path,
                route=route,
                status=_HUNG_UP if exchange.gone else exchange.status,
                ms=ms,
                key=exchange.caller.name,
                trace=exchange.trace,
            )
        )

    def _refusal(self, exchange: Exchange) -> Reply | None:
        if exchange.path in _PROBES:
            return None
        caller = self._access.admit(exchange.headers)
        if isinstance(caller, str):
            if self._access.needs_key:
                return refused(401, caller, "invalid_api_key", [(b"www-authenticate", b"Bearer")])
            return refused(403, caller, "forbidden")
        exchange.caller = caller
        if caller.models and not exchange.path.startswith("/v1/"):
            allowed = ", ".join(caller.models)
            return refused(403, f"the key {caller.name!r} is for models only: {allowed}", "forbidden")
        if caller.bucket is not None and exchange.method == "POST":
            return _over_rate(exchange, caller.bucket, self._clock.monotonic())
        return None

    def _handler(self, exchange: Exchange) -> Handler:
        path = exchange.path
        methods = self._routes.get(path)
        if methods is None:
            if not path.startswith(_MODEL) or path == _MODEL:
                return _no_such_path
            methods = {"GET": self._show_model}
        method = "GET" if exchange.method == "HEAD" else exchange.method
        return methods.get(method) or partial(_other_method, methods=methods)

    async def _list_models(self, exchange: Exchange) -> Reply:
        return list_models(self._services.gateway.directory, exchange.caller.may_ask)

    async def _show_model(self, exchange: Exchange) -> Reply:
        exchange.caller.check(exchange.path.removeprefix(_MODEL))
        return show_model(self._services.gateway.directory, exchange.path.removeprefix(_MODEL))

    async def _greet(self, exchange: Exchange) -> Reply:
        """What browsers see, and Ollama's command line asks for before anything else."""
        del exchange
        return Reply(200, b"Coreto is running", ((b"content-type", b"text/plain; charset=utf-8"),))

    async def _metrics(self, exchange: Exchange) -> Reply:
        del exchange
        assert self._services.metrics is not None, "there is no such route without"
        return Reply(200, self._services.metrics().encode(), (_METRICS_TYPE,))

    async def _healthz(self, exchange: Exchange) -> Reply:
        del exchange
        return Reply(200, b'{"status":"ok"}')

    async def _readyz(self, exchange: Exchange) -> Reply:
        del exchange
        reason = self._services.why_not_ready()
        if reason is None:
            return Reply(200, b'{"status":"ready"}')
        return Reply(503, orjson.dumps({"status": "not ready", "reason": reason}))


def _over_rate(exchange: Exchange, bucket: Bucket, now: float) -> Reply | None:
    """Take one of the key's requests; the refusal when there is none. Either way the client learns where it
    stands, in OpenAI's words."""
    wait = bucket.take(now)
    exchange.extra += [
        (b"x-ratelimit-limit-requests", b"%d" % bucket.per_minute),
        (b"x-ratelimit-remaining-requests", b"%d" % int(bucket.level)),
        (b"x-ratelimit-reset-requests", b"%.3gs" % bucket.full_in),
    ]
    if not wait:
        return None
    message = f"the key {exchange.caller.name!r} is for {bucket.per_minute} requests a minute"
    return refused(429, message, "rate_limit_exceeded", [(b"retry-after", b"%d" % math.ceil(wait))])


async def _no_such_path(exchange: Exchange) -> Reply:
    hint = "" if exchange.path.startswith("/v1/") else "; the OpenAI-compatible API is under /v1"
    return refused(404, f"there is nothing at {brief(exchange.path, 200)!r}{hint}", "not_found")


async def _other_method(exchange: Exchange, methods: Mapping[str, Handler]) -> Reply:
    """What is allowed, to who asks (OPTIONS) and to who does not. No CORS: see :mod:`coreto.server.access`."""
    names = ", ".join([*methods, "HEAD", "OPTIONS"] if "GET" in methods else [*methods, "OPTIONS"])
    allow = (b"allow", names.encode())
    if exchange.method == "OPTIONS":
        return Reply(204, headers=(allow,))
    message = f"{exchange.path} does not answer {exchange.method}, only {names}"
    return refused(405, message, "method_not_allowed", [allow])
