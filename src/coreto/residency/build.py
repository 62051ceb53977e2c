"""Hosts from the settings: one for each engine whose memory has a budget."""

from collections.abc import Callable, Iterable, Mapping

from coreto.clock import Clock
from coreto.errors import ConfigError
from coreto.hardware.base import Hardware, suggested_budget
from coreto.providers.base import ModelInfo
from coreto.providers.factory import Site
from coreto.providers.ollama import full_name, is_cloud_name
from coreto.residency.effects import Note
from coreto.residency.hosts import Host, Terms
from coreto.residency.model import Rules
from coreto.residency.policy import gigabytes
from coreto.residency.sizes import Wanted
from coreto.settings.model import Settings

HOME_ROLE = "brain"


def build_hosts(
    settings: Settings,
    sites: Mapping[str, Site],
    hardware: Hardware,
    clock: Clock,
    on_note: Callable[[str, Note], None],
) -> dict[str, Host]:
    """A host for every local engine with a ``memory_budget``, by its provider's name; none is started.

    Raises :class:`ConfigError` for "auto" on a machine that does not tell its memory, and for a budget of a provider
    that is no engine on this machine.
    """
    hosts: dict[str, Host] = {}
    for name, section in settings.providers.items():
        budget = section.memory_budget
        site = sites.get(name)
        if budget is None or site is None:
            continue
        if site.engine is None or not site.local:
            raise ConfigError(
                f"providers.{name}.memory_budget: only Ollama, llama.cpp's router and the embedded engine on this "
                "machine load and unload models when told to; leave it out"
            )
        found = suggested_budget(hardware) if budget == "auto" else budget
        if found is None:
            raise ConfigError(
                f'providers.{name}.memory_budget: this machine does not tell its memory; write a size instead of "auto"'
            )
        named = full_name if site.kind == "ollama" else str
        terms = Terms(
            int(found),
            _wanted(settings, name, named, section.parallel),
            Rules(max_wait=settings.residency.max_wait, return_after=settings.residency.return_after),
            _home(settings, name, named),
            named,
        )
        hosts[name] = Host(name, site.engine, terms, clock=clock, on_note=on_note)
    return hosts


def require_room(host: Host, models: Iterable[ModelInfo]) -> None:
    """Raise :class:`ConfigError` when the budget holds none of the models that its engine has."""
    sizes = {
        model.name: host.terms.wanted.memory.get(model.name) or model.size for model in models if model.local
    }
    known = {name: size for name, size in sizes.items() if size}
    if not known or len(known) < len(sizes):
        return
    smallest = min(known, key=lambda name: known[name])
    if known[smallest] > host.terms.budget:
        raise ConfigError(
            f"providers.{host.name}.memory_budget: {gigabytes(host.terms.budget)} hold none of its models; the smallest, "
            f"{smallest!r}, takes {gigabytes(known[smallest])}. Raise the budget, or pull a smaller model"
        )


def _wanted(settings: Settings, provider: str, named: Callable[[str], str], slots: int) -> Wanted:
    """Of several windows that are asked for the longest counts, so that no change of role reloads a model."""
    memory: dict[str, int] = {}
    context: dict[str, int] = {}
    for role in settings.roles.values():
        for entry in role.chain if role.context else ():
            owner, _, model = entry.partition("/")
            if owner == provider and role.context:
                context[named(model)] = max(role.context, context.get(named(model), 0))
    for entry, known in settings.models.items():
        owner, _, model = entry.partition("/")
        if owner != provider:
            continue
        if known.memory:
            memory[named(model)] = known.memory
        if known.context:
            context[named(model)] = max(known.context, context.get(named(model), 0))
    return Wanted(memory, context, slots)


def _home(settings: Settings, provider: str, named: Callable[[str], str]) -> str | None:
    """The brain's own model on this host: the first of its chain."""
    role = settings.roles.get(HOME_ROLE)
    for entry in role.chain if role else ():
        owner, _, model = entry.partition("/")
        if owner == provider and not is_cloud_name(model):
            return named(model)
    return None
