"""Who is asked, in which order, and why. Pure: what is known comes in, a decision goes out."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coreto.labels import Label, permit
from coreto.messages import NANO, Json, Preference
from coreto.providers.catalog import Deployment

SURELY = 0.7
"""An estimate of tokens this much above a window surely does not fit; below it, the server decides."""

SCARCE = 0.05
"""Share of an allowance below which it is kept for when nobody else is left."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a request before anybody is asked.

    ``tokens``: of the prompt, estimated. ``needs``: ``tools``, ``images``. ``because``: why ``prefer`` is what
    it is. ``masked``: private data leaves as placeholders only, so it may leave.
    """

    label: Label = Label.INTERNAL
    tokens: int = 0
    needs: frozenset[str] = frozenset()
    prefer: Preference = "chain"
    because: str = ""
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How a deployment stands now. ``blocked``: why it is out of service for the moment; ``unaffordable``: the
    spending limit that is reached; ``latency_ms``: the median seen; ``nusd``: what this request would cost;
    ``headroom``: share of the account's allowance that is left. ``None``: not known, or nothing."""

    blocked: str | None = None
    unaffordable: str | None = None
    latency_ms: float | None = None
    nusd: int | None = None
    headroom: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The world as far as a decision needs it. ``window``: an engine's fixed window in tokens, by deployment."""

    standings: Mapping[str, Standing] = field(default_factory=dict[str, Standing])
    windows: Mapping[str, int] = field(default_factory=dict[str, int])

    def of(self, deployment: Deployment) -> Standing:
        return self.standings.get(deployment.id, _UNKNOWN)

    def window(self, deployment: Deployment) -> int | None:
        return self.windows.get(deployment.id, deployment.context)


@dataclass(frozen=True, slots=True)
class Choice:
    """One deployment's part in a decision."""

    deployment: Deployment
    kept: bool
    reason: str

    def as_json(self) -> Json:
        return {
            "deployment": self.deployment.id,
            "local": self.deployment.local,
            "kept": self.kept,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """The kept in the order in which they are asked, then the dropped."""

    choices: tuple[Choice, ...]
    prefer: Preference
    because: str

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(choice.deployment.id for choice in self.choices if choice.kept)

    @property
    def dropped(self) -> tuple[tuple[str, str], ...]:
        return tuple((choice.deployment.id, choice.reason) for choice in self.choices if not choice.kept)


_UNKNOWN = Standing()


def decide(wanted: Wanted, chain: Iterable[Deployment], view: View) -> Decision:
    """Who of ``chain`` is asked, in which order.

    A deployment is dropped when the label forbids it, when the prompt surely does not fit its window, when it
    is known not to be able to do what is needed, or when a spending limit is reached. The others keep the
    chain's order under ``chain``; else they are ranked: models too small to be trusted go last, accounts with
    almost nothing left before them, then what ``prefer`` says; ties keep the chain's order. What is out of
    service for the moment keeps its place: it is passed by, and gets its chance when nobody else is left.
    """
    kept: list[tuple[tuple[float, ...], Choice]] = []
    dropped: list[Choice] = []
    for deployment in chain:
        standing = view.of(deployment)
        flaw = _flaw(wanted, deployment, standing, view.window(deployment))
        if flaw is not None:
            dropped.append(Choice(deployment, kept=False, reason=flaw))
            continue
        scarce = standing.headroom is not None and standing.headroom < SCARCE
        rank = () if wanted.prefer == "chain" else _rank(wanted.prefer, deployment, standing, scarce=scarce)
        kept.append((rank, Choice(deployment, kept=True, reason=_praise(wanted, deployment, standing))))
    kept.sort(key=lambda pair: pair[0])  # stable: ties keep the chain's order
    return Decision((*(choice for _, choice in kept), *dropped), wanted.prefer, wanted.because)


def _flaw(wanted: Wanted, deployment: Deployment, standing: Standing, window: int | None) -> str | None:
    if not wanted.masked and not permit(wanted.label, sink_is_local=deployment.local):
        return "private data stays on this machine"
    if window is not None and wanted.tokens * SURELY > window:
        return f"a prompt of about {wanted.tokens} tokens does not fit a window of {window}"
    if deployment.capabilities:
        missing = wanted.needs - deployment.capabilities
        if missing:
            return f"it has no {' and no '.join(sorted(missing))}"
    return standing.unaffordable


def _rank(
    prefer: Preference, deployment: Deployment, standing: Standing, *, scarce: bool
) -> tuple[float, ...]:
    match prefer:
        case "chain":
            wish = 0.0
        case "local":
            wish = float(not deployment.local)
        case "cloud":
            wish = float(deployment.local)
        case "cheap":
            wish = _or_last(standing.nusd)
        case "fast":
            wish = _or_last(standing.latency_ms)
    return (float(deployment.small), float(scarce), wish)


def _or_last(figure: float | None) -> float:
    return math.inf if figure is None else float(figure)


def _praise(wanted: Wanted, deployment: Deployment, standing: Standing) -> str:
    """What speaks for and against ``deployment``, in short."""
    said: list[str] = ["on this machine" if deployment.local else "in the cloud"]
    if not deployment.local and wanted.masked and wanted.label is Label.PRIVATE:
        said.append("private data as placeholders")
    if deployment.small:
        said.append("very small: asked last unless the chain says otherwise")
    if standing.nusd:
        said.append(f"about ${standing.nusd / NANO:.6f}")
    if standing.latency_ms is not None:
        said.append(f"{standing.latency_ms:.0f} ms seen")
    if standing.headroom is not None:
        said.append(f"{standing.headroom:.0%} of its allowance left")
    if standing.blocked:
        said.append(f"out of service for now ({standing.blocked})")
    return ", ".join(said)
