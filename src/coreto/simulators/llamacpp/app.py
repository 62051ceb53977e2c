"""The application of a simulated llama.cpp router.

Besides the common control routes (see `control`): ``POST /_sim/models`` (``{"add": [{"name", "size", "context"?,
"slots"?, "aliases"?, "path"?, "surprise"?}], "remove": [names]}``, sizes in bytes or as ``"9 GB"``),
``POST /_sim/failures`` (``{"model", "times"?: 1, "exit_code"?: 1}``: its next loads fail; ``times`` null: all),
``POST /_sim/sleep`` (``{"model"}``: as after some idle time) and ``POST /_sim/restart`` (every process is gone).
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from coreto.simulators import sse
from coreto.simulators.bodies import ErrorBody, llamacpp
from coreto.simulators.control import Shared, add_control_routes, json_response, read_json
from coreto.simulators.delivery import Exchange, route
from coreto.simulators.faults import FaultRule
from coreto.simulators.llamacpp import wire
from coreto.simulators.llamacpp.models import declared
from coreto.simulators.llamacpp.wire import RouterOptions, RouterSimulator
from coreto.simulators.ollama.models import SizeError

Step = Callable[[RouterSimulator, Exchange], Awaitable[web.StreamResponse]]
_MAX_BODY = 64 * 2**20

_ROUTES: tuple[tuple[str, str, Step, bool], ...] = (
    ("GET", "/health", wire.health, False),
    ("GET", "/v1/health", wire.health, False),
    ("GET", "/models", wire.models, False),
    ("GET", "/v1/models", wire.models, False),
    ("GET", "/props", wire.props, False),
    ("POST", "/models/load", wire.load, False),
    ("POST", "/models/unload", wire.unload, False),
    ("POST", "/chat/completions", wire.chat, True),
    ("POST", "/v1/chat/completions", wire.chat, True),
    ("POST", "/v1/embeddings", wire.embeddings, True),
    ("POST", "/tokenize", wire.tokenize, False),
)


def build_app(options: RouterOptions, seed: int = 0, rules: tuple[FaultRule, ...] = ()) -> web.Application:
    """The web application of one simulated router. Call it inside a running loop."""
    shared = Shared.create("llamacpp", seed, rules)
    sim = RouterSimulator(options, shared)
    dialect = sse.openai_dialect(_generic)
    app = web.Application(client_max_size=_MAX_BODY)
    for method, path, step, generates in _ROUTES:
        app.router.add_route(method, path, route(shared, dialect, _bound(sim, step), generates=generates))
    add_control_routes(app, shared, sim)
    extra = _Control(sim)
    app.router.add_post("/_sim/models", extra.models)
    app.router.add_post("/_sim/failures", extra.failures)
    app.router.add_post("/_sim/sleep", extra.sleep)
    app.router.add_post("/_sim/restart", extra.restart)
    app.router.add_route(
        "*", "/{rest:.*}", route(shared, dialect, _bound(sim, wire.nothing), generates=False)
    )
    app.on_response_prepare.append(_sign)

    async def close(_: web.Application) -> None:
        sim.router.close()

    app.on_cleanup.append(close)
    return app


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "llama.cpp"
    request[wire.BEGUN] = response


def _generic(status: int) -> ErrorBody:
    return llamacpp(status, "error", "unavailable_error" if status == 503 else "server_error")


def _bound(sim: RouterSimulator, step: Step) -> Callable[[Exchange], Awaitable[web.StreamResponse]]:
    async def handler(exchange: Exchange) -> web.StreamResponse:
        return await step(sim, exchange)

    return handler


class _Control:
    def __init__(self, sim: RouterSimulator) -> None:
        self._sim = sim

    async def models(self, request: web.Request) -> web.Response:
        data = cast("dict[str, Any]", await read_json(request))
        try:
            added = [declared(item) for item in data.get("add", [])]
        except (SizeError, KeyError, TypeError) as error:
            return json_response({"error": f"models: {error}"}, 400)
        for model in added:
            self._sim.router.add(model)
        for name in data.get("remove", []):
            self._sim.router.remove(name)
        return json_response({"models": list(self._sim.router.processes)})

    async def failures(self, request: web.Request) -> web.Response:
        data = cast("dict[str, Any]", await read_json(request))
        name = str(data.get("model", ""))
        if self._sim.router.find(name) is None:
            return json_response({"error": f"failures: no model {name!r}"}, 400)
        self._sim.router.fail_loads(name, data.get("times", 1), int(data.get("exit_code", 1)))
        return json_response({"ok": True})

    async def sleep(self, request: web.Request) -> web.Response:
        data = cast("dict[str, Any]", await read_json(request))
        process = self._sim.router.find(str(data.get("model", "")))
        if process is None or not self._sim.router.sleep(process):
            return json_response({"error": "sleep: no such model, or it is not loaded and idle"}, 400)
        return json_response({"ok": True})

    async def restart(self, _: web.Request) -> web.Response:
        self._sim.router.restart()
        return json_response({"ok": True})
