"""The OpenAI shapes of a reply, whole and streamed, and how they break; used by ``openai`` and Ollama's ``/v1``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import orjson

from coreto.simulators.answers import Answer, digest_of, function_of, pieces
from coreto.simulators.bodies import ErrorBody
from coreto.simulators.delivery import Dialect

DONE = b"data: [DONE]\n\n"
STAMP = 1_795_219_200  # replies are the same in every run, their time too


@dataclass(frozen=True, slots=True)
class Reply:
    """One OpenAI reply before it is whole or streamed; `extra` goes on the top level."""

    id: str
    model: str
    answer: Answer
    finish_reason: str
    usage: dict[str, Any]
    extra: dict[str, Any]
    choices: int = 1


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def whole(reply: Reply) -> dict[str, Any]:
    """A ``chat.completion``."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.answer.content, "refusal": None}
    if reply.answer.reasoning:
        message["reasoning_content"] = reply.answer.reasoning
    if reply.answer.tool_calls:
        message["content"] = reply.answer.content or None
        message["tool_calls"] = tool_calls(reply.answer)
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": STAMP,
        "model": reply.model,
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}
            for index in range(reply.choices)
        ],
        "usage": reply.usage,
        **reply.extra,
    }


def tool_calls(answer: Answer) -> list[dict[str, Any]]:
    """Scripted calls in OpenAI's shape: arguments as JSON text, repeatable ids."""
    calls: list[dict[str, Any]] = []
    for index, call in enumerate(answer.tool_calls):
        name, arguments = function_of(call)
        text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
        identity = call.get("id") or f"call_{digest_of(f'{index}{name}{text}')}"
        calls.append({"id": identity, "type": "function", "function": {"name": name, "arguments": text}})
    return calls


def streamed(reply: Reply, *, include_usage: bool) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Head (role), chunks (content, then tool calls) and tail (finish, usage, done) of a streamed reply."""
    base = {
        "id": reply.id,
        "object": "chat.completion.chunk",
        "created": STAMP,
        "model": reply.model,
        **reply.extra,
    }
    # One dump with a hole is several times faster than one dump per chunk.
    make = _template(base, include_usage=include_usage)
    head: list[bytes] = []
    chunks: list[bytes] = []
    tail: list[bytes] = []
    for index in range(reply.choices):
        head.append(make(index, {"role": "assistant", "content": "", "refusal": None}, None))
        chunks += [make(index, {"reasoning_content": part}, None) for part in pieces(reply.answer.reasoning)]
        parts = pieces(reply.answer.content, reply.answer.chunks)
        chunks += [make(index, {"content": part}, None) for part in parts]
        chunks += [make(index, {"tool_calls": [part]}, None) for part in _call_parts(reply.answer)]
        tail.append(make(index, {}, reply.finish_reason))
    if include_usage:
        tail.append(event({**base, "choices": [], "usage": reply.usage}))
    return head, chunks, [*tail, DONE]


def _template(
    base: dict[str, Any], *, include_usage: bool
) -> Callable[[int, dict[str, Any], str | None], bytes]:
    prefix = b"data: " + orjson.dumps(base)[:-1] + b',"choices":['
    suffix = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"

    def make(index: int, delta: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return prefix + orjson.dumps(choice) + suffix

    return make


def _call_parts(answer: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for index, call in enumerate(tool_calls(answer)):
        function = call["function"]
        parts.append({"index": index, **call, "function": {"name": function["name"], "arguments": ""}})
        text = str(function["arguments"])
        middle = (len(text) + 1) // 2
        parts += [
            {"index": index, "function": {"arguments": part}}
            for part in (text[:middle], text[middle:])
            if part
        ]
    return parts


def _unfinished(data: dict[str, Any]) -> dict[str, Any]:
    choices = cast("list[dict[str, Any]]", data.get("choices") or [])
    return {**data, "choices": [{**choice, "finish_reason": None} for choice in choices]}


def _nothing(model: str, kind: str = "chat.completion") -> dict[str, Any]:
    return {"id": "chatcmpl-sim", "object": kind, "created": STAMP, "model": model, "choices": []}


def _empty_chunk(model: str) -> bytes:
    data = _nothing(model, "chat.completion.chunk")
    delta = {"role": "assistant", "content": ""}
    return event({**data, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def openai_dialect(generic: Callable[[int], ErrorBody]) -> Dialect:
    """OpenAI's stream; an error is an event with ``error``."""
    return Dialect(
        stream_type="text/event-stream",
        streams_by_default=False,
        generic=generic,
        error_events=lambda _, error: [event(error.body)],
        empty_whole=_nothing,
        empty_stream=lambda model: [event(_nothing(model, "chat.completion.chunk")), DONE],
        half_event=lambda model: event(_nothing(model, "chat.completion.chunk"))[:60],
        stray_line=b'data: {"id":"chatcmpl-sim","choices":[{"index":0,"delta":{"con\n\n',
        unfinished=_unfinished,
    )


def openrouter_dialect(generic: Callable[[int], ErrorBody]) -> Dialect:
    """OpenRouter's: one chunk with ``error`` and finish reason ``error``, whole replies too."""
    plain = openai_dialect(generic)

    def events(model: str, error: ErrorBody) -> list[bytes]:
        choice = {
            "index": 0,
            "delta": {"content": ""},
            "finish_reason": "error",
            "native_finish_reason": "error",
        }
        data = {**_nothing(model, "chat.completion.chunk"), "provider": "SimCo", "choices": [choice]}
        return [event({**data, "error": _inner(error)})]

    def failed(data: dict[str, Any], error: ErrorBody) -> dict[str, Any]:
        choices = cast("list[dict[str, Any]]", data.get("choices") or [])
        broken: list[dict[str, Any]] = []
        for choice in choices:
            message = dict(cast("dict[str, Any]", choice["message"]))
            text = str(message.get("content") or "")
            message["content"] = text[: len(text) // 2]
            broken.append({**choice, "message": message, "finish_reason": "error", "error": _inner(error)})
        return {**data, "choices": broken}

    return Dialect(
        stream_type=plain.stream_type,
        streams_by_default=False,
        generic=generic,
        error_events=events,
        empty_whole=plain.empty_whole,
        empty_stream=plain.empty_stream,
        half_event=plain.half_event,
        stray_line=plain.stray_line,
        unfinished=plain.unfinished,
        failed=failed,
    )


def ollama_v1_dialect(generic: Callable[[int], ErrorBody], wrap: Callable[[ErrorBody], ErrorBody]) -> Dialect:
    """Ollama's ``/v1``: an error line of the native stream comes out as one empty delta, then the end."""
    plain = openai_dialect(generic)
    return Dialect(
        stream_type=plain.stream_type,
        streams_by_default=False,
        generic=generic,
        error_events=lambda model, _: [_empty_chunk(model)],
        empty_whole=plain.empty_whole,
        empty_stream=plain.empty_stream,
        half_event=plain.half_event,
        stray_line=plain.stray_line,
        unfinished=plain.unfinished,
        wrap=wrap,
    )


def _inner(error: ErrorBody) -> Any:
    body = error.body
    return (
        cast("dict[str, Any]", body).get("error", body) if isinstance(body, dict) else {"message": str(body)}
    )
