"""What both simulators share: what they received, the faults and scripts in force, and the routes of ``/_sim/``.

============================ ================================================================================
``GET /_sim/health``         ``{"ok": true, "kind", "seed"}``
``POST /_sim/faults``        add rules (a list, one rule, or ``{"rules": [...]}``; see `faults`)
``GET /_sim/faults``         the rules with their counts
``DELETE /_sim/faults``      forget them
``POST /_sim/script``        add answers (see `answers.Script.add`)
``GET /_sim/requests``       everything received: n, method, path, query, headers, body (parsed; text if it is
                             not JSON), ms, status, fault, done, hung_up; ``?path=`` a glob
``DELETE /_sim/requests``    forget them
``POST /_sim/reset``         faults, scripts, requests and the simulator's own state as at the start
``GET /_sim/state``          what the simulator knows about itself
============================ ================================================================================
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from coreto.simulators.answers import Script, ScriptError
from coreto.simulators.faults import FaultBook, FaultError, FaultRule, parse_rules


@dataclass(slots=True)
class Record:
    """One request as it was received, and how it ended."""

    n: int
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes
    body: Any
    started: float
    status: int = 0
    fault: str | None = None
    done: bool = False
    hung_up: bool = False
    ms: float = 0.0
    cut_by_us: bool = False

    def as_json(self) -> dict[str, Any]:
        """For ``GET /_sim/requests``."""
        body = self.body if self.body is not None or not self.raw else self.raw.decode(errors="replace")
        return {
            "n": self.n,
            "method": self.method,
            "path": self.path,
            "query": dict(parse_qsl(self.query)),
            "headers": {str(name): value for name, value in self.headers.items()},
            "body": body,
            "status": self.status,
            "fault": self.fault,
            "done": self.done,
            "hung_up": self.hung_up,
            "ms": round(self.ms, 3),
        }


class Hooks(Protocol):
    """What a simulator adds to the control routes."""

    def state(self) -> dict[str, Any]:
        """For ``GET /_sim/state``."""
        ...

    def reset(self) -> None:
        """Back to how it started."""
        ...


@dataclass(slots=True)
class Shared:
    """The state that both simulators have."""

    kind: str
    seed: int
    faults: FaultBook
    initial_faults: tuple[FaultRule, ...] = ()
    script: Script = field(default_factory=Script)
    records: deque[Record] = field(default_factory=lambda: deque[Record](maxlen=5000))
    received: int = 0
    active: int = 0
    on_fault: Callable[[FaultRule], None] | None = None

    @classmethod
    def create(cls, kind: str, seed: int, rules: tuple[FaultRule, ...]) -> "Shared":
        """A fresh state with these rules."""
        return cls(kind, seed, FaultBook(rules, seed), rules)

    def record(self, request: web.Request, raw: bytes, body: Any) -> Record:
        """Note a request; the newest 5,000 are kept."""
        self.received += 1
        entry = Record(
            n=self.received,
            method=request.method,
            path=request.path,
            query=request.query_string,
            headers=request.headers,
            raw=raw,
            body=body,
            started=time.perf_counter(),
        )
        self.records.append(entry)
        return entry

    def reset(self) -> None:
        """As at the start."""
        self.faults = FaultBook(self.initial_faults, self.seed)
        self.script.clear()
        self.records.clear()
        self.received = 0


def json_response(data: Any, status: int = 200) -> web.Response:
    """A JSON reply."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def read_json(request: web.Request) -> Any:
    """The parsed body of a control call, or a 400."""
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"not JSON: {error}") from error


def add_control_routes(app: web.Application, shared: Shared, hooks: Hooks) -> None:
    """Register ``/_sim/``."""
    control = _Control(shared, hooks)
    routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
        ("GET", "health", control.health),
        ("GET", "faults", control.list_faults),
        ("POST", "faults", control.add_faults),
        ("DELETE", "faults", control.clear_faults),
        ("POST", "script", control.add_script),
        ("GET", "requests", control.requests),
        ("DELETE", "requests", control.clear_requests),
        ("POST", "reset", control.reset),
        ("GET", "state", control.state),
    ]
    for method, name, handler in routes:
        app.router.add_route(method, f"/_sim/{name}", handler)


class _Control:
    def __init__(self, shared: Shared, hooks: Hooks) -> None:
        self._shared = shared
        self._hooks = hooks

    async def health(self, _: web.Request) -> web.Response:
        return json_response({"ok": True, "kind": self._shared.kind, "seed": self._shared.seed})

    async def list_faults(self, _: web.Request) -> web.Response:
        return json_response({"rules": self._shared.faults.as_json()})

    async def add_faults(self, request: web.Request) -> web.Response:
        data = await read_json(request)
        try:
            self._shared.faults.add(parse_rules(data))
        except FaultError as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"rules": len(self._shared.faults)})

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._shared.faults.clear()
        return json_response({"rules": 0})

    async def add_script(self, request: web.Request) -> web.Response:
        data = await read_json(request)
        try:
            self._shared.script.add(data)
        except ScriptError as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"entries": len(self._shared.script)})

    async def requests(self, request: web.Request) -> web.Response:
        pattern = request.query.get("path", "*")
        records = [entry for entry in self._shared.records if fnmatchcase(entry.path, pattern)]
        return json_response({"requests": [entry.as_json() for entry in records]})

    async def clear_requests(self, _: web.Request) -> web.Response:
        self._shared.records.clear()
        self._shared.received = 0
        return json_response({"requests": []})

    async def reset(self, _: web.Request) -> web.Response:
        self._shared.reset()
        self._hooks.reset()
        return json_response({"ok": True})

    async def state(self, _: web.Request) -> web.Response:
        shared = self._shared
        common = {
            "kind": shared.kind,
            "received": shared.received,
            "active": shared.active,
            "hung_up": sum(entry.hung_up for entry in shared.records),
            "script": len(shared.script),
        }
        return json_response({**common, **self._hooks.state()})
