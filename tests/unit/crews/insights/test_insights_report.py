"""The report: everything that was found, nothing that was not."""

import io
import shlex
from decimal import Decimal
from string import Formatter

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from coreto.crews.insights.advice import ADVICE, advice_for
from coreto.crews.insights.claims import Claim
from coreto.crews.insights.findings import findings_of
from coreto.crews.insights.metrics.baseline import Baseline
from coreto.crews.insights.metrics.catalogue import RESOURCES
from coreto.crews.insights.rendering import bar, markdown, terminal
from coreto.crews.insights.report import NOBODY, Coverage, Proposal, judge, report, report_on
from coreto.crews.insights.texts import CATALOGUE
from coreto.crews.insights.thresholds import KINDS
from coreto.crews.insights.units import stated
from coreto.crews.insights.use import use_checks
from coreto.panel.policy import quality_of

#: What may stand first in a command that is recommended: it reads and changes nothing.
READERS = {
    "ps", "nproc", "sensors", "swapon", "vmstat", "journalctl", "ras-mc-ctl", "du", "lsof", "iotop", "lsblk", "smartctl", "ss", "ip",
    "sysctl",
}  # fmt: skip


def make(metrics, proposals=(), coverage=NOBODY, *, language="en", age=0.0):
    """A report on a snapshot."""
    checks = use_checks(metrics)
    found = findings_of(checks, metrics)
    return report(
        found,
        tuple(proposals),
        coverage,
        metrics=metrics,
        checks=checks,
        now=metrics.taken_at + age,
        language=language,
    )


def drawn(made, width=110):
    """A report as a terminal shows it, without colours."""
    console = Console(width=width, color_system=None, record=True, file=io.StringIO())
    console.print(terminal(made))
    return console.export_text()


def claim_of(metrics, metric):
    """A true claim."""
    return Claim(metric, *stated(metrics.value(metric), metrics.readings[metric].unit))


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_no_problem_found(machine, language):
    """A quiet machine gets one sentence and no insights."""
    made = make(machine(), language=language)
    said = "No problem found." if language == "en" else "Nenhum problema encontrado."
    assert made.headline == said
    assert made.as_json()["insights"] == []
    assert made.as_json()["no_problem_found"] is True
    assert said in drawn(made)
    assert said in markdown(made)
    assert {made.level(resource) for resource in RESOURCES} == {"ok"}


def test_little_is_known(machine):
    """Where hardly anything could be measured the report does not say that all is well."""
    made = make(machine(without=("cpu.", "psi.", "vm.", "disk.", "net.", "io.", "load1")))
    assert "much could not" in made.headline
    assert made.confidence.band == "low"
    assert made.level("cpu") == "unknown"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_every_finding_is_told(unwell, kind, language):
    """Finding, evidence, two or three recommendations, severity and confidence, in both languages and all three forms."""
    made = make(unwell(kind), language=language)
    shown = made.as_json()
    first = shown["insights"][0]
    assert orjson.loads(orjson.dumps(shown)) == shown
    assert first["kind"] == kind
    assert first["severity"] in {"warn", "crit"}
    assert 5 <= first["confidence"] <= 80
    assert 2 <= len(first["recommendations"]) <= 3
    assert first["evidence"]
    text, page = drawn(made), markdown(made)
    assert first["finding"] in text
    for evidence in first["evidence"]:
        assert evidence["metric"] in page
    assert all(advice["text"] in page for advice in first["recommendations"])
    assert "{" not in text
    assert "None" not in text


def test_specialists_add_words_and_their_name(unwell):
    """What is true is told under its finding, and who said it has taken part."""
    metrics = unwell("storage.slow")
    proposal = Proposal(
        "storage", "{c1} because of {c0}.", (claim_of(metrics, "disk.queue[sda]"), claim_of(metrics, "io.pressure")),
        advice=("slow.faster", "cpu.top"),
    )  # fmt: skip
    beside = Proposal(
        "workload", "There are {c0}.", (claim_of(metrics, "work.context_switches"),), kind="storage.slow"
    )
    coverage = Coverage({"storage": "ok", "workload": "ok", "cpu": "timeout"}, frozenset({"storage"}))
    made = make(metrics, [proposal, beside], coverage)
    insight = made.insights[0]
    assert insight.said[0].startswith("tasks stalled for I/O 90% because of requests")
    assert insight.advice[0].id == "slow.faster"
    assert made.agents == ("storage", "workload")
    assert made.quality == "basic"
    assert made.missing == ()
    assert made.as_json()["agents_participated"] == ["storage", "workload"]
    assert insight.said[0] in drawn(made, 200)


def test_fabrications_do_not_reach_the_report(unwell):
    """Numbers, metrics, causes and findings that are invented are left out and counted, and nobody took part."""
    metrics = unwell("storage.slow")
    true = claim_of(metrics, "io.pressure")
    invented = [
        Proposal("storage", "It is {c0}.", (Claim("io.pressure", Decimal("41.3"), "percent"),)),
        Proposal("storage", "It is {c0}.", (Claim("io.magic", Decimal("90.0"), "percent"),)),
        Proposal("storage", "It is {c0}, which is 41.3 percent.", (true,)),
        Proposal("storage", "{c0} because the raid is broken.", (true,)),
        Proposal("storage", "All is lost.", ()),
        Proposal("memory", "{c0}: leak.", (claim_of(metrics, "memory.used"),)),
        Proposal("memory", "{c0}: leak.", (claim_of(metrics, "memory.used"),), kind="memory.short"),
        Proposal("storage", "It is {c0} and {c1}.", (true, Claim("cpu.busy", Decimal(99), "percent"))),
    ]
    coverage = Coverage({"storage": "ok", "memory": "ok"}, frozenset({"storage"}))
    made, alone = make(metrics, invented, coverage), make(metrics)
    assert made.agents == ()
    assert made.quality == "fallback"
    assert made.missing == ("storage",)
    assert sum(made.rejected.values()) == len(invented)
    assert made.rejected["claim.value"] == 2
    assert made.rejected["no_finding"] == 2
    assert [insight.finding for insight in made.insights] == [insight.finding for insight in alone.insights]
    assert all(not insight.said for insight in made.insights)
    assert "41" not in drawn(made).replace("vm", "")
    assert "raid" not in markdown(made)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            Proposal,
            specialist=st.sampled_from(RESOURCES),
            template=st.text(max_size=40).map(lambda text: text + "{c0}"),
            claims=st.lists(
                st.builds(
                    Claim,
                    metric=st.sampled_from(["io.pressure", "cpu.busy", "disk.busy[sda]", "x", "fs.used[/]"]),
                    value=st.decimals(0, 100, places=1),
                    unit=st.sampled_from(["percent", "bytes"]),
                ),
                max_size=2,
            ).map(tuple),
            kind=st.none() | st.sampled_from(KINDS),
        ),
        max_size=5,
    )
)
def test_whatever_is_proposed_the_findings_stay(unwell, proposals):
    """Proposals neither add nor take away a finding or a number of the evidence, whatever they hold."""
    metrics = unwell("storage.slow")
    made = make(metrics, proposals)
    assert [insight.finding for insight in made.insights] == [
        insight.finding for insight in make(metrics).insights
    ]
    judged = [judge(one, [insight.finding for insight in made.insights], metrics, "en") for one in proposals]
    for insight in made.insights:
        assert set(insight.said) <= {one.text for one in judged}
    assert sum(made.rejected.values()) >= sum(not one.text for one in judged)


def test_the_checks_alone(unwell, machine):
    """One call from a snapshot to a report, which knows what is usual where somebody kept it."""
    metrics = unwell("cpu.saturated")
    baseline = Baseline()
    for _ in range(9):
        baseline = baseline.with_snapshot(machine())
    alone, known = (
        report_on(metrics, kept, now=metrics.taken_at, language="en") for kept in (None, baseline)
    )
    assert alone.headline == known.headline == "The CPU is overloaded: tasks wait for it."
    assert alone.quality == "fallback"
    assert dict(alone.insights[0].confidence.parts)["unusual"] == 0.5
    assert dict(known.insights[0].confidence.parts)["unusual"] == 1.0


def test_quality_by_who_said_something():
    """Five, three, two, fewer; one step down where a required one is missing."""
    assert [quality_of(n, complete=True) for n in range(6)] == ["fallback", "fallback", "basic", "good", "good", "excellent"]  # fmt: skip
    assert [quality_of(n, complete=False) for n in (0, 2, 3, 5)] == ["fallback", "fallback", "basic", "good"]


def test_old_figures_are_said_to_be_old(unwell):
    """A report from a cache says how old its figures are, and is less sure."""
    fresh, old = make(unwell("cpu.saturated")), make(unwell("cpu.saturated"), age=200.0)
    assert old.confidence.percent < fresh.confidence.percent
    assert "200 s old" in drawn(old)
    assert old.as_json()["stale_s"] == 200.0


def test_names_cannot_write_markup(machine):
    """A mount point or a process that looks like Markdown or a colour is shown as it is."""
    metrics = machine({}, {"fs.used[/mnt/`<b>*x*|y]": 99e9, "fs.free[/mnt/`<b>*x*|y]": 1e6})
    made = make(metrics)
    prose = "".join(markdown(made).split("`")[::2])
    assert "\\<b\\>\\*x\\*\\|y" in prose
    assert "<b>" not in prose.replace("\\<b\\>", "")
    assert "/mnt/<b>*x*|y" in drawn(made)


def test_the_catalogue_of_advice():
    """Each kind has two things to do at least, said in both languages without a number; the commands only read."""
    for kind in KINDS:
        assert len([one for one in ADVICE.values() if one.kind == kind]) >= 2
    for one in ADVICE.values():
        for text in (one.en, one.pt):
            assert text.endswith(".")
            assert not any(c.isdigit() for c in text)
        if one.look:
            words = shlex.split(one.look)
            assert words[0] in READERS
            assert not set(one.look) & set(";&`$><")
            assert "-w" not in words


def test_advice_fits_the_machine(machine):
    """No swap is recommended to a machine that has some; wanted advice of another kind is not given."""
    with_swap, without = machine(), machine({}, {"swap.total": 0.0, "swap.free": 0.0})
    assert "memory.swap_add" not in [one.id for one in advice_for("memory.short", with_swap)]
    assert "memory.swap_add" in [one.id for one in advice_for("memory.short", without)]
    wanted = advice_for("memory.short", with_swap, ("memory.more", "cpu.top", "rm -rf"))
    assert wanted[0].id == "memory.more"
    assert len(wanted) == 3
    assert "cpu.top" not in [one.id for one in wanted]


def test_texts_in_both_languages():
    """Each text exists twice, with the same places, and each kind of finding has one."""
    places = {
        key: [{name for _, name, _, _ in Formatter().parse(text) if name} for text in texts.values()]
        for key, texts in CATALOGUE.items()
    }
    assert all(
        set(CATALOGUE[key]) == {"en", "pt-BR"} and one == other for key, (one, other) in places.items()
    )
    assert {f"finding.{kind}" for kind in KINDS} <= set(CATALOGUE)


def test_bars():
    """Filled by eighths, and always as wide."""
    assert bar(0.0, 4) == "····"
    assert bar(1.0, 4) == "████"
    assert bar(0.5, 4) == "██··"
    assert bar(7.0, 4) == "████"
    assert bar(0.03125, 4) == "▏···"
    assert all(len(bar(share / 97, 16)) == 16 for share in range(98))
