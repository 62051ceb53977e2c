"""What residency is told, and what it answers: models, requests, rules, leases, refusals."""

from dataclasses import dataclass
from enum import StrEnum

ModelId = str
RequestId = str
PlanId = str


@dataclass(frozen=True, slots=True)
class Hosted:
    """A model that a host may bring into memory.

    ``memory``: bytes when loaded, with ``context`` tokens; ``None`` where unknown, which is taken for the whole
    budget until it was measured. ``declared``: the user wrote that figure down, so a smaller measurement does
    not lower it. ``small_context``/``small_memory``: the window to fall back to when it does not fit after all.
    ``slots``: requests it may serve at the same time.
    """

    id: ModelId
    memory: int | None = None
    context: int | None = None
    declared: bool = False
    slots: int = 1
    small_context: int | None = None
    small_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One call that needs ``model`` in memory. ``spill_after``: seconds of waiting from which the caller would
    rather go elsewhere (``None``: never). ``plan``: the announced plan that it belongs to."""

    id: RequestId
    model: ModelId
    spill_after: float | None = None
    plan: PlanId | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a plan: ``calls`` calls of ``model``, before the next part begins."""

    model: ModelId
    calls: int = 1


@dataclass(frozen=True, slots=True)
class Rules:
    """How turns are taken. Times in seconds.

    ``max_wait``: how long a request may wait behind ones that came later. ``return_after``: how long guests are
    idle before the home model comes back. ``brake_after`` switches within ``brake_window`` put the brake on: from
    then on requests gather before the next switch. ``hold``: the longest that an idle model is kept for an
    announced call. ``plan_ttl``: a plan that was silent for so long is forgotten. ``max_queue``: requests waiting
    in all. ``bandwidth``: bytes a second that a load is expected to run at, until one was measured.
    """

    max_wait: float = 60.0
    return_after: float = 30.0
    brake_after: int = 6
    brake_window: float = 300.0
    hold: float = 20.0
    plan_ttl: float = 120.0
    max_queue: int = 512
    bandwidth: float = 1e9


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use ``model``, which stays in memory until it is given back. ``context``: the window in
    tokens that it was loaded with (asking the engine for another one would reload it)."""

    model: ModelId
    context: int | None = None


class Outcome(StrEnum):
    """What became of a request when it came."""

    GRANTED = "granted"
    QUEUED = "queued"
    SPILLED = "spilled"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why a request is not served here."""

    STOPPED = "stopped"
    UNKNOWN = "unknown"
    TOO_LARGE = "too_large"
    QUEUE_FULL = "queue_full"
    SPILLED = "spilled"
    OUT_OF_MEMORY = "out_of_memory"
    MISSING = "missing"
    CORRUPT = "corrupt"
    ENGINE = "engine"
    UNREACHABLE = "unreachable"


class LoadFailure(StrEnum):
    """What kept a model from being loaded."""

    OUT_OF_MEMORY = "out_of_memory"
    MISSING = "missing"
    CORRUPT = "corrupt"
    UNREACHABLE = "unreachable"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why, in words with the figures; ``wait``: the predicted seconds that a spilled request would have waited."""

    reason: Reason
    detail: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """A model that the engine lists as loaded. ``size`` in bytes."""

    id: ModelId
    size: int
    context: int | None = None
