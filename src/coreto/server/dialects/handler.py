"""``/v1/messages``, ``/v1/messages/count_tokens`` and ``/v1/responses``: chat completions in other words."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from coreto.errors import CallError
from coreto.messages import Call, Chunk, Json, Trace, Whole
from coreto.server.answers import trace_headers
from coreto.server.calls import chat_call
from coreto.server.chat import read_json, whole_answer
from coreto.server.dialects import anthropic, anthropic_answers, responses, responses_answers
from coreto.server.dialects.translated import Events, Translated, estimate_prompt
from coreto.server.exchange import JSON_TYPE, Exchange, Reply
from coreto.server.services import Services


@dataclass(frozen=True, slots=True)
class Dialect:
    """A wire format: the chat request for a request, the answer for a chat answer, and the events of one for
    the request, the chat request and the call's id."""

    to_chat: Callable[[Json], Translated]
    whole: Callable[[Whole, Json, Trace], Json]
    events: Callable[[Json, Json, str], Events]


def _message_events(request: Json, chat: Json, call_id: str) -> Events:
    thinking = anthropic_answers.thinks(request)
    return anthropic_answers.MessageEvents(call_id, estimate_prompt(chat), thinking=thinking)


def _response_events(request: Json, chat: Json, call_id: str) -> Events:
    del chat
    return responses_answers.ResponseEvents(request, call_id)


MESSAGES = Dialect(anthropic.to_chat, anthropic_answers.whole, _message_events)
RESPONSES = Dialect(responses.to_chat, responses_answers.whole, _response_events)


async def answer(exchange: Exchange, services: Services, dialect: Dialect) -> Reply | None:
    """Answer a request of ``dialect``. Raises :class:`~coreto.errors.CoretoError`."""
    request = await read_json(exchange)
    if request is None:
        return None
    translated = dialect.to_chat(request)
    # the client cannot be told to forget what it has, whatever its headers say
    call = chat_call(translated.body, exchange, services.resolve)._replace(restartable=False)
    if call.stream:
        events = dialect.events(request, translated.body, call.id)
        exchange.envelope = events
        await _stream(exchange, services, call, events, translated.unmapped)
        return None
    answered = await whole_answer(exchange, services.gateway, call)
    if answered is None:
        return None
    whole, trace = answered
    exchange.trace = trace = _completed(trace, translated.unmapped)
    body = dialect.whole(whole, request, trace)
    return Reply(
        200, orjson.dumps(body), (JSON_TYPE, (b"request-id", call.id.encode()), *trace_headers(trace))
    )


async def _stream(
    exchange: Exchange, services: Services, call: Call, events: Events, unmapped: tuple[str, ...]
) -> None:
    """Pass the answer on as it comes. Nothing is sent before the first chunk that has something, so that a
    failure until then is a proper HTTP error."""
    trace: Trace | None = None
    headers = [(b"x-coreto-id", call.id.encode()), (b"request-id", call.id.encode())]
    holding = False
    with exchange.watch():
        async with services.gateway.open(call) as items:
            async for item in items:
                if isinstance(item, Chunk):
                    data = events.feed(item.body)
                    if item.more:
                        exchange.hold(data)
                        holding = holding or bool(data)
                    elif data or holding:
                        holding = False
                        if not exchange.started:
                            await exchange.start(headers)
                        await exchange.write(data)
                elif isinstance(item, Trace):
                    trace = item
    exchange.trace = trace
    if exchange.gone:
        return
    if trace is None:
        raise CallError("the gateway ended without an answer")
    exchange.trace = trace = _completed(trace, unmapped)
    ending = events.finish(trace)
    if not exchange.started:
        await exchange.start(headers)
    await exchange.end(ending)


def _completed(trace: Trace, unmapped: tuple[str, ...]) -> Trace:
    """``trace`` with what the translation could not carry."""
    return trace._replace(unmapped=(*unmapped, *trace.unmapped)) if unmapped else trace


async def count_tokens(exchange: Exchange, services: Services) -> Reply | None:
    """About how many tokens a Messages request has: no model is asked, as each counts in its own way."""
    request = await read_json(exchange)
    if request is None:
        return None
    translated = anthropic.prompt_to_chat(request)
    chat_call(translated.body, exchange, services.resolve)  # refuses what a call would be refused for
    count = {"input_tokens": estimate_prompt(translated.body), "coreto": {"estimated": True}}
    return Reply(200, orjson.dumps(count))
