"""From an answer and its trace to bytes. Pure."""

import base64
import sys
from array import array
from typing import cast
from urllib.parse import quote

import orjson

from coreto.messages import NANO, Chunk, Json, Restart, Trace, Whole, as_objects
from coreto.server.exchange import JSON_TYPE, Headers, Reply

DONE = b"data: [DONE]\n\n"


def whole_reply(whole: Whole, trace: Trace) -> Reply:
    """A complete answer, with everything its server sent, and the trace."""
    return Reply(200, with_trace(whole.body, whole.raw, trace), (JSON_TYPE, *trace_headers(trace)))


def with_trace(body: Json, raw: bytes | None, trace: Trace) -> bytes:
    """``body`` with ``coreto`` added. Where ``raw`` holds its bytes they are kept, not written anew."""
    shown = trace.as_json()
    if raw is not None and body and "coreto" not in body:
        raw = raw.rstrip()
        if raw.endswith(b"}"):
            return b'%b,"coreto":%b}' % (raw[:-1], orjson.dumps(shown))
    return orjson.dumps({**body, "coreto": shown})


def trace_headers(trace: Trace) -> Headers:
    """The ``x-coreto-*`` headers; those whose value is not known are left out."""
    headers: Headers = [
        (b"x-coreto-id", trace.call_id.encode()),
        (b"x-coreto-attempts", b"%d" % len(trace.attempts)),
    ]
    if trace.deployment:
        headers.append((b"x-coreto-deployment", _header_value(trace.deployment)))
    if trace.cached:
        headers.append((b"x-coreto-cached", b"true"))
    if trace.role:
        headers.append((b"x-coreto-role", _header_value(trace.role)))
    cost = trace.cost_nusd
    if cost is not None:
        headers.append((b"x-coreto-cost-usd", _dollars(cost)))
    return headers


def event(chunk: Chunk) -> bytes:
    """A chunk as a server-sent event: the bytes that came, where they fit on one line."""
    raw = chunk.raw
    if raw is None or b"\n" in raw or b"\r" in raw:
        raw = orjson.dumps(chunk.body)
    return b"data: %b\n\n" % raw


def restart_event(last: Json, restart: Restart) -> bytes:
    """Tells a client that asked for it to forget the stream so far, whose last chunk was ``last``."""
    shown: Json = {"event": "restart", "reason": restart.reason, "deployment": restart.deployment}
    return b"data: %b\n\n" % orjson.dumps(_note(last, restart.deployment, shown))


def last_events(last: Json, trace: Trace) -> bytes:
    """What ends a stream whose last chunk was ``last``: the trace in a chunk of its own, and ``[DONE]``."""
    chunk = _note(last, trace.deployment, trace.as_json())
    chunk["id"] = chunk["id"] or f"chatcmpl-{trace.call_id}"
    return b"data: %b\n\n%b" % (orjson.dumps(chunk), DONE)


def _note(last: Json, deployment: str | None, shown: Json) -> Json:
    """A chunk without choices that carries ``shown``, like the stream's others in all else."""
    return {
        "id": last.get("id"),
        "object": "chat.completion.chunk",
        "created": last.get("created") or 0,
        "model": last.get("model") or deployment,
        "choices": [],
        "coreto": shown,
    }


def embeddings_reply(body: Json, trace: Trace, encoding: str | None) -> Reply:
    """Embeddings in the encoding asked for."""
    if encoding == "base64":
        body = {**body, "data": [_packed(row) for row in as_objects(body.get("data"))]}
    return Reply(200, with_trace(body, None, trace), (JSON_TYPE, *trace_headers(trace)))


def _packed(row: Json) -> Json:
    """``row`` with its numbers as OpenAI packs them: little-endian 32-bit floats in base64."""
    vector = row.get("embedding")
    if not isinstance(vector, list):
        return row
    floats = array("f", cast("list[float]", vector))
    if sys.byteorder == "big":
        floats.byteswap()
    return {**row, "embedding": base64.b64encode(floats.tobytes()).decode()}


def _header_value(text: str) -> bytes:
    if text.isascii() and text.isprintable():
        return text.encode()
    return quote(text, safe="/:@ ").encode()


def _dollars(nusd: int) -> bytes:
    """Whole nano-dollars as dollars, without an exponent: ``0.0000125``."""
    whole, rest = divmod(nusd, NANO)
    return (f"{whole}.{rest:09d}".rstrip("0").rstrip(".")).encode()
