"""What was found, put together for people: by code from findings, with what specialists said where it is true. Pure.

Nothing here asks a model. A specialist's :class:`Proposal` can add words, an order of recommendations and its name to a
finding; it can neither add a finding nor take one away, and no number is its own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from coreto.crews.insights.advice import Advice, advice_for
from coreto.crews.insights.claims import Claim, check
from coreto.crews.insights.confidence import Confidence, confidence_of, confidence_of_none
from coreto.crews.insights.findings import Finding, findings_of, held_back
from coreto.crews.insights.metrics.baseline import Baseline
from coreto.crews.insights.metrics.catalogue import CATALOGUE, RESOURCES, Resource
from coreto.crews.insights.metrics.readings import SystemMetrics, Unit
from coreto.crews.insights.texts import say
from coreto.crews.insights.thresholds import THRESHOLDS, Kind
from coreto.crews.insights.units import shown, stated
from coreto.crews.insights.use import Level, UseCheck, use_checks
from coreto.crews.insights.wording import in_words, word
from coreto.languages import Language
from coreto.messages import Json
from coreto.panel.policy import Quality, quality_of

Answer = Literal["ok", "timeout", "error", "skipped"]
"""What became of a specialist: it answered, was too slow, failed, or was not asked."""

_PARTLY = 0.5
"""Share of known checks below which "no problem found" needs saying that much is not known."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a specialist says: a sentence with places for its claims, of one kind of finding (or of a resource, where it
    names none). ``advice``: ids of recommendations that it would give first."""

    specialist: Resource
    template: str
    claims: tuple[Claim, ...]
    kind: Kind | None = None
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A proposal that was looked at. ``text``: its sentence; empty where it was left out, and ``faults`` say why:
    those of its claims (``claim.…``), of its text (``text.…``), or that nothing is wrong there
    (``no_finding``)."""

    proposal: Proposal
    text: str = ""
    faults: tuple[str, ...] = ()
    finding: Kind | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Who was asked and what became of it; ``required``: whose resource the checks flagged."""

    answers: Mapping[Resource, Answer]
    required: frozenset[Resource] = frozenset()

    def missing(self, participated: Sequence[Resource]) -> tuple[Resource, ...]:
        """Those that are required and said nothing that can be used."""
        return tuple(r for r in RESOURCES if r in self.required and r not in participated)


NOBODY: Final = Coverage({})
"""No specialist was there: the checks alone."""


@dataclass(frozen=True, slots=True)
class Insight:
    """A finding for people. ``text`` says what is wrong, ``said`` what specialists added, in whose order."""

    finding: Finding
    text: str
    said: tuple[str, ...]
    agents: tuple[Resource, ...]
    advice: tuple[Advice, ...]
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Report:
    """The whole. ``insights``: most important first, none where nothing is wrong; ``checks``: every threshold
    that was looked at; ``held``: those that are high and no problem; ``rejected``: how much of what was said was left
    out, by its fault; ``age_s``: of the figures, in seconds."""

    language: Language
    metrics: SystemMetrics
    insights: tuple[Insight, ...]
    checks: tuple[UseCheck, ...]
    held: tuple[UseCheck, ...]
    quality: Quality
    confidence: Confidence
    agents: tuple[Resource, ...]
    missing: tuple[Resource, ...]
    coverage: Coverage
    rejected: Mapping[str, int]
    age_s: float

    @property
    def headline(self) -> str:
        """The report in one sentence."""
        if self.insights:
            return self.insights[0].text
        known = sum(check.level != "unknown" for check in self.checks)
        return say(self.language, "none" if known >= _PARTLY * len(self.checks) else "none.partly")

    def level(self, resource: Resource) -> Level:
        """How a resource is, by its findings; unknown where not one of its checks is known."""
        levels = {i.finding.level for i in self.insights if i.finding.resource == resource}
        if levels:
            return "crit" if "crit" in levels else "warn"
        known = any(check.level != "unknown" for check in self.checks if check.resource == resource)
        return "ok" if known else "unknown"

    def as_json(self) -> Json:
        """The fields of SPEC K4, without the times and names that only who asked knows."""
        known = sum(check.level != "unknown" for check in self.checks)
        return {
            "status": "success",
            "headline": self.headline,
            "no_problem_found": not self.insights,
            "insights": [insight_json(insight, self.language) for insight in self.insights],
            "agents_participated": list(self.agents),
            "quality": self.quality,
            "confidence": self.confidence.percent,
            "confidence_detail": self.confidence.as_json(),
            "coverage": dict(self.coverage.answers),
            "missing_required": list(self.missing),
            "rejected_claims": sum(self.rejected.values()),
            "rejected_by_fault": dict(self.rejected),
            "checks_known": known,
            "checks_total": len(self.checks),
            "checks": [check.as_json() for check in self.checks if check.level != "unknown"],
            "held": [check.metric for check in self.held],
            "host": self.metrics.host,
            "taken_at": self.metrics.taken_at,
            "window_s": round(self.metrics.window_s, 3),
            "stale_s": round(self.age_s, 1),
            "language": self.language,
        }


def report(
    findings: Sequence[Finding],
    claims: Sequence[Proposal],
    coverage: Coverage,
    *,
    metrics: SystemMetrics,
    checks: Sequence[UseCheck],
    now: float,
    language: Language = "pt-BR",
) -> Report:
    """The report on ``metrics``: its ``findings`` from ``checks``, and of what specialists claim that which holds.

    ``now``: seconds since 1970. Every finding is told, whether or not somebody said something about it.
    """
    judged = [judge(proposal, findings, metrics, language) for proposal in claims]
    agents = _named(one for one in judged if one.text)
    missing = coverage.missing(agents)
    quality = quality_of(len(agents), complete=not missing)
    insights = tuple(_insight(finding, judged, quality, metrics, now, language) for finding in findings)
    if insights:
        confidence = insights[0].confidence
    else:
        confidence = confidence_of_none(tuple(checks), metrics, quality, now)
    return Report(
        language=language,
        metrics=metrics,
        insights=insights,
        checks=tuple(checks),
        held=held_back(checks, findings),
        quality=quality,
        confidence=confidence,
        agents=agents,
        missing=missing,
        coverage=coverage,
        rejected=Counter(fault for one in judged for fault in one.faults),
        age_s=max(0.0, now - metrics.taken_at),
    )


def report_on(
    metrics: SystemMetrics, baseline: Baseline | None = None, *, now: float, language: Language = "pt-BR"
) -> Report:
    """The report of the checks alone, in a millisecond. ``baseline``: of earlier snapshots; ``now``: as for
    :func:`report`."""
    known = metrics if baseline is None or metrics.baseline else metrics.with_baseline(baseline.usual)
    checks = use_checks(known, baseline)
    found = findings_of(checks, known)
    return report(found, (), NOBODY, metrics=known, checks=checks, now=now, language=language)


def judge(
    proposal: Proposal, findings: Sequence[Finding], metrics: SystemMetrics, language: Language
) -> Judged:
    """Whether a proposal may be told: every claim is true, the text has no number and no cause of its own, and the checks
    found something there too."""
    faults = tuple(
        f"claim.{v.fault}" for claim in proposal.claims if not (v := check(claim, metrics)).accepted
    )
    if faults or not proposal.claims:
        return Judged(proposal, faults=faults or ("claim.none",))
    wording = word(proposal.template, proposal.claims, metrics, language)
    if wording.fault:
        return Judged(proposal, faults=(f"text.{wording.fault}",))
    finding = _meant(proposal, findings)
    if finding is None:
        return Judged(proposal, faults=("no_finding",))
    return Judged(proposal, wording.text, finding=finding)


def _named(judged: Iterable[Judged]) -> tuple[Resource, ...]:
    """The specialists behind proposals, in their fixed order."""
    named = {one.proposal.specialist for one in judged}
    return tuple(resource for resource in RESOURCES if resource in named)


def _meant(proposal: Proposal, findings: Sequence[Finding]) -> Kind | None:
    """The finding that a proposal is about: of its kind, else the first of its specialist's resource."""
    if proposal.kind is not None:
        return proposal.kind if any(f.kind == proposal.kind for f in findings) else None
    return next((f.kind for f in findings if f.resource == proposal.specialist), None)


def _insight(
    finding: Finding,
    judged: Sequence[Judged],
    quality: Quality,
    metrics: SystemMetrics,
    now: float,
    language: Language,
) -> Insight:
    about = [one for one in judged if one.finding == finding.kind]
    wanted = [advice for one in about for advice in one.proposal.advice]
    return Insight(
        finding=finding,
        text=say(language, f"finding.{finding.kind}", where=finding.where),
        said=tuple(dict.fromkeys(one.text for one in about)),
        agents=_named(about),
        advice=advice_for(finding.kind, metrics, wanted),
        confidence=confidence_of(finding, metrics, quality, now),
    )


def insight_json(insight: Insight, language: Language) -> Json:
    """An insight as SPEC K4 wants it: finding, evidence, recommendations, severity, confidence."""
    finding = insight.finding
    return {
        "id": f"{finding.kind}[{finding.where}]" if finding.where else finding.kind,
        "kind": finding.kind,
        "resource": finding.resource,
        "severity": finding.level,
        "finding": insight.text,
        "explanations": list(insight.said),
        "evidence": [
            {**claim.as_json(), "text": in_words(claim, language), "bound": bound_of(claim, language)}
            for claim in finding.claims
        ],
        "recommendations": [
            {"id": advice.id, "text": advice.said(language), "look": advice.look} for advice in insight.advice
        ],
        "fading": finding.fading,
        "explained_by": list(finding.explained_by),
        "agents": list(insight.agents),
        "confidence": insight.confidence.percent,
        "confidence_detail": insight.confidence.as_json(),
    }


def bound_of(claim: Claim, language: Language) -> str:
    """The threshold that a claim says is passed, in words; empty without one."""
    kind, _, rest = (claim.reference or "").partition(":")
    name, _, level = rest.rpartition(".")
    held = THRESHOLDS.get(name)
    if kind != "threshold" or held is None or level not in {"warn", "crit"}:
        return ""
    from_metric = stated(held.crit if level == "crit" else held.warn, _unit(name))
    return say(language, "threshold", value=shown(*from_metric, language))


def _unit(name: str) -> Unit:
    return CATALOGUE[name].unit
