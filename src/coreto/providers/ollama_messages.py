"""OpenAI's chat vocabulary to and from Ollama's native one. Pure."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import orjson

from coreto.errors import GarbledError, UnsupportedError
from coreto.messages import Json, as_object, as_objects, count_of

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
}
_SAME = frozenset({"tools", "think", "logprobs", "top_logprobs", "keep_alive"})
#: Options that a loaded model cannot change: others than its own load it anew.
_RUNNER = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
_ELSEWHERE = frozenset({"model", "messages", "stream", "stream_options", "response_format", "options"})
_SCHEMA_PROMPT = "Answer with one JSON value only, no other text, that is valid against this JSON schema:\n"
_JSON_PROMPT = "Answer with one JSON object only, no other text."


def to_ollama(
    body: Json, model: str, *, stream: bool, context: int | None, structured: bool
) -> tuple[Json, tuple[str, ...]]:
    """The native request for an OpenAI one, and the fields it cannot carry.

    ``context`` fixes ``num_ctx``; ``structured``: the server constrains its output to a schema (Ollama
    Cloud does not, so there the schema is asked for in words). Raises :class:`UnsupportedError` for images
    that are not inline.
    """
    out: Json = {"model": model, "messages": _messages(as_objects(body.get("messages"))), "stream": stream}
    options: Json = dict(as_object(body.get("options")))
    unmapped: list[str] = []
    for name, value in body.items():
        if value is None or name in _ELSEWHERE:
            continue
        if name in _OPTIONS:
            options[_OPTIONS[name]] = value
        elif name in _SAME:
            out[name] = value
        elif name == "reasoning_effort" and "gpt-oss" in model:
            out["think"] = value
        elif not (name == "n" and value == 1) and not (name == "tool_choice" and value == "auto"):
            unmapped.append(name)
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if context is not None:
        options["num_ctx"] = context
    if options:
        out["options"] = options
    _constrain(out, body.get("response_format"), structured=structured)
    return out, tuple(unmapped)


def leave_loaded(out: Json, context: int | None) -> tuple[str, ...]:
    """Take out of a native request what would load the model anew or let it go: options of its runner other than
    ``context``, and ``keep_alive``. What was taken out, by name."""
    options = as_object(out.get("options"))
    taken = [f"options.{name}" for name in _RUNNER if name in options]
    if context is not None and "num_ctx" in options:
        taken.remove("options.num_ctx")
    for name in taken:
        del options[name.removeprefix("options.")]
    if not options:
        out.pop("options", None)
    if out.pop("keep_alive", None) is not None:
        taken.append("keep_alive")
    return tuple(taken)


def _constrain(out: Json, wanted: object, *, structured: bool) -> None:
    form = as_object(wanted)
    schema: object = None
    if form.get("type") == "json_schema":
        schema = as_object(form.get("json_schema")).get("schema")
    elif form.get("type") != "json_object":
        return
    if structured:
        out["format"] = schema if schema is not None else "json"
        return
    prompt = _JSON_PROMPT if schema is None else _SCHEMA_PROMPT + orjson.dumps(schema).decode()
    out["messages"] = [{"role": "system", "content": prompt}, *out["messages"]]


def _messages(messages: list[Json]) -> list[Json]:
    names: dict[str, str] = {}
    out: list[Json] = []
    for message in messages:
        converted = {
            k: v for k, v in message.items() if k in ("role", "content", "thinking") and v is not None
        }
        if converted.get("role") == "developer":
            converted["role"] = "system"
        content = converted.get("content")
        if isinstance(content, list):
            converted["content"], images = _parts(as_objects(cast("object", content)))
            if images:
                converted["images"] = images
        converted.setdefault("content", "")
        thought = message.get("reasoning") or message.get("reasoning_content")
        if isinstance(thought, str) and thought:
            converted.setdefault("thinking", thought)
        calls = as_objects(message.get("tool_calls"))
        if calls:
            converted["tool_calls"] = [_call_to_ollama(c, names) for c in calls]
        if converted.get("role") == "tool":
            name = message.get("name") or names.get(str(message.get("tool_call_id")))
            if name:
                converted["tool_name"] = name
        out.append(converted)
    return out


def _parts(parts: list[Json]) -> tuple[str, list[str]]:
    texts: list[str] = []
    images: list[str] = []
    for part in parts:
        if part.get("type") == "text":
            texts.append(str(part.get("text") or ""))
        elif part.get("type") == "image_url":
            url = str(as_object(part.get("image_url")).get("url") or "")
            if not url.startswith("data:") or "," not in url:
                raise UnsupportedError("Ollama takes images inline (data: URLs) only")
            images.append(url.split(",", 1)[1])
        else:
            raise UnsupportedError(f"Ollama takes no {part.get('type')!r} content")
    return "\n".join(texts), images


def _call_to_ollama(call: Json, names: dict[str, str]) -> Json:
    function = as_object(call.get("function"))
    name = str(function.get("name") or "")
    names[str(call.get("id"))] = name
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            arguments = {"_raw": arguments}  # a broken call in the history is still shown to the model
    return {"function": {"name": name, "arguments": arguments or {}}}


def _message(native: Json, called: int = 0) -> Json:
    """``called``: tool calls that came before in the same answer."""
    content, thinking = native.get("content"), native.get("thinking")
    message: Json = {"role": "assistant", "content": content if isinstance(content, str) else ""}
    if isinstance(thinking, str) and thinking:
        message["reasoning"] = thinking
    calls = as_objects(native.get("tool_calls"))
    if calls:
        message["tool_calls"] = [_call_to_openai(called + i, c) for i, c in enumerate(calls)]
    return message


def _call_to_openai(index: int, call: Json) -> Json:
    function = as_object(call.get("function"))
    arguments = orjson.dumps(function.get("arguments") or {}).decode()
    return {
        "index": index,
        "id": call.get("id") or f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": function.get("name"), "arguments": arguments},
    }


def usage(native: Mapping[str, Any]) -> Json:
    """OpenAI's ``usage`` from the counts of a last line (which leaves zeros out)."""
    prompt = count_of(native.get("prompt_eval_count"))
    completion = count_of(native.get("eval_count"))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def finish(native: Mapping[str, Any], *, called: bool) -> str:
    """OpenAI's finish reason of a last line. Raises :class:`GarbledError` for one that ends no answer."""
    reason = native.get("done_reason") or "stop"
    if reason not in ("stop", "length"):
        raise GarbledError(f"the engine ended with {reason!r} instead of an answer")
    return "tool_calls" if called and reason == "stop" else reason


def created(native: Mapping[str, Any]) -> int:
    """Epoch seconds of ``created_at``; 0 where it cannot be read."""
    try:
        return int(datetime.fromisoformat(str(native.get("created_at"))).timestamp())
    except ValueError:
        return 0


def to_completion(native: Json, call_id: str) -> Json:
    """OpenAI's ``chat.completion`` for a native non-stream answer."""
    message = as_object(native.get("message"))
    if not message or not native.get("done"):
        raise GarbledError("the answer has no message")
    converted = _message(message)
    called = "tool_calls" in converted
    choice = {"index": 0, "message": converted, "finish_reason": finish(native, called=called)}
    return {
        "id": f"chatcmpl-{call_id}",
        "object": "chat.completion",
        "created": created(native),
        "model": native.get("model"),
        "choices": [choice],
        "usage": usage(native),
    }


def to_chunk(native: Json, call_id: str, *, first: bool, called: int) -> Json:
    """OpenAI's ``chat.completion.chunk`` for one native line; the last one carries finish and usage.
    ``called``: how many tool calls came in the lines before."""
    message = as_object(native.get("message"))
    delta = _message(message, called) if message else {}
    if not first:
        delta.pop("role", None)
    done = bool(native.get("done"))
    has_called = called > 0 or "tool_calls" in delta
    out: Json = {
        "id": f"chatcmpl-{call_id}",
        "object": "chat.completion.chunk",
        "created": created(native),
        "model": native.get("model"),
        "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish(native, called=has_called) if done else None}
        ],
    }
    if done:
        out["usage"] = usage(native)
    return out
