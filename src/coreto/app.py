"""The composition root: settings become a wired application.

The only room that sees all the others; nobody but the CLI, the server's start and :mod:`coreto.client`
imports it.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import orjson
import platformdirs

from coreto.cache.backend import open_store
from coreto.cache.cached import Cached
from coreto.clock import Clock, SystemClock
from coreto.errors import CoretoError, UnknownModelError
from coreto.events import EventBus, HealthChanged, ModelMoved
from coreto.gateway.caching import teller
from coreto.gateway.gateway import Gateway
from coreto.gateway.memory import ask_engines, memory
from coreto.gateway.status import status
from coreto.hardware.base import Hardware
from coreto.hardware.machine import Machine
from coreto.ledger.budgets import Budgets
from coreto.ledger.limits import KeyLimits, Limits
from coreto.ledger.prices import PriceBook
from coreto.ledger.pricing import Price, price_of
from coreto.ledger.purse import Purse
from coreto.ledger.recorder import Recorder
from coreto.messages import Call, EmbedCall, Item, Json, Trace
from coreto.owner import OwnerCard, OwnerLock
from coreto.providers.catalog import split_id
from coreto.providers.discovery import Found, find_servers, probe
from coreto.providers.embedded import EmbeddedEngine
from coreto.providers.factory import Site, build_sites, embedded_weights
from coreto.providers.rules import RuleFunction, Rules, WordRule, by_words
from coreto.providers.weights import models_dir
from coreto.residency.build import build_hosts, require_room
from coreto.residency.effects import TROUBLES, Note
from coreto.residency.hosts import Host
from coreto.resilience.health import HealthBook
from coreto.resilience.hosting import look_up_models
from coreto.resilience.plan import Candidate
from coreto.routing.directory import Directory, DirectoryBuilder
from coreto.routing.router import Router, Sources
from coreto.settings.load import Loaded
from coreto.settings.model import Settings
from coreto.stores.budgets import SqlBudgetStore
from coreto.stores.database import Database, open_database
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import ensure_schema
from coreto.telemetry.tracing import Tracing, start_tracing

log = logging.getLogger(__name__)

#: The file of the gain models, in the data directory: features and outcomes, no text.
EXPERIENCE = "experience.json"

#: Seconds between two looks at who is there, while serving.
REFRESH = 30.0


def data_dir(settings: Settings) -> Path:
    """Where this user's data is kept, made if need be, readable by this user only."""
    path = settings.data_dir or Path(platformdirs.user_data_dir("coreto", appauthor=False))
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


class App:
    """A running Coreto. Make one with :meth:`start`; end it with :meth:`close`."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        rules: Mapping[str, RuleFunction] | None = None,
        clock: Clock | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        self.loaded = loaded
        self.settings = loaded.settings
        self.clock = clock or SystemClock()
        self.bus = EventBus()
        self.data_dir = data_dir(self.settings)
        self.models_dir = models_dir(self.settings.models_dir)
        self.health = HealthBook(self.clock, self.bus.emit)
        self.prices = PriceBook(self._look_up_price)
        self.sites: dict[str, Site] = {}
        self.inventory: dict[str, Found] = {}
        #: the engines whose models take turns in memory, by provider
        self.hosts: dict[str, Host] = {}
        self._hardware = hardware or Machine()
        self._others: dict[str, int] | None = None
        self.key = secrets.token_urlsafe(24)
        self._rules = Rules({**_rules_of(self.settings), **(rules or {})})
        self._lock = OwnerLock(self.data_dir)
        self._card = OwnerCard(os.getpid(), loaded.digest)
        self._background: set[asyncio.Task[None]] = set()
        self._found_sites: dict[str, Site] = {}
        self.purse: Purse | None = None
        self.tracing: Tracing | None = None
        #: of the server's keys; set before the start
        self.key_limits: KeyLimits | None = None
        store = open_store(self.settings.cache.backend, self.data_dir, self.clock)
        self.cached = Cached(store, self.clock, on_served=teller(self.bus, self.clock.time))
        self._router = Router(
            self.settings, Sources(self.health, self.prices, self._headroom, self._unaffordable, self.clock)
        )
        self._kept = 0
        self.gateway = self._gateway(Directory({}, {}))

    async def start(self) -> None:
        """Open the ledger, look who is there, take up calls. Raises :class:`CoretoError`."""
        self.bus.subscribe(HealthChanged, _log_health)
        self.bus.subscribe(ModelMoved, _log_move)
        self._lock.acquire(self._card)
        self.database, _ = await asyncio.gather(asyncio.to_thread(self._open_database), self.refresh())
        for host in self.hosts.values():
            found = self.inventory.get(host.name)
            require_room(host, found.models if found else ())
        look_up_models(self.gateway.directory.plans.values())
        limits = Limits(self.settings.budgets, self.key_limits)
        if limits.any:
            store = SqlBudgetStore(self.database, tracked=self.settings.track_costs)
            self.purse = Purse(store, limits, self.clock)
            await self.purse.start()
            self.gateway = self._gateway(self.gateway.directory)
        await asyncio.to_thread(self._recall)
        self.ledger = SqlLedgerStore(self.database)
        self.recorder = Recorder(
            self.ledger,
            self.clock,
            track_costs=self.settings.track_costs,
            track_latency=self.settings.track_latency,
        )
        self.recorder.attach(self.bus)
        telemetry = self.settings.telemetry
        if telemetry.otlp_endpoint:
            self.tracing = start_tracing(
                telemetry.otlp_endpoint, telemetry.service_name, offline=self.settings.offline
            )
            if self.tracing is not None:
                self.tracing.attach(self.bus)

    def _gateway(self, directory: Directory) -> Gateway:
        return Gateway(
            directory,
            self.health,
            self.prices,
            self.bus,
            self.clock,
            request_timeout=self.settings.request_timeout,
            budgets=Budgets(self.purse, self.prices) if self.purse else None,
            spill_after=self.settings.residency.spill_after,
            cached=self.cached,
            router=self._router,
        )

    def _headroom(self, account: str) -> float | None:
        found = self.inventory.get(account)
        return found.health.headroom if found else None

    def _unaffordable(self, call: Call | EmbedCall, role: str | None) -> str | None:
        if self.purse is None or self.purse.limits.refuses:  # then the call must fail, not go elsewhere
            return None
        return self.purse.reached(user=call.user, role=role, run=call.run)

    @property
    def is_owner(self) -> bool:
        """Whether this process owns the data directory. One that does not works beside the owner."""
        return self._lock.held

    def publish(self, url: str) -> None:
        """Tell other processes of this user where the server listens. If another process owns the directory,
        as a short command may, this one becomes its owner as soon as it is free and kept fresh."""
        self._card = OwnerCard(os.getpid(), self.loaded.digest, url, self.key)
        if self._lock.held:
            self._lock.announce(self._card)

    async def refresh(self, *, everything: bool = False) -> None:
        """Look who is there and rebuild the directory. ``everything``: also ask the cloud."""
        if not self.sites:
            self.sites = build_sites(self.settings, self.models_dir, self.clock)
            self.hosts = build_hosts(self.settings, self.sites, self._hardware, self.clock, self._moved)
            for host in self.hosts.values():
                await host.start()
        for name, site in self.sites.items():
            if isinstance(site.provider, EmbeddedEngine):
                site.provider.offer(embedded_weights(self.settings.models, name, self.models_dir))
        if self.settings.discovery:
            taken = [s.base_url or s.host or "" for s in self.settings.providers.values()]
            for site in await find_servers(taken):
                self._found_sites.setdefault(site.name, site)
        sites = {**self._found_sites, **self.sites}
        asked = [s for s in sites.values() if s.local or (everything and not self.settings.offline)]
        found = await probe(asked)
        self._say_what_changed(found)
        self.inventory.update(found)
        builder = DirectoryBuilder(
            self.settings,
            sites,
            self.inventory,
            rules=self._rules,
            explicit_roles=self.loaded.explicit_roles,
            clock=self.clock,
            hosts=self.hosts,
        )
        self.gateway.directory = builder.build()

    def _say_what_changed(self, found: Mapping[str, Found]) -> None:
        """Log who went down or came back since the last look; at the first one, only those that the user
        has configured."""
        for name, now in found.items():
            before = self.inventory.get(name)
            chosen = self.loaded.origins.get(f"providers.{name}.base_url", "default") != "default"
            if not now.health.ok and (before.health.ok if before else chosen):
                log.warning("provider %r is down: %s", name, now.health.detail)
            elif now.health.ok and before is not None and not before.health.ok:
                log.warning("provider %r is back: %s", name, now.health.detail)

    def keep_fresh(self) -> None:
        """Look who is there every half minute, the cloud included, until :meth:`close`."""
        self._spawn(self._refresh_forever())

    async def _refresh_forever(self) -> None:
        while True:
            if not self._lock.held:
                self._lock.acquire(self._card)
            try:
                await self.refresh(everything=True)
            except CoretoError as error:  # a schema file that is gone, say: the directory stays as it was
                log.warning("cannot look who is there: %s", error.message)
            await self._remember()
            await self.clock.sleep(REFRESH)

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """Answer a call; the last item is its trace."""
        return self.gateway.open(call)

    async def explain(self, call: Call) -> Json:
        """Where ``call`` would go, and why; nobody is asked."""
        return await self.gateway.explain(call)

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]:
        """Embeddings and their trace."""
        return await self.gateway.embed(call)

    async def names(self) -> list[str]:
        """Every name that can be asked for: roles, ``auto``, deployments."""
        directory = self.gateway.directory
        return [*directory.plans, *directory.deployments]

    async def announce(self, plan: str, steps: Sequence[tuple[str, int]], *, private: bool = False) -> None:
        """Say what ``plan`` will ask for, so that its models are kept, or loaded ahead: roles or deployments with the
        calls of each, in order; nothing: it is over. ``private``: its calls stay on this machine. Names that are not known are passed over."""
        at: dict[str, list[tuple[str, int]]] = {name: [] for name in self.hosts}
        for name, calls in steps:
            first = self._first_of(name, private=private)
            if first is not None and first.host is not None:
                at[first.host.name].append((first.deployment.model, calls))
        for name, ahead in at.items():
            await self.hosts[name].announce(plan, ahead)

    def _first_of(self, name: str, *, private: bool) -> Candidate | None:
        """Who would be asked for ``name`` now."""
        try:
            candidates = self.gateway.directory.plan(name).candidates
        except UnknownModelError:
            return None
        able = (c for c in candidates if self.health.block(c.deployment) is None)
        return next((c for c in able if c.deployment.local or not private), None)

    async def status(self) -> Json:
        """The keys of SPEC R13 and R11, and the state of every deployment."""
        await self.look()
        shown = self.snapshot()
        shown["cache"] = (await self.cached.stats()).as_json()
        shown["budgets"] = (await self.purse.report()).as_json() if self.purse else None
        return shown

    async def look(self) -> None:
        """Look what is in the memory of engines whose models do not take turns."""
        self._others = await ask_engines(self.sites, self.inventory, self.hosts)

    def snapshot(self) -> Json:
        """The status without asking anybody: engines whose models do not take turns are as last seen."""
        gpus = self._hardware.gpus()
        graphics = max((gpu.memory.total for gpu in gpus), default=None) if gpus else None
        seen = memory(self._others, self.hosts, graphics)
        return status(self.settings, self.gateway.directory, self.health, self.inventory, self.sites, seen)

    async def close(self) -> None:
        """End everything that was started. Idempotent."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background.clear()
        await self.cached.close()
        for host in self.hosts.values():
            await host.close()
        for site in (*self.sites.values(), *self._found_sites.values()):
            await site.provider.close()
        self.sites, self._found_sites, self.hosts = {}, {}, {}
        if hasattr(self, "recorder"):
            await self.recorder.close()
            await self._remember()
        if self.purse is not None:
            await self.purse.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        if hasattr(self, "database"):
            self.database.close()
        self._lock.release()

    def _open_database(self) -> Database:
        database = open_database(self.settings.database.url, self.data_dir)
        ensure_schema(database)
        return database

    def _recall(self) -> None:
        """Go on from what was learned before. A file that cannot be used is no reason not to start."""
        try:
            self._router.experience.restore(orjson.loads((self.data_dir / EXPERIENCE).read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("what was learned before cannot be read, and is learned anew: %s", error)

    async def _remember(self) -> None:
        """Keep what was learned since the last time, if this process owns the data directory."""
        experience = self._router.experience
        if experience.learned == self._kept or not self._lock.held:
            return
        self._kept = experience.learned
        await asyncio.to_thread(_replace_file, self.data_dir / EXPERIENCE, orjson.dumps(experience.as_json()))

    def _look_up_price(self, deployment: str) -> Price | None:
        provider, model = split_id(deployment)
        known = self.settings.models.get(deployment)
        site = self.sites.get(provider)
        kind = site.kind if site and site.kind != "openai" else provider
        return price_of(
            kind, model, known.input_price if known else None, known.output_price if known else None
        )

    def _moved(self, host: str, note: Note) -> None:
        self.bus.emit(ModelMoved(host, note.model, note.happening.value, note.detail))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


@asynccontextmanager
async def running(
    loaded: Loaded, rules: Mapping[str, RuleFunction] | None = None
) -> AsyncGenerator[App, None]:
    """An :class:`App` for the length of a block."""
    app = App(loaded, rules=rules)
    try:
        await app.start()
        yield app
    finally:
        await app.close()


def _replace_file(file: Path, content: bytes) -> None:
    """Put ``content`` in the place of ``file``, readable by this user only; logged when that fails."""
    fresh = file.with_suffix(".new")
    try:
        fresh.write_bytes(content)
        fresh.chmod(0o600)
        fresh.replace(file)
    except OSError as error:
        log.warning("%s cannot be written: %s", file, error)


def _rules_of(settings: Settings) -> dict[str, RuleFunction]:
    return {
        name: by_words([WordRule(rule.contains, rule.answer) for rule in role.rules])
        for name, role in settings.roles.items()
        if role.rules
    }


def _log_move(event: ModelMoved) -> None:
    level = logging.WARNING if event.what in TROUBLES else logging.INFO
    log.log(level, "%s/%s: %s %s", event.provider, event.model, event.what.replace("_", " "), event.detail)


def _log_health(event: HealthChanged) -> None:
    log.warning("%s is %s: %s", event.key, event.state, event.reason)
