"""Candidates off this machine that are shown placeholders instead of private data."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Any

from coreto.errors import UnsupportedError
from coreto.labels import Label
from coreto.messages import Call, Chunk, Item, Json, Whole, as_object, as_objects
from coreto.providers.base import Health, Items, ModelInfo, Provider
from coreto.resilience.plan import Candidate
from coreto.routing.masking import Mask
from coreto.routing.sensitive.placeholders import Revealer

_TEXTS = ("content", "reasoning", "reasoning_content", "refusal")


def masked(candidate: Candidate, mask: Mask) -> Candidate:
    """``candidate`` behind ``mask``; as it is where data may stay readable: on this machine."""
    if candidate.deployment.local:
        return candidate
    return replace(
        candidate,
        provider=Masked(candidate.provider, mask),
        whole=None if candidate.whole is None else _Whole(candidate.whole, mask),
    )


class Masked:
    """A provider that is asked with placeholders and whose answers get the values back.

    What leaves carries the label :attr:`~coreto.labels.Label.INTERNAL`: nothing private is left in it.
    """

    def __init__(self, inner: Provider, mask: Mask) -> None:
        self._inner = inner
        self._mask = mask

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._stream(call) if call.stream else self._whole(call))

    async def _whole(self, call: Call) -> Items:
        async with self._inner.open(_hidden(call, self._mask)) as items:
            async for item in items:
                yield revealed(item, self._mask, call) if isinstance(item, Whole) else item

    async def _stream(self, call: Call) -> Items:
        """Each text of the stream (contents, tool arguments) is revealed by itself; what is held back, because
        it may be the beginning of a placeholder, comes with the next piece or before the finish."""
        texts = _Texts(self._mask, is_json=_is_json(call))
        async with self._inner.open(_hidden(call, self._mask)) as items:
            async for item in items:
                yield (
                    Chunk(texts.revealed(item.body), None, item.unmapped, item.more)
                    if isinstance(item, Chunk)
                    else item
                )

    async def models(self) -> tuple[ModelInfo, ...]:
        return await self._inner.models()

    async def health(self) -> Health:
        return await self._inner.health()

    async def close(self) -> None:
        await self._inner.close()


class _Whole:
    """The shorter way to a whole answer, masked."""

    __slots__ = ("_inner", "_mask")

    def __init__(self, inner: Callable[[Call], Awaitable[Whole]], mask: Mask) -> None:
        self._inner = inner
        self._mask = mask

    async def __call__(self, call: Call) -> Whole:
        return revealed(await self._inner(_hidden(call, self._mask)), self._mask, call)


def _hidden(call: Call, mask: Mask) -> Call:
    """``call`` as it may leave. Raises :class:`UnsupportedError` where something was said meanwhile that no
    placeholder hides: the beginning of a local answer that broke off within a value, say."""
    body = mask.hide_body(call.body)
    if not mask.covers(body):
        raise UnsupportedError("not everything private in this conversation can be hidden: it stays here")
    return call._replace(body=body, label=Label.INTERNAL)


def _is_json(call: Call) -> bool:
    """Whether the answer is to be JSON: a value is then written as one writes it within JSON."""
    return as_object(call.body.get("response_format")).get("type") in ("json_object", "json_schema")


def revealed(whole: Whole, mask: Mask, call: Call) -> Whole:
    """``whole``, the answer to ``call``, with the values in place of their placeholders."""
    is_json = _is_json(call)
    choices = [
        {**choice, "message": _message(as_object(choice.get("message")), mask, is_json=is_json)}
        for choice in as_objects(whole.body.get("choices"))
    ]
    return Whole({**whole.body, "choices": choices}, unmapped=whole.unmapped)


def _message(message: Json, mask: Mask, *, is_json: bool) -> Json:
    out = dict(message)
    for name in _TEXTS:
        if isinstance(out.get(name), str):
            out[name] = mask.reveal(out[name], escape=is_json and name == "content")
    if out.get("tool_calls"):
        out["tool_calls"] = [_tool_call(call, mask) for call in as_objects(out["tool_calls"])]
    return out


def _tool_call(call: Json, mask: Mask) -> Json:
    function = as_object(call.get("function"))
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return call
    return {**call, "function": {**function, "arguments": mask.reveal(arguments, escape=True)}}


class _Texts:
    """The texts of one stream, each with what it holds back."""

    def __init__(self, mask: Mask, *, is_json: bool) -> None:
        self._mask = mask
        self._is_json = is_json
        self._revealers: dict[tuple[Any, ...], Revealer] = {}

    def revealed(self, body: Json) -> Json:
        choices = as_objects(body.get("choices"))
        return {**body, "choices": [self._choice(choice) for choice in choices]} if choices else body

    def _choice(self, choice: Json) -> Json:
        index = choice.get("index", 0)
        delta = dict(as_object(choice.get("delta")))
        for name in _TEXTS:
            if isinstance(delta.get(name), str):
                escape = self._is_json and name == "content"
                delta[name] = self._of((index, name), escape=escape).feed(delta[name])
        if delta.get("tool_calls"):
            delta["tool_calls"] = [self._call(index, call) for call in as_objects(delta["tool_calls"])]
        if choice.get("finish_reason") is not None:
            self._finish(index, delta)
        return {**choice, "delta": delta}

    def _call(self, index: Any, call: Json) -> Json:
        function = as_object(call.get("function"))
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            return call
        revealer = self._of((index, "tool_calls", call.get("index", 0)), escape=True)
        return {**call, "function": {**function, "arguments": revealer.feed(arguments)}}

    def _of(self, key: tuple[Any, ...], *, escape: bool) -> Revealer:
        revealer = self._revealers.get(key)
        if revealer is None:
            revealer = self._revealers[key] = self._mask.revealer(escape=escape)
        return revealer

    def _finish(self, index: Any, delta: Json) -> None:
        """Add what the texts of choice ``index`` still hold back to ``delta``, its last."""
        for key in [key for key in self._revealers if key[0] == index]:
            rest = self._revealers.pop(key).finish()
            if not rest:
                continue
            if key[1] != "tool_calls":
                delta[key[1]] = (delta.get(key[1]) or "") + rest
                continue
            calls = as_objects(delta.get("tool_calls"))
            mine = next((call for call in calls if call.get("index", 0) == key[2]), None)
            if mine is None:
                calls.append({"index": key[2], "function": {"arguments": rest}})
            else:
                mine["function"]["arguments"] += rest
            delta["tool_calls"] = calls
