"""``coreto doctor``: the worst problem and its mend first, then the findings, then the checks."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.console import Console

from coreto.cli import figures
from coreto.cli.doctor.diagnosis import diagnose, worst
from coreto.cli.doctor.facts import Facts, ProviderFact
from coreto.cli.doctor.finding import Finding, Severity
from coreto.cli.doctor.gather import gather
from coreto.cli.flags import Flags
from coreto.cli.terminal import console, print_json
from coreto.cli.texts import Texts
from coreto.residency.policy import gigabytes

_MEMORY = frozenset({"stuck", "too_large", "budget_large", "slow_swap"})
_MARKS = {None: ("✓", "green"), Severity.ERROR: ("✗", "red"), Severity.WARNING: ("!", "yellow")}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``mark``: ✓, ! or ✗."""

    mark: str
    text: str


async def doctor(flags: Flags, *, as_json: bool, probing: bool) -> int:
    """Print the diagnosis: 0 when nothing is wrong, else 1."""
    loaded, facts = await gather(flags, probing=probing)
    texts = Texts(loaded.settings.language if loaded else "en")
    findings = diagnose(facts, texts)
    checks = list(checklist(facts, findings, texts))
    first = worst(findings)
    if as_json:
        print_json(
            {
                "healthy": first is None,
                "summary": summary(first, texts),
                "findings": [asdict(finding) for finding in findings],
                "checks": [asdict(check) for check in checks],
            }
        )
    else:
        _print(findings, checks, texts, console())
    return 0 if first is None else 1


def summary(first: Finding | None, texts: Texts) -> str:
    """The first line: the worst problem and its mend."""
    if first is None:
        return f"✓ {texts('doctor.healthy')}"
    return f"{_MARKS[first.severity][0]} {first.sentence} → {texts('doctor.mend', mend=first.mend)}"


def _print(findings: list[Finding], checks: list[Check], texts: Texts, output: Console) -> None:
    first = worst(findings)
    style = f"bold {_MARKS[first.severity if first else None][1]}"
    output.print(summary(first, texts), style=style, soft_wrap=True)
    others = [finding for finding in findings if finding is not first]
    if others:
        output.print()
        output.print(texts("doctor.findings"), style="bold")
    for finding in others:
        mark, colour = _MARKS.get(finding.severity, ("·", "dim"))
        output.print(f"  {mark} {finding.sentence}", style=colour, soft_wrap=True)
        output.print(f"      {texts('doctor.mend', mend=finding.mend)}", style="dim", soft_wrap=True)
    if checks:
        output.print()
        output.print(texts("doctor.checks"), style="bold")
    for check in checks:
        output.print(f"  {check.mark} {check.text}", soft_wrap=True)


def checklist(facts: Facts, findings: list[Finding], texts: Texts) -> Iterator[Check]:
    """What was looked at, with its mark."""
    if facts.config_problems:
        for problem in facts.config_problems:
            yield Check("✗", problem)
        return
    yield Check("✓", texts("check.config", file=facts.config_file or texts("check.no_file")))
    bad = {finding.symptom for finding in findings}
    yield Check("✗" if "data_dir" in bad else "✓", texts("check.data_dir", path=facts.data_dir))
    if not (facts.data_dir_problem and facts.database == "sqlite"):
        yield Check("✗" if "database" in bad else "✓", texts("check.database", database=facts.database))
    if facts.fallback_enabled:
        yield Check("✓", texts("check.fallback_on"))
    else:
        yield Check("!", texts("check.fallback_off"))
    if facts.offline:
        yield Check("✓", texts("check.offline"))
    for provider in facts.providers:
        yield _provider(provider, facts, texts)
    for missing in facts.missing:
        yield Check("✗" if missing.wanted else "!", texts("check.model", deployment=missing.deployment))
    if facts.memory_free is not None:
        mark = "!" if "memory_low" in bad else "✓"
        yield Check(mark, texts("check.memory", free=figures.size(facts.memory_free)))
    yield from _turns(facts, findings, texts)
    yield from _probes(facts, texts)
    answered = [role.name for role in facts.roles if facts.answers(role)]
    if answered:
        yield Check("✓", texts("check.roles", roles=", ".join(answered)))
    else:
        yield Check("✗", texts("check.no_roles"))


def _turns(facts: Facts, findings: list[Finding], texts: Texts) -> Iterator[Check]:
    ill = {f.subject.partition("/")[0] for f in findings if f.symptom in _MEMORY}
    for engine in facts.engines:
        if engine.budget is not None:
            budget = gigabytes(engine.budget).replace(".", texts.decimal)
            mark = "!" if engine.provider in ill else "✓"
            yield Check(mark, texts("check.turns", name=engine.provider, budget=budget))


def _provider(provider: ProviderFact, facts: Facts, texts: Texts) -> Check:
    down = "✗" if provider.wanted else "!"
    if provider.kind == "embedded":
        if provider.up is not False:
            return Check("✓", texts("check.embedded"))
        return Check(down, texts("check.no_weights" if facts.extra_local else "check.no_extra"))
    detail = provider.detail or texts("check.unasked")
    mark = down if provider.up is False else "✓" if provider.up else "·"
    return Check(mark, texts("check.provider", name=provider.name, url=provider.url, detail=detail))


def _probes(facts: Facts, texts: Texts) -> Iterator[Check]:
    for probe in facts.probes:
        if probe.answered:
            time = figures.duration(probe.first_ms or probe.ms, texts.decimal)
            yield Check("✓", texts("check.answered", deployment=probe.deployment, time=time))
        else:
            mark = "✗" if probe.wanted else "!"
            outcome = f"{probe.outcome} ({probe.detail})" if probe.detail else probe.outcome
            yield Check(mark, texts("check.failed", deployment=probe.deployment, outcome=outcome))
