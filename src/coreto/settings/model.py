"""The configuration's schema: what may be set, its types, defaults and meaning.

``coreto init``, ``coreto config check`` and the reference page are generated from it. Durations are
seconds, sizes are bytes ("16 GB" in the file), money is US dollars.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from coreto.settings.units import check_zone, parse_budget, parse_bytes

Bytes = Annotated[int, BeforeValidator(parse_bytes)]
Budget = Annotated[int | Literal["auto"], BeforeValidator(parse_budget)]
Seconds = Annotated[float, Field(gt=0)]
Dollars = Annotated[float, Field(ge=0, le=1_000_000)]
Zone = Annotated[str, AfterValidator(check_zone)]
ProviderKind = Literal["ollama", "ollama-cloud", "openai", "openrouter", "llamacpp", "embedded"]
PrivacyMode = Literal["local", "mask", "off"]
Preference = Literal["chain", "local", "cloud", "cheap", "fast"]
TaskName = Literal["planning", "execution", "code", "ui", "conversation"]


DEFAULT_TASKS: dict[TaskName, str] = {
    "planning": "brain",
    "execution": "executor",
    "code": "executor",
    "ui": "ui",
    "conversation": "brain",
}

_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/@\s]+(?=@)")


def mask_password(text: str) -> str:
    """The text with the password of a URL (`scheme://user:password@host`) replaced by ``****``."""
    return _PASSWORD.sub(r"\1****", text)


class Section(BaseModel):
    """A table of the configuration: frozen, unknown keys refused, no secret in its repr."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if name == "headers":
                yield name, dict.fromkeys(self.headers, "****") if isinstance(self, ProviderSettings) else ""
            else:
                yield name, mask_password(value) if isinstance(value, str) else value


class ServerSettings(Section):
    """`coreto serve`."""

    host: str = Field(
        default="127.0.0.1", description="address to listen on; beyond loopback api_keys are required"
    )
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    api_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="keys that clients must present",
        examples=[["env:CORETO_API_KEY"]],
    )
    max_concurrent: int = Field(default=256, ge=1, description="calls answered at the same time")
    max_queued: int = Field(
        default=1024, ge=0, description="calls that wait for their turn; more are refused with 429"
    )
    model_aliases: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="what names that are not known here mean, by patterns in order, for clients that insist on theirs",
        examples=[{"claude-*": "brain", "gpt-*": "brain"}],
    )


class ProviderSettings(Section):
    """A server (or the embedded engine) that has models."""

    kind: ProviderKind | None = Field(default=None, description="the wire; implied by the well-known names")
    enabled: bool = Field(default=True, description="false takes all its models out of service")
    base_url: str | None = Field(
        default=None, description="where the server is (OpenAI-compatible servers end in /v1)"
    )
    host: str | None = Field(default=None, description="the same for Ollama, as in OLLAMA_HOST")
    api_key: SecretStr | None = Field(default=None, description='"env:NAME" keeps the key out of the file')
    headers: dict[str, str] = Field(default_factory=dict[str, str], description="extra request headers")
    local: bool | None = Field(
        default=None, description="whether it runs on this machine; default: loopback hosts only"
    )
    timeout: Seconds | None = Field(
        default=None, description="seconds per attempt (streams: to the first token)"
    )
    stall_timeout: Seconds = Field(default=30.0, description="seconds between two tokens of a stream")
    connect_timeout: Seconds = Field(default=5.0, description="seconds to connect")
    max_connections: int = Field(default=100, ge=1, description="pooled connections")
    memory_budget: Budget | None = Field(
        default=None,
        description="memory its models may fill together: those that do not fit take turns; "
        '"auto": most of the graphics card, else of what is free',
    )
    parallel: int = Field(
        default=1, ge=1, description="requests that one model answers at once, as in OLLAMA_NUM_PARALLEL"
    )
    keep_alive: str | float | None = Field(
        default=None, description='how long Ollama keeps a model loaded, e.g. 300 or "5m"'
    )
    idle_timeout: Seconds = Field(
        default=300.0, description="embedded engine: seconds without a call before it stops"
    )
    threads: int | None = Field(default=None, ge=1, description="embedded engine: CPU threads")


class ModelSettings(Section):
    """What is known of one deployment (`provider/model`); goes before the catalogue."""

    memory: Bytes | None = Field(default=None, description="memory it takes when loaded")
    context: int | None = Field(default=None, ge=16, description="context window in tokens")
    path: Path | None = Field(default=None, description="embedded engine: the GGUF file")
    input_price: float | None = Field(default=None, ge=0, description="US dollars per million prompt tokens")
    output_price: float | None = Field(
        default=None, ge=0, description="US dollars per million completion tokens"
    )
    successor: str | None = Field(default=None, description="the model that replaces it once it is retired")


class Rule(Section):
    """One line of a role's last resort: the answer when any of the words occurs in the prompt."""

    contains: tuple[str, ...] = Field(default=(), description="words to look for, in any case; none: always")
    answer: str = Field(description="the answer")


class RoleSettings(Section):
    """What a model is used for: an ordered chain of deployments, tried one after the other."""

    chain: tuple[str, ...] = Field(
        min_length=1, description='deployments, best first; "rules" as the last resort'
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="sampling temperature where the caller gives none"
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="longest answer where the caller gives none"
    )
    timeout: Seconds | None = Field(default=None, description="seconds per attempt; default: the provider's")
    context: int | None = Field(default=None, ge=16, description="fixed window in tokens for local engines")
    labels: tuple[str, ...] = Field(default=(), description="the only answers allowed")
    response_schema: Path | None = Field(default=None, description="file with the JSON schema of the answer")
    json_answer: bool = Field(default=False, description="the answer must be a JSON object")
    fallback: bool | None = Field(
        default=None, description="try the next deployment when one fails; default: fallback_enabled"
    )
    retries: int | None = Field(
        default=None,
        ge=0,
        le=10,
        description="retries of one deployment after a passing fault; default: 2 for the last of the chain, else 0",
    )
    local_only: bool = Field(default=False, description="never use a deployment that is off this machine")
    privacy: PrivacyMode | None = Field(
        default=None, description="what becomes of sensitive data; default: the top-level `privacy`"
    )
    prefer: Preference | None = Field(
        default=None,
        description="who of the chain is asked first; default: its order, for `auto` what the task needs",
    )
    escalate: bool = Field(
        default=False, description="ask the cloud when a local answer looks wrong, or is likely to"
    )
    rules: tuple[Rule, ...] = Field(
        default=(), description='what "rules" in the chain answers, first match first'
    )
    stream_failover: Literal["hold", "continue", "restart"] | None = Field(
        default=None, description="what happens when a stream dies midway"
    )
    cache_ttl: float = Field(default=0, ge=0, description="seconds an answer is kept; 0: not cached")


class RoutingSettings(Section):
    """What `auto` comes to."""

    tasks: dict[TaskName, str] = Field(
        default_factory=lambda: dict(DEFAULT_TASKS),
        description="the role for each kind of work; what is not named keeps its default",
        examples=[{"code": "executor", "conversation": "chat"}],
    )
    examples: dict[TaskName, tuple[str, ...]] = Field(
        default_factory=dict[TaskName, tuple[str, ...]],
        description="prompts of your own for each kind of work; what is like them goes their way",
        examples=[{"execution": ["roda o fechamento do mês"]}],
    )
    embedder: bool = Field(
        default=True,
        description="ask the bundled embedder (extra `local`) when the kind of work is not clear",
    )


class SpendingLimits(Section):
    """What one of them may spend; "*" is for each that has no value of its own."""

    daily_usd: Dollars | None = Field(default=None, description="US dollars a day", examples=[1.0])
    monthly_usd: Dollars | None = Field(default=None, description="US dollars a month", examples=[5.0])


class RunLimits(Section):
    """What each run may spend."""

    usd: Dollars | None = Field(default=None, description="US dollars for the whole of it", examples=[0.5])


class BudgetSettings(Section):
    """Spending limits."""

    daily_usd: Dollars | None = Field(default=None, description="US dollars a day", examples=[1.0])
    monthly_usd: Dollars | None = Field(default=None, description="US dollars a month", examples=[5.0])
    when_exceeded: Literal["local", "refuse"] = Field(
        default="local", description="use local models only, or refuse"
    )
    timezone: Zone = Field(
        default="UTC",
        description="whose days and months count; the same for all servers on one database",
        examples=["America/Sao_Paulo"],
    )
    allow_unknown_price: bool = Field(
        default=False,
        description="under a limit, also use cloud models without a known price; they may exceed it",
    )
    users: dict[str, SpendingLimits] = Field(
        default_factory=dict[str, SpendingLimits],
        description="limits of users",
        examples=[{"*": {"daily_usd": 0.5}, "ana": {"daily_usd": 2.0, "monthly_usd": 20.0}}],
    )
    roles: dict[str, SpendingLimits] = Field(
        default_factory=dict[str, SpendingLimits],
        description="limits of roles",
        examples=[{"brain": {"monthly_usd": 3.0}}],
    )
    runs: RunLimits = Field(default=RunLimits(), description="limit of each run", examples=[{"usd": 0.5}])


class CacheSettings(Section):
    """The response cache."""

    backend: str = Field(default="memory", description="memory, sqlite or redis://…")


class ResidencySettings(Section):
    """How models take turns in a memory that does not hold all of them (see `memory_budget`)."""

    max_wait: Seconds = Field(
        default=60.0, description="seconds a request may wait behind later ones for another model"
    )
    spill_after: float = Field(
        default=30.0,
        ge=0,
        description="go on in the chain, off this machine, rather than wait longer than this; never where that is slower",
    )
    return_after: Seconds = Field(
        default=30.0, description="seconds without a call after which the brain's own model comes back"
    )


class CrewSettings(Section):
    """What all crews share."""

    max_concurrent_agents: int = Field(default=2, ge=1, description="agents that work at the same time")
    supervisor_cache: bool = Field(default=True, description="remember the supervisor's decisions by state")
    supervisor_cache_ttl: Seconds = Field(default=3600.0, description="seconds a decision is remembered")


class MediaSettings(Section):
    """Where the video crew gets pictures and voices."""

    pexels_api_key: SecretStr | None = Field(
        default=None, description="key of pexels.com", examples=["env:PEXELS_API_KEY"]
    )
    pixabay_api_key: SecretStr | None = Field(
        default=None, description="key of pixabay.com", examples=["env:PIXABAY_API_KEY"]
    )
    local_tts: bool = Field(default=True, description="speak with the voices on this machine")


class TelemetrySettings(Section):
    """What operators see. Metrics are always at /metrics of the server."""

    log_format: Literal["human", "json"] = Field(
        default="human", description="lines for people, or one JSON object a line"
    )
    access_log: bool = Field(
        default=False, description="a log line for every request; the ledger has every call without it"
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="OpenTelemetry collector that traces are sent to over HTTP; needs the extra `otel`",
        examples=["http://127.0.0.1:4318"],
    )
    service_name: str = Field(default="coreto", description="the name of this service in traces")


class DatabaseSettings(Section):
    """Where the ledger is kept."""

    url: str = Field(default="sqlite", description='"sqlite" (a file in data_dir) or postgresql://…')


class Settings(Section):
    """Everything that can be configured."""

    language: Literal["pt-BR", "en"] = Field(default="en", description="language of console texts and crews")
    offline: bool = Field(default=False, description="never contact anything off this machine")
    privacy: PrivacyMode = Field(
        default="local",
        description="requests with sensitive data (CPF, cards, keys, …): stay here, leave with placeholders, or pass",
    )
    fallback_enabled: bool = Field(default=True, description="try the next deployment when one fails")
    request_timeout: Seconds = Field(
        default=300.0, description="seconds a whole call may take, all attempts together"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe message logged"
    )
    track_costs: bool = Field(default=True, description="record tokens and cost of every attempt")
    track_latency: bool = Field(default=True, description="record the latency of every attempt")
    data_dir: Path | None = Field(
        default=None,
        description="where Coreto keeps its data; default: the user's data folder",
        examples=["~/coreto-data"],
    )
    models_dir: Path | None = Field(
        default=None,
        description="where weights are kept; default: the user's cache folder",
        examples=["~/coreto-models"],
    )
    discovery: bool = Field(default=True, description="look for Ollama, local servers and keys by itself")

    server: ServerSettings = ServerSettings()
    providers: dict[str, ProviderSettings] = Field(default_factory=dict[str, ProviderSettings])
    models: dict[str, ModelSettings] = Field(default_factory=dict[str, ModelSettings])
    roles: dict[str, RoleSettings] = Field(default_factory=dict[str, RoleSettings])
    routing: RoutingSettings = RoutingSettings()
    budgets: BudgetSettings = BudgetSettings()
    cache: CacheSettings = CacheSettings()
    residency: ResidencySettings = ResidencySettings()
    crews: CrewSettings = CrewSettings()
    media: MediaSettings = MediaSettings()
    database: DatabaseSettings = DatabaseSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
