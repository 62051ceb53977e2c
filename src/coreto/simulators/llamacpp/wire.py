"""The routes of the simulated router: its own, and those that it passes on to a model's process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from coreto.simulators import sse
from coreto.simulators.answers import tokens
from coreto.simulators.bodies import ApiError, ErrorBody, llamacpp, named
from coreto.simulators.control import Shared
from coreto.simulators.delivery import Exchange, send_whole
from coreto.simulators.llamacpp.models import MODELS, RouterModel
from coreto.simulators.llamacpp.router import LimitError, Limits, LoadError, Pace, Process, Router, State
from coreto.simulators.openai import wire as openai
from coreto.simulators.openai.wire import OpenAIOptions, OpenAISimulator

BUILD = "b10434-sim"
#: Where a request keeps its response, once that has begun.
BEGUN = "response"
_NO_CAUSE = "invalid_request_error"
_GONE = "proxy error: Failed to read connection"
_BAD_JSON = llamacpp(
    500,
    "[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input; "
    "check that your input string or stream contains the expected JSON",
    "server_error",
)


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """Everything it can be started with. Delays in real seconds."""

    models: tuple[RouterModel, ...] = ()
    limits: Limits = Limits()
    pace: Pace = Pace()
    autoload: bool = True
    api_key: str | None = None
    chunks: int | None = None
    latency: float = 0.0
    chunk_delay: float = 0.0


class RouterSimulator:
    """One router with its models' processes. ``voice`` answers for them all."""

    def __init__(self, options: RouterOptions, shared: Shared) -> None:
        self.options = options
        self.router = Router(options.models or MODELS, options.limits, options.pace)
        speech = OpenAIOptions(
            flavour="llamacpp",
            any_model=True,
            api_key=options.api_key,
            chunks=options.chunks,
            latency=options.latency,
            chunk_delay=options.chunk_delay,
        )
        self.voice = OpenAISimulator(speech, shared)

    def state(self) -> dict[str, Any]:
        """For ``GET /_sim/state``."""
        router = self.router
        return {
            "models": list(router.processes),
            "states": {name: process.state for name, process in router.processes.items()},
            "requests": {name: process.requests for name, process in router.processes.items()},
            "memory_total": router.limits.memory,
            "memory_used": router.used,
            "memory_peak": router.peak,
            "loads": router.loads,
            "failures": router.failures,
            "evictions": router.evictions,
        }

    def reset(self) -> None:
        """As at the start."""
        self.router.reset()
        self.voice.reset()

    # --- what every route looks at first

    def authorize(self, exchange: Exchange) -> None:
        """Raise the 401 of a wrong or missing key."""
        self.voice.authorize(exchange)

    def process_for(self, exchange: Exchange, name: str) -> Process:
        """The process of the model asked for by a request that is passed on. Raises `ApiError`."""
        if not name:
            raise named("llamacpp.model_name_missing")
        process = self.router.find(name)
        if process is None:
            raise named("llamacpp.model_not_found", model=name)
        if not self._loads_by_itself(exchange):
            if not process.running:
                raise named("llamacpp.model_not_loaded")
            if process.state is State.LOADING:
                raise named("llamacpp.loading_503")
        return process

    def _loads_by_itself(self, exchange: Exchange) -> bool:
        asked = exchange.request.query.get("autoload", "")
        return asked in ("true", "1") if asked else self.options.autoload

    async def passed_on(
        self, exchange: Exchange, step: Callable[[Process], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Run ``step`` while the body's model is loaded; when its process is told to go meanwhile, nothing more
        comes from it until it has ended, and then a line of plain text."""
        self.authorize(exchange)
        if exchange.record.body is None:
            raise ApiError(_BAD_JSON)
        process = self.process_for(exchange, exchange.model)
        exchange.model = process.model.name
        try:
            async with self.router.lease(process):
                return await _while_it_lives(process, step(process), exchange)
        except LoadError as error:
            failed = named("llamacpp.load_failed", model=exchange.model)
            raise (ApiError(ErrorBody(500, _GONE)) if error.woken else failed) from error


async def _while_it_lives(
    process: Process, work: Awaitable[web.StreamResponse], exchange: Exchange
) -> web.StreamResponse:
    answer = asyncio.ensure_future(work)
    told = asyncio.ensure_future(process.told_to_go.wait())
    try:
        await asyncio.wait({answer, told}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
    finally:
        answer.cancel()
        told.cancel()
        await asyncio.wait({answer, told})
    await process.ended.wait()
    begun: web.StreamResponse | None = exchange.request.get(BEGUN)
    if begun is None:
        raise ApiError(ErrorBody(500, _GONE))
    await begun.write(_GONE.encode())
    return begun


async def chat(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /v1/chat/completions``."""

    async def step(_: Process) -> web.StreamResponse:
        return await openai.chat(sim.voice, exchange)

    return await sim.passed_on(exchange, step)


async def embeddings(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /v1/embeddings``; models answer it whose name says that they embed."""

    async def step(process: Process) -> web.StreamResponse:
        if "embed" not in process.model.name:
            words = "This server does not support embeddings. Start it with `--embeddings`"
            raise ApiError(llamacpp(501, words, "not_supported_error"))
        return await openai.embeddings(sim.voice, exchange)

    return await sim.passed_on(exchange, step)


async def tokenize(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /tokenize``."""

    async def step(_: Process) -> web.StreamResponse:
        count = tokens(str(exchange.body.get("content") or ""))
        return await send_whole(exchange, {"tokens": list(range(count))})

    return await sim.passed_on(exchange, step)


async def health(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /health``: open to anyone."""
    del sim
    return await send_whole(exchange, {"status": "ok"})


async def models(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /models``."""
    sim.authorize(exchange)
    listed = [_listed(process) for _, process in sorted(sim.router.processes.items())]
    return await send_whole(exchange, {"data": listed, "object": "list"})


async def load(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /models/load``: answers when the process has been started."""
    process = _commanded(sim, exchange)
    if process is None:
        raise file_not_found()
    if process.running:
        raise ApiError(llamacpp(400, "model is already running", _NO_CAUSE))
    try:
        await sim.router.load(process)
    except LimitError as error:
        raise named("llamacpp.model_limit") from error
    return await send_whole(exchange, {"success": True})


async def unload(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /models/unload``: answers when the process has been told to go."""
    process = _commanded(sim, exchange)
    if process is None:
        raise ApiError(llamacpp(400, "model is not found", _NO_CAUSE))
    if not process.running:
        raise ApiError(llamacpp(400, "model is not running", _NO_CAUSE))
    sim.router.unload(process)
    return await send_whole(exchange, {"success": True})


async def props(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /props``: the router's own, or with ``?model=`` those of a process, which is started for it."""
    sim.authorize(exchange)
    name = exchange.request.query.get("model", "")
    if name:
        return await _props_of(sim, exchange, sim.process_for(exchange, name))
    data = {
        "role": "router",
        "max_instances": sim.options.limits.models_max,
        "models_autoload": sim.options.autoload,
        "model_alias": "llama-server",
        "model_path": "none",
        "default_generation_settings": {"params": None, "n_ctx": 0},
        "build_info": BUILD,
    }
    return await send_whole(exchange, data)


async def nothing(sim: RouterSimulator, exchange: Exchange) -> web.StreamResponse:
    """Any other path."""
    sim.authorize(exchange)
    raise file_not_found()


def file_not_found() -> ApiError:
    """What every 404 says, whatever the handler wanted to say."""
    return ApiError(
        ErrorBody(404, {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}})
    )


async def _props_of(sim: RouterSimulator, exchange: Exchange, process: Process) -> web.StreamResponse:
    if process.state is not State.SLEEPING:  # this does not wake it
        try:
            async with sim.router.lease(process):
                pass
        except LoadError as error:
            raise named("llamacpp.load_failed", model=process.model.name) from error
    model = process.model
    data = {
        "default_generation_settings": {"n_ctx": model.context // model.slots},
        "total_slots": model.slots,
        "model_alias": model.name,
        "model_path": model.file,
        "build_info": BUILD,
        "is_sleeping": process.state is State.SLEEPING,
    }
    return await send_whole(exchange, data)


def _commanded(sim: RouterSimulator, exchange: Exchange) -> Process | None:
    sim.authorize(exchange)
    if exchange.record.body is None:
        raise ApiError(_BAD_JSON)
    return sim.router.find(exchange.model)


def _listed(process: Process) -> dict[str, Any]:
    model = process.model
    arguments = ["llama-server", "--host", "127.0.0.1", "--port", str(process.port), "--alias", model.name]
    arguments += ["--ctx-size", str(model.context), "--model", model.file, "--parallel", str(model.slots)]
    preset = f"[{model.name}]\nctx-size = {model.context}\nmodel = {model.file}\nparallel = {model.slots}\n\n"
    status: dict[str, Any] = {"value": process.state, "args": arguments, "preset": preset}
    if process.failed:
        status |= {"exit_code": process.exit_code, "failed": True}
    entry: dict[str, Any] = {
        "id": model.name,
        "aliases": sorted(model.aliases),
        "tags": [],
        "object": "model",
        "owned_by": "llamacpp",
        "created": sse.STAMP,
        "status": status,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "source": "models_dir",
        "can_remove": False,
    }
    if process.running and process.told:
        entry["meta"] = {
            "vocab_type": 2,
            "n_vocab": 49152,
            "n_ctx": model.context // model.slots,
            "n_ctx_train": model.context,
            "n_embd": 576,
            "n_params": model.parameters,
            "size": model.size,
            "ftype": "Q4_K - Medium",
        }
    return entry
