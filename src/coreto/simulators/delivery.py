"""From an answer to bytes on the wire, with the fault of the request worked in.

A handler gives a whole reply to `send_whole` or a `StreamPlan` to `send_stream`; what needs no answer at all
(status, refuse, hang, ...) is done before the handler runs. `Dialect` holds what differs between the wires.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from aiohttp import web

from coreto.simulators.bodies import ERRORS, HTML_PAGE, ApiError, ErrorBody
from coreto.simulators.control import Record, Shared
from coreto.simulators.faults import Call, FaultKind, FaultRule

_FLUSH_SECONDS = 0.01  # abort() drops what is not yet in the kernel


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a wire looks like when it goes wrong. Functions of the model get its name.

    `failed` makes a whole reply that broke off half-way (None: the wire has none, it answers with a status);
    `wrap` puts an error of another server into this wire's envelope.
    """

    stream_type: str
    streams_by_default: bool
    generic: Callable[[int], ErrorBody]
    error_events: Callable[[str, ErrorBody], list[bytes]]
    empty_whole: Callable[[str], dict[str, Any]]
    empty_stream: Callable[[str], list[bytes]]
    half_event: Callable[[str], bytes]
    stray_line: bytes
    unfinished: Callable[[dict[str, Any]], dict[str, Any]]
    failed: Callable[[dict[str, Any], ErrorBody], dict[str, Any]] | None = None
    wrap: Callable[[ErrorBody], ErrorBody] = lambda error: error


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A streamed reply: `head` goes out at once, `chunks` at their pace, `tail` right after. Delays in seconds."""

    chunks: list[bytes]
    tail: list[bytes]
    head: list[bytes] = field(default_factory=list[bytes])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    first_delay: float = 0.0
    each_delay: float = 0.0


@dataclass(slots=True)
class Exchange:
    """One request on its way through a simulator."""

    request: web.Request
    shared: Shared
    record: Record
    dialect: Dialect
    body: dict[str, Any]
    model: str
    stream: bool
    fault: FaultRule | None

    def faulty(self, *kinds: FaultKind) -> FaultRule | None:
        """The fault, if it is of one of these kinds."""
        return self.fault if self.fault is not None and self.fault.kind in kinds else None

    def error(self) -> ErrorBody:
        """The error that the fault asks for, placeholders filled."""
        fault = self.fault
        if fault is None:
            return self.dialect.generic(500)
        if fault.error is not None:
            found = self.dialect.wrap(ERRORS[fault.error].filled(model=self.model, name="sim", key="sk-***"))
        elif fault.body is not None:
            found = ErrorBody(fault.status, fault.body)
        else:
            found = self.dialect.generic(fault.status)
        return ErrorBody(found.status, found.body, {**found.headers, **fault.headers})


Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]
RawHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def route(shared: Shared, dialect: Dialect, handler: Handler, *, generates: bool) -> RawHandler:
    """An aiohttp handler that records the request, draws its fault and runs `handler`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        exchange = _exchange(request, raw, (shared, dialect), generates=generates)
        record = exchange.record
        shared.active += 1
        try:
            response = await _early(exchange) if exchange.fault is not None else None
            if response is None:
                response = await handler(exchange)
        except ApiError as error:
            response = error_response(dialect.wrap(error.error))
        except (asyncio.CancelledError, ConnectionError):
            record.hung_up = not record.cut_by_us
            raise
        finally:
            shared.active -= 1
            record.ms = (time.perf_counter() - record.started) * 1000
        record.status = response.status
        record.done = not record.cut_by_us
        return response

    return handle


def _exchange(
    request: web.Request, raw: bytes, parts: tuple[Shared, Dialect], *, generates: bool
) -> Exchange:
    shared, dialect = parts
    body = _parsed(raw)
    record = shared.record(request, raw, body)
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    model = fields.get("model") or fields.get("name")
    model = model if isinstance(model, str) else ""
    streams = fields.get("stream")
    stream = streams if isinstance(streams, bool) else dialect.streams_by_default
    fault = None
    if len(shared.faults):
        fault = shared.faults.decide(Call(request.path, model, stream, generates))
        if fault is not None:
            record.fault = fault.kind.value
            if shared.on_fault is not None:
                shared.on_fault(fault)
    return Exchange(request, shared, record, dialect, fields, model, stream, fault)


def _parsed(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def error_response(error: ErrorBody) -> web.Response:
    """An error body as a reply."""
    return web.Response(
        status=error.status,
        body=orjson.dumps(error.body) if not isinstance(error.body, str) else error.body.encode(),
        headers=dict(error.headers),
        content_type="application/json" if not isinstance(error.body, str) else "text/plain",
    )


async def _early(exchange: Exchange) -> web.StreamResponse | None:
    """Faults that need no answer."""
    fault = exchange.fault
    assert fault is not None
    match fault.kind:
        case FaultKind.STATUS:
            return error_response(exchange.error())
        case FaultKind.REFUSE:
            return _reset(exchange)
        case FaultKind.HANG:
            await _hold(fault.seconds)
            return _reset(exchange)
        case FaultKind.SILENCE:
            response = await _opened(exchange, {})
            await _hold(fault.seconds)
            return _abort(exchange, response)
        case FaultKind.HTML:
            return web.Response(body=HTML_PAGE, content_type="text/html", headers=dict(fault.headers))
        case FaultKind.EMPTY_BODY:
            return web.Response(body=b"", content_type=_content_type(exchange), headers=dict(fault.headers))
        case _:
            return await _early_in_200(exchange)


async def _early_in_200(exchange: Exchange) -> web.StreamResponse | None:
    dialect = exchange.dialect
    whole = not exchange.stream
    if exchange.faulty(FaultKind.ERROR_OBJECT) or (whole and exchange.faulty(FaultKind.ERROR_FIRST_EVENT)):
        return error_response(ErrorBody(200, exchange.error().body))
    if exchange.faulty(FaultKind.EMPTY_CHOICES):
        if whole:
            return web.Response(
                body=orjson.dumps(dialect.empty_whole(exchange.model)), content_type="application/json"
            )
        return await send_stream(exchange, StreamPlan([], dialect.empty_stream(exchange.model)))
    if not whole and exchange.faulty(FaultKind.ERROR_FIRST_EVENT):
        return await send_stream(
            exchange, StreamPlan([], dialect.error_events(exchange.model, exchange.error()))
        )
    if not whole and exchange.faulty(FaultKind.MALFORMED_JSON):
        return await send_stream(exchange, StreamPlan([], [dialect.half_event(exchange.model)]))
    return None


# --- whole replies


async def send_whole(
    exchange: Exchange, data: dict[str, Any], *, headers: Mapping[str, str] | None = None, delay: float = 0.0
) -> web.StreamResponse:
    """A JSON reply, after `delay` seconds, with the request's fault."""
    slow = exchange.faulty(FaultKind.SLOW)
    if slow is not None:
        delay += slow.seconds or 0.0
    if delay > 0:
        await asyncio.sleep(delay)
    if exchange.fault is not None:
        spoilt = await _spoilt(exchange, data)
        if spoilt is not None:
            return spoilt
    return web.Response(body=orjson.dumps(data), content_type="application/json", headers=headers)


async def _spoilt(exchange: Exchange, data: dict[str, Any]) -> web.StreamResponse | None:
    fault = exchange.fault
    assert fault is not None
    payload = orjson.dumps(data)
    half = payload[: len(payload) // 2]
    match fault.kind:
        case FaultKind.MALFORMED_JSON:
            payload = half
        case FaultKind.BROKEN_LINE:
            payload = exchange.dialect.stray_line + payload
        case FaultKind.EOF_WITHOUT_FINISH:
            payload = orjson.dumps(exchange.dialect.unfinished(data))
        case FaultKind.ERROR_MID_STREAM:
            if exchange.dialect.failed is None:
                return error_response(exchange.error())
            payload = orjson.dumps(exchange.dialect.failed(data, exchange.error()))
        case FaultKind.CUT | FaultKind.STALL:
            response = await _opened(exchange, {"Content-Length": str(len(payload))})
            await response.write(half)
            if fault.kind is FaultKind.STALL:
                await _hold(fault.seconds)
            await asyncio.sleep(_FLUSH_SECONDS)
            return _abort(exchange, response)
        case _:
            return None
    return web.Response(body=payload, content_type="application/json")


# --- streams


async def send_stream(exchange: Exchange, plan: StreamPlan) -> web.StreamResponse:
    """A streamed reply with the request's fault."""
    response = await _opened(exchange, plan.headers)
    slow = exchange.faulty(FaultKind.SLOW)
    first = plan.first_delay + ((slow.seconds or 0.0) if slow else 0.0)
    each = plan.each_delay + (slow.per_chunk if slow else 0.0)
    at = _fault_position(exchange, len(plan.chunks))
    for block in plan.head:
        await response.write(block)
    for index, chunk in enumerate(plan.chunks):
        if index == at and await _break_off(exchange, response):
            return response
        delay = each if index else first
        if delay > 0:
            await asyncio.sleep(delay)
        await response.write(chunk)
    if at == len(plan.chunks) and await _break_off(exchange, response):
        return response
    for block in plan.tail:
        await response.write(block)
    return response


_MIDWAY = (
    FaultKind.CUT,
    FaultKind.STALL,
    FaultKind.EOF_WITHOUT_FINISH,
    FaultKind.ERROR_MID_STREAM,
    FaultKind.BROKEN_LINE,
)


def _fault_position(exchange: Exchange, chunks: int) -> int:
    fault = exchange.faulty(*_MIDWAY)
    return -1 if fault is None else min(max(fault.chunks, 0), chunks)


async def _break_off(exchange: Exchange, response: web.StreamResponse) -> bool:
    """Do the midway fault; whether the stream ends here."""
    fault = exchange.fault
    assert fault is not None
    match fault.kind:
        case FaultKind.CUT:
            await asyncio.sleep(_FLUSH_SECONDS)
            _abort(exchange, response)
        case FaultKind.STALL:
            await _hold(fault.seconds)
            _abort(exchange, response)
        case FaultKind.ERROR_MID_STREAM:
            for block in exchange.dialect.error_events(exchange.model, exchange.error()):
                await response.write(block)
        case FaultKind.BROKEN_LINE:
            await response.write(exchange.dialect.stray_line)
            return False
        case _:
            pass
    return True


def _content_type(exchange: Exchange) -> str:
    return exchange.dialect.stream_type if exchange.stream else "application/json"


async def _opened(exchange: Exchange, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _content_type(exchange), **headers})
    await response.prepare(exchange.request)
    return response


async def _hold(seconds: float | None) -> None:
    if seconds is None:
        await asyncio.Event().wait()  # until the client hangs up and the handler is cancelled
    else:
        await asyncio.sleep(seconds)


def _abort(exchange: Exchange, response: web.StreamResponse) -> web.StreamResponse:
    exchange.record.cut_by_us = True
    exchange.record.status = response.status
    if exchange.request.transport is not None:
        exchange.request.transport.abort()
    return response


def _reset(exchange: Exchange) -> web.StreamResponse:
    transport = exchange.request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        # Linger 0 makes the close a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return _abort(exchange, web.Response(status=200))
