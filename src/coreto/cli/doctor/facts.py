"""What the doctor looks at. Plain values, so that every symptom can be tested without a server."""

from dataclasses import dataclass

#: Seconds to a first token from which a model is said to load slowly.
SLOW_FIRST_TOKEN = 10.0
RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFact:
    """A provider that a chain names or the user set up. ``up``: ``None`` = not asked; ``wanted``: the user
    set it up, so that its failure matters; ``key``: the variable or setting that holds its key."""

    name: str
    kind: str
    local: bool
    url: str = ""
    up: bool | None = True
    code: str | None = None
    detail: str = ""
    until: float | None = None
    wanted: bool = False
    key: str = ""
    through: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFact:
    """A role with the deployments that can serve and those that cannot, in order."""

    name: str
    candidates: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFact:
    """A model that a chain names and its (running) server does not have. ``first_of``: the roles whose
    chain begins with it."""

    deployment: str
    roles: tuple[str, ...]
    first_of: tuple[str, ...] = ()
    wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFact:
    """One token asked of one deployment. ``outcome``: ``ok`` or an error's code; times in milliseconds."""

    deployment: str
    outcome: str
    local: bool = True
    roles: tuple[str, ...] = ()
    ms: float = 0.0
    first_ms: float | None = None
    detail: str = ""
    until: float | None = None
    wanted: bool = False

    @property
    def answered(self) -> bool:
        """Whether the model works; one token may well be empty or half a JSON."""
        return self.outcome in {"ok", "invalid_output"}

    @property
    def provider(self) -> str:
        return self.deployment.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredFact:
    """A model of a chain that its provider ended, and what takes its place."""

    deployment: str
    successor: str
    wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFact:
    """A deployment that answered two calls one after the other; ``panel``: a panel's members use it."""

    deployment: str
    panel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedFact:
    """A model of the chains and the bytes that it takes in memory; ``least``: with its smaller window. ``slots``: the
    calls that it answers at once; ``panel``: the user has a panel's members ask it."""

    deployment: str
    need: int
    least: int
    wanted: bool = False
    slots: int = 1
    panel: bool = False


@dataclass(frozen=True, slots=True)
class SwapFact:
    """A model that came in the place of another: its bytes, seconds of the load, and of all of it."""

    model: str
    size: int
    load_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StuckFact:
    """A model that its engine does not let go."""

    model: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFact:
    """An engine of this machine. Bytes: ``budget``, where it has one; ``memory``: what the machine has for it."""

    provider: str
    kind: str = "ollama"
    budget: int | None = None
    memory: int | None = None
    needs: tuple[NeedFact, ...] = ()
    swaps: tuple[SwapFact, ...] = ()
    stuck: tuple[StuckFact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was found out. Sizes in bytes; problems are ``None`` where there is none."""

    config_problems: tuple[str, ...] = ()
    config_file: str | None = None
    config_warnings: tuple[str, ...] = ()
    data_dir: str = ""
    data_dir_problem: str | None = None
    database: str = "sqlite"
    database_problem: str | None = None
    offline: bool = False
    fallback_enabled: bool = True
    fallback_origin: str = "default"
    providers: tuple[ProviderFact, ...] = ()
    roles: tuple[RoleFact, ...] = ()
    missing: tuple[MissingFact, ...] = ()
    retired: tuple[RetiredFact, ...] = ()
    extra_local: bool = True
    weights: bool = True
    memory_free: int | None = None
    memory_needed: tuple[tuple[str, int], ...] = ()
    probed: bool = False
    probes: tuple[ProbeFact, ...] = ()
    queues: tuple[QueueFact, ...] = ()
    engines: tuple[EngineFact, ...] = ()

    def provider(self, deployment: str) -> ProviderFact | None:
        """The provider of a deployment."""
        name = deployment.partition("/")[0]
        return next((p for p in self.providers if p.name == name), None)

    def answers(self, role: RoleFact) -> bool:
        """Whether somebody can answer for ``role``: by the probes, else as far as it can be known."""
        if RULES in role.candidates:
            return True
        if self.probed:
            return any(p.answered and p.deployment in role.candidates for p in self.probes)
        absent = {m.deployment for m in self.missing}
        return any(
            c not in absent and ((p := self.provider(c)) is None or p.up is not False)
            for c in role.candidates
        )
