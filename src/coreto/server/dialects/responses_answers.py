"""Chat answers as OpenAI's responses, whole and as events. Pure."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from coreto.errors import CallError, GarbledError
from coreto.messages import (
    Json,
    Trace,
    Usage,
    Whole,
    as_object,
    as_objects,
    count_of,
    finish_of,
    message_of,
    text_of,
    usage_of,
)
from coreto.server.dialects.freeform import input_of, names_of
from coreto.server.dialects.reading import copied
from coreto.server.dialects.translated import arguments_of, call_id_of, sent_event, used
from coreto.server.exchange import Reply

#: What the response repeats of the request, with OpenAI's defaults.
_ECHOED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
#: Coreto's codes in the words that clients of this dialect look for.
_CODES = {
    "context": "context_length_exceeded",
    "quota": "insufficient_quota",
    "billing": "insufficient_quota",
    "rate": "rate_limit_exceeded",
    "overloaded": "server_is_overloaded",
    "queue_full": "server_is_overloaded",
}


_Kind = Literal["message", "function_call", "custom_tool_call"]


@dataclass(slots=True)
class _Item:
    """An item of the output as it grows. ``parts``: a message's texts by kind; ``arguments``: a call's;
    ``free``: the input of a custom tool's, which can be read when its arguments are whole."""

    identifier: str
    kind: _Kind = "message"
    parts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    call_id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    free: str = ""
    announced: bool = False

    def as_json(self, status: str) -> Json:
        if self.kind != "message":
            custom = self.kind == "custom_tool_call"
            return {
                "id": self.identifier,
                "type": self.kind,
                "status": status,
                "call_id": self.call_id,
                "name": self.name,
                **({"input": self.free} if custom else {"arguments": "".join(self.arguments)}),
            }
        parts = [_part(kind, "".join(said)) for kind, said in self.parts.items()]
        return {
            "id": self.identifier,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": parts,
        }


def _part(kind: str, said: str) -> Json:
    if kind == "refusal":
        return {"type": "refusal", "refusal": said}
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}


def whole(answer: Whole, request: Json, trace: Trace) -> Json:
    """The response."""
    body = answer.body
    said = message_of(body)
    items: list[_Item] = []
    parts = {"output_text": text_of(body), "refusal": said.get("refusal")}
    if any(parts.values()):
        spoken = {kind: [words] for kind, words in parts.items() if isinstance(words, str) and words}
        items.append(_Item(f"msg_{trace.call_id}", parts=spoken))
    customs = names_of(request)
    for place, call in enumerate(as_objects(said.get("tool_calls"))):
        function = as_object(call.get("function"))
        item = _Item(f"{trace.call_id}_{place}", call_id=call_id_of(call))
        item.name = str(function.get("name") or "")
        _settle(item, customs)
        item.arguments.append(arguments_of(function) or "{}")
        item.free = input_of(item.arguments[0])
        items.append(item)
    base = _base(request, trace.call_id, body.get("model") or trace.deployment, body.get("created"))
    usage = _usage(used(body, trace), body)
    return _ended(base, items, finish_of(body), usage, trace)


def _settle(item: _Item, customs: Container[str]) -> None:
    """Make ``item``, whose name is known now, a call of one of the custom tools or of a function."""
    custom = item.name in customs
    item.kind = "custom_tool_call" if custom else "function_call"
    item.identifier = f"{'ctc' if custom else 'fc'}_{item.identifier}"


def _base(request: Json, call_id: str, model: object, created: object) -> Json:
    return {
        "id": f"resp_{call_id}",
        "object": "response",
        "created_at": count_of(created),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model or "",
        "output": [],
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": None,
        **_ECHOED,
        **copied(request, tuple(_ECHOED)),
    }


def _ended(base: Json, items: list[_Item], finish: str | None, usage: Json, trace: Trace) -> Json:
    cut = _CUT.get(finish or "")
    status = "incomplete" if cut else "completed"
    return {
        **base,
        "status": status,
        "incomplete_details": {"reason": cut} if cut else None,
        "output": [item.as_json(status) for item in items],
        "usage": usage,
        "coreto": trace.as_json(),
    }


def _usage(usage: Usage, body: Json) -> Json:
    details = as_object(as_object(body.get("usage")).get("completion_tokens_details"))
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": count_of(details.get("reasoning_tokens"))},
        "total_tokens": usage.prompt + usage.completion,
    }


class ResponseEvents:
    """An answer's chunks as events. Items may grow side by side here, and all end when the answer does."""

    def __init__(self, request: Json, call_id: str) -> None:
        self._request = request
        self._customs = names_of(request)
        self._call_id = call_id
        self._base: Json | None = None
        self._number = 0
        self._items: list[_Item] = []
        self._calls: dict[int, _Item] = {}
        self._message: _Item | None = None
        self._last: Json = {}
        self._finish: str | None = None

    def feed(self, chunk: Json) -> bytes:
        """The events for a chunk; none before the first that has something."""
        if chunk.get("usage"):
            self._last = chunk
        choices = as_objects(chunk.get("choices"))
        if not choices:
            return b""
        self._finish = choices[0].get("finish_reason") or self._finish
        said = as_object(choices[0].get("delta"))
        if self._base is None and not (self._finish or _says(said)):
            return b""
        out = self._begin(chunk)
        for kind, words in (("output_text", said.get("content")), ("refusal", said.get("refusal"))):
            if isinstance(words, str) and words:
                out += self._say(kind, words)
        for place, call in enumerate(as_objects(said.get("tool_calls"))):
            index = call.get("index")
            out += self._call(index if isinstance(index, int) else place, call)
        return b"".join(out)

    def finish(self, trace: Trace) -> bytes:
        """The events that end the response, the trace in the last."""
        if self._finish is None or self._base is None:
            raise CallError("the stream ended without a finish")
        if not all(item.announced for item in self._calls.values()):
            raise GarbledError("a tool call came without the name of its tool")
        status = "incomplete" if self._finish in _CUT else "completed"
        out = [sent for item in self._items for sent in self._done(item, status)]
        counted = trace.attempts[-1].usage if trace.attempts else Usage()
        usage = _usage(usage_of(self._last) or counted, self._last)
        response = _ended(self._base, self._items, self._finish, usage, trace)
        out.append(self._event(f"response.{status}", response=response))
        return b"".join(out)

    def reply(self, failure: Reply) -> Reply:
        """``failure`` before the stream began: an error as anywhere."""
        return failure

    def event(self, failure: Reply) -> bytes:
        """The event that ends the response in ``failure``, with what there was of it."""
        said = as_object(orjson.loads(failure.body))
        told = as_object(said.get("error"))
        code = _CODES.get(str(told.get("code"))) or (
            "rate_limit_exceeded"
            if failure.status == 429
            else "invalid_prompt"
            if failure.status < 500
            else "server_error"
        )
        base = self._base or _base(self._request, self._call_id, None, 0)
        output = [item.as_json("incomplete") for item in self._items if item.announced]
        response = {
            **base,
            "status": "failed",
            "error": {"code": code, "message": told.get("message")},
            "output": output,
        }
        if "coreto" in said:
            response["coreto"] = said["coreto"]
        return self._event("response.failed", response=response)

    def _begin(self, chunk: Json) -> list[bytes]:
        if self._base is not None:
            return []
        self._base = _base(self._request, self._call_id, chunk.get("model"), chunk.get("created"))
        kinds = ("response.created", "response.in_progress")
        return [self._event(kind, response=self._base) for kind in kinds]

    def _say(self, kind: str, words: str) -> list[bytes]:
        out: list[bytes] = []
        item = self._message
        if item is None:
            item = self._message = _Item(f"msg_{self._call_id}")
            out += self._announce(item)
        place = self._place(item)
        if kind not in item.parts:
            item.parts[kind] = []
            part = {"content_index": len(item.parts) - 1, "part": _part(kind, "")}
            out.append(self._event("response.content_part.added", **place, **part))
        item.parts[kind].append(words)
        content: Json = {"content_index": list(item.parts).index(kind), "delta": words}
        if kind == "output_text":
            content["logprobs"] = []
        out.append(self._event(f"response.{kind}.delta", **place, **content))
        return out

    def _call(self, index: int, call: Json) -> list[bytes]:
        item = self._calls.get(index)
        if item is None:
            item = self._calls[index] = _Item(f"{self._call_id}_{len(self._calls)}")
        function = as_object(call.get("function"))
        item.name = item.name or str(function.get("name") or "")
        item.call_id = item.call_id or str(call.get("id") or "")
        said = arguments_of(function)
        out: list[bytes] = []
        if not item.announced:
            if not item.name:
                item.arguments.append(said)
                return []
            said = "".join([*item.arguments, said])
            item.arguments.clear()
            item.call_id = call_id_of({"id": item.call_id})
            _settle(item, self._customs)
            out += self._announce(item)
        if said:
            item.arguments.append(said)
        if said and item.kind == "function_call":
            out.append(self._event("response.function_call_arguments.delta", **self._place(item), delta=said))
        return out

    def _announce(self, item: _Item) -> list[bytes]:
        item.announced = True
        self._items.append(item)
        index = len(self._items) - 1
        return [
            self._event("response.output_item.added", output_index=index, item=item.as_json("in_progress"))
        ]

    def _done(self, item: _Item, status: str) -> list[bytes]:
        place = self._place(item)
        out = self._arguments_done(item, place) if item.kind != "message" else []
        for index, (kind, pieces) in enumerate(item.parts.items()):
            part = _part(kind, "".join(pieces))
            told: Json = dict(part)
            told.pop("type")
            told.pop("annotations", None)
            out.append(self._event(f"response.{kind}.done", **place, content_index=index, **told))
            out.append(self._event("response.content_part.done", **place, content_index=index, part=part))
        index = place["output_index"]
        out.append(self._event("response.output_item.done", output_index=index, item=item.as_json(status)))
        return out

    def _arguments_done(self, item: _Item, place: Json) -> list[bytes]:
        """The end of a call's arguments; a custom tool's input is in them and comes only now, in one piece."""
        said = "".join(item.arguments)
        if item.kind == "custom_tool_call":
            delta = item.free = input_of(said)
            event, whole = "response.custom_tool_call_input", {"input": item.free}
        else:
            event, whole = "response.function_call_arguments", {"name": item.name, "arguments": said or "{}"}
            delta = "" if said else "{}"
        item.arguments = [said or "{}"]
        out = [self._event(f"{event}.delta", **place, delta=delta)] if delta else []
        return [*out, self._event(f"{event}.done", **place, **whole)]

    def _place(self, item: _Item) -> Json:
        index = next(i for i, one in enumerate(self._items) if one is item)
        return {"item_id": item.identifier, "output_index": index}

    def _event(self, kind: str, **fields: Any) -> bytes:
        number = self._number
        self._number += 1
        return sent_event({"type": kind, "sequence_number": number, **fields})


def _says(said: Json) -> bool:
    names = ("content", "refusal", "tool_calls", "reasoning", "reasoning_content")
    return any(said.get(name) for name in names)
