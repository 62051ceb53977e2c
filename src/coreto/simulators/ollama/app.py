"""The routes of a simulated Ollama.

Besides the common control routes (see `control`): ``POST /_sim/models`` (``{"add": [{"name", "size",
"context"?, "capabilities"?, "surprise"?}], "remove": [names]}``, sizes in bytes or as ``"9 GB"``),
``POST /_sim/restart`` (the engine forgets what is in memory) and ``POST /_sim/usage`` (used shares of the cloud
account, for instance ``{"session": 1.0}``).
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from coreto.simulators.control import Shared, add_control_routes, json_response, read_json
from coreto.simulators.delivery import Exchange, route
from coreto.simulators.faults import FaultRule
from coreto.simulators.ollama import chat, embed, listing, v1
from coreto.simulators.ollama.models import Model, SizeError, full_name, parse_size
from coreto.simulators.ollama.native import NATIVE
from coreto.simulators.ollama.simulator import OllamaOptions, OllamaSimulator

Step = Callable[[OllamaSimulator, Exchange], Awaitable[web.StreamResponse]]
_MAX_BODY = 64 * 2**20

_NATIVE: tuple[tuple[str, str, Step, bool], ...] = (
    ("GET", "/", listing.root, False),
    ("GET", "/api/version", listing.version, False),
    ("GET", "/api/status", listing.status, False),
    ("GET", "/api/tags", listing.tags, False),
    ("GET", "/api/ps", listing.ps, False),
    ("GET", "/api/usage", listing.usage, False),
    ("POST", "/api/show", listing.show, False),
    ("POST", "/api/pull", listing.pull, False),
    ("POST", "/api/create", listing.create, False),
    ("POST", "/api/copy", listing.copy, False),
    ("POST", "/api/me", listing.me, False),
    ("POST", "/api/signout", listing.signout, False),
    ("DELETE", "/api/delete", listing.delete, False),
    ("POST", "/api/chat", chat.chat, True),
    ("POST", "/api/generate", chat.generate, True),
    ("POST", "/api/embed", embed.embed, True),
    ("POST", "/api/embeddings", embed.embeddings, True),
)
_V1: tuple[tuple[str, str, Step, bool], ...] = (
    ("GET", "/v1/models", v1.models, False),
    ("GET", "/v1/models/{name:.+}", v1.model, False),
    ("POST", "/v1/chat/completions", v1.chat, True),
    ("POST", "/v1/embeddings", embed.v1_embeddings, True),
)


def build_app(options: OllamaOptions, seed: int = 0, rules: tuple[FaultRule, ...] = ()) -> web.Application:
    """The web application of one simulated Ollama. Call it inside a running loop."""
    shared = Shared.create("ollama", seed, rules)
    sim = OllamaSimulator(options, shared)
    app = web.Application(client_max_size=_MAX_BODY)
    for routes, dialect in ((_NATIVE, NATIVE), (_V1, v1.DIALECT)):
        for method, path, step, generates in routes:
            app.router.add_route(method, path, route(shared, dialect, _bound(sim, step), generates=generates))
            if method == "GET":
                app.router.add_route("HEAD", path, route(shared, dialect, _bound(sim, step), generates=False))
    add_control_routes(app, shared, sim)
    extra = _Control(sim)
    app.router.add_post("/_sim/models", extra.models)
    app.router.add_post("/_sim/restart", extra.restart)
    app.router.add_post("/_sim/usage", extra.usage)

    async def close(_: web.Application) -> None:
        sim.engine.close()

    app.on_cleanup.append(close)
    return app


def _bound(sim: OllamaSimulator, step: Step) -> Callable[[Exchange], Awaitable[web.StreamResponse]]:
    async def handler(exchange: Exchange) -> web.StreamResponse:
        return await step(sim, exchange)

    return handler


class _Control:
    def __init__(self, sim: OllamaSimulator) -> None:
        self._sim = sim

    async def models(self, request: web.Request) -> web.Response:
        data = cast("dict[str, Any]", await read_json(request))
        try:
            added = [_declared(item) for item in data.get("add", [])]
        except (SizeError, KeyError, TypeError) as error:
            return json_response({"error": f"models: {error}"}, 400)
        for model in added:
            self._sim.registry.add(model)
        for name in data.get("remove", []):
            self._sim.registry.remove(name)
        return json_response({"models": [model.name for model in self._sim.registry]})

    async def restart(self, _: web.Request) -> web.Response:
        self._sim.engine.restart()
        return json_response({"ok": True})

    async def usage(self, request: web.Request) -> web.Response:
        self._sim.account.set_usage(cast("dict[str, float | None]", await read_json(request)))
        return json_response({"usage": self._sim.account.usage})


def _declared(item: dict[str, Any]) -> Model:
    size = item["size"]
    fields: dict[str, Any] = {"name": full_name(item["name"])}
    fields["size"] = parse_size(size) if isinstance(size, str) else int(size)
    for key in ("context", "surprise", "embedding", "family", "remote", "weights"):
        if key in item:
            fields[key] = item[key]
    if "capabilities" in item:
        fields["capabilities"] = tuple(item["capabilities"])
    return Model(**fields)
