"""Servers that speak OpenAI's HTTP: OpenAI, OpenRouter, vLLM, llama.cpp, LM Studio, and Coreto itself.

The caller's body passes untouched but for the model's name, and for what OpenAI's reasoning models refuse; so
do the answer's unknown fields.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, cast

import orjson

from coreto.errors import CallError, CoretoError, CutError, FilteredError, GarbledError, InvalidOutputError
from coreto.messages import Call, Chunk, EmbedCall, Item, Json, Whole, as_object, as_objects
from coreto.providers.base import Health, Items, ModelInfo
from coreto.providers.http import Endpoint, Http, Reply
from coreto.providers.openai_errors import classify, classify_in_band
from coreto.providers.openai_reasoning import adapted
from coreto.providers.profiles import reasons
from coreto.providers.wire import parse_object


class OpenAICompatible:
    """One server, all its models."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        classify: Callable[[int, bytes, Mapping[str, str], float], CoretoError] = classify,
        now: Callable[[], float] = time.time,
        verbatim: bool = False,
    ) -> None:
        """``classify`` makes an error of a response that is not 200 (status, body, headers, epoch seconds).
        ``verbatim``: the server is another Coreto, which knows better what its models take."""
        self._http = Http(endpoint)
        self._classify = classify
        self._now = now
        self._verbatim = verbatim

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._stream(call) if call.stream else self._whole(call))

    async def _whole(self, call: Call) -> Items:
        yield await self.whole(call)

    async def whole(self, call: Call) -> Whole:
        """A non-stream call's answer, without the detour over a stream of one."""
        asked, unmapped = self._asked(call)
        reply = await self._post("/chat/completions", call, {**asked, "model": call.model})
        try:
            raw = await reply.read()
        finally:
            reply.close()
        return Whole(check_whole(parse_object(raw), self._now()), raw, unmapped)

    def _asked(self, call: Call) -> tuple[Json, tuple[str, ...]]:
        """What to send of the caller's body, and what of it cannot be sent."""
        return adapted(call.body) if reasons(call.model) and not self._verbatim else (call.body, ())

    async def _stream(self, call: Call) -> Items:
        asked, unmapped = self._asked(call)
        options = {**as_object(asked.get("stream_options")), "include_usage": True}
        body = {**asked, "model": call.model, "stream": True, "stream_options": options}
        reply = await self._post("/chat/completions", call, body)
        try:
            finished = done = False
            while (lines := await reply.lines()) is not None:
                last = len(lines) - 1
                while last >= 0 and not lines[last].startswith(b"data:"):
                    last -= 1
                for i, line in enumerate(lines):
                    if not line:
                        continue
                    data = _data_of(line)
                    if data is None:
                        continue
                    if data == b"[DONE]":
                        done = True
                        break
                    chunk = parse_object(data)
                    finished = check_chunk(chunk, self._now) or finished
                    yield Chunk(chunk, data, unmapped, i < last)
                if done:
                    break
            if not finished:
                raise CutError("the stream ended without a finish")
            await reply.drain()
        finally:
            reply.close()

    async def _post(self, path: str, call: Call | EmbedCall, body: Json) -> Reply:
        reply = await self._http.send(
            "POST",
            path,
            label=call.label,
            body=orjson.dumps(body),
            connect=call.limits.connect,
            call=call,
            headers=_whose(call) if self._verbatim else None,
        )
        if reply.status != 200:
            try:
                raise self._classify(reply.status, await reply.read(), reply.headers, self._now())
            finally:
                reply.close()
        return reply

    async def embed(self, call: EmbedCall) -> Json:
        reply = await self._post("/embeddings", call, {**call.body, "model": call.model})
        try:
            body = parse_object(await reply.read())
        finally:
            reply.close()
        if body.get("error"):
            raise classify_in_band(body["error"], self._now())
        if not isinstance(body.get("data"), list):
            raise GarbledError("the answer has no `data`")
        return body

    async def models(self) -> tuple[ModelInfo, ...]:
        status, raw = await self._http.fetch("GET", "/models")
        if status != 200:
            raise self._classify(status, raw, {}, self._now())
        listed = parse_object(raw).get("data")
        if not isinstance(listed, list):
            raise GarbledError("the model list has no `data`")
        return tuple(_model_info(m) for m in as_objects(cast("object", listed)) if m.get("id"))

    async def health(self) -> Health:
        try:
            models = await self.models()
        except CallError as error:
            return Health(ok=False, detail=error.message, code=error.code, until=error.until)
        return Health(ok=True, detail=f"{len(models)} models")

    async def close(self) -> None:
        await self._http.close()


def check_whole(body: Json, now: float) -> Json:
    """``body`` if it is an answer. Raises :class:`CallError` for errors inside a 200 and for no choices."""
    if body.get("error"):
        raise classify_in_band(body["error"], now)
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise GarbledError("the answer has no `choices`")
    if not choices:
        raise InvalidOutputError("the answer has no choices")
    first = cast("list[Any]", choices)[0]
    if not isinstance(first, dict):
        raise GarbledError("the answer's choice is not an object")
    choice = cast("Json", first)
    if choice.get("finish_reason") == "error":
        raise classify_in_band(choice.get("error") or "the provider failed while answering", now)
    if choice.get("finish_reason") == "content_filter":
        raise FilteredError("the provider's content filter stopped the answer")
    if not isinstance(choice.get("message"), dict):
        raise GarbledError("the answer's choice has no message")
    if "finish_reason" in choice and choice["finish_reason"] is None:
        raise CutError("the answer ended without a finish")
    return body


def check_chunk(body: Json, now: Callable[[], float]) -> bool:
    """Whether ``body``, a chunk, finishes its stream. Raises :class:`CallError` for what is no chunk, and for an
    error sent as an event, seen at ``now()``."""
    if body.get("error"):
        raise classify_in_band(body["error"], now())
    choices: object = body.get("choices")
    if not isinstance(choices, list):
        raise GarbledError("a chunk has no `choices`")
    if not choices:
        return False
    first = cast("list[Any]", choices)[0]
    if not isinstance(first, dict):
        raise GarbledError("a chunk's choice is not an object")
    choice = cast("Json", first)
    delta = choice.get("delta")
    if delta is not None and not isinstance(delta, dict):
        raise GarbledError("a chunk's choice is not an object")
    finish = choice.get("finish_reason")
    if finish == "error":
        raise classify_in_band(choice.get("error") or "the provider failed while answering", now())
    if finish == "content_filter":
        raise FilteredError("the provider's content filter stopped the answer")
    return finish is not None


def _whose(call: Call | EmbedCall) -> dict[str, str]:
    """What another Coreto is told of a call beside its body."""
    said = {"x-coreto-run": call.run, "x-coreto-user": call.user, "traceparent": call.traceparent}
    return {name: value for name, value in said.items() if value}


def _data_of(line: bytes) -> bytes | None:
    """The payload of an SSE ``data`` line; ``None`` for comments, blank lines and other fields."""
    if line.startswith(b"data:"):
        return line[5:].strip()
    if not line or line.startswith((b":", b"event:", b"id:", b"retry:", b"\r")):
        return None
    if line.startswith(b"{"):
        return line  # an error body sent instead of a stream, with status 200
    raise GarbledError("a line of the stream is not an event")


def _model_info(listed: Json) -> ModelInfo:
    context = listed.get("context_length") or listed.get("max_model_len")
    return ModelInfo(name=str(listed["id"]), context=context if isinstance(context, int) else None)
