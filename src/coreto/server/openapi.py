"""The OpenAPI document: what FastAPI knows of ``/api``, and by hand what is plain ASGI. Pure."""

from collections.abc import Mapping
from typing import Any

from coreto.messages import PREFERENCES, Json, as_object
from coreto.server.openapi_requests import (
    CHAT,
    COUNT_TOKENS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    an_object,
)
from coreto.server.validate import MAX_NAME

_JSON = "application/json"
_EVENTS = "text/event-stream"

_TEXT: Json = {"type": "string"}
_MAYBE_TEXT: Json = {"type": ["string", "null"]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_OBJECTS: Json = {"type": "array", "items": {"type": "object"}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_SCHEMAS: Json = {
    "Error": an_object(
        {
            "error": an_object(
                {"message": _TEXT, "type": _TEXT, "param": _MAYBE_TEXT, "code": _TEXT},
                ["message", "type", "param", "code"],
            ),
            "coreto": _ref("Trace"),
        },
        ["error"],
    ),
    "AnthropicError": an_object(
        {
            "type": {"const": "error"},
            "error": an_object(
                {"message": _TEXT, "type": _TEXT, "param": _MAYBE_TEXT, "code": _TEXT}, ["message", "type"]
            ),
            "coreto": _ref("Trace"),
        },
        ["type", "error"],
    ),
    "Trace": an_object(
        {
            "id": _TEXT,
            "deployment": _MAYBE_TEXT,
            "role": _MAYBE_TEXT,
            "task": _MAYBE_TEXT,
            "label": {"enum": ["public", "internal", "private"]},
            "cached": {"type": "boolean"},
            "cost_usd": {"type": ["number", "null"], "description": "null: a price is not known"},
            "attempts": {
                "type": "array",
                "items": an_object(
                    {"deployment": _TEXT, "outcome": _TEXT, "ms": {"type": "number"}},
                    ["deployment", "outcome", "ms"],
                ),
            },
            "unmapped": {
                "type": "array",
                "items": _TEXT,
                "description": "what of the request could not be passed on",
            },
        },
        ["id", "deployment", "label", "cached", "cost_usd", "attempts"],
    ),
    "Model": an_object(
        {"id": _TEXT, "object": {"const": "model"}, "created": _COUNT, "owned_by": _TEXT},
        ["id", "object", "created", "owned_by"],
    ),
    "ChatRequest": CHAT,
    "EmbeddingsRequest": EMBEDDINGS,
    "MessagesRequest": MESSAGES,
    "CountTokensRequest": COUNT_TOKENS,
    "ResponsesRequest": RESPONSES,
}

_SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "as Anthropic's clients send it",
    },
}
_KEYS: list[Json] = [{"bearer": []}, {"key": []}]

_REASONS = {
    400: "The request is wrong, or the model cannot do what it asks",
    401: "No key, or a wrong one",
    402: "A budget, or the account upstream, has no room for it",
    403: "The key does not open it, or private data would have to leave the machine",
    404: "There is no such model, here or upstream",
    408: "The request's body took too long",
    413: "The request's body is larger than 32 MiB",
    429: "Too many requests: of this key, of this server, or upstream; `Retry-After` says when",
    500: "A fault of Coreto's own; its number leads to the log",
    502: "Every model failed",
    503: "Every model failed, each in its way; or the server is shutting down",
    504: "No model answered in time",
}
#: FastAPI's description of a 422, which nobody gets here.
_FASTAPIS = ("HTTPValidationError", "ValidationError")

_ALWAYS = (401, 403, 429, 500, 503)
_OF_BODIES = (*_ALWAYS, 400, 408, 413)
_OF_CALLS = (*_OF_BODIES, 402, 404, 502, 504)


def _content(*kinds: str, schema: Json | None = None) -> Json:
    return {kind: {"schema": schema or {}} for kind in kinds}


def _refusals(codes: tuple[int, ...], schema: str = "Error") -> Json:
    return {
        str(code): {"description": _REASONS[code], "content": _content(_JSON, schema=_ref(schema))}
        for code in sorted(codes)
    }


def _header(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": schema}


#: What is printable of the characters that headers can hold.
_WORDS: Json = {"type": "string", "maxLength": MAX_NAME, "pattern": "^[ -~¡-¬®-ÿ]*$"}
_CALL_HEADERS = [
    _header("x-coreto-label", "how far the data may travel", {"enum": ["public", "internal", "private"]}),
    _header("x-coreto-user", "whose call it is, before the body's `user`", _WORDS),
    _header("x-coreto-run", "the run that it belongs to, for reports", _WORDS),
]
_PREFER_HEADER = _header(
    "x-coreto-prefer",
    "who of the role's models is asked first",
    {"enum": [*PREFERENCES]},
)
_CHAT_HEADERS = [
    *_CALL_HEADERS,
    _PREFER_HEADER,
    _header(
        "x-coreto-cache",
        "`no`, `refresh`, or for how many seconds the answer may be kept",
        {"type": "string", "pattern": "^(no|refresh|[0-9]{1,6}|refresh, ?[0-9]{1,6})$"},
    ),
    _header(
        "x-coreto-cache-tags",
        "names to forget the answer by",
        {"type": "string", "pattern": "^[a-z0-9:._-]{1,60}(,[a-z0-9:._-]{1,60}){0,5}$"},
    ),
    _header(
        "x-coreto-stream-failover",
        "what happens when a stream breaks midway",
        {"enum": ["hold", "continue", "restart"]},
    ),
]
_RESTART_HEADER = _header(
    "x-coreto-accept-restart", "`1` or `true`: the client understands the restart event", _TEXT
)


def _post(summary: str, request: str, answer: Json, *, error: str = "Error", headers: list[Json]) -> Json:
    """An operation that a model answers."""
    return {
        "post": {
            "summary": summary,
            "parameters": headers,
            "requestBody": {"required": True, "content": _content(_JSON, schema=_ref(request))},
            "responses": {"200": answer, **_refusals(_OF_CALLS, error)},
        }
    }


def _get(summary: str, answer: Json, refusals: Json | None = None) -> Json:
    return {"get": {"summary": summary, "responses": {"200": answer, **(refusals or {})}}}


def _told(description: str, fields: Json, *, streams: bool = False) -> Json:
    """A JSON object with ``fields``; where it ``streams``, events too."""
    content = _content(_JSON, schema=an_object(fields, tuple(fields)))
    if streams:
        content |= _content(_EVENTS)
    return {"description": description, "content": content}


_TRACE = _ref("Trace")
_CHAT_ANSWER = _told(
    "The answer; with `stream`, its chunks, the trace in the last",
    {"object": {"const": "chat.completion"}, "choices": _OBJECTS, "coreto": _TRACE},
    streams=True,
)
_EMBEDDINGS_ANSWER = _told(
    "A vector for each text", {"object": {"const": "list"}, "data": _OBJECTS, "coreto": _TRACE}
)
_MESSAGE = _told(
    "The message; with `stream`, its events, the trace in the last",
    {"id": _TEXT, "type": {"const": "message"}, "role": {"const": "assistant"}, "content": _OBJECTS},
    streams=True,
)
_RESPONSE = _told(
    "The response; with `stream`, its events, the trace in the last",
    {"id": _TEXT, "object": {"const": "response"}, "status": _TEXT, "output": _OBJECTS},
    streams=True,
)
_LISTED = {"object": {"const": "list"}, "data": {"type": "array", "items": _ref("Model")}}
_OPENED = _refusals(_ALWAYS)
_NAME_IN_PATH: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}

_PATHS: Json = {
    "/v1/chat/completions": _post(
        "OpenAI's chat completions", "ChatRequest", _CHAT_ANSWER, headers=[*_CHAT_HEADERS, _RESTART_HEADER]
    ),
    "/v1/embeddings": _post(
        "OpenAI's embeddings", "EmbeddingsRequest", _EMBEDDINGS_ANSWER, headers=_CALL_HEADERS
    ),
    "/v1/responses": _post("OpenAI's responses", "ResponsesRequest", _RESPONSE, headers=_CHAT_HEADERS),
    "/v1/messages": _post(
        "Anthropic's messages", "MessagesRequest", _MESSAGE, error="AnthropicError", headers=_CHAT_HEADERS
    ),
    "/v1/messages/count_tokens": _post(
        "About how many tokens a message's prompt has",
        "CountTokensRequest",
        _told("An estimate", {"input_tokens": _COUNT}),
        error="AnthropicError",
        headers=_CALL_HEADERS,
    ),
    "/api/route": _post(
        "Where a chat request would go, and why; no model is asked",
        "ChatRequest",
        _told(
            "The decision",
            {
                "model": _TEXT,
                "role": _MAYBE_TEXT,
                "task": {"type": ["object", "null"]},
                "label": {"enum": ["public", "internal", "private"]},
                "masked": {"type": "boolean"},
                "prefer": _TEXT,
                "because": _MAYBE_TEXT,
                "why": {"type": "array", "items": _TEXT},
                "candidates": {
                    "type": "array",
                    "items": an_object(
                        {"deployment": _TEXT, "kept": {"type": "boolean"}, "reason": _TEXT},
                        ["deployment", "kept", "reason"],
                    ),
                },
            },
        ),
        headers=[*_CALL_HEADERS, _PREFER_HEADER],
    ),
    "/v1/models": _get("Roles, `auto` and deployments", _told("The list", _LISTED), _OPENED),
    "/v1/models/{id}": {
        "parameters": [_NAME_IN_PATH],
        **_get(
            "One of them",
            {"description": "It", "content": _content(_JSON, schema=_ref("Model"))},
            _refusals((*_ALWAYS, 404)),
        ),
    },
    "/metrics": _get(
        "Prometheus's metrics", {"description": "The metrics", "content": _content("text/plain")}, _OPENED
    ),
    "/healthz": _get("Whether the process answers", _told("It does", {"status": {"const": "ok"}})),
    "/readyz": _get(
        "Whether a model can answer",
        _told("One can", {"status": {"const": "ready"}}),
        {"503": _told("None can", {"status": {"const": "not ready"}, "reason": _TEXT})},
    ),
}
_UNGUARDED = ("/healthz", "/readyz")


def with_gateway(document: Mapping[str, Any], *, needs_key: bool, metrics: bool) -> Json:
    """FastAPI's ``document`` with everything that is answered before it. ``needs_key``: no request without
    one is; ``metrics``: there are some."""
    paths: Json = {path: item for path, item in _PATHS.items() if metrics or path != "/metrics"}
    for path in _UNGUARDED:
        paths[path] = {"get": {**paths[path]["get"], "security": []}}
    for path, item in as_object(document.get("paths")).items():
        paths[path] = {method: _refusable(operation) for method, operation in item.items()}
    own = as_object(as_object(document.get("components")).get("schemas"))
    schemas = {name: schema for name, schema in own.items() if name not in _FASTAPIS}
    return {
        **document,
        "paths": paths,
        "components": {"schemas": {**schemas, **_SCHEMAS}, "securitySchemes": _SECURITY_SCHEMES},
        "security": _KEYS if needs_key else [*_KEYS, {}],
    }


def _refusable(operation: Json) -> Json:
    """An operation of FastAPI's with the refusals that it really has: ours, never its 422."""
    codes = _OF_BODIES if "requestBody" in operation else _ALWAYS
    answers = {code: answer for code, answer in operation["responses"].items() if code != "422"}
    return {**operation, "responses": {**answers, **_refusals(codes)}}
