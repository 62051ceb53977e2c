"""Free text: numbers come from claims, causes from rules."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreto.crews.insights.causes import EDGES, explains, is_edge
from coreto.crews.insights.claims import Claim
from coreto.crews.insights.metrics.catalogue import CATALOGUE
from coreto.crews.insights.thresholds import KINDS
from coreto.crews.insights.units import stated
from coreto.crews.insights.wording import in_words, word


@pytest.fixture
def metrics(unwell):
    """A machine whose disk is slow."""
    return unwell("storage.slow")


@pytest.fixture
def say(metrics):
    """Words a template about the named metrics, with their true values."""

    def run(template, *named, language="en"):
        claims = [Claim(m, *stated(metrics.value(m), metrics.readings[m].unit)) for m in named]
        return word(template, claims, metrics, language)

    return run


def test_numbers_come_from_claims(say):
    """Code writes them, in the language's notation, with the disk that they are of."""
    assert say("Look: {c0}, {c1}.", "disk.busy[sda]", "io.pressure").text == (
        "Look: disk busy (sda) 99.0%, tasks stalled for I/O 90%."
    )
    assert (
        say("Veja: {c0}.", "disk.queue[sda]", language="pt-BR").text
        == "Veja: pedidos na fila do disco (sda) 20."
    )


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("", "blank"),
        (" \n", "blank"),
        ("x {c0} " * 100, "long"),
        ("Nothing is claimed.", "place"),
        ("{c0} and {c7}", "place"),
        ("{c0} {metric}", "place"),
        ("{{c0}}", "place"),
        ("{c0!r}", "place"),
        ("{c0} is about 99", "number"),
        ("{c0} is ninety-nine", "number"),
        ("{c0} é o dobro", "number"),
        ("{c0} por cento de três", "number"),
        ("{c0} %", "number"),
        ("{c0} x²", "number"),
        ("{c0} ٣", "number"),
        ("{c0} Ⅷ", "number"),
        ("{c0} at 99sda", "number"),
        ("Because of cosmic rays, {c0}.", "cause"),
        ("{c0} due to a bug", "cause"),
        ("{c0} devido a um bug", "cause"),
        ("A bad cable causes {c0}.", "cause"),
        ("{c0}, so the disk is dying", "cause"),
    ],
)
def test_what_is_not_taken(say, template, fault):
    """Each with its reason."""
    assert say(template, "disk.busy[sda]").fault == fault


def test_names_may_have_digits(machine):
    """Disks, mounts and interfaces of the snapshot are names; processes are called what anybody likes."""
    metrics = machine({"process.cpu_s[worker99#5]": 20.0})
    claim = Claim("cpu.busy", *stated(metrics.value("cpu.busy"), "percent"))
    assert word("{c0} on eth0, says `eth0`.", (claim,), metrics, "en").text
    assert word("{c0} on eth1.", (claim,), metrics, "en").fault == "number"
    assert word("{c0} by worker99#5.", (claim,), metrics, "en").fault == "number"


@pytest.mark.parametrize(
    "template",
    [
        "{c1} because of {c0}.",
        "{c0} causes {c1}.",
        "{c0} leads to {c1}; that is all.",
        "Because of {c0}, {c1}.",
        "{c1} porque {c0}.",
        "{c1} por causa da fila: {c0}.",
        "{c0} provoca {c1}.",
        "{c1}, causada por {c0}.",
        "The figures: {c0} and {c1}. {c1} is explained by {c0}.",
    ],
)
def test_causes_along_a_rule(say, template):
    """The queue of a disk makes tasks wait: both languages may say so, in the rule's direction."""
    queue, waits = "disk.queue[sda]", "io.pressure"
    assert say(template, queue, waits).fault == ""
    assert say(template, waits, queue).fault == "cause"


def test_causes_need_trouble_and_a_rule(say):
    """Neither what is as it should be nor what no rule connects is a cause; nor half of what is named."""
    assert say("{c0} causes {c1}.", "memory.used", "io.pressure").fault == "cause"
    assert say("{c0} causes {c1}.", "io.pressure", "memory.pressure").fault == "cause"
    assert (
        say(
            "{c0} and {c2} cause {c1}, and {c0} causes {c1}.", "disk.queue[sda]", "io.pressure", "cpu.busy"
        ).fault
        == "cause"
    )
    assert say("{c0}. That causes trouble. {c1}.", "disk.queue[sda]", "io.pressure").fault == "cause"
    assert say("{c0} goes along with {c1}.", "memory.used", "io.pressure").fault == ""


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_digit_passes(metrics, before, behind):
    """Whatever is written around a place, no number but the claim's comes out."""
    claim = Claim("io.pressure", Decimal("90.0"), "percent")
    wording = word(f"{before}{{c0}}{behind}", (claim,), metrics, "en")
    if wording.text:
        rest = wording.text.replace(in_words(claim, "en"), "")
        assert not any(c.isdigit() or c.isnumeric() or c in "%{}" for c in rest)
    else:
        assert wording.fault


def test_the_rules():
    """Of metrics there are; nothing is its own cause; findings explain each other in one direction."""
    for cause, effect in EDGES:
        assert cause in CATALOGUE
        assert effect in CATALOGUE
        assert not is_edge(cause, cause)
    for one in KINDS:
        assert not explains(one, one)
        assert not any(explains(one, other) and explains(other, one) for other in KINDS)
