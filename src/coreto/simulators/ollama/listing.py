"""The routes that tell and manage: version, tags, ps, show, copy, delete, pull, create, me, usage."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from coreto.simulators.bodies import ApiError, named, ollama
from coreto.simulators.control import json_response
from coreto.simulators.delivery import Exchange, StreamPlan, send_stream, send_whole
from coreto.simulators.ollama.models import (
    LIBRARY,
    REMOTE_HOST,
    Model,
    cloud_base,
    full_name,
    is_cloud_name,
    stub,
    valid_name,
)
from coreto.simulators.ollama.native import line, stamp
from coreto.simulators.ollama.simulator import VERSION, OllamaSimulator, check_body

_MODIFIED = "2026-11-01T12:00:00Z"
_PROGRESS_STEPS = 4


async def root(_: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET|HEAD /``."""
    del exchange
    return web.Response(text="Ollama is running")


async def version(_: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /api/version``."""
    return await send_whole(exchange, {"version": VERSION})


async def status(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /api/status``."""
    disabled = not sim.options.account.enabled
    source = "env" if disabled else "none"
    return await send_whole(exchange, {"cloud": {"disabled": disabled, "source": source}})


async def tags(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /api/tags``; public on the cloud host."""
    return await send_whole(exchange, {"models": [_tag(model) for model in sim.registry]})


async def ps(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /api/ps``: what is in memory, longest expiry first."""
    now = sim.engine.now
    listed: list[dict[str, Any]] = []
    for runner in sim.engine.scheduler.resident():
        model = sim.registry.find(runner.name) or Model(runner.name, runner.size)
        listed.append(
            {
                "name": model.name,
                "model": model.name,
                "size": runner.size,
                "digest": model.digest,
                "details": _details(model),
                "expires_at": stamp(runner.expires_at - now),
                "size_vram": runner.vram,
                "context_length": runner.options.num_ctx,
            }
        )
    return await send_whole(exchange, {"models": listed})


async def show(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/show``."""
    check_body(exchange)
    if not exchange.model:
        raise named("ollama.model_required_400")
    sim.authorize(exchange)
    name = exchange.model
    model = sim.registry.find(name)
    if not sim.options.cloud and (is_cloud_name(name) or (model is not None and model.remote)):
        sim.account.check_daemon(show=True)
        model = model or stub(name)
    if model is None:
        raise named("ollama.model_missing_404", model=name)
    return await send_whole(exchange, _shown(model))


async def copy(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/copy``: the copy shares the weights."""
    check_body(exchange)
    source, destination = str(exchange.body.get("source", "")), str(exchange.body.get("destination", ""))
    if not valid_name(source) or not valid_name(destination):
        raise ApiError(ollama(400, "invalid model name"))
    if not sim.registry.copy(source, destination):
        raise named("ollama.model_missing_404", model=source)
    return web.Response()


async def delete(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``DELETE /api/delete``."""
    check_body(exchange)
    model = sim.registry.find(exchange.model)
    if model is None or not sim.registry.remove(exchange.model):
        raise named("ollama.model_missing_404", model=exchange.model)
    sim.engine.unload(model)
    return web.Response()


async def me(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/me``."""
    if sim.options.cloud:
        sim.authorize(exchange)
    elif not sim.options.account.signed_in:
        raise named("ollama.unauthorized_401")
    return await send_whole(exchange, sim.account.me())


async def usage(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``GET /api/usage``: the cloud host only."""
    if not sim.options.cloud:
        return web.Response(status=404, text="404 page not found")
    sim.authorize(exchange)
    return await send_whole(exchange, sim.account.usage_report())


async def pull(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/pull``: progress lines, then the model is there. Unknown names end in an error."""
    check_body(exchange)
    name = exchange.model
    if not valid_name(name):
        raise ApiError(ollama(400, "invalid model name"))
    model = _pullable(sim, name)
    missing = {"error": "pull model manifest: file does not exist"}
    if model is None:
        if not exchange.stream:
            raise ApiError(ollama(500, missing["error"]))
        return await send_stream(
            exchange, StreamPlan([line({"status": "pulling manifest"})], [line(missing)])
        )
    if not exchange.stream:
        sim.registry.add(model)
        return await send_whole(exchange, {"status": "success"})
    seconds = model.size / (sim.options.load_gbps * 10**8)  # the line is ten times slower than the disk
    each = seconds * sim.options.speech.time_scale / (_PROGRESS_STEPS + 1)
    response = await send_stream(
        exchange, StreamPlan(_progress(model), [line({"status": "success"})], each_delay=each)
    )
    if not exchange.record.cut_by_us:
        sim.registry.add(model)
    return response


async def create(sim: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/create`` with ``from``: a new name on the same weights."""
    check_body(exchange)
    source = str(exchange.body.get("from", ""))
    model = sim.registry.find(source)
    if not exchange.model:
        raise ApiError(ollama(400, "invalid model name"))
    if model is None:
        raise named("ollama.model_missing_404", model=source)
    sim.registry.copy(source, exchange.model)
    lines = [{"status": "reading model metadata"}, {"status": "writing manifest"}, {"status": "success"}]
    if not exchange.stream:
        return await send_whole(exchange, lines[-1])
    return await send_stream(exchange, StreamPlan([line(item) for item in lines[:-1]], [line(lines[-1])]))


async def signout(_: OllamaSimulator, exchange: Exchange) -> web.StreamResponse:
    """``POST /api/signout``."""
    del exchange
    return json_response({})


def _pullable(sim: OllamaSimulator, name: str) -> Model | None:
    if is_cloud_name(name):
        found = stub(name)
        return found if found is not None and cloud_base(name) else None
    wanted = full_name(name)
    known = (*sim.registry, *sim.options.pullable, *LIBRARY)
    return next((replace(model, name=wanted) for model in known if full_name(model.name) == wanted), None)


def _progress(model: Model) -> list[bytes]:
    status_line = f"pulling {model.digest[:12]}"
    fixed: dict[str, Any] = {"status": status_line, "digest": f"sha256:{model.digest}", "total": model.size}
    parts: list[dict[str, Any]] = [{"status": "pulling manifest"}, fixed]
    done = (model.size * step // _PROGRESS_STEPS for step in range(1, _PROGRESS_STEPS + 1))
    parts += [{**fixed, "completed": size} for size in done]
    parts += [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}]
    return [line(part) for part in parts]


def _tag(model: Model) -> dict[str, Any]:
    item: dict[str, Any] = {"name": model.name, "model": model.name}
    if model.remote:
        item |= {"remote_model": model.remote, "remote_host": REMOTE_HOST}
    return {
        **item,
        "modified_at": _MODIFIED,
        "size": model.size,
        "digest": model.digest,
        "details": {**_details(model), "context_length": model.context},
        "capabilities": list(model.capabilities),
    }


def _details(model: Model) -> dict[str, Any]:
    billions = model.parameters / 1e9
    size = f"{billions:.1f}B" if billions >= 1 else f"{model.parameters // 10**6}M"
    return {
        "parent_model": "",
        "format": "" if model.remote else "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": size,
        "quantization_level": "" if model.remote else "Q4_K_M",
    }


def _shown(model: Model) -> dict[str, Any]:
    family = model.family
    data: dict[str, Any] = {
        "license": "Apache License 2.0",
        "modelfile": f"FROM {model.name}\n",
        "parameters": 'stop                           "<|end|>"',
        "template": "{{ .Prompt }}",
        "details": _details(model),
        "model_info": {
            "general.architecture": family,
            "general.parameter_count": model.parameters,
            f"{family}.context_length": model.context,
            f"{family}.embedding_length": model.embedding,
        },
        "capabilities": list(model.capabilities),
        "modified_at": _MODIFIED,
    }
    if model.remote:
        data |= {"remote_model": model.remote, "remote_host": REMOTE_HOST}
    return data
