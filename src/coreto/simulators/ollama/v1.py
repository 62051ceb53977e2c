"""Ollama's thin OpenAI layer: no ``keep_alive``, no ``num_ctx``, no ``tool_choice``; errors in its own envelope."""

from typing import Any, cast

from aiohttp import web

from coreto.simulators import sse
from coreto.simulators.answers import digest_of
from coreto.simulators.bodies import named
from coreto.simulators.delivery import Exchange, StreamPlan, send_stream, send_whole
from coreto.simulators.ollama.chat import Outcome, Turn, held, outcome_of, turn_of
from coreto.simulators.ollama.engine import Lease
from coreto.simulators.ollama.native import as_v1, v1_generic
from coreto.simulators.ollama.simulator import OllamaSimulator

DIALECT = sse.ollama_v1_dialect(v1_generic, as_v1)


async def models(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /v1/models``."""
    items = [_item(model.name) for model in sim.registry]
    return await send_whole(exchange, {"object": "list", "data": items})


async def model(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /v1/models/NAME``."""
    name = exchange.request.match_info["name"]
    found = sim.registry.find(name)
    if found is None:
        raise named("ollama.model_missing_404", model=name)
    return await send_whole(exchange, _item(found.name))


async def chat(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /v1/chat/completions``."""
    found = sim.model_for(exchange, empty=named("ollama.model_required_400"))
    if "completion" not in found.capabilities:
        raise named("ollama.no_chat_400", model=exchange.model)
    if exchange.body.get("tools") and "tools" not in found.capabilities:
        raise named("ollama.no_tools_400", model=found.name)
    _translate(exchange)
    messages = cast("list[dict[str, Any]]", exchange.body.get("messages") or [])
    turn = turn_of(exchange, found, messages)

    async def step(lease: Lease) -> web.StreamResponse:
        return await _send(sim, exchange, turn, outcome_of(sim, exchange, turn, lease))

    return await held(sim, exchange, turn, step)


def _translate(exchange: Exchange) -> None:
    """The native fields of an OpenAI request; ``options`` and ``keep_alive`` do not exist here."""
    body = {name: value for name, value in exchange.body.items() if name not in {"options", "keep_alive"}}
    shape = cast("dict[str, Any]", body.get("response_format") or {})
    if shape.get("type") == "json_object":
        body["format"] = "json"
    elif shape.get("type") == "json_schema":
        body["format"] = shape.get("json_schema", {}).get("schema")
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    body["options"] = {"num_predict": most} if most else {}
    exchange.body = body


async def _send(sim: OllamaSimulator, exchange: Exchange, turn: Turn, outcome: Outcome) -> web.StreamResponse:
    prompt, spoken = outcome.work.prompt_tokens, outcome.work.tokens
    usage = {"prompt_tokens": prompt, "completion_tokens": spoken, "total_tokens": prompt + spoken}
    finish = "tool_calls" if outcome.answer.tool_calls else outcome.reason
    identity = f"chatcmpl-{int(digest_of(turn.prompt), 16) % 1000}"
    extra = {"system_fingerprint": "fp_ollama"}
    reply = sse.Reply(identity, exchange.model, outcome.answer, finish, usage, extra)
    scale = sim.options.speech.time_scale
    first = sim.options.speech.latency + outcome.work.prompt_seconds * scale
    if not exchange.stream:
        return await send_whole(exchange, sse.whole(reply), delay=first + outcome.work.seconds * scale)
    asked = cast("dict[str, Any]", exchange.body.get("stream_options") or {})
    head, chunks, tail = sse.streamed(reply, include_usage=bool(asked.get("include_usage")))
    each = outcome.work.seconds * scale / max(len(chunks), 1)
    return await send_stream(exchange, StreamPlan([*head, *chunks], tail, first_delay=first, each_delay=each))


def _item(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": sse.STAMP, "owned_by": "library"}
