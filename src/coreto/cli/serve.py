"""``coreto serve``: an application and its server, from the first line to a clean end."""

import asyncio
import contextlib
import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from coreto.app import App, data_dir
from coreto.owner import find_owner
from coreto.providers.catalog import split_id
from coreto.server.asgi import Edge
from coreto.server.exchange import Receive, Scope, Send
from coreto.server.keys import KeyRing
from coreto.server.limits import Gate
from coreto.server.services import Services
from coreto.settings.load import Loaded
from coreto.settings.model import Settings
from coreto.stores.database import open_database
from coreto.stores.keys import SqlKeyStore
from coreto.stores.migrate import ensure_schema
from coreto.telemetry.logs import log_requests, secrets_of, set_up_logs
from coreto.telemetry.metrics import HostFigures, Metrics, Sources

try:
    import uvloop
except ImportError:  # Windows and PyPy have asyncio's own
    uvloop = None

try:
    from coreto.server.protocol import BoundedProtocol
except ImportError:  # PyPy has no httptools; uvicorn's other parser has bounds of its own
    BoundedProtocol = None

#: Seconds that running requests are given when the server is told to stop.
GRACE = 10
#: Seconds an idle connection is kept: longer than clients' pools keep theirs, so that they close first.
KEEP_ALIVE = 75


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to listen: ``address`` is the host resolved, ``host`` as people write it."""

    host: str
    port: int
    address: str

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def url(self, port: int, *, own: bool = False) -> str:
        """The server's URL; ``own``: as this machine reaches it."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 compared, not bound
        host = anywhere.get(self.address, self.address) if own else self.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn's server that leaves signals to us and says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        """Take no more requests and end when the running ones have; at once when told again."""
        self.force_exit = self.should_exit
        self.should_exit = True


def serve(loaded: Loaded, *, host: str | None = None, port: int | None = None) -> int:
    """Serve until told to stop; the exit code: 0, 1 when the address or the data directory is taken, 2 when
    the configuration forbids it. ``host`` and ``port`` replace the configured ones.

    Raises :class:`~coreto.errors.CoretoError` when the application cannot start.
    """
    settings = loaded.settings
    set_up_logs(settings.log_level, settings.telemetry.log_format, secrets=secrets_of(settings))
    wanted = settings.server.host if host is None else host
    number = settings.server.port if port is None else port
    try:
        place = _Place(wanted, number, _resolved(wanted or "0.0.0.0"))  # noqa: S104 refused below without keys
    except OSError as error:
        return _fail(f"cannot listen on {wanted}:{number}: {error.strerror}")
    if not ipaddress.ip_address(place.address).is_loopback and not _has_keys(settings):
        return _fail(
            f"listening on {place.host} lets other machines in: set `server.api_keys`, or make a key by "
            "`coreto keys create NAME` (or listen on 127.0.0.1)",
            code=2,
        )
    if (elsewhere := _served_by(data_dir(settings))) is not None:
        return _fail(elsewhere)
    try:
        listener = _listen(place)
    except OSError as error:
        return _fail(f"cannot listen on {place.host}:{number}: {error.strerror}")
    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        return runner.run(_serve(loaded, place, listener))


async def _serve(loaded: Loaded, place: _Place, listener: socket.socket) -> int:
    app = App(loaded)
    keys = _key_ring(app)
    app.key_limits = keys.limits_of
    port = int(listener.getsockname()[1])

    def on_ready() -> None:
        app.publish(place.url(port, own=True))
        app.keep_fresh()
        url = place.url(port)
        sys.stdout.write(f"Coreto listening on {url} (OpenAI-compatible base URL: {url}/v1)\n")
        sys.stdout.flush()

    config = _config()
    server = _Server(config, on_ready)
    _stop_on_signals(server)
    key_keeper: asyncio.Task[None] | None = None
    try:
        await app.start()
        store = SqlKeyStore(app.database)
        await keys.refresh(store)
        keys.on_change = app.purse.limits_changed if app.purse else keys.on_change
        config.app = Edge(_services(app, keys))
        key_keeper = asyncio.create_task(keys.keep_fresh(store))
        if not app.is_owner and (elsewhere := _served_by(app.data_dir)) is not None:
            return _fail(elsewhere)
        # What is there now stays: collections need not look at it again.
        gc.collect()
        gc.freeze()
        if not server.should_exit:
            await server.serve(sockets=[listener])
    finally:
        if key_keeper is not None:
            key_keeper.cancel()
        await app.close()
    return 0


def _config() -> uvicorn.Config:
    """The server's settings. What it serves is put into them once it is there."""
    return uvicorn.Config(
        _not_yet,
        interface="asgi3",
        http=BoundedProtocol or "auto",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


async def _not_yet(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise AssertionError("nothing is served before the application has started")


def _key_ring(app: App) -> KeyRing:
    configured = [key.get_secret_value() for key in app.settings.server.api_keys]
    return KeyRing(configured, owner=app.key, clock=app.clock)


def _has_keys(settings: Settings) -> bool:
    """Whether a key is needed, for the configuration or the database has one. Raises
    :class:`~coreto.errors.CoretoError`."""
    if settings.server.api_keys:
        return True
    database = open_database(settings.database.url, data_dir(settings))
    try:
        ensure_schema(database)
        return any(key.revoked_ms is None for key in SqlKeyStore(database).all())
    finally:
        database.close()


def _services(app: App, keys: KeyRing) -> Services:
    limits = app.settings.server
    gate = Gate(app.clock, limits.max_concurrent, limits.max_queued)
    metrics = Metrics(_sources(app, gate))
    metrics.attach(app.bus)
    if app.settings.telemetry.access_log:
        log_requests(app.bus)
    return Services(
        gateway=app.gateway,
        status=app.status,
        why_not_ready=lambda: why_not_ready(app),
        keys=keys,
        gate=gate,
        request_timeout=app.settings.request_timeout,
        bus=app.bus,
        metrics=metrics.text,
        cache=app.cached,
        plans=app,
        model_aliases=limits.model_aliases,
    )


def _sources(app: App, gate: Gate) -> Sources:
    def breakers() -> list[tuple[str, str]]:
        deployments = app.gateway.directory.deployments.values()
        return [(d.id, app.health.breaker_state(d)) for d in deployments]

    def hosts() -> list[HostFigures]:
        seen = [(name, host.status()) for name, host in app.hosts.items()]
        return [
            HostFigures(name, s.used, s.budget, sum(m.waiting for m in s.models), s.loads, s.switches)
            for name, s in seen
        ]

    return Sources(
        knows_deployment=lambda name: name in app.gateway.directory.deployments,
        knows_role=lambda name: name in app.gateway.directory.plans,
        breakers=breakers,
        in_flight=lambda: gate.running,
        queued=lambda: gate.queued,
        ledger_dropped=lambda: app.recorder.dropped,
        ledger_waiting=lambda: app.recorder.waiting,
        hosts=hosts,
    )


def why_not_ready(app: App) -> str | None:
    """Why no deployment can answer now; ``None`` when one can."""
    reasons: list[str] = []
    for deployment in app.gateway.directory.deployments.values():
        found = app.inventory.get(split_id(deployment.id)[0])
        block = app.health.block(deployment)
        if block is not None:
            reasons.append(f"{deployment.id}: {block.reason}")
        elif found is not None and not found.health.ok:
            reasons.append(f"{deployment.id}: {found.health.detail}")
        else:
            return None
    return "; ".join(reasons) or "there is no deployment: `coreto doctor` says what is missing"


def _served_by(folder: Path) -> str | None:
    """Who serves this data directory already; ``None`` when nobody does."""
    owner = find_owner(folder)
    if owner is None or owner.url is None:
        return None
    return f"another Coreto serves this data directory already, at {owner.url} (process {owner.pid})"


def _resolved(host: str) -> str:
    """The address of ``host``, IPv4 where it has both. Raises ``OSError``."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def _listen(place: _Place) -> socket.socket:
    """A listening socket. Clients that come before the server is ready wait."""
    both = place.address == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(
        (place.address, place.port), family=place.family, backlog=2048, dualstack_ipv6=both
    )


def _stop_on_signals(server: _Server) -> None:
    loop = asyncio.get_running_loop()

    def told_to_stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        loop.call_soon_threadsafe(server.stop)

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, server.stop)
        except NotImplementedError:  # Windows
            signal.signal(number, told_to_stop)


def _fail(message: str, *, code: int = 1) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code
