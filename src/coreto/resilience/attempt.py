"""One try at one candidate: the answer checked, its times and usage noted."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from coreto.clock import Clock
from coreto.errors import CallError, ContextError, CutError, DoubtfulError, InvalidOutputError
from coreto.ledger.pots import Reservation
from coreto.messages import (
    Accumulator,
    Call,
    Chunk,
    Json,
    Usage,
    Whole,
    estimate_tokens,
    prompt_text,
    text_of,
    usage_of,
)
from coreto.resilience.continuation import Stitcher
from coreto.resilience.history import delta_of
from coreto.resilience.output import Expectation, check, refuse_truncated
from coreto.resilience.plan import Candidate

#: A held-back stream longer than this is taken for a fault.
HELD_MOST = 4 * 2**20
_SPEECH = ("content", "tool_calls", "reasoning", "reasoning_content", "refusal", "function_call")

Chunks = AsyncGenerator[Chunk, None]
Doubt = Callable[[str], str | None]


@dataclass(slots=True)
class Seen:
    """What one try has shown so far; times in the clock's monotonic seconds."""

    started: float
    reservation: Reservation | None = None
    first: float | None = None
    usage: Usage | None = None
    unmapped: tuple[str, ...] = ()
    heard: Accumulator = field(default_factory=Accumulator)

    def account(self, call: Call) -> None:
        """Settle the usage: what the server told, else an estimate of what it must have been."""
        self.usage = self.heard.usage
        if self.usage is None and self.heard.parts:
            prompt = estimate_tokens(prompt_text(call.body))
            self.usage = Usage(prompt, estimate_tokens(self.heard.text), estimated=True)


async def whole(
    candidate: Candidate, call: Call, expected: Expectation, seen: Seen, doubt: Doubt | None = None
) -> Whole:
    """The complete answer of a non-stream call. ``doubt``: what looks wrong in its text. Raises
    :class:`~coreto.errors.CallError`."""
    item = await (candidate.whole(call) if candidate.whole is not None else _only(candidate, call))
    seen.usage = usage_of(item.body)
    seen.unmapped = item.unmapped
    refuse_truncated(call, seen.usage)
    body = check(item.body, expected)
    answer = item if body is item.body else Whole(body, unmapped=item.unmapped)
    if doubt is not None:
        _refuse_doubtful(text_of(body), [answer], doubt)
    return answer


def _refuse_doubtful(text: str, items: Sequence[object], doubt: Doubt) -> None:
    flaw = doubt(text) if text else None
    if flaw is not None:
        raise DoubtfulError(flaw, items=items)


async def _only(candidate: Candidate, call: Call) -> Whole:
    async with candidate.provider.open(call) as items:
        async for item in items:
            assert isinstance(item, Whole), "a non-stream call is answered by one Whole"
            return item
    raise InvalidOutputError("the answer is empty")


async def stream(candidate: Candidate, call: Call, seen: Seen, clock: Clock) -> Chunks:
    """The chunks of a stream as they come. Those before the first that says something are held back, so that
    a stream that turns out empty can still be answered by another model; those from the finish on, so that
    no failure follows a finish: what breaks after it has broken nothing of the answer."""
    held: list[Chunk] = []
    heard = seen.heard
    try:
        async with candidate.provider.open(call) as items:
            async for item in items:
                assert isinstance(item, Chunk), "a stream is answered by Chunks"
                heard.add(item.body)
                if item.unmapped:
                    seen.unmapped = item.unmapped
                if heard.usage is not None:
                    refuse_truncated(call, heard.usage)
                elif seen.first is not None and heard.finish is None:
                    yield item  # most chunks
                    continue
                if seen.first is None and says_something(item.body):
                    seen.first = clock.monotonic()
                if seen.first is None or (heard.finish is not None and not _goes_on(item.body)):
                    held.append(item)
                    continue
                for chunk in held:
                    yield chunk
                held.clear()
                yield item
    except CallError as error:
        if heard.finish is None or isinstance(error, ContextError):
            raise
    finally:
        seen.account(call)
    if seen.first is None:
        raise InvalidOutputError(f"the answer is empty (finish_reason {heard.finish!r})")
    for chunk in held:
        yield chunk


async def held(chunks: Chunks, seen: Seen, expected: Expectation, doubt: Doubt | None = None) -> Chunks:
    """The chunks of a stream once all of it has come and was found to be what was asked for. ``doubt``: what
    looks wrong in its text."""
    kept: list[Chunk] = []
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            kept.append(chunk)
            size += len(chunk.raw or b"")
            if size > HELD_MOST:
                raise InvalidOutputError("the answer is too long to be held back")
    message: Json = {"role": "assistant", "content": seen.heard.text}
    if seen.heard.has_tool_calls:
        message["tool_calls"] = [{}]
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": seen.heard.finish}]}
    checked = check(answer, expected)
    if checked is not answer:
        kept = _with_text(kept, checked["choices"][0]["message"]["content"])
    if doubt is not None:
        _refuse_doubtful(seen.heard.text, kept, doubt)
    for chunk in kept:
        yield chunk


async def stitched(chunks: Chunks, partial: str) -> Chunks:
    """The chunks of a continuation, without what they repeat of ``partial``. Raises :class:`CutError` for one
    that is no text."""
    stitcher = Stitcher(partial)
    async with aclosing(chunks):
        async for chunk in chunks:
            if delta_of(chunk.body).get("tool_calls"):
                raise CutError("the next model called a tool instead of going on")
            choices = chunk.body.get("choices")
            finishing = _finishes(chunk.body)
            text = stitcher.feed(delta_of(chunk.body).get("content") or "")
            if finishing:
                text += stitcher.finish()
            if text or finishing or not choices:
                yield _with_delta(chunk, {"content": text} if text else {})


def says_something(body: Json) -> bool:
    """Whether a chunk carries any part of an answer."""
    choices = body.get("choices")
    if not choices:
        return False
    delta = choices[0].get("delta")
    return bool(delta) and any(delta.get(part) for part in _SPEECH)


def _finishes(body: Json) -> bool:
    choices = body.get("choices")
    return bool(choices) and choices[0].get("finish_reason") is not None


def _goes_on(body: Json) -> bool:
    """Whether a chunk after a finish is a part of another choice (``n`` above 1)."""
    return says_something(body) and not _finishes(body)


def _with_text(chunks: list[Chunk], text: str) -> list[Chunk]:
    """``chunks`` with ``text`` as their only content, in the place of the first that had any."""
    out: list[Chunk] = []
    for chunk in chunks:
        if delta_of(chunk.body).get("content"):
            if text:
                out.append(_with_delta(chunk, {**delta_of(chunk.body), "content": text}))
                text = ""
            elif chunk.body["choices"][0].get("finish_reason"):
                out.append(_with_delta(chunk, {}))
        else:
            out.append(chunk)
    return out


def _with_delta(chunk: Chunk, delta: Json) -> Chunk:
    choices = chunk.body.get("choices")
    if not choices:
        return chunk
    return Chunk(
        {**chunk.body, "choices": [{**choices[0], "delta": delta}, *choices[1:]]}, unmapped=chunk.unmapped
    )
