"""Providers from their settings."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from coreto.clock import Clock
from coreto.messages import Call, Limits, Whole
from coreto.providers.base import Embedder, LocalEngine, Provider
from coreto.providers.embedded import EmbeddedEngine, GgufModel
from coreto.providers.http import Endpoint
from coreto.providers.llamacpp import LlamaCppRouter
from coreto.providers.ollama import Ollama, OllamaCloud, OllamaCloudByDaemon
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.providers.openrouter import OpenRouter
from coreto.providers.weights import KNOWN, find
from coreto.settings.model import ModelSettings, ProviderSettings, Settings

#: Seconds per attempt where neither role nor provider says otherwise. Local engines may have to load
#: the model first.
ATTEMPT_LOCAL = 120.0
ATTEMPT_CLOUD = 60.0
#: How long Ollama keeps a model that takes turns, where the user does not say. (Not for ever: this process may die.)
KEPT = "1h"


@dataclass(frozen=True, slots=True)
class Site:
    """A provider with what its settings say: where it runs, and the times given to it."""

    name: str
    kind: str
    local: bool
    provider: Provider
    limits: Limits
    embedder: Embedder | None = None
    engine: LocalEngine | None = None
    #: a shorter way to a non-stream answer
    whole: Callable[[Call], Awaitable[Whole]] | None = None
    #: as :class:`~coreto.resilience.plan.Candidate` has them
    constrains: bool = False
    prefill: bool = False
    at_once: int = 100
    #: the provider whose server passes its calls on, where it has none of its own
    through: str | None = None
    #: why it cannot be used at all, with the mend; ``None`` when it can
    unusable: str | None = None


@dataclass(frozen=True, slots=True)
class _Reach:
    """What the settings say of all servers alike."""

    traced: bool
    offline: bool


def build_sites(settings: Settings, models_dir: Path, clock: Clock) -> dict[str, Site]:
    """Every enabled provider of ``settings`` by name. Nothing is contacted."""
    return {
        name: _build(name, section, settings, models_dir, clock)
        for name, section in settings.providers.items()
        if section.enabled
    }


def _build(name: str, section: ProviderSettings, settings: Settings, models_dir: Path, clock: Clock) -> Site:
    kind = section.kind or "openai"
    local = bool(section.local)
    attempt = section.timeout or (ATTEMPT_LOCAL if local or kind == "embedded" else ATTEMPT_CLOUD)
    limits = Limits(connect=section.connect_timeout, attempt=attempt, stall=section.stall_timeout)
    url = section.base_url or section.host or ""
    key = section.api_key.get_secret_value() if section.api_key else None
    reach = _Reach(bool(settings.telemetry.otlp_endpoint), settings.offline)
    unusable: str | None = None
    provider: Provider
    embedder: Embedder | None = None
    engine: LocalEngine | None = None
    through: str | None = None
    match kind:
        case "embedded":
            weights = embedded_weights(settings.models, name, models_dir)
            provider = engine = EmbeddedEngine(
                weights, idle_timeout=section.idle_timeout, threads=section.threads, clock=clock
            )
            local = True
        case "ollama":
            endpoint = _endpoint(name, url, section, key, local=local, reach=reach)
            provider = embedder = engine = _ollama(section, endpoint, clock)
        case "ollama-cloud" if key is None:
            daemon = settings.providers.get("ollama")
            url = (daemon.base_url or daemon.host or url) if daemon else url
            provider = OllamaCloudByDaemon(
                _endpoint(name, url, section, None, local=False, reach=reach), clock=clock
            )
            local, through = False, "ollama"
        case "ollama-cloud":
            provider = OllamaCloud(_endpoint(name, url, section, key, local=False, reach=reach), clock=clock)
            local = False
        case "llamacpp":
            endpoint = _endpoint(name, url, section, key, local=local, reach=reach)
            provider = embedder = engine = LlamaCppRouter(endpoint, clock=clock)
        case _:
            if key is None and not local and name in ("openai", "openrouter"):
                unusable = f"no key: set {name.upper()}_API_KEY"
            compatible = OpenRouter if kind == "openrouter" else OpenAICompatible
            provider = embedder = compatible(_endpoint(name, url, section, key, local=local, reach=reach))
    constrains = kind in ("embedded", "llamacpp") or (kind == "ollama" and local)
    return Site(
        name,
        kind,
        local,
        provider,
        limits,
        embedder,
        engine,
        provider.whole if isinstance(provider, OpenAICompatible) else None,
        constrains=constrains,
        prefill=constrains or kind == "openrouter",
        at_once=section.max_connections,
        through=through,
        unusable=unusable,
    )


def _ollama(section: ProviderSettings, endpoint: Endpoint, clock: Clock) -> Ollama:
    keep_alive, managed = section.keep_alive, section.memory_budget is not None
    if keep_alive is None and managed:
        keep_alive = KEPT  # who leaves, and when, is decided here, not by five idle minutes
    return Ollama(endpoint, keep_alive=keep_alive, managed=managed, clock=clock)


def _endpoint(
    name: str, url: str, section: ProviderSettings, key: str | None, *, local: bool, reach: _Reach
) -> Endpoint:
    most = section.max_connections
    return Endpoint(name, url, local, key, section.headers, most, reach.traced, reach.offline)


def embedded_weights(
    models: Mapping[str, ModelSettings], provider: str, models_dir: Path
) -> dict[str, GgufModel]:
    """The models of the embedded engine ``provider``: those pulled into ``models_dir``, and those with a path."""
    weights: dict[str, GgufModel] = {}
    for name, known in KNOWN.items():
        path = find(name, models_dir)
        if path is not None:
            weights[name] = GgufModel(name, path, known.context)
    for deployment, section in models.items():
        owner, _, name = deployment.partition("/")
        if owner == provider and section.path is not None:
            weights[name] = GgufModel(name, section.path, section.context or 2048)
        elif owner == provider and name in weights and section.context is not None:
            weights[name] = GgufModel(name, weights[name].path, section.context)
    return weights


def find_server(name: str, url: str) -> Site:
    """A site for a server that discovery found at a well-known address of this machine."""
    provider = OpenAICompatible(Endpoint(name, url, local=True))
    return Site(name, "openai", True, provider, Limits(attempt=ATTEMPT_LOCAL), provider)
