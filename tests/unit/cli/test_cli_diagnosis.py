"""The doctor's reasoning: each symptom from made-up facts."""

from dataclasses import replace

import pytest

from coreto.cli.doctor.command import checklist, summary
from coreto.cli.doctor.diagnosis import ORDER, Severity, diagnose, worst
from coreto.cli.doctor.facts import (
    EngineFact,
    Facts,
    MissingFact,
    NeedFact,
    ProbeFact,
    ProviderFact,
    QueueFact,
    RetiredFact,
    RoleFact,
    StuckFact,
    SwapFact,
)
from coreto.cli.texts import CATALOGUE, Texts

CHAT = RoleFact(name="chat", candidates=("ollama/phi3:mini", "ollama-cloud/gpt"), wanted=True)
OLLAMA = ProviderFact(name="ollama", kind="ollama", local=True, url="http://127.0.0.1:11434", wanted=True)
CLOUD = ProviderFact(
    name="ollama-cloud", kind="ollama-cloud", local=False, url="https://cloud", wanted=True, key="CLOUD_KEY"
)
ROUTER = ProviderFact(name="openrouter", kind="openrouter", local=False, key="OPENROUTER_API_KEY")
LAB = ProviderFact(name="lab", kind="openai", local=True, url="http://127.0.0.1:8000/v1", wanted=True)
EMBEDDED = ProviderFact(name="embedded", kind="embedded", local=True)
WELL = Facts(roles=(CHAT,), providers=(OLLAMA, CLOUD, EMBEDDED))
GIB = 2**30


def need(name: str, gigabytes: float, *, least: float | None = None, wanted: bool = True) -> NeedFact:
    """A model of Ollama that takes so much."""
    return NeedFact(
        deployment=f"ollama/{name}",
        need=int(gigabytes * GIB),
        least=int((least or gigabytes) * GIB),
        wanted=wanted,
    )


BIG, SMALL = need("big:7b", 6), need("phi3:mini", 3)


def engine(**values) -> Facts:
    """Facts with Ollama on a machine of eight gigabytes."""
    return replace(WELL, engines=(EngineFact(provider="ollama", **{"memory": 8 * GIB, **values}),))


def probed(outcome: str, deployment: str = "ollama/phi3:mini", **values) -> Facts:
    """Facts with one probe by which ``deployment`` came to ``outcome``; the role's other model answers."""
    bad = ProbeFact(deployment=deployment, outcome=outcome, roles=("chat",), wanted=True, **values)
    other = next(c for c in CHAT.candidates if c != deployment)
    good = ProbeFact(deployment=other, outcome="ok", first_ms=5.0)
    return replace(WELL, probed=True, probes=(bad, good))


def down(provider: ProviderFact, code: str = "unreachable", **values) -> Facts:
    """Facts in which ``provider`` does not serve."""
    broken = replace(provider, up=False, code=code, **{"detail": "it does not answer", **values})
    others = [p for p in WELL.providers if p.name != provider.name]
    return replace(WELL, providers=(broken, *others))


#: symptom → facts, severity, and a part of the mend
SYMPTOMS = {
    "config_invalid": (Facts(config_problems=("coreto.toml: x",)), "error", "coreto config check"),
    "data_dir": (replace(WELL, data_dir="/x", data_dir_problem="denied"), "error", "CORETO_DATA_DIR"),
    "database": (replace(WELL, database_problem="refused"), "error", "CORETO_DATABASE_URL"),
    "ollama_down": (down(OLLAMA), "error", "`ollama serve`"),
    "server_down": (down(LAB), "error", "providers.lab.base_url"),
    "signed_out": (
        Facts(roles=(CHAT,), providers=(OLLAMA, replace(CLOUD, up=False, code="auth", through="ollama"))),
        "error",
        "`ollama signin`",
    ),
    "key_wrong": (down(CLOUD, "auth", detail="unauthorized"), "error", "CLOUD_KEY"),
    "key_missing": (
        down(replace(ROUTER, wanted=True), "auth", detail="no key: set it"),
        "error",
        "OPENROUTER_API_KEY",
    ),
    "quota": (down(CLOUD, "quota", until=1.0), "error", "FALLBACK_ENABLED=true"),
    "billing": (down(CLOUD, "billing"), "error", "add credit"),
    "entitlement": (probed("entitlement", "ollama-cloud/gpt"), "error", "upgrade the account"),
    "cloud_down": (down(CLOUD), "error", "CORETO_OFFLINE=true"),
    "model_missing": (
        replace(WELL, missing=(MissingFact(deployment="ollama/x:1b", roles=("chat",), wanted=True),)),
        "error",
        "`coreto models pull ollama/x:1b`",
    ),
    "out_of_memory": (probed("out_of_memory"), "error", "`ollama stop"),
    "timeout": (probed("timeout", ms=15_000.0), "error", "OLLAMA_LOCAL_TIMEOUT"),
    "overloaded": (probed("overloaded"), "error", "try later"),
    "queue_full": (probed("queue_full"), "error", "OLLAMA_MAX_QUEUE"),
    "rate": (probed("rate", "ollama-cloud/gpt"), "error", "CLOUD_KEY"),
    "failing": (probed("server_error"), "error", "coreto ask hi --model ollama/phi3:mini"),
    "extra_missing": (
        replace(down(replace(EMBEDDED, wanted=True)), extra_local=False),
        "error",
        'pip install "coreto[local]"',
    ),
    "weights_missing": (down(replace(EMBEDDED, wanted=True)), "error", "`coreto models pull smollm2`"),
    "no_model": (
        replace(WELL, roles=(RoleFact(name="chat", dropped=(("a/b", "offline"),), wanted=True),)),
        "error",
        "embedded/smollm2",
    ),
    "fallback_disabled": (replace(WELL, fallback_enabled=False), "warning", "FALLBACK_ENABLED=true"),
    "stuck": (
        engine(budget=8 * GIB, stuck=(StuckFact("big:7b", "still loaded"),)),
        "error",
        "`ollama stop big:7b`",
    ),
    "too_large": (engine(budget=4 * GIB, needs=(BIG, SMALL)), "error", "memory_budget to 6."),
    "no_swap": (engine(needs=(BIG, SMALL)), "warning", 'memory_budget = "auto"'),
    "budget_large": (engine(budget=9 * GIB), "warning", 'memory_budget = "auto"'),
    "slow_swap": (
        engine(budget=8 * GIB, swaps=(SwapFact("big:7b", 6 * GIB, 61.0, 64.0),)),
        "warning",
        "faster disk",
    ),
    "queues": (
        replace(WELL, queues=(QueueFact(deployment="ollama/phi3:mini", panel=True),)),
        "warning",
        "OLLAMA_NUM_PARALLEL",
    ),
    "queues_here": (
        engine(budget=8 * GIB, needs=(replace(SMALL, panel=True),)),
        "warning",
        "parallel = 4 in [providers.ollama]",
    ),
    "slow_load": (probed("ok", first_ms=12_000.0), "warning", "OLLAMA_KEEP_ALIVE"),
    "memory_low": (
        replace(WELL, memory_free=10**9, memory_needed=(("ollama/phi3:mini", 2 * 10**9),)),
        "hint",
        "smaller model",
    ),
    "retired": (
        replace(WELL, retired=(RetiredFact(deployment="a/old", successor="a/new", wanted=True),)),
        "warning",
        "a/new",
    ),
    "idle_roles": (replace(WELL, roles=(CHAT, RoleFact(name="visual"))), "hint", "coreto models list"),
    "setting": (replace(WELL, config_warnings=("a secret is written out",)), "hint", "config check"),
}


def test_every_symptom_is_tested() -> None:
    """The table covers the whole order, so that a new symptom comes with its test."""
    assert set(SYMPTOMS) == set(ORDER)


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("symptom", ORDER)
def test_symptom_comes_first_with_its_mend(symptom, language) -> None:
    """Each symptom alone is the first finding, of its severity, with its mend, in both languages."""
    facts, severity, mend = SYMPTOMS[symptom]
    findings = diagnose(facts, Texts(language))
    assert findings[0].symptom == symptom
    assert findings[0].severity == severity
    if language == "en":
        assert mend in findings[0].mend
    if severity != "hint":
        assert findings[0].mend in summary(worst(findings), Texts(language))


def test_all_well() -> None:
    """When nothing is wrong there is no finding, and the first line says so."""
    findings = diagnose(WELL)
    assert findings == []
    assert worst(findings) is None
    assert summary(None, Texts()).startswith("✓")


@pytest.mark.parametrize("provider", [OLLAMA, ROUTER, EMBEDDED])
def test_what_nobody_set_up_is_a_hint(provider) -> None:
    """A provider that the user did not set up is no problem while the roles have answers."""
    findings = diagnose(down(replace(provider, wanted=False), "auth", detail="no key"))
    assert [f.severity for f in findings] == [Severity.HINT]
    assert worst(findings) is None


def test_causes_come_before_consequences() -> None:
    """A server that is down goes before the role that nobody can answer because of it."""
    alone = RoleFact(name="chat", candidates=("ollama/phi3:mini",), wanted=True)
    findings = diagnose(replace(down(OLLAMA), roles=(alone,)))
    assert [f.symptom for f in findings] == ["ollama_down", "no_model"]


def test_an_accounts_failure_is_told_once() -> None:
    """Provider and probe that say the same of one account are one finding."""
    facts = down(CLOUD, "quota")
    probe = ProbeFact(deployment="ollama-cloud/gpt", outcome="quota", wanted=True)
    findings = diagnose(replace(facts, probes=(probe,)))
    assert [f.symptom for f in findings] == ["quota"]


def test_a_daemon_that_is_down_takes_its_cloud_along() -> None:
    """Cloud models through a daemon that is down are not told apart, unless the cloud was asked for."""
    daemon = replace(OLLAMA, up=False, detail="refused")
    through = replace(CLOUD, up=False, through="ollama", wanted=False)
    facts = replace(WELL, providers=(daemon, through))
    assert [f.symptom for f in diagnose(facts) if f.symptom != "no_model"] == ["ollama_down"]
    asked = replace(facts, providers=(daemon, replace(through, wanted=True)))
    assert "key_missing" in [f.symptom for f in diagnose(asked)]


def test_a_fresh_machine_is_told_the_first_step() -> None:
    """Without any model, the mend is the extra where it is missing, else the weights."""
    fresh = Facts(roles=(RoleFact(name="brain"), RoleFact(name="visual")), weights=False)
    assert diagnose(fresh)[0].mend == "`coreto models pull smollm2`"
    assert "pip install" in diagnose(replace(fresh, extra_local=False))[0].mend


def test_a_default_models_absence_matters_only_where_it_leaves_a_role_alone() -> None:
    """A default model that is not pulled is a hint while another one answers, else a warning."""
    missing = MissingFact(deployment="ollama/phi3:mini", roles=("visual",), first_of=("visual",))
    alone = RoleFact(name="visual", dropped=(("ollama/phi3:mini", "not pulled"),))
    facts = replace(WELL, missing=(missing,), roles=(CHAT, alone))
    assert diagnose(facts)[0].severity is Severity.WARNING
    served = replace(facts, roles=(CHAT, replace(alone, candidates=("ollama-cloud/gpt",))))
    assert diagnose(served)[0].severity is Severity.HINT


@pytest.mark.parametrize("outcome", ["ok", "invalid_output", "skipped"])
def test_outcomes_that_are_no_failure(outcome) -> None:
    """An empty first token, or a model passed by for its account's sake, is no finding of its own."""
    assert [f for f in diagnose(probed(outcome)) if f.subject == "ollama/phi3:mini"] == []


@pytest.mark.parametrize(
    ("outcome", "deployment", "mend"),
    [
        ("timeout", "ollama-cloud/gpt", "OLLAMA_CLOUD_TIMEOUT"),
        ("model_missing", "ollama-cloud/gpt", "coreto models list --all"),
    ],
)
def test_mends_fit_the_kind_of_server(outcome, deployment, mend) -> None:
    """Cloud models are mended otherwise than those of a local Ollama."""
    assert mend in diagnose(probed(outcome, deployment, local=False))[0].mend


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_checklist_marks_what_is_wrong(language) -> None:
    """The checklist has a ✗ for what is wanted and broken, and a ✓ for what works."""
    texts = Texts(language)
    facts = replace(down(OLLAMA), memory_free=10**9, offline=True, data_dir="/d")
    marks = {check.text: check.mark for check in checklist(facts, diagnose(facts), texts)}
    assert next(mark for text, mark in marks.items() if text.startswith("ollama (")) == "✗"
    assert next(mark for text, mark in marks.items() if text.startswith("ollama-cloud (")) == "✓"
    broken = Facts(config_problems=("a", "b"))
    assert [c.mark for c in checklist(broken, diagnose(broken), texts)] == ["✗", "✗"]


def test_every_symptom_has_sentence_and_mend() -> None:
    """The catalogue has both texts of every symptom."""
    for symptom in ORDER:
        assert f"doctor.{symptom}" in CATALOGUE
        assert f"doctor.{symptom}.mend" in CATALOGUE
