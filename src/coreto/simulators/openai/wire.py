"""The routes of the OpenAI-compatible simulator: chat, embeddings, models, and each flavour's own."""

import base64
import struct
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
from aiohttp import web

from coreto.simulators import sse
from coreto.simulators.answers import Answer, digest_of, limited, sentence, text_of, tokens, vector
from coreto.simulators.bodies import ApiError, llamacpp, openrouter
from coreto.simulators.control import Shared
from coreto.simulators.delivery import Exchange, StreamPlan, send_stream, send_whole
from coreto.simulators.faults import FaultKind
from coreto.simulators.openai.flavours import PROCESSING, Flavour, FlavourName, flavour, usage_of
from coreto.simulators.openai.values import check_chat, check_embeddings
from coreto.simulators.schema import instance_of

_EMBEDDING_SIZE = 1536
_MILLION = 1_000_000
_KEPT_GENERATIONS = 5000


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """Everything it can be started with. Delays in real seconds, prices in USD per million tokens.

    `credit` in USD: when it is spent, calls are refused. `any_model`: accept names that are not listed.
    """

    flavour: FlavourName = "openai"
    models: tuple[str, ...] = ()
    any_model: bool = False
    api_key: str | None = None
    credit: float | None = None
    price_in: float = 0.15
    price_out: float = 0.60
    chunks: int | None = None
    latency: float = 0.0
    chunk_delay: float = 0.0


class OpenAISimulator:
    """One server: what it lists, what was spent, what it generated."""

    def __init__(self, options: OpenAIOptions, shared: Shared) -> None:
        self.options = options
        self.shared = shared
        self.flavour: Flavour = flavour(options.flavour)
        self.models = options.models or self.flavour.models
        self.spent = 0.0
        self.credit = options.credit
        self.loaded: set[str] = set()
        self.generations: dict[str, dict[str, Any]] = {}

    def state(self) -> dict[str, Any]:
        """For ``GET /_sim/state``."""
        return {
            "flavour": self.flavour.name,
            "models": list(self.models),
            "spent": round(self.spent, 9),
            "credit": self.credit,
            "loaded": sorted(self.loaded),
        }

    def reset(self) -> None:
        """Nothing spent, nothing loaded."""
        self.spent = 0.0
        self.credit = self.options.credit
        self.loaded.clear()
        self.generations.clear()

    def set_used(self, share: float | None) -> None:
        """Let ``share`` of the credit be spent; ``None`` takes the credit's limit away."""
        if share is None:
            self.credit = None
            return
        self.credit = 1.0 if self.credit is None else self.credit
        self.spent = self.credit * share

    def refuse(self, name: str, **values: str) -> ApiError:
        """The named error, to raise."""
        return ApiError(self.flavour.error(name, **values))

    def authorize(self, exchange: Exchange) -> None:
        """Raise the flavour's 401 when a key is configured and the request's differs."""
        wanted = self.options.api_key
        if wanted is None:
            return
        scheme, _, key = exchange.record.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise self.refuse(self.flavour.missing_key)
        if key != wanted:
            raise self.refuse(self.flavour.wrong_key, key=f"{key[:4]}***{key[-4:]}")

    def check(self, exchange: Exchange) -> None:
        """Key, body, model and credit, in the order real servers look at them. Raises `ApiError`."""
        self.authorize(exchange)
        if exchange.record.body is None:
            raise self.refuse(self.flavour.bad_json)
        if not exchange.model:
            raise self.refuse(self.flavour.no_model, model="")
        if not self.options.any_model and exchange.model not in self.models:
            fallback = self._fallback(exchange)
            if fallback is None:
                raise self.refuse(self.flavour.unknown_model, model=exchange.model)
            exchange.model = fallback
        if self.credit is not None and self.spent >= self.credit:
            raise self.refuse(self.flavour.no_credit, model=exchange.model)

    def _fallback(self, exchange: Exchange) -> str | None:
        """OpenRouter tries the names of ``models`` in order."""
        if self.flavour.name != "openrouter":
            return None
        names = cast("list[str]", exchange.body.get("models") or [])
        return next((name for name in names if name in self.models), None)

    def charge(self, prompt: int, spoken: int) -> float:
        """Add the cost of a call in USD and give it."""
        cost = (prompt * self.options.price_in + spoken * self.options.price_out) / _MILLION
        self.spent += cost
        return round(cost, 9)


async def chat(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /chat/completions``."""
    sim.check(exchange)
    body = exchange.body
    if sim.flavour.name == "openai":
        check_chat(exchange.model, body)
    sim.loaded.add(exchange.model)
    prompt = text_of(body.get("messages"))
    answer, finish = _answer(sim, exchange, prompt)
    reply = _reply(sim, exchange, prompt, (answer, finish))
    headers = {"X-Generation-Id": reply.id} if sim.flavour.name == "openrouter" else {}
    options = sim.options
    if not exchange.stream:
        return await send_whole(exchange, sse.whole(reply), headers=headers, delay=options.latency)
    asked = cast("dict[str, Any]", body.get("stream_options") or {})
    include = sim.flavour.always_usage or bool(asked.get("include_usage"))
    head, chunks, tail = sse.streamed(reply, include_usage=include)
    if sim.flavour.name == "openrouter":
        head = [PROCESSING, *head]
    plan = StreamPlan(
        chunks, tail, head, {"Cache-Control": "no-cache", **headers}, options.latency, options.chunk_delay
    )
    return await send_stream(exchange, plan)


def _answer(sim: OpenAISimulator, exchange: Exchange, prompt: str) -> tuple[Answer, str]:
    body = exchange.body
    if exchange.faulty(FaultKind.EMPTY_ANSWER):
        return Answer(), "stop"
    bad = exchange.faulty(FaultKind.BAD_CONTENT)
    if bad is not None:
        return Answer(bad.content), "stop"
    answer = sim.shared.script.take(exchange.model, prompt) or _unscripted(sim, exchange, prompt)
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    content, cut = limited(answer.content, most if isinstance(most, int) else None)
    if cut:
        answer = replace(answer, content=content)
    natural = "tool_calls" if answer.tool_calls else "stop"
    return answer, answer.finish_reason or ("length" if cut else natural)


def _unscripted(sim: OpenAISimulator, exchange: Exchange, prompt: str) -> Answer:
    shape = exchange.body.get("response_format")
    text = sentence(exchange.model, prompt, sim.shared.seed, sim.options.chunks)
    if isinstance(shape, dict):
        wanted = cast("dict[str, Any]", shape)
        if wanted.get("type") == "json_object":
            return Answer(orjson.dumps({"answer": text}).decode())
        if wanted.get("type") == "json_schema":
            declared = cast("dict[str, Any]", wanted.get("json_schema") or {})
            schema = declared.get("schema") or wanted.get("schema")
            return Answer(orjson.dumps(instance_of(schema)).decode())
    return Answer(text, chunks=sim.options.chunks)


def _reply(sim: OpenAISimulator, exchange: Exchange, prompt: str, end: tuple[Answer, str]) -> sse.Reply:
    answer, finish = end
    count = exchange.body.get("n")
    choices = count if isinstance(count, int) and count > 0 else 1
    truncated = exchange.faulty(FaultKind.TRUNCATE_PROMPT)
    prompt_tokens = int(answer.usage.get("prompt_tokens", tokens(prompt) + 4))
    if truncated is not None:
        prompt_tokens = truncated.tokens
    spoken = tokens(answer.content) + tokens(answer.reasoning) + 12 * len(answer.tool_calls)
    spoken = int(answer.usage.get("completion_tokens", spoken * choices))
    cost = sim.charge(prompt_tokens, spoken)
    usage = {**usage_of(sim.flavour.name, prompt_tokens, spoken, cost), **answer.usage}
    usage["total_tokens"] = prompt_tokens + spoken
    prefix = "gen-" if sim.flavour.name == "openrouter" else "chatcmpl-"
    identity = f"{prefix}{digest_of(prompt)}{exchange.record.n:06d}"
    extra: dict[str, Any] = {}
    if sim.flavour.fingerprint is not None:
        extra["system_fingerprint"] = sim.flavour.fingerprint
    if sim.flavour.name == "openai":
        extra["service_tier"] = "default"
    if sim.flavour.name == "openrouter":
        extra["provider"] = "SimCo"
        if len(sim.generations) >= _KEPT_GENERATIONS:
            del sim.generations[next(iter(sim.generations))]
        sim.generations[identity] = {
            "id": identity,
            "model": exchange.model,
            "total_cost": cost,
            "usage": cost,
        }
    if sim.flavour.name == "llamacpp":
        extra["timings"] = {"prompt_n": prompt_tokens, "predicted_n": spoken, "predicted_per_second": 40.0}
    return sse.Reply(identity, exchange.model, answer, finish, usage, extra, choices)


async def embeddings(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /embeddings``; floats, or base64 when asked for."""
    sim.check(exchange)
    given: Any = exchange.body.get("input")
    texts = (
        [str(item) for item in cast("list[Any]", given)] if isinstance(given, list) else [str(given or "")]
    )
    if sim.flavour.name == "openai":
        check_embeddings(exchange.body, _EMBEDDING_SIZE)
    size = exchange.body.get("dimensions")
    size = size if isinstance(size, int) and size > 0 else _EMBEDDING_SIZE
    encode = _base64 if exchange.body.get("encoding_format") == "base64" else _floats
    items = [
        {"object": "embedding", "index": index, "embedding": encode(vector(text, size, sim.shared.seed))}
        for index, text in enumerate(texts)
    ]
    count = sum(map(tokens, texts))
    sim.charge(count, 0)
    usage = {"prompt_tokens": count, "total_tokens": count}
    data = {"object": "list", "data": items, "model": exchange.model, "usage": usage}
    return await send_whole(exchange, data, delay=sim.options.latency)


def _floats(values: list[float]) -> Any:
    return values


def _base64(values: list[float]) -> Any:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


async def models(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /models`` in the flavour's shape; OpenRouter's list is public."""
    if sim.flavour.name != "openrouter":
        sim.authorize(exchange)
    return await send_whole(exchange, {"object": "list", "data": [_listed(sim, name) for name in sim.models]})


async def model(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /models/NAME``."""
    sim.authorize(exchange)
    name = exchange.request.match_info["name"]
    if name not in sim.models:
        raise sim.refuse(sim.flavour.unknown_model, model=name)
    return await send_whole(exchange, _listed(sim, name))


def _listed(sim: OpenAISimulator, name: str) -> dict[str, Any]:
    base: dict[str, Any] = {"id": name, "object": "model", "created": sse.STAMP, "owned_by": sim.flavour.name}
    match sim.flavour.name:
        case "openrouter":
            price = {"prompt": f"{sim.options.price_in / _MILLION:.9f}"}
            price["completion"] = f"{sim.options.price_out / _MILLION:.9f}"
            parameters = ["tools", "response_format", "structured_outputs", "max_tokens", "temperature"]
            return {
                "id": name,
                "name": name,
                "created": sse.STAMP,
                "context_length": 131072,
                "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
                "pricing": price,
                "supported_parameters": parameters,
            }
        case "llamacpp":
            value = "loaded" if name in sim.loaded else "unloaded"
            return {**base, "aliases": [], "tags": [], "status": {"value": value, "args": []}}
        case "vllm":
            return {**base, "root": name, "parent": None, "max_model_len": 32768}
        case _:
            return base


async def key(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """OpenRouter's ``GET /api/v1/key``."""
    sim.authorize(exchange)
    credit = sim.credit
    used = round(sim.spent, 9)
    data = {
        "label": "sk-or-v1-sim...key",
        "limit": credit,
        "limit_remaining": None if credit is None else round(credit - sim.spent, 9),
        "limit_reset": None,
        "usage": used,
        "usage_daily": used,
        "usage_weekly": used,
        "usage_monthly": used,
        "is_free_tier": credit is None,
    }
    return await send_whole(exchange, {"data": data})


async def generation(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """OpenRouter's ``GET /api/v1/generation?id=``."""
    sim.authorize(exchange)
    found = sim.generations.get(exchange.request.query.get("id", ""))
    if found is None:
        raise ApiError(openrouter(404, "Generation not found", "not_found"))
    return await send_whole(exchange, {"data": found})


async def props(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """llama-server's ``GET /props`` in router mode."""
    del sim
    return await send_whole(exchange, {"role": "router", "max_instances": 4, "models_autoload": True})


async def health(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /health``."""
    del sim
    return await send_whole(exchange, {"status": "ok"})


async def load(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """llama-server's ``POST /models/load``."""
    sim.authorize(exchange)
    if exchange.model not in sim.models:
        raise ApiError(llamacpp(404, "model is not found", "not_found_error"))
    if exchange.model in sim.loaded:
        raise ApiError(llamacpp(400, "model is already running", "invalid_request_error"))
    sim.loaded.add(exchange.model)
    return await send_whole(exchange, {"success": True})


async def unload(sim: OpenAISimulator, exchange: Exchange) -> web.StreamResponse:
    """llama-server's ``POST /models/unload``."""
    sim.authorize(exchange)
    if exchange.model not in sim.models:
        raise ApiError(llamacpp(400, "model is not found", "invalid_request_error"))
    if exchange.model not in sim.loaded:
        raise ApiError(llamacpp(400, "model is not running", "invalid_request_error"))
    sim.loaded.discard(exchange.model)
    return await send_whole(exchange, {"success": True})
