"""One stored form for both ways of asking: a ``chat.completion``, replayed as chunks to who wants a stream.

A payload is the length of a head (4 bytes, big-endian), the head (who answered, as JSON) and the body (the
server's own bytes where they are known), so that a hit needs no new serialisation. Pure.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import orjson

from coreto.labels import Label
from coreto.messages import Call, Chunk, Json, Trace, Whole, as_object, as_objects

_NOT_REPLAYED = ("choices", "usage", "object")


class Answer(NamedTuple):
    """A whole answer, and the trace of the call that brought it."""

    body: Json
    raw: bytes | None
    trace: Trace

    def trace_for(self, call: Call) -> Trace:
        """The trace of ``call``, served by this answer: nothing tried, nothing spent."""
        told = self.trace
        return Trace(
            call.id,
            told.deployment,
            told.role,
            call.label,
            task=told.task,
            cached=True,
            unmapped=told.unmapped,
        )


def packed(answer: Answer) -> bytes | None:
    """The payload of ``answer``; ``None`` for a body that is not JSON."""
    trace = answer.trace
    head = orjson.dumps(
        {"deployment": trace.deployment, "task": trace.task, "unmapped": trace.unmapped, "role": trace.role}
    )
    try:
        body = orjson.dumps(answer.body) if answer.raw is None else answer.raw
    except orjson.JSONEncodeError:
        return None
    return len(head).to_bytes(4, "big") + head + body


def unpacked(payload: bytes) -> Answer:
    """The answer in ``payload``. Raises ``ValueError`` when there is none."""
    end = 4 + int.from_bytes(payload[:4], "big")
    raw = payload[end:]
    head, body = orjson.loads(payload[4:end]), orjson.loads(raw)
    if not isinstance(head, dict) or not isinstance(body, dict):
        raise ValueError("not an answer")  # noqa: TRY004 - damaged data, not a caller's wrong type
    told = cast("Json", head)
    trace = Trace(
        call_id="",
        deployment=told.get("deployment"),
        role=told.get("role"),
        label=Label.INTERNAL,
        task=told.get("task"),
        unmapped=tuple(told.get("unmapped") or ()),
    )
    return Answer(cast("Json", body), raw, trace)


def is_storable(body: Mapping[str, Any], *, tool_calls: bool = False) -> bool:
    """Whether an answer may be kept: every choice ended by itself and says something.

    Never one that was cut at a limit, the caller's own included (the same request may well want the rest),
    filtered, refused or empty. Tool calls act, so that they are kept only where ``tool_calls`` allows.
    """
    choices = as_objects(body.get("choices"))
    if not choices or body.get("error"):
        return False
    for choice in choices:
        message = as_object(choice.get("message"))
        calls = message.get("tool_calls") or message.get("function_call")
        if message.get("refusal") or (calls and not tool_calls):
            return False
        content = message.get("content")
        says = isinstance(content, str) and content.strip()
        finishes = ("stop", "tool_calls", "function_call") if calls else ("stop",)
        if choice.get("finish_reason") not in finishes or not (calls or says):
            return False
    return True


def replay(answer: Answer, *, stream: bool) -> Generator[Whole | Chunk, None, None]:
    """The items of ``answer``, without its trace, for a stream or not; a stream ends with the usage."""
    if not stream:
        yield Whole(answer.body, answer.raw, answer.trace.unmapped)
        return
    base = {name: value for name, value in answer.body.items() if name not in _NOT_REPLAYED}
    base["object"] = "chat.completion.chunk"
    for choice in as_objects(answer.body.get("choices")):
        index = choice.get("index", 0)
        delta: Json = {**as_object(choice.get("message"))}
        if calls := as_objects(delta.get("tool_calls")):
            delta["tool_calls"] = [{"index": i, **one} for i, one in enumerate(calls)]
        said: Json = {"index": index, "delta": delta, "finish_reason": None}
        rest = {k: v for k, v in choice.items() if k not in ("index", "message", "finish_reason")}
        yield Chunk({**base, "choices": [{**said, **rest}]}, unmapped=answer.trace.unmapped)
        end: Json = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}
        yield Chunk({**base, "choices": [end]})
    if answer.body.get("usage"):
        yield Chunk({**base, "choices": [], "usage": answer.body["usage"]})


@dataclass(slots=True)
class _Choice:
    """One choice of a stream, as far as it has come."""

    text: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    other: Json = field(default_factory=dict[str, Any])
    tools: dict[int, Json] = field(default_factory=dict[int, "Json"])
    logprobs: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    finish: str | None = None

    def add(self, choice: Json) -> None:
        delta: Json = choice.get("delta") or {}
        for name, value in delta.items():
            if name == "tool_calls":
                for call in as_objects(value):
                    _merge_call(self.tools.setdefault(call.get("index") or 0, {}), call)
            elif isinstance(value, str) and name != "role":
                parts = self.text.get(name)
                if parts is None:
                    parts = self.text[name] = []
                parts.append(value)
            elif value is not None:
                self.other[name] = value
        if choice.get("logprobs"):
            for name, value in as_object(choice["logprobs"]).items():
                if isinstance(value, list):
                    self.logprobs.setdefault(name, []).extend(cast("list[Any]", value))
        self.finish = choice.get("finish_reason") or self.finish

    def whole(self, index: int) -> Json:
        message: Json = {"role": "assistant", "content": None, **self.other}
        message.update((name, "".join(parts)) for name, parts in self.text.items())
        if self.tools:
            message["tool_calls"] = [self.tools[i] for i in sorted(self.tools)]
            message["content"] = message["content"] or None
        out: Json = {"index": index, "message": message, "finish_reason": self.finish}
        return {**out, "logprobs": self.logprobs} if self.logprobs else out


class Assembler:
    """Puts a stream's chunks together to the whole answer that they are the pieces of."""

    __slots__ = ("_choices", "_top", "_usage")

    def __init__(self) -> None:
        self._top: Json = {}
        self._usage: Json | None = None
        self._choices: dict[int, _Choice] = {}

    def add(self, body: Json) -> None:
        """Take one chunk."""
        self._top.update(body)
        self._usage = body.get("usage") or self._usage
        for choice in body.get("choices") or ():
            index = choice.get("index") or 0
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice()
            known.add(choice)

    def whole(self) -> Json:
        """The answer so far as a ``chat.completion``; a choice that has not ended has no finish reason."""
        choices = [self._choices[i].whole(i) for i in sorted(self._choices)]
        top = {name: value for name, value in self._top.items() if value is not None and name != "usage"}
        out: Json = {**top, "object": "chat.completion", "choices": choices}
        return {**out, "usage": self._usage} if self._usage else out


def _merge_call(call: Json, delta: Json) -> None:
    for name, value in delta.items():
        if name == "function":
            function = call.setdefault("function", {})
            for part, text in as_object(value).items():
                adds = part == "arguments" and isinstance(text, str)
                function[part] = f"{function.get(part) or ''}{text}" if adds else text
        elif name != "index" and value is not None:
            call[name] = value
