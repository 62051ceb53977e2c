"""Chat answers as Anthropic's messages, whole and as events. Pure."""

from dataclasses import dataclass, field

import orjson

from coreto.errors import CallError, GarbledError, InvalidOutputError
from coreto.messages import (
    Json,
    Trace,
    Usage,
    Whole,
    as_object,
    as_objects,
    finish_of,
    message_of,
    text_of,
    usage_of,
)
from coreto.server.dialects.translated import arguments_of, call_id_of, sent_event, used
from coreto.server.exchange import Reply

_STOPS = {"length": "max_tokens", "content_filter": "refusal"}
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicEnvelope:
    """Errors in Anthropic's words."""

    def reply(self, failure: Reply) -> Reply:
        """``failure``, which is in OpenAI's."""
        headers = tuple((b"request-id" if name == b"x-coreto-id" else name, v) for name, v in failure.headers)
        more = tuple(pair for pair in headers if pair not in failure.headers)
        return failure._replace(body=orjson.dumps(_error(failure)), headers=(*failure.headers, *more))

    def event(self, failure: Reply) -> bytes:
        """The event that ends a stream in it."""
        return sent_event(_error(failure))


def _error(failure: Reply) -> Json:
    said = as_object(orjson.loads(failure.body))
    told = as_object(said.get("error"))
    kind = _TYPES.get(failure.status) or ("invalid_request_error" if failure.status < 500 else "api_error")
    error = {
        "type": kind,
        "message": told.get("message"),
        "param": told.get("param"),
        "code": told.get("code"),
    }
    out: Json = {"type": "error", "error": error}
    if "coreto" in said:
        out["request_id"] = said["coreto"].get("id")
        out["coreto"] = said["coreto"]
    return out


def thinks(request: Json) -> bool:
    """Whether the client wants to see what the model thinks."""
    return as_object(request.get("thinking")).get("type") in ("enabled", "adaptive")


def whole(answer: Whole, request: Json, trace: Trace) -> Json:
    """The message. Raises :class:`InvalidOutputError` for a tool call that it cannot hold."""
    body = answer.body
    said = message_of(body)
    blocks: list[Json] = []
    if thinks(request) and (thought := _thought(said)):
        blocks.append({"type": "thinking", "thinking": thought, "signature": ""})
    refusal = said.get("refusal")
    if words := text_of(body) or refusal:
        blocks.append({"type": "text", "text": words})
    calls = as_objects(said.get("tool_calls"))
    blocks += [_tool_use(call) for call in calls]
    message = _message(trace.call_id, body.get("model") or trace.deployment, blocks)
    matched = next((choice.get("stop_reason") for choice in as_objects(body.get("choices"))), None)
    ending = _ending(finish_of(body), matched, called=bool(calls), refused=bool(refusal))
    return {**message, **ending, "usage": _usage(used(body, trace)), "coreto": trace.as_json()}


def _tool_use(call: Json) -> Json:
    function = as_object(call.get("function"))
    arguments = arguments_of(function) or "{}"
    try:
        value: object = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        problem = f"the model called {function.get('name')!r} with arguments that are not a JSON object"
        raise InvalidOutputError(problem, answer=arguments)
    return {"type": "tool_use", "id": call_id_of(call), "name": function.get("name"), "input": value}


def _message(call_id: str, model: object, blocks: list[Json]) -> Json:
    return {
        "id": f"msg_{call_id}",
        "type": "message",
        "role": "assistant",
        "model": model or "",
        "content": blocks,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _ending(finish: str | None, matched: object, *, called: bool, refused: bool) -> Json:
    """``matched``: the stop sequence, where the server says which. Many call it ``stop`` when they call a
    tool; clients of this dialect go by it."""
    reason = _STOPS.get(finish or "")
    if reason is None:
        reason = "tool_use" if called else "refusal" if refused else "end_turn"
    if reason == "end_turn" and isinstance(matched, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": matched}
    return {"stop_reason": reason, "stop_sequence": None}


def _usage(usage: Usage) -> Json:
    """Here what came from the server's cache does not count as input."""
    return {
        "input_tokens": max(usage.prompt - usage.cached, 0),
        "output_tokens": usage.completion,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
    }


def _thought(said: Json) -> str:
    thought = said.get("reasoning") or said.get("reasoning_content")
    return thought if isinstance(thought, str) else ""


@dataclass(slots=True)
class _Block:
    """A block of the answer. ``waiting``: what cannot be sent yet. ``index``: the server's, of a tool call."""

    kind: str
    index: int = -1
    identifier: str | None = None
    name: str = ""
    waiting: list[str] = field(default_factory=list[str])
    started: bool = False


_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}


class MessageEvents(AnthropicEnvelope):
    """An answer's chunks as events.

    Blocks follow one another here, while chunks may mix tool calls: only the first unfinished block is sent
    as it comes, the others wait for their turn. Text and thoughts are finished when something else begins,
    tool calls when the answer is.
    """

    def __init__(self, call_id: str, prompt_tokens: int, *, thinking: bool) -> None:
        """``prompt_tokens``: an estimate, as the true number comes last."""
        self._call_id = call_id
        self._prompt_tokens = prompt_tokens
        self._thinking = thinking
        self._begun = False
        self._blocks: list[_Block] = []
        self._live = 0
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._matched: object = None
        self._refused = False

    def feed(self, chunk: Json) -> bytes:
        """The events for a chunk; none before the first that has something."""
        self._usage = usage_of(chunk) or self._usage
        choices = as_objects(chunk.get("choices"))
        if not choices:
            return b""
        choice = choices[0]
        said = as_object(choice.get("delta"))
        self._take(said)
        self._finish = choice.get("finish_reason") or self._finish
        self._matched = choice.get("stop_reason") or self._matched
        return b"".join([*self._begin(chunk, thought=bool(_thought(said))), *self._send()])

    def finish(self, trace: Trace) -> bytes:
        """The events that end the message, the trace in the last."""
        if self._finish is None:
            raise CallError("the stream ended without a finish")
        out = self._send()
        while self._live < len(self._blocks):
            out += self._stop()
            out += self._send()
        called = any(block.kind == "tool_use" for block in self._blocks)
        ending = _ending(self._finish, self._matched, called=called, refused=self._refused)
        counted = trace.attempts[-1].usage if trace.attempts else Usage()
        usage = _usage(self._usage or counted)
        out.append(sent_event({"type": "message_delta", "delta": ending, "usage": usage}))
        out.append(sent_event({"type": "message_stop", "coreto": trace.as_json()}))
        return b"".join(out)

    def _begin(self, chunk: Json, *, thought: bool) -> list[bytes]:
        if self._begun or not (self._blocks or self._finish or thought):
            return []
        self._begun = True
        message = _message(self._call_id, chunk.get("model"), [])
        message["usage"] = _usage(Usage(prompt=self._prompt_tokens))
        return [sent_event({"type": "message_start", "message": message})]

    def _take(self, said: Json) -> None:
        if self._thinking and (thought := _thought(said)):
            self._block("thinking").waiting.append(thought)
        refusal = said.get("refusal")
        self._refused = self._refused or bool(refusal)
        for words in (said.get("content"), refusal):
            if isinstance(words, str) and words:
                self._block("text").waiting.append(words)
        for place, call in enumerate(as_objects(said.get("tool_calls"))):
            index = call.get("index")
            block = self._block("tool_use", index if isinstance(index, int) else place)
            function = as_object(call.get("function"))
            block.identifier = block.identifier or call.get("id")
            block.name = block.name or str(function.get("name") or "")
            if arguments := arguments_of(function):
                block.waiting.append(arguments)

    def _block(self, kind: str, index: int = -1) -> _Block:
        """The block that a delta belongs to, a new one if need be."""
        if kind != "tool_use":
            if not self._blocks or self._blocks[-1].kind != kind:
                self._blocks.append(_Block(kind))
            return self._blocks[-1]
        found = next((b for b in self._blocks if b.kind == kind and b.index == index), None)
        if found is None:
            found = _Block(kind, index)
            self._blocks.append(found)
        return found

    def _send(self) -> list[bytes]:
        """Everything whose turn it is."""
        out: list[bytes] = []
        while self._live < len(self._blocks):
            block = self._blocks[self._live]
            if block.kind == "tool_use" and not block.name:
                break
            if not block.started:
                out.append(self._start(block))
            if block.waiting:
                kind, name = _DELTAS[block.kind]
                delta = {"type": kind, name: "".join(block.waiting)}
                block.waiting.clear()
                out.append(self._event("content_block_delta", delta=delta))
            if block.kind == "tool_use" or self._live == len(self._blocks) - 1:
                break
            out += self._stop()
        return out

    def _start(self, block: _Block) -> bytes:
        block.started = True
        shown: Json = {"type": block.kind}
        if block.kind == "tool_use":
            shown |= {"id": call_id_of({"id": block.identifier}), "name": block.name, "input": {}}
        elif block.kind == "text":
            shown["text"] = ""
        else:
            shown |= {"thinking": "", "signature": ""}
        return self._event("content_block_start", content_block=shown)

    def _stop(self) -> list[bytes]:
        """End the live block."""
        block = self._blocks[self._live]
        if not block.started:
            raise GarbledError("a tool call came without the name of its tool")
        out: list[bytes] = []
        if block.kind == "thinking":  # clients wait for it, and send it back to us alone
            out.append(self._event("content_block_delta", delta={"type": "signature_delta", "signature": ""}))
        out.append(self._event("content_block_stop"))
        self._live += 1
        return out

    def _event(self, kind: str, **fields: Json) -> bytes:
        return sent_event({"type": kind, "index": self._live, **fields})
