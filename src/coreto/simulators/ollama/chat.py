"""``/api/chat`` and ``/api/generate``: from a request to an answer, whole or as lines."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
from aiohttp import web

from coreto.simulators.answers import (
    Answer,
    function_of,
    limited,
    pieces,
    sentence,
    text_of,
    tokens,
)
from coreto.simulators.bodies import ApiError, named, ollama
from coreto.simulators.delivery import Exchange, StreamPlan, send_stream, send_whole
from coreto.simulators.faults import FaultKind
from coreto.simulators.ollama.engine import Lease, RefusedError
from coreto.simulators.ollama.models import REMOTE_HOST, Model
from coreto.simulators.ollama.native import DurationError, Work, line, parse_keep_alive, stamp
from coreto.simulators.ollama.scheduler import Refusal
from coreto.simulators.ollama.simulator import OllamaSimulator
from coreto.simulators.schema import instance_of

_PROMPT_TOKENS_PER_SECOND = 500.0
Part = Callable[[str, str, list[dict[str, Any]]], dict[str, Any]]
_REFUSALS = {
    Refusal.QUEUE_FULL: "ollama.queue_full_503",
    Refusal.TOO_LARGE: "ollama.too_large_500",
    Refusal.OUT_OF_MEMORY: "ollama.oom_500",
    Refusal.RESTARTED: "ollama.internal_500",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One request to generate, whatever route it came by."""

    model: Model
    prompt: str
    messages: tuple[str, ...]
    system: tuple[bool, ...]
    options: dict[str, Any]
    format: Any
    thinks: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer with its end and its cost."""

    answer: Answer
    reason: str
    work: Work


async def chat(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/chat``."""
    model = sim.model_for(exchange, empty=named("ollama.model_required_400"))
    body = exchange.body
    if "completion" not in model.capabilities:
        raise named("ollama.no_chat_400", model=exchange.model)
    if body.get("tools") and "tools" not in model.capabilities:
        raise named("ollama.no_tools_400", model=model.name)
    messages = cast("list[dict[str, Any]]", body.get("messages") or [])
    if not messages:
        return await _preload(sim, exchange, model, _message_part)
    return await _reply(sim, exchange, turn_of(exchange, model, messages), _message_part)


async def generate(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/generate``."""
    model = sim.model_for(exchange, empty=named("ollama.model_missing_404", model=""))
    body = exchange.body
    if "completion" not in model.capabilities:
        raise named("ollama.no_generate_400", model=exchange.model)
    prompt = str(body.get("prompt") or "")
    if not prompt:
        return await _preload(sim, exchange, model, _response_part)
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    if body.get("system"):
        messages.insert(0, {"role": "system", "content": body["system"]})
    return await _reply(sim, exchange, turn_of(exchange, model, messages), _response_part)


def turn_of(exchange: Exchange, model: Model, messages: list[dict[str, Any]]) -> Turn:
    """The request in one shape. Raises the 400 of a model that does not think."""
    body = exchange.body
    can_think = "thinking" in model.capabilities
    think = body.get("think")
    if think and not can_think:
        raise named("ollama.no_thinking_400", model=exchange.model)
    options = body.get("options")
    return Turn(
        model=model,
        prompt=text_of(messages),
        messages=tuple(text_of([message]) for message in messages),
        system=tuple(message.get("role") == "system" for message in messages),
        options=cast("dict[str, Any]", options) if isinstance(options, dict) else {},
        format=body.get("format"),
        thinks=can_think if think is None else bool(think),
    )


def keep_alive_of(exchange: Exchange) -> float | None:
    """The request's keep-alive in seconds, or a 400 in Go's words."""
    try:
        return parse_keep_alive(exchange.body.get("keep_alive"))
    except DurationError as error:
        raise ApiError(ollama(400, str(error))) from error


async def _preload(sim: OllamaSimulator, exchange: Exchange, model: Model, part: Part) -> web.StreamResponse:
    keep_alive = keep_alive_of(exchange)
    reason = "load"
    if keep_alive == 0:
        reason = "unload"
        sim.engine.unload(model)
    elif not model.remote and not sim.options.cloud:
        turn = turn_of(exchange, model, [])
        await held(sim, exchange, turn, _nothing)
    data = {**_base(exchange), **part("", "", []), "done": True, "done_reason": reason}
    return await send_whole(exchange, data)


async def _nothing(_: Lease) -> web.StreamResponse:
    return web.Response()


async def held(
    sim: OllamaSimulator,
    exchange: Exchange,
    turn: Turn,
    step: Callable[[Lease], Any],
) -> web.StreamResponse:
    """Run `step` while the model is in memory; cloud models need none. Raises the refusals as errors."""
    if turn.model.remote or sim.options.cloud:
        return await step(Lease(turn.model.context, 0.0))
    options = sim.runner_options(turn.model, turn.options)
    try:
        async with sim.engine.lease(turn.model, options, keep_alive_of(exchange)) as lease:
            return await step(lease)
    except RefusedError as refused:
        raise named(_REFUSALS[refused.reason], model=exchange.model) from refused


async def _reply(sim: OllamaSimulator, exchange: Exchange, turn: Turn, part: Part) -> web.StreamResponse:
    async def step(lease: Lease) -> web.StreamResponse:
        outcome = outcome_of(sim, exchange, turn, lease)
        base = {**_base(exchange), **_remote(sim, turn.model)}
        end: dict[str, Any] = {"done": True, "done_reason": outcome.reason, **outcome.work.metrics()}
        scale = sim.options.speech.time_scale
        first = sim.options.speech.latency + outcome.work.prompt_seconds * scale
        answer = outcome.answer
        calls = ollama_calls(answer)
        if not exchange.stream:
            delay = first + outcome.work.seconds * scale
            return await send_whole(
                exchange, {**base, **part(answer.content, answer.reasoning, calls), **end}, delay=delay
            )
        chunks = [line({**base, **part("", piece, []), "done": False}) for piece in pieces(answer.reasoning)]
        texts = pieces(answer.content, answer.chunks)
        chunks += [line({**base, **part(piece, "", []), "done": False}) for piece in texts]
        if calls:
            chunks.append(line({**base, **part("", "", calls), "done": False}))
        each = outcome.work.seconds * scale / max(len(chunks), 1)
        tail = [line({**base, **part("", "", []), **end})]
        return await send_stream(exchange, StreamPlan(chunks, tail, first_delay=first, each_delay=each))

    return await held(sim, exchange, turn, step)


def outcome_of(sim: OllamaSimulator, exchange: Exchange, turn: Turn, lease: Lease) -> Outcome:
    """The answer to a turn in a window of ``lease.num_ctx`` tokens."""
    prompt_tokens = _fitted(exchange, turn, lease.num_ctx)
    answer = _answer(sim, exchange, turn)
    most = turn.options.get("num_predict")
    most = most if isinstance(most, int) and most >= 0 else None
    room = max(lease.num_ctx - prompt_tokens, 1)
    content, cut = limited(answer.content, room if most is None else min(most, room))
    answer = replace(answer, content=content)
    truncated = exchange.faulty(FaultKind.TRUNCATE_PROMPT)
    prompt_tokens = int(answer.usage.get("prompt_tokens", prompt_tokens))
    if truncated is not None:
        prompt_tokens = truncated.tokens
    spoken = tokens(content) + tokens(answer.reasoning) + 12 * len(answer.tool_calls)
    spoken = int(answer.usage.get("completion_tokens", spoken))
    work = Work(
        load=lease.load_seconds,
        prompt_tokens=prompt_tokens,
        tokens=spoken,
        prompt_seconds=prompt_tokens / _PROMPT_TOKENS_PER_SECOND,
        seconds=spoken / sim.options.speech.tokens_per_second,
    )
    return Outcome(answer, answer.finish_reason or ("length" if cut else "stop"), work)


def _fitted(exchange: Exchange, turn: Turn, num_ctx: int) -> int:
    """Prompt tokens after Ollama's silent cuts: old messages first, then about half of a too long one."""
    sizes = [tokens(text) + 4 for text in turn.messages]
    if sum(sizes) <= num_ctx:
        return sum(sizes)
    if exchange.body.get("shift") is False or exchange.body.get("truncate") is False:
        raise named("ollama.prompt_too_long_400")
    last = len(sizes) - 1
    kept = list(range(len(sizes)))
    for index in range(last):
        if sum(sizes[i] for i in kept) > num_ctx and not turn.system[index]:
            kept.remove(index)
    total = sum(sizes[index] for index in kept)
    return total if total <= num_ctx else num_ctx // 2 + 2


def _answer(sim: OllamaSimulator, exchange: Exchange, turn: Turn) -> Answer:
    speech = sim.options.speech
    if exchange.faulty(FaultKind.EMPTY_ANSWER):
        return Answer()
    bad = exchange.faulty(FaultKind.BAD_CONTENT)
    if bad is not None:
        return Answer(bad.content)
    scripted = sim.shared.script.take(exchange.model, turn.prompt)
    if scripted is not None:
        return scripted if turn.thinks else replace(scripted, reasoning="")
    text = sentence(exchange.model, turn.prompt, sim.shared.seed, speech.chunks)
    reasoning = "Let me see." if turn.thinks and speech.chunks is None else ""
    # The cloud has no structured outputs: it ignores the format.
    if turn.format and not sim.options.cloud and not turn.model.remote:
        value = {"answer": text} if turn.format == "json" else instance_of(turn.format)
        return Answer(orjson.dumps(value).decode(), reasoning)
    return Answer(text, reasoning, chunks=speech.chunks)


def ollama_calls(answer: Answer) -> list[dict[str, Any]]:
    """Scripted tool calls in Ollama's shape: arguments as an object."""
    calls: list[dict[str, Any]] = []
    for index, call in enumerate(answer.tool_calls):
        name, arguments = function_of(call)
        if isinstance(arguments, str):
            try:
                arguments = orjson.loads(arguments)
            except orjson.JSONDecodeError as error:
                shown = f"error parsing tool call: raw='{arguments}', err=unexpected end of JSON input"
                raise ApiError(ollama(500, shown)) from error
        calls.append({"function": {"index": index, "name": name, "arguments": arguments}})
    return calls


def _message_part(content: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def _response_part(content: str, thinking: str, _: list[dict[str, Any]]) -> dict[str, Any]:
    return {"response": content, "thinking": thinking} if thinking else {"response": content}


def _base(exchange: Exchange) -> dict[str, Any]:
    return {"model": exchange.model, "created_at": stamp()}


def _remote(sim: OllamaSimulator, model: Model) -> dict[str, Any]:
    if sim.options.cloud or not model.remote:
        return {}
    return {"remote_model": model.remote, "remote_host": REMOTE_HOST}
