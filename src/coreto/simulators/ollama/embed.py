"""``/api/embed``, the older ``/api/embeddings`` and the vectors of ``/v1/embeddings``."""

from typing import Any, cast

from aiohttp import web

from coreto.simulators.answers import tokens, vector
from coreto.simulators.bodies import named
from coreto.simulators.delivery import Exchange, send_whole
from coreto.simulators.ollama.chat import held, turn_of
from coreto.simulators.ollama.engine import Lease
from coreto.simulators.ollama.models import Model
from coreto.simulators.ollama.native import NANO
from coreto.simulators.ollama.simulator import OllamaSimulator


async def embed(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/embed``."""
    model, texts = _inputs(sim, exchange, "input")

    async def step(lease: Lease) -> web.StreamResponse:
        vectors = embeddings_of(sim, exchange, model, texts, lease)
        data = {
            "model": exchange.model,
            "embeddings": vectors,
            "total_duration": int((lease.load_seconds + 0.01) * NANO),
            "load_duration": int(lease.load_seconds * NANO) + 1,
            "prompt_eval_count": sum(map(tokens, texts)),
        }
        return await send_whole(exchange, data, delay=sim.options.speech.latency)

    return await held(sim, exchange, turn_of(exchange, model, []), step)


async def embeddings(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/embeddings``."""
    model, texts = _inputs(sim, exchange, "prompt")

    async def step(lease: Lease) -> web.StreamResponse:
        vectors = embeddings_of(sim, exchange, model, texts, lease)
        return await send_whole(exchange, {"embedding": vectors[0] if vectors else []})

    return await held(sim, exchange, turn_of(exchange, model, []), step)


async def v1_embeddings(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /v1/embeddings``."""
    model, texts = _inputs(sim, exchange, "input")

    async def step(lease: Lease) -> web.StreamResponse:
        vectors = embeddings_of(sim, exchange, model, texts, lease)
        count = sum(map(tokens, texts))
        items = [
            {"object": "embedding", "index": index, "embedding": item} for index, item in enumerate(vectors)
        ]
        usage = {"prompt_tokens": count, "total_tokens": count}
        return await send_whole(
            exchange, {"object": "list", "data": items, "model": exchange.model, "usage": usage}
        )

    return await held(sim, exchange, turn_of(exchange, model, []), step)


def embeddings_of(
    sim: OllamaSimulator, exchange: Exchange, model: Model, texts: list[str], lease: Lease
) -> list[list[float]]:
    """One unit vector per text; 400 when a text is too long and may not be cut."""
    if exchange.body.get("truncate") is False and any(tokens(text) > lease.num_ctx for text in texts):
        raise named("ollama.input_too_long_400")
    return [vector(text, model.embedding, sim.shared.seed) for text in texts]


def _inputs(sim: OllamaSimulator, exchange: Exchange, key: str) -> tuple[Model, list[str]]:
    model = sim.model_for(exchange, empty=named("ollama.model_missing_404", model=""))
    if "embedding" not in model.capabilities:
        raise named("ollama.no_embeddings_501")
    given: Any = exchange.body.get(key)
    if isinstance(given, str):
        return model, [given] if given else []
    return model, [str(item) for item in cast("list[Any]", given)] if isinstance(given, list) else []
