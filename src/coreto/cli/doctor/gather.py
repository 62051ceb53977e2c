"""Finds out what :mod:`coreto.cli.doctor.diagnosis` wants to know. All of the doctor's effects are here."""

import importlib.util
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from coreto.app import App, data_dir, running
from coreto.cli.doctor.engines import engine_facts
from coreto.cli.doctor.facts import (
    RULES,
    Facts,
    MissingFact,
    ProviderFact,
    RetiredFact,
    RoleFact,
)
from coreto.cli.doctor.probe import Probed, probe_all
from coreto.cli.flags import Flags
from coreto.errors import CallError, ConfigError, CoretoError
from coreto.hardware.base import Hardware
from coreto.hardware.machine import Machine
from coreto.messages import as_object
from coreto.providers.catalog import replacement, split_id
from coreto.providers.factory import Site
from coreto.providers.http import Endpoint, Http
from coreto.providers.weights import KNOWN, find
from coreto.settings.defaults import cloud_name, default_roles
from coreto.settings.draft import dotted
from coreto.settings.load import Loaded, check
from coreto.settings.model import DatabaseSettings, ProviderSettings
from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema

#: Settings of a provider that say that its user means it, when they come from a variable.
_TELLING = ("host", "base_url", "api_key", "enabled")
_KEYS = {
    "openrouter": "OPENROUTER_API_KEY",
    "openai": "OPENAI_API_KEY",
    "ollama": "OLLAMA_CLOUD_API_KEY",
    "ollama-cloud": "OLLAMA_CLOUD_API_KEY",
}


async def gather(
    flags: Flags, *, probing: bool, hardware: Hardware | None = None
) -> tuple[Loaded | None, Facts]:
    """The settings, where they can be read, and the facts. Raises nothing that the facts can tell."""
    problems = check(config=flags.config, overrides=flags.overrides)
    if problems:
        return None, Facts(config_problems=tuple(problems))
    loaded = flags.load()
    facts = _house(loaded)
    with _usable(loaded, facts) as housed:
        try:
            async with running(housed) as app:
                await app.refresh(everything=True)
                facts = await _look_around(app, loaded, facts, probing=probing)
                engines = await engine_facts(
                    app, facts.roles, _View(app, loaded).wanted_entries(), hardware or Machine()
                )
                facts = replace(facts, engines=engines)
        except ConfigError as error:  # what only shows when the parts are put together
            facts = replace(facts, config_problems=(error.message,))
    return loaded, facts


def _house(loaded: Loaded) -> Facts:
    """What can be told without asking anyone."""
    settings = loaded.settings
    folder = settings.data_dir
    problem: str | None = None
    try:
        folder = data_dir(settings)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problem = error.strerror or str(error)
    facts = Facts(
        config_file=str(loaded.file) if loaded.file else None,
        config_warnings=tuple(loaded.warnings),
        data_dir=str(folder),
        data_dir_problem=problem,
        database=settings.database.url.partition(":")[0],
        offline=settings.offline,
        fallback_enabled=settings.fallback_enabled,
        fallback_origin=loaded.origins.get("fallback_enabled", "default"),
        extra_local=importlib.util.find_spec("xllamacpp") is not None,
        memory_free=free_memory(),
    )
    if problem is not None and facts.database == "sqlite":
        return facts
    return replace(facts, database_problem=_database_problem(loaded, folder))


def _database_problem(loaded: Loaded, folder: Path | None) -> str | None:
    try:
        database = open_database(loaded.settings.database.url, folder or Path())
    except CoretoError as error:
        return error.message
    try:
        ensure_schema(database)
    except CoretoError as error:
        return error.message
    finally:
        database.close()
    return None


@contextmanager
def _usable(loaded: Loaded, facts: Facts) -> Generator[Loaded, None, None]:
    """The settings with a folder and a database that work, so that the rest can be looked at."""
    if facts.data_dir_problem is None and facts.database_problem is None:
        yield loaded
        return
    with tempfile.TemporaryDirectory(prefix="coreto-doctor-") as folder:
        housed = {"data_dir": Path(folder), "database": DatabaseSettings()}
        yield replace(loaded, settings=loaded.settings.model_copy(update=housed))


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of main memory that are available; ``None`` where the system does not say."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


async def _look_around(app: App, loaded: Loaded, facts: Facts, *, probing: bool) -> Facts:
    view = _View(app, loaded)
    roles = view.roles()
    providers = tuple([await _checked(app, p, loaded) for p in view.providers(roles)])
    facts = replace(
        facts,
        roles=roles,
        providers=providers,
        missing=view.missing(roles),
        retired=view.retired(),
        weights=any(find(name, app.models_dir) for name in KNOWN) or _embedded_up(app),
        memory_needed=view.memory_needed(roles),
    )
    probed = Probed()
    if probing:
        down = frozenset(p.name for p in providers if p.up is False)
        probed = await probe_all(app, roles, view.wanted_entries(), down)
    return replace(facts, probed=probing, probes=probed.probes, queues=probed.queues)


def _embedded_up(app: App) -> bool:
    found = app.inventory.get("embedded")
    return found is not None and found.health.ok


@dataclass(frozen=True, slots=True)
class _View:
    """What settings and directory say together."""

    app: App
    loaded: Loaded

    def roles(self) -> tuple[RoleFact, ...]:
        plans = self.app.gateway.directory.plans
        return tuple(
            RoleFact(
                name=name,
                candidates=tuple(c.deployment.id for c in plan.candidates),
                dropped=plan.dropped,
                wanted=self._origin(name) != "default",
            )
            for name, plan in plans.items()
            if name in self.loaded.settings.roles
        )

    def _origin(self, role: str) -> str:
        return self.loaded.origins.get(dotted(("roles", role, "chain")), "default")

    def wanted_entries(self) -> frozenset[str]:
        """The deployments that the user wrote, with what took a retired one's place."""
        written: set[str] = set()
        for name, role in self.loaded.settings.roles.items():
            if self._origin(name) != "default":
                usual = usual_chain(name)
                written.update(entry for entry in role.chain if entry not in usual and entry != RULES)
        return frozenset(written | {heir for entry in written if (heir := self._heir(entry))})

    def _heir(self, entry: str) -> str | None:
        provider, model = split_id(entry)
        site = self.app.sites.get(provider)
        heir = replacement(site.kind, model) if site else None
        return f"{provider}/{heir}" if heir else None

    def providers(self, roles: tuple[RoleFact, ...]) -> Iterator[ProviderFact]:
        named = {split_id(d)[0] for r in roles for d in (*r.candidates, *(name for name, _ in r.dropped))}
        wanted = {split_id(entry)[0] for entry in self.wanted_entries()}
        for name, site in self.app.sites.items():
            means = name in wanted or self._means(name)
            if name in named or means:
                yield self._provider(name, site, wanted=means)

    def _provider(self, name: str, site: Site, *, wanted: bool) -> ProviderFact:
        section = self.loaded.settings.providers[name]
        found = self.app.inventory.get(name)
        return ProviderFact(
            name=name,
            kind=site.kind,
            local=site.local,
            url=_url(self.loaded.settings.providers[site.through] if site.through else section),
            up=False if site.unusable else None if found is None else found.health.ok,
            code="auth" if site.unusable else found.health.code if found else None,
            detail=site.unusable or (found.health.detail if found else ""),
            until=found.health.until if found else None,
            wanted=wanted,
            key=_KEYS.get(name, f"providers.{name}.api_key"),
            through=site.through,
        )

    def _means(self, name: str) -> bool:
        """Whether the user set the provider up: any key of it in the file, or a telling variable."""
        file = str(self.loaded.file)
        keys = {key: dotted(("providers", name, key)) for key in ProviderSettings.model_fields}
        for key, path in keys.items():
            origin = self.loaded.origins.get(path, "default")
            if origin == file or (key in _TELLING and origin != "default"):
                return True
        return False

    def missing(self, roles: tuple[RoleFact, ...]) -> tuple[MissingFact, ...]:
        """The models that chains want and running Ollama servers do not have."""
        users: dict[str, list[str]] = {}
        for role in roles:
            for entry in (*role.candidates, *(name for name, _ in role.dropped)):
                if self._is_missing(entry):
                    users.setdefault(entry, []).append(role.name)
        wanted = self.wanted_entries()
        return tuple(
            MissingFact(
                deployment=entry,
                roles=tuple(names),
                first_of=tuple(n for n in names if self.loaded.settings.roles[n].chain[0] == entry),
                wanted=entry in wanted,
            )
            for entry, names in users.items()
        )

    def _is_missing(self, entry: str) -> bool:
        provider, model = split_id(entry)
        site, found = self.app.sites.get(provider), self.app.inventory.get(provider)
        if site is None or found is None or site.kind != "ollama" or not found.health.ok:
            return False
        names = {m.name for m in found.models} | {m.name.removesuffix(":latest") for m in found.models}
        return model not in names and cloud_name(model) == model

    def retired(self) -> tuple[RetiredFact, ...]:
        wanted = self.wanted_entries()
        chains = (role.chain for role in self.loaded.settings.roles.values())
        entries = dict.fromkeys(entry for chain in chains for entry in chain)
        return tuple(
            RetiredFact(deployment=entry, successor=heir, wanted=entry in wanted)
            for entry in entries
            if (heir := self._heir(entry))
        )

    def memory_needed(self, roles: tuple[RoleFact, ...]) -> tuple[tuple[str, int], ...]:
        """The local models that come first, with their sizes."""
        deployments = self.app.gateway.directory.deployments
        firsts = dict.fromkeys(role.candidates[0] for role in roles if role.candidates)
        return tuple(
            (name, d.memory) for name in firsts if (d := deployments.get(name)) and d.local and d.memory
        )


def _url(section: ProviderSettings) -> str:
    return section.base_url or section.host or ""


def usual_chain(role: str) -> frozenset[str]:
    """Every deployment that the defaults give ``role``, through other roles too."""
    roles = default_roles()
    seen: set[str] = set()
    waiting = [role]
    entries: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        chain: list[str] = roles.get(name, {}).get("chain", [])
        waiting += [entry for entry in chain if entry in roles]
        entries.update(entry for entry in chain if entry not in roles)
    return frozenset(entries)


async def _checked(app: App, provider: ProviderFact, loaded: Loaded) -> ProviderFact:
    """``provider`` with what its account says: OpenRouter lists its models to anyone."""
    section = loaded.settings.providers[provider.name]
    if provider.kind != "openrouter" or provider.up is not True or app.settings.offline:
        return provider
    key = section.api_key.get_secret_value() if section.api_key else None
    http = Http(Endpoint(provider.name, section.base_url or "", provider.local, key))
    try:
        status, body = await http.fetch("GET", "/key")
        left = as_object(as_object(orjson.loads(body)).get("data")).get("limit_remaining")
    except (CallError, orjson.JSONDecodeError):
        return provider
    finally:
        await http.close()
    if status == 401:
        return replace(provider, up=False, code="auth", detail="it does not know the key")
    if status == 200 and isinstance(left, int | float) and left <= 0:
        return replace(provider, up=False, code="billing", detail="the key's credit is used up")
    return provider
