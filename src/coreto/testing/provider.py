"""A provider that answers what a test told it to, and knows whether everything it opened was closed."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from coreto.clock import Clock, SystemClock
from coreto.errors import CoretoError, PrivacyError
from coreto.labels import permit
from coreto.messages import Call, Chunk, EmbedCall, Item, Json, Usage, Whole
from coreto.providers.base import Health, ModelInfo


@dataclass(frozen=True, slots=True)
class Say:
    """One scripted answer.

    ``pieces``: the text as a stream gives it (default: its words). ``delay``: seconds before the first item,
    ``pause``: before each later one. ``error`` is raised after ``after`` items; of a whole answer, instead
    of it. ``finish=None``: a stream that ends without saying so, which only a broken provider does.
    """

    text: str = "hello from a fake"
    pieces: tuple[str, ...] | None = None
    finish: str | None = "stop"
    usage: Usage = Usage(prompt=7, completion=5)
    tool_calls: tuple[Json, ...] = ()
    delay: float = 0.0
    pause: float = 0.0
    error: CoretoError | None = None
    after: int = 0


Entry = Say | CoretoError
"""A scripted answer, or the error that is raised instead of one."""


class FakeProvider:
    """Plays its script: one entry a call, the last one for ever. With an empty script it says hello.

    ``opens`` and ``closes`` count contexts entered and left; :attr:`leaks` is their difference. ``calls`` are
    those that got past the privacy check, in order. ``most_at_once`` is how many were open at the same time.
    """

    def __init__(
        self,
        *script: Entry,
        models: Sequence[ModelInfo] = (ModelInfo("fake", context=8_192),),
        health: Health | None = None,
        local: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.script: list[Entry] = list(script)
        self.calls: list[Call] = []
        self.opens = 0
        self.closes = 0
        self.most_at_once = 0
        self.closed = 0
        self.answer_health = health or Health(ok=True, detail="a fake")
        self._models = tuple(models)
        self._local = local
        self._clock = clock or SystemClock()

    @property
    def leaks(self) -> int:
        """Contexts that were entered and not left."""
        return self.opens - self.closes

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return self._opened(call)

    @asynccontextmanager
    async def _opened(self, call: Call) -> AsyncGenerator[AsyncIterator[Item], None]:
        self.opens += 1
        self.most_at_once = max(self.most_at_once, self.leaks)
        try:
            async with aclosing(self._play(call)) as items:
                yield items
        finally:
            self.closes += 1

    async def _play(self, call: Call) -> AsyncGenerator[Item, None]:
        if not permit(call.label, sink_is_local=self._local):
            raise PrivacyError("this fake is not on this machine")
        self.calls.append(call)
        entry = self._next()
        if isinstance(entry, CoretoError):
            raise entry
        await self._clock.sleep(entry.delay)
        if not call.stream:
            if entry.error is not None:
                raise entry.error
            yield Whole(whole_body(entry, call))
            return
        async with aclosing(streamed(entry, call, self._clock)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _next(self) -> Entry:
        if not self.script:
            return Say()
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    async def embed(self, call: EmbedCall) -> Json:
        """A vector of the text's length for each text."""
        if not permit(call.label, sink_is_local=self._local):
            raise PrivacyError("this fake is not on this machine")
        given = call.body.get("input")
        texts: list[object] = list(given) if isinstance(given, list) else [given]  # pyright: ignore[reportUnknownArgumentType]
        rows: list[Json] = [
            {"object": "embedding", "index": i, "embedding": [float(len(str(text)))]}
            for i, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
        return {"object": "list", "data": rows, "model": call.model, "usage": usage}

    async def models(self) -> tuple[ModelInfo, ...]:
        return self._models

    async def health(self) -> Health:
        return replace(self.answer_health)

    async def close(self) -> None:
        self.closed += 1


def whole_body(say: Say, call: Call) -> Json:
    """``say`` as an OpenAI ``chat.completion``."""
    message: Json = {"role": "assistant", "content": say.text}
    if say.tool_calls:
        message["tool_calls"] = list(say.tool_calls)
    choice = {"index": 0, "message": message, "finish_reason": say.finish}
    return {**_base(call, "chat.completion"), "choices": [choice], "usage": _usage(say)}


async def streamed(say: Say, call: Call, clock: Clock) -> AsyncGenerator[Chunk, None]:
    """``say`` as a stream gives it, its pauses and its error included."""
    for index, body in enumerate(chunk_bodies(say, call)):
        if say.error is not None and index >= say.after:
            raise say.error
        if index:
            await clock.sleep(say.pause)
        yield Chunk(body)
    if say.error is not None:
        raise say.error


def chunk_bodies(say: Say, call: Call) -> list[Json]:
    """``say`` as OpenAI ``chat.completion.chunk`` s: the role, the pieces, the finish with the usage."""
    pieces = say.pieces if say.pieces is not None else tuple(_words(say.text))
    deltas: list[Json] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    if say.tool_calls:
        deltas.append({"tool_calls": [{"index": i, **call} for i, call in enumerate(say.tool_calls)]})
    base = _base(call, "chat.completion.chunk")
    bodies: list[Json] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    if say.finish is not None:
        end: Json = {"index": 0, "delta": {}, "finish_reason": say.finish}
        bodies.append({**base, "choices": [end], "usage": _usage(say)})
    return bodies


def _words(text: str) -> list[str]:
    return [word if i == 0 else f" {word}" for i, word in enumerate(text.split(" "))] if text else []


def _base(call: Call, kind: str) -> Json:
    return {"id": f"chatcmpl-{call.id}", "object": kind, "created": 0, "model": call.model}


def _usage(say: Say) -> Json:
    prompt, completion = say.usage.prompt, say.usage.completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
