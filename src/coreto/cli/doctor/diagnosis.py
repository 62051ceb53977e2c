"""Facts to findings: what is wrong, how much it matters, and the command or setting that mends it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coreto.cli import figures
from coreto.cli.doctor.facts import (
    SLOW_FIRST_TOKEN,
    Facts,
    MissingFact,
    ProbeFact,
    ProviderFact,
)
from coreto.cli.doctor.finding import Finding, Severity
from coreto.cli.doctor.memory import about_memory, too_large
from coreto.cli.texts import Texts

BRAIN = "brain"


#: Causes before consequences: this order decides among findings that matter equally.
ORDER = (
    "config_invalid",
    "data_dir",
    "database",
    "ollama_down",
    "server_down",
    "signed_out",
    "key_wrong",
    "key_missing",
    "quota",
    "billing",
    "entitlement",
    "cloud_down",
    "model_missing",
    "stuck",
    "too_large",
    "out_of_memory",
    "timeout",
    "overloaded",
    "queue_full",
    "rate",
    "failing",
    "extra_missing",
    "weights_missing",
    "no_model",
    "fallback_disabled",
    "no_swap",
    "budget_large",
    "slow_swap",
    "queues",
    "queues_here",
    "slow_load",
    "memory_low",
    "retired",
    "idle_roles",
    "setting",
)

_BY_CODE = {
    "auth": "key_wrong",
    "quota": "quota",
    "billing": "billing",
    "entitlement": "entitlement",
    "model_missing": "model_missing",
    "retired": "model_missing",
    "out_of_memory": "out_of_memory",
    "timeout": "timeout",
    "stalled": "timeout",
    "overloaded": "overloaded",
    "queue_full": "queue_full",
    "rate": "rate",
}
#: Symptoms of an account or a server: told once, however many of its models show them.
_SHARED = frozenset(
    {"key_wrong", "signed_out", "quota", "billing", "ollama_down", "server_down", "cloud_down"}
)
_SEVERITIES = tuple(Severity)


def diagnose(facts: Facts, texts: Texts | None = None) -> list[Finding]:
    """Every finding, the worst first; within a severity, causes before consequences, and what the user
    wrote before what the defaults name."""
    doctor = _Doctor(facts, texts or Texts())
    written = {known.deployment for known in (*facts.missing, *facts.probes) if known.wanted}
    found = sorted(doctor.findings(), key=lambda finding: (*_rank(finding), finding.subject not in written))
    unique: dict[tuple[str, str], Finding] = {}
    for finding in found:
        subject = finding.subject.partition("/")[0] if finding.symptom in _SHARED else finding.subject
        unique.setdefault((finding.symptom, subject), finding)
    return list(unique.values())


def _rank(finding: Finding) -> tuple[int, int]:
    return _SEVERITIES.index(finding.severity), ORDER.index(finding.symptom)


@dataclass(frozen=True, slots=True)
class _Doctor:
    facts: Facts
    texts: Texts

    def findings(self) -> Iterator[Finding]:
        facts = self.facts
        for problem in facts.config_problems:
            yield self._finding("config_invalid", Severity.ERROR, problem, problem=problem)
        if facts.config_problems:
            return
        yield from self._house()
        for provider in facts.providers:
            yield from self._provider(provider)
        for missing in facts.missing:
            yield self._missing(missing)
        for probe in facts.probes:
            yield from self._probe(probe)
        for engine in facts.engines:
            yield from about_memory(engine, self.texts, self._finding)
        yield from self._roles()
        yield from self._habits()

    def _finding(self, symptom: str, severity: Severity, subject: str = "", **values: object) -> Finding:
        mend = values.pop("mend", None)
        return Finding(
            symptom,
            severity,
            self.texts(f"doctor.{symptom}", **values),
            str(mend or self.texts(f"doctor.{symptom}.mend", **values)),
            subject,
        )

    def _house(self) -> Iterator[Finding]:
        facts = self.facts
        if facts.data_dir_problem:
            yield self._finding(
                "data_dir",
                Severity.ERROR,
                facts.data_dir,
                path=facts.data_dir,
                problem=facts.data_dir_problem,
            )
        if facts.database_problem:
            yield self._finding("database", Severity.ERROR, facts.database, problem=facts.database_problem)

    def _provider(self, provider: ProviderFact) -> Iterator[Finding]:
        """What is wrong with a provider as a whole."""
        if provider.up is not False:
            return
        severity = Severity.ERROR if provider.wanted else Severity.HINT
        if provider.kind == "embedded":
            yield self._embedded(severity)
            return
        daemon = next((p for p in self.facts.providers if p.name == provider.through), None)
        if daemon is not None and daemon.up is False:
            if provider.wanted:
                yield self._key("key_missing", provider, severity)
            return
        yield self._of_provider(self._provider_symptom(provider), provider, severity)

    def _embedded(self, severity: Severity) -> Finding:
        symptom = "weights_missing" if self.facts.extra_local else "extra_missing"
        return self._finding(symptom, severity, "embedded")

    def _provider_symptom(self, provider: ProviderFact) -> str:
        if provider.code == "auth":
            if provider.through:
                return "signed_out"
            return "key_missing" if provider.detail.startswith("no key") else "key_wrong"
        if provider.code in ("quota", "billing"):
            return provider.code
        if not provider.local:
            return "cloud_down"
        return "ollama_down" if provider.kind == "ollama" else "server_down"

    def _of_provider(self, symptom: str, provider: ProviderFact, severity: Severity) -> Finding:
        if symptom in ("key_missing", "key_wrong", "signed_out"):
            return self._key(symptom, provider, severity)
        return self._finding(
            symptom,
            severity,
            provider.name,
            name=provider.name,
            url=provider.url,
            detail=provider.detail,
            until=self._until(provider.until),
            setting=_address_setting(provider),
            key=provider.key,
        )

    def _key(self, symptom: str, provider: ProviderFact, severity: Severity) -> Finding:
        return self._finding(
            symptom, severity, provider.name, name=provider.name, detail=provider.detail, key=provider.key
        )

    def _missing(self, missing: MissingFact) -> Finding:
        left_alone = any(
            role.name in missing.first_of and not self.facts.answers(role) for role in self.facts.roles
        )
        severity = Severity.ERROR if missing.wanted else Severity.WARNING if left_alone else Severity.HINT
        return self._finding(
            "model_missing",
            severity,
            missing.deployment,
            deployment=missing.deployment,
            roles=", ".join(missing.roles),
        )

    def _probe(self, probe: ProbeFact) -> Iterator[Finding]:
        """What one token told about a model."""
        if probe.answered:
            if (probe.first_ms or 0.0) > SLOW_FIRST_TOKEN * 1000:
                seconds = figures.duration(probe.first_ms, self.texts.decimal)
                yield self._finding(
                    "slow_load", Severity.WARNING, probe.deployment, deployment=probe.deployment, time=seconds
                )
            return
        if probe.outcome == "skipped":
            return
        provider = self.facts.provider(probe.deployment)
        symptom = _BY_CODE.get(probe.outcome, "failing")
        if symptom == "out_of_memory" and self._exceeds_budget(probe.deployment):
            return  # told as what it is, with the setting to change
        severity = self._severity_of(probe, provider)
        if symptom == "key_wrong" and provider is not None:
            symptom = "signed_out" if provider.through or provider.kind == "ollama" else symptom
            yield self._key(symptom, provider, severity)
        elif symptom == "quota" and provider is not None:
            yield self._of_provider(symptom, _with(provider, probe), severity)
        else:
            yield self._model_finding(symptom, probe, provider, severity)

    def _exceeds_budget(self, deployment: str) -> bool:
        return any(
            need.deployment == deployment for engine in self.facts.engines for need in too_large(engine)
        )

    def _severity_of(self, probe: ProbeFact, provider: ProviderFact | None) -> Severity:
        if probe.wanted or (provider is not None and provider.wanted):
            return Severity.ERROR
        brain = next((role for role in self.facts.roles if role.name == BRAIN), None)
        left_alone = (
            brain is not None and probe.deployment in brain.candidates and not self.facts.answers(brain)
        )
        return Severity.WARNING if left_alone else Severity.HINT

    def _model_finding(
        self, symptom: str, probe: ProbeFact, provider: ProviderFact | None, severity: Severity
    ) -> Finding:
        values: dict[str, object] = {
            "deployment": probe.deployment,
            "model": probe.deployment.partition("/")[2],
            "name": probe.provider,
            "roles": ", ".join(probe.roles),
            "detail": probe.detail or probe.outcome,
            "time": figures.duration(probe.ms, self.texts.decimal),
            "until": self._until(probe.until),
            "setting": _timeout_setting(provider) if provider else f"providers.{probe.provider}.timeout",
            "key": provider.key if provider else "",
        }
        special = _special_mend(symptom, probe, provider)
        if special:
            values["mend"] = self.texts(special, **values)
        return self._finding(symptom, severity, probe.deployment, **values)

    def _roles(self) -> Iterator[Finding]:
        """Roles that nobody can answer."""
        silent = [role for role in self.facts.roles if not self.facts.answers(role)]
        needed = [role for role in silent if role.wanted or role.name == BRAIN]
        idle = [role.name for role in silent if role not in needed]
        if needed:
            names = ", ".join(role.name for role in needed)
            why = "; ".join(dict.fromkeys(f"{d}: {w}" for role in needed for d, w in role.dropped[:3]))
            mend = self._first_step()
            key = {"mend": mend} if mend else {}
            yield self._finding("no_model", Severity.ERROR, names, roles=names, why=why or "-", **key)
        if idle:
            names = ", ".join(idle)
            yield self._finding("idle_roles", Severity.HINT, names, roles=names)

    def _first_step(self) -> str | None:
        """The quickest way to a first answer; ``None`` when the embedded model is there already."""
        if self.facts.weights and self.facts.extra_local:
            return None
        symptom = "weights_missing" if self.facts.extra_local else "extra_missing"
        return self.texts(f"doctor.{symptom}.mend")

    def _habits(self) -> Iterator[Finding]:
        """What works, but not as well as it could."""
        facts = self.facts
        if not facts.fallback_enabled:
            yield self._finding("fallback_disabled", Severity.WARNING, origin=facts.fallback_origin)
        for queue in facts.queues:
            severity = Severity.WARNING if queue.panel else Severity.HINT
            yield self._finding("queues", severity, queue.deployment, deployment=queue.deployment)
        for deployment, needed in facts.memory_needed:
            if facts.memory_free is not None and needed > facts.memory_free:
                yield self._finding(
                    "memory_low",
                    Severity.HINT,
                    deployment,
                    deployment=deployment,
                    needed=figures.size(needed),
                    free=figures.size(facts.memory_free),
                )
        for retired in facts.retired:
            if not retired.wanted:
                continue  # the defaults' own; nobody has anything to change
            yield self._finding(
                "retired",
                Severity.WARNING,
                retired.deployment,
                deployment=retired.deployment,
                successor=retired.successor,
            )
        for warning in facts.config_warnings:
            yield self._finding("setting", Severity.HINT, warning, warning=warning)

    def _until(self, until: float | None) -> str:
        return figures.moment(until) if until is not None else self.texts("doctor.unknown_time")


def _with(provider: ProviderFact, probe: ProbeFact) -> ProviderFact:
    """``provider`` with what a probe of one of its models said."""
    return ProviderFact(
        name=provider.name,
        kind=provider.kind,
        local=provider.local,
        url=provider.url,
        detail=probe.detail,
        until=probe.until,
        key=provider.key,
        through=provider.through,
    )


def _special_mend(symptom: str, probe: ProbeFact, provider: ProviderFact | None) -> str | None:
    """The text of the mend where it depends on the kind of server; ``None`` for the symptom's own."""
    ollama = provider is not None and provider.kind == "ollama"
    match symptom:
        case "model_missing" if not _pullable(provider):
            return "doctor.model_missing.mend_name"
        case "timeout" if not ollama:
            return "doctor.timeout.mend_server" if probe.local else "doctor.timeout.mend_cloud"
        case "out_of_memory" if not ollama:
            return "doctor.out_of_memory.mend_other"
        case _:
            return None


def _pullable(provider: ProviderFact | None) -> bool:
    return provider is not None and provider.local and provider.kind == "ollama"


def _address_setting(provider: ProviderFact) -> str:
    """Where the address is set."""
    if provider.name == "ollama":
        return "OLLAMA_HOST"
    if provider.name == "ollama-cloud":
        return "OLLAMA_CLOUD_BASE_URL"
    return f"providers.{provider.name}.base_url"


def _timeout_setting(provider: ProviderFact) -> str:
    """Where the time of an attempt is set."""
    known = {"ollama": "OLLAMA_LOCAL_TIMEOUT", "ollama-cloud": "OLLAMA_CLOUD_TIMEOUT"}
    return known.get(provider.name, f"providers.{provider.name}.timeout")


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The finding that the first line names; ``None`` when there are hints at most."""
    return next((f for f in findings if f.severity is not Severity.HINT), None)
