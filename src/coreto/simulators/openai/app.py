"""The application of the OpenAI-compatible simulator: its routes under ``/v1`` and, as OpenRouter, ``/api/v1``.

Besides the common control routes (see `control`): ``POST /_sim/usage`` sets what is spent of the key's credit, as
its used share, 0 to 1 (``{"credit": 0.85}``; a limit of 1 USD is made where there is none), or takes the limit
away (``{"credit": null}``).
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from coreto.simulators.control import Shared, add_control_routes, json_response, read_json
from coreto.simulators.delivery import Exchange, route
from coreto.simulators.faults import FaultRule
from coreto.simulators.openai import wire
from coreto.simulators.openai.wire import OpenAIOptions, OpenAISimulator

Step = Callable[[OpenAISimulator, Exchange], Awaitable[web.StreamResponse]]
_MAX_BODY = 64 * 2**20

_COMMON: tuple[tuple[str, str, Step, bool], ...] = (
    ("POST", "/chat/completions", wire.chat, True),
    ("POST", "/embeddings", wire.embeddings, True),
    ("GET", "/models", wire.models, False),
    ("GET", "/models/{name:.+}", wire.model, False),
)
_OPENROUTER: tuple[tuple[str, str, Step, bool], ...] = (
    ("GET", "/api/v1/key", wire.key, False),
    ("GET", "/api/v1/generation", wire.generation, False),
)
_LLAMACPP: tuple[tuple[str, str, Step, bool], ...] = (
    ("GET", "/models", wire.models, False),
    ("POST", "/models/load", wire.load, False),
    ("POST", "/models/unload", wire.unload, False),
    ("GET", "/props", wire.props, False),
)


def build_app(options: OpenAIOptions, seed: int = 0, rules: tuple[FaultRule, ...] = ()) -> web.Application:
    """The web application of one OpenAI-compatible simulator."""
    shared = Shared.create("openai", seed, rules)
    sim = OpenAISimulator(options, shared)
    app = web.Application(client_max_size=_MAX_BODY)
    routes = [
        (method, base + path, step, gen) for base in ("/v1", "/api/v1") for method, path, step, gen in _COMMON
    ]
    routes.append(("GET", "/health", wire.health, False))
    routes += _OPENROUTER
    if options.flavour == "llamacpp":
        routes += _LLAMACPP
    for method, path, step, generates in routes:
        handler = route(shared, sim.flavour.dialect, _bound(sim, step), generates=generates)
        app.router.add_route(method, path, handler)
    add_control_routes(app, shared, sim)
    app.router.add_post("/_sim/usage", _usage_setter(sim))
    return app


def _usage_setter(sim: OpenAISimulator) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def usage(request: web.Request) -> web.Response:
        data: Any = await read_json(request)
        share = cast("dict[str, Any]", data).get("credit", "missing") if isinstance(data, dict) else "missing"
        if share is not None and (isinstance(share, bool) or not isinstance(share, int | float)):
            return json_response(
                {"error": 'usage: give the used share as a number, or null: {"credit": 0.85}'}, 400
            )
        sim.set_used(share)
        return json_response({"credit": sim.credit, "spent": sim.spent})

    return usage


def _bound(sim: OpenAISimulator, step: Step) -> Callable[[Exchange], Awaitable[web.StreamResponse]]:
    async def handler(exchange: Exchange) -> web.StreamResponse:
        return await step(sim, exchange)

    return handler
