"""What a name asked for comes to: an ordered list of candidates, and how to try them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from coreto.messages import Accumulator, Attempt, Call, Failover, Limits, Preference, Whole
from coreto.providers.base import Embedder, Provider
from coreto.providers.catalog import Deployment
from coreto.residency.hosts import Host
from coreto.resilience.output import Expectation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment, the provider that reaches it, and the times it is given in this plan."""

    deployment: Deployment
    provider: Provider
    limits: Limits = Limits()
    embedder: Embedder | None = None
    #: a shorter way to a non-stream answer than ``provider.open``, within the same limits
    whole: Callable[[Call], Awaitable[Whole]] | None = None
    #: the engine's window in tokens where it was declared: a changed one reloads the model in Ollama
    window: int | None = None
    #: the server constrains an answer to any JSON schema, a bare string's included
    constrains: bool = False
    #: the server takes the beginning of an answer as the last message
    prefill: bool = False
    #: attempts its server is given at once; more wait, which spends the call's time and not the attempt's
    at_once: int = 100
    #: where it takes turns in memory with others; ``None``: nowhere, or its engine sees to that
    host: Host | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The candidates for a role, or the one deployment asked for by its own name.

    ``retries``: how often a deployment is asked again after a passing fault; ``None``: twice where nobody
    is left after it, else not at all, because the next candidate is quicker. ``dropped``: deployments that
    are in the chain but cannot serve, with the reason.
    """

    name: str
    role: str | None
    candidates: tuple[Candidate, ...]
    fallback: bool = True
    retries: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    local_only: bool = False
    expected: Expectation = Expectation()
    dropped: tuple[tuple[str, str], ...] = ()
    failover: Failover | None = None
    #: seconds an answer is kept; 0: not at all, unless the call asks for it
    cache_ttl: float = 0.0
    #: a digest of what shapes an answer beside the request, so that a changed role is another cache
    variant: str = ""
    #: who is asked first where the call does not say; what becomes of sensitive data; ``None``: as for all
    prefer: Preference | None = None
    privacy: str | None = None
    #: a local answer that looks wrong, or is likely to be, is asked of the cloud
    escalate: bool = False
    #: what looks wrong in the text of an answer, if anything; asked while somebody else can be asked instead
    second_look: Callable[[Call, str], str | None] | None = None
    #: what every candidate of this call is put behind, a successor too
    wrap: "Callable[[Candidate], Candidate] | None" = None
    #: what the saving is measured against (SPEC R9): the first cloud deployment of the chain
    baseline: Deployment | None = None


@dataclass(slots=True)
class Journal:
    """What happened to one call so far; written by the wrappers, read for its trace."""

    attempts: list[Attempt] = field(default_factory=list[Attempt])
    answered_by: str | None = None
    unmapped: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list[str])
    #: what was already given to the caller of a stream
    given: Accumulator = field(default_factory=Accumulator)
    committed: bool = False
