"""What the doctor says of models that take turns, from made-up facts and made-up histories."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.cli.doctor.diagnosis import diagnose
from coreto.cli.doctor.engines import memory_for
from coreto.cli.doctor.facts import (
    EngineFact,
    Facts,
    NeedFact,
    ProbeFact,
    ProviderFact,
    StuckFact,
    SwapFact,
)
from coreto.cli.doctor.memory import is_slow, stuck_in, swaps_of
from coreto.residency.effects import Happening
from coreto.residency.state import Phase
from coreto.testing.hardware import FakeHardware

GIB = 2**30
OLLAMA = ProviderFact(name="ollama", kind="ollama", local=True, wanted=True)


def need(name: str, gigabytes: float, *, least: float | None = None, wanted: bool = True) -> NeedFact:
    size, small = int(gigabytes * GIB), int((least or gigabytes) * GIB)
    return NeedFact(deployment=f"ollama/{name}", need=size, least=small, wanted=wanted)


def found(*, probes=(), **values):
    """The findings on a machine of eight gigabytes, with their severities."""
    engine = EngineFact(provider="ollama", **{"memory": 8 * GIB, **values})
    return diagnose(Facts(providers=(OLLAMA,), engines=(engine,), probed=bool(probes), probes=probes))


def test_two_that_do_not_fit_together() -> None:
    """Sizes, machine and both models are named; what the user wrote goes before what the defaults name."""
    a, b, c = need("a", 5, wanted=False), need("b", 5), need("c", 5)
    (finding,) = found(needs=(a, b, c))
    assert "ollama/b and ollama/c take 10.0 GB together, this machine has 8.0 GB" in finding.sentence
    assert finding.severity == "warning"
    (finding,) = found(needs=(a, replace(b, wanted=False)))
    assert finding.severity == "hint"


@pytest.mark.parametrize(
    "values",
    [
        # they fit together
        {"needs": (need("a", 4), need("b", 4))},
        # one that does not even fit alone needs no turns but another machine
        {"needs": (need("a", 9), need("b", 1))},
        # they take turns already
        {"needs": (need("a", 5), need("b", 5)), "budget": 8 * GIB},
        # nobody knows the machine
        {"needs": (need("a", 5), need("b", 5)), "memory": None},
        # it fits with its smaller window
        {"needs": (need("a", 9, least=7),), "budget": 8 * GIB},
    ],
)
def test_nothing_to_say(values) -> None:
    """Where turns would not help, or work, there is no finding."""
    assert found(**values) == []


def test_a_model_larger_than_the_budget_is_told_once() -> None:
    """The refusal that the probe saw is the same thing with a worse mend; other models' are not."""
    probes = (
        ProbeFact(deployment="ollama/a", outcome="out_of_memory", wanted=True),
        ProbeFact(deployment="ollama/b", outcome="out_of_memory", wanted=True),
    )
    findings = found(needs=(need("a", 6.04), need("b", 1)), budget=4 * GIB, probes=probes)
    assert [(f.symptom, f.subject) for f in findings] == [
        ("too_large", "ollama/a"),
        ("out_of_memory", "ollama/b"),
    ]
    assert "memory_budget to 6.1 GB" in findings[0].mend


def test_another_engine_that_is_stuck() -> None:
    """Only Ollama is mended by Ollama's commands."""
    (finding,) = found(kind="embedded", budget=GIB, stuck=(StuckFact("m", "still there"),))
    assert "ollama stop" not in finding.mend


def test_our_own_turns_may_be_what_queues() -> None:
    """Only where a panel asks, the model takes one call at a time, and it is our turns that it waits for."""
    panel = replace(need("a", 1), panel=True)
    (finding,) = found(needs=(panel,), budget=8 * GIB)
    assert "OLLAMA_NUM_PARALLEL=4" in finding.mend
    (other,) = found(needs=(panel,), budget=8 * GIB, kind="embedded")
    assert other.mend == "parallel = 4 in [providers.ollama]"
    assert found(needs=(replace(panel, slots=4),), budget=8 * GIB) == []
    assert found(needs=(replace(panel, panel=False),), budget=8 * GIB) == []
    assert found(needs=(panel,)) == []


@pytest.mark.parametrize(
    ("swap", "slow"),
    [
        (SwapFact("m", 4 * 10**9, 19.0, 20.0), False),  # 210 MB/s
        (SwapFact("m", 4 * 10**9, 21.0, 22.0), True),  # 190 MB/s
        (SwapFact("m", 10**8, 5.0, 6.0), False),  # small: nearly all of it is not reading
        (SwapFact("m", 60 * 10**9, 59.0, 61.0), True),  # fast, and long all the same
        (SwapFact("m", 0, 10.0, 10.0), False),  # nobody knows how large it was
    ],
)
def test_what_is_slow(swap, slow) -> None:
    """Below 200 MB/s, of models that are large enough to tell; or above a minute."""
    assert is_slow(swap) is slow
    findings = found(budget=8 * GIB, swaps=(swap,))
    assert [f.symptom for f in findings] == (["slow_swap"] if slow else [])


def test_the_slowest_is_told_with_its_figures() -> None:
    """One finding an engine: that of the longest swap."""
    swaps = (SwapFact("a", 2 * GIB, 20.0, 21.0), SwapFact("b", 4 * GIB, 40.0, 42.5))
    (finding,) = found(budget=8 * GIB, swaps=swaps)
    assert "ollama/b (4.0 GB) took 42.5 s" in finding.sentence
    assert "at 107 MB/s" in finding.sentence


def history(*events, models=(("a", "ready", 4.0), ("b", "absent", 0.0))):
    """A host's status."""
    return {
        "models": [{"model": name, "state": state, "gb": gb} for name, state, gb in models],
        "recent": [
            {"at": at, "what": what, "model": model, "detail": detail}
            for at, what, model, detail in ((*event, "")[:4] for event in events)
        ],
    }


def test_swaps_by_their_history() -> None:
    """A swap runs from the first that had to go to the load's end; the load from the last that was gone."""
    seen = history(
        (1.0, "loaded", "b"),
        (10.0, "switch", "b"),
        (10.5, "switch", "c"),
        (11.0, "unloaded", "b"),
        (12.0, "unloaded", "c"),
        (20.0, "loaded", "a"),
    )
    assert swaps_of(seen, {}) == (SwapFact("a", 4 * GIB, 8.0, 10.0),)


@pytest.mark.parametrize(
    "events",
    [
        # nobody had to go: when the load began is not known
        [(1.0, "loaded", "a")],
        # it went over the budget, and then somebody came
        [(1.0, "over_budget", "b"), (2.0, "unloaded", "b"), (9.0, "loaded", "a")],
        # somebody left long before
        [(1.0, "unloaded", "c"), (50.0, "switch", "b"), (51.0, "loaded", "a")],
        # the load failed; what is loaded later is another matter
        [(1.0, "switch", "b"), (2.0, "unloaded", "b"), (3.0, "failed", "a"), (99.0, "loaded", "a")],
    ],
)
def test_histories_that_tell_no_time(events) -> None:
    """Nothing is measured where its beginning was not seen."""
    assert swaps_of(history(*events), {}) == ()


def test_a_model_that_has_left_again() -> None:
    """Its size is known from elsewhere."""
    seen = history((1.0, "switch", "a"), (2.0, "unloaded", "a"), (7.0, "loaded", "b"))
    assert swaps_of(seen, {"a": 1, "b": GIB}) == (SwapFact("b", GIB, 5.0, 6.0),)


def test_a_load_that_began_anew() -> None:
    """After a first try that ran out of memory the second one's time counts for its speed."""
    seen = history((1.0, "switch", "b"), (2.0, "unloaded", "b"), (30.0, "shrunk", "a"), (40.0, "loaded", "a"))
    assert swaps_of(seen, {}) == (SwapFact("a", 4 * GIB, 10.0, 39.0),)


def test_who_is_stuck() -> None:
    """In memory, and its last happening a failure: it was told to go and did not."""
    failed = (5.0, "failed", "a", "still loaded")
    assert stuck_in(history((1.0, "switch", "a"), failed)) == (StuckFact("a", "still loaded"),)
    assert stuck_in(history(failed, (9.0, "loaded", "a"))) == ()
    assert stuck_in(history((5.0, "failed", "b", "no such file"))) == ()  # a load that failed
    assert stuck_in(history(failed, (9.0, "resynchronised", "b", "b, a"))) == ()  # others loaded it


HAPPENINGS = st.tuples(
    st.floats(0, 100),
    st.sampled_from([happening.value for happening in Happening]),
    st.sampled_from("abc"),
    st.sampled_from(["", "a, b", "for 'a', which 1 wait for"]),
)
MODELS = st.tuples(
    st.sampled_from("abc"), st.sampled_from([phase.value for phase in Phase]), st.floats(0, 100)
)


@given(st.lists(HAPPENINGS), st.lists(MODELS, unique_by=lambda m: m[0]))
def test_any_history_can_be_read(events, models) -> None:
    """Whatever happened in whatever order, no time is negative and nobody is stuck who is not there."""
    seen = history(*sorted(events, key=lambda event: event[0]), models=models)
    assert all(0 <= swap.load_seconds <= swap.seconds for swap in swaps_of(seen, {}))
    assert {s.model for s in stuck_in(seen)} <= {name for name, state, _ in models if state != "absent"}


@pytest.mark.parametrize(
    ("kind", "hardware", "memory"),
    [
        ("ollama", FakeHardware(gpu=8, system=32), 8),
        ("ollama", FakeHardware(gpu=0, system=32), 32),
        ("ollama", FakeHardware(), None),
        ("embedded", FakeHardware(gpu=8, system=32), 32),
    ],
)
def test_what_the_machine_has(kind, hardware, memory) -> None:
    """The graphics card where there is one, but for the embedded engine."""
    assert memory_for(kind, hardware) == memory
