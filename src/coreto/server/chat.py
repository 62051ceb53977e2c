"""``/v1/chat/completions`` and ``/v1/embeddings``."""

import orjson

from coreto.errors import CallError, InvalidRequestError
from coreto.messages import Call, Chunk, Json, Restart, Trace, Whole
from coreto.server.answers import embeddings_reply, event, last_events, restart_event, whole_reply
from coreto.server.calls import chat_call, embed_call
from coreto.server.exchange import Exchange, Reply
from coreto.server.services import GatewayPort, Services
from coreto.server.validate import parse_body

MAX_BODY = 32 * 2**20


class TooLargeError(InvalidRequestError):
    """The request's body is larger than 32 MiB."""

    code = "request_too_large"
    http_status = 413

    def __init__(self) -> None:
        super().__init__("")


async def chat(exchange: Exchange, services: Services) -> Reply | None:
    """Answer a chat request. Raises :class:`~coreto.errors.CoretoError`."""
    body = await read_json(exchange)
    if body is None:
        return None
    call = chat_call(body, exchange, services.resolve)
    if call.stream:
        await _stream(exchange, services.gateway, call)
        return None
    answered = await whole_answer(exchange, services.gateway, call)
    if answered is None:
        return None
    whole, exchange.trace = answered
    return whole_reply(whole, exchange.trace)


async def whole_answer(exchange: Exchange, gateway: GatewayPort, call: Call) -> tuple[Whole, Trace] | None:
    """A non-stream call's answer and its trace; ``None`` when the client hung up meanwhile."""
    with exchange.watch():
        return await gateway.whole(call)
    return None  # the client has hung up


async def _stream(exchange: Exchange, gateway: GatewayPort, call: Call) -> None:
    """Pass the chunks on as they come, those that came together in one write. Nothing is sent before the
    first, so that a failure until then is a proper HTTP error."""
    last: Json = {}
    trace: Trace | None = None
    headers = [(b"x-coreto-id", call.id.encode())]
    with exchange.watch():
        async with gateway.open(call) as items:
            async for item in items:
                if isinstance(item, Chunk):
                    last = item.body
                    if item.more:
                        exchange.hold(event(item))
                        continue
                    if not exchange.started:
                        await exchange.start(headers)
                    await exchange.write(event(item))
                elif isinstance(item, Restart):
                    if not exchange.started:  # what it takes back is still held
                        await exchange.start(headers)
                    await exchange.write(restart_event(last, item))
                elif isinstance(item, Trace):
                    trace = item
    exchange.trace = trace
    if exchange.gone:
        return
    if trace is None or not last:
        raise CallError("the gateway ended without an answer")
    if not exchange.started:
        await exchange.start(headers)
    await exchange.end(last_events(last, trace))


async def explain(exchange: Exchange, services: Services) -> Reply | None:
    """Where a chat request would go, and why; no model is asked. Raises
    :class:`~coreto.errors.CoretoError`."""
    body = await read_json(exchange)
    if body is None:
        return None
    call = chat_call(body, exchange, services.resolve)
    return Reply(200, orjson.dumps(await services.gateway.explain(call)))


async def embeddings(exchange: Exchange, services: Services) -> Reply | None:
    """Answer an embeddings request. Raises :class:`~coreto.errors.CoretoError`."""
    body = await read_json(exchange)
    if body is None:
        return None
    call = embed_call(body, exchange, services.resolve)
    with exchange.watch():
        answer, trace = await services.gateway.embed(call)
        exchange.trace = trace
        return embeddings_reply(answer, trace, body.get("encoding_format"))
    return None  # the client has hung up


async def read_json(exchange: Exchange) -> Json | None:
    """The request's body; ``None`` when the client is gone. Raises :class:`InvalidRequestError`."""
    raw = await exchange.read(MAX_BODY)
    if raw is None:
        if exchange.gone:
            return None
        raise TooLargeError
    return parse_body(raw)
