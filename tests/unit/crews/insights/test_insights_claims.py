"""Claims are true of the snapshot or not taken."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coreto.crews.insights.claims import RELATIONS, Claim, check, read_claim
from coreto.crews.insights.metrics.baseline import Baseline
from coreto.crews.insights.metrics.catalogue import CATALOGUE
from coreto.crews.insights.metrics.readings import name_of
from coreto.crews.insights.units import CONVERSIONS, shown, stated

RELAXED = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def snapshot(unwell, machine):
    """A machine that thrashes, with a history of quiet."""
    baseline = Baseline()
    for number in range(10):
        baseline = baseline.with_snapshot(machine({"cpu.busy_s": number / 10}))
    return unwell("memory.thrashing").with_baseline(baseline.usual)


def test_what_code_states_is_accepted(snapshot, unwell):
    """Every value that there is, said as code says it, is true."""
    for metrics in (snapshot, unwell("storage.slow"), unwell("cpu.saturated")):
        for metric, reading in metrics.readings.items():
            if reading.value is not None:
                number, unit = stated(reading.value, reading.unit)
                assert check(Claim(metric, number, unit), metrics).accepted, (metric, reading.value, number)


@RELAXED
@given(st.floats(1e-6, 1e15), st.sampled_from(sorted({m.unit for m in CATALOGUE.values()})))
def test_any_stated_value_is_within_its_precision(value, unit):
    """What code says of a value is the value, to five in a hundred at the very most."""
    number, said = stated(value, unit)
    base, factor = CONVERSIONS[said]
    assert base == unit
    assert abs(float(number * factor) - value) <= 0.05 * value
    assert shown(number, said, "pt-BR").count(",") <= 1


@RELAXED
@given(st.data())
def test_fabricated_values_are_rejected(snapshot, data):
    """A value that is not the measured one, in whatever precision, is not taken."""
    known = [metric for metric, reading in snapshot.readings.items() if reading.value is not None]
    metric = data.draw(st.sampled_from(known))
    reading = snapshot.readings[metric]
    places = data.draw(st.integers(0, 4))
    value = round(data.draw(st.floats(0, 1e6) | st.floats(0, 100)), places)
    number = Decimal(f"{value:.{places}f}")
    off = abs(float(number) - reading.value)
    assume(off > 0.05 * abs(reading.value) or (reading.value == 0) != (number == 0))
    for relation in RELATIONS:
        reference = data.draw(
            st.sampled_from([None, f"threshold:{name_of(metric)}.warn", f"baseline:{metric}"])
        )
        assert not check(Claim(metric, number, reading.unit, relation, reference), snapshot).accepted


@RELAXED
@given(
    st.text(max_size=30),
    st.decimals(allow_nan=True),
    st.text(max_size=10),
    st.sampled_from(RELATIONS),
    st.none() | st.text(max_size=20),
)
def test_invented_metrics_are_rejected(snapshot, metric, value, unit, relation, reference):
    """Nothing that is not in the snapshot is taken, and nothing raises."""
    assume(metric not in snapshot.readings)
    assert check(Claim(metric, value, unit, relation, reference), snapshot).fault == "unknown_metric"


@RELAXED
@given(st.decimals(allow_nan=True, allow_infinity=True), st.text(max_size=10))
def test_any_number_is_looked_at(snapshot, value, reference):
    """NaN, infinities and numbers of a thousand digits are no values."""
    assume(not value.is_finite() or abs(value) > 100)
    for relation in RELATIONS:
        assert not check(Claim("cpu.busy", value, "percent", relation, reference), snapshot).accepted


def test_random_percents_are_rarely_true(snapshot):
    """Of all whole percents, claimed of each percentage of the snapshot, hardly more than the true ones pass."""
    metrics = [
        m
        for m, reading in snapshot.readings.items()
        if reading.unit == "percent" and reading.value is not None
    ]
    passed = sum(
        check(Claim(metric, Decimal(percent), "percent"), snapshot).accepted
        for metric in metrics
        for percent in range(101)
    )
    assert passed <= len(metrics)


def test_each_fault(snapshot, machine):
    """The first thing that is wrong is said."""
    value = Decimal(str(round(snapshot.value("memory.swap_used"), 1)))
    faults = {
        Claim("memory.magic", value, "percent"): "unknown_metric",
        Claim("memory.cgroup_used", value, "percent"): "missing",
        Claim("memory.swap_used", value, "bytes"): "unit",
        Claim("memory.swap_used", value, "bananas"): "unit",
        Claim("memory.swap_used", value + 6, "percent"): "value",
        Claim("memory.swap_used", Decimal("1E+2"), "percent"): "value",
        Claim("memory.swap_used", value, "percent", "is", "threshold:memory.swap_used.warn"): "reference",
        Claim("memory.swap_used", value, "percent", "exceeds"): "reference",
        Claim("memory.swap_used", value, "percent", "exceeds", "threshold:memory.swap_used.max"): "reference",
        Claim("memory.swap_used", value, "percent", "exceeds", "threshold:cpu.busy.warn"): "reference",
        Claim("memory.swap_used", value, "percent", "exceeds", "cpu.busy"): "reference",
        Claim("memory.swap_used", value, "percent", "exceeds", "memory.swap_used"): "relation",
        Claim("memory.swap_used", value, "percent", "fell", "baseline:memory.swap_used"): "relation",
        Claim("memory.swap_used", value, "percent", "rose", "baseline:memory.used"): "reference",
    }  # fmt: skip
    for claim, fault in faults.items():
        verdict = check(claim, snapshot)
        assert (verdict.accepted, verdict.fault) == (False, fault), claim
    true = (
        Claim("memory.swap_used", value, "percent"),
        Claim("memory.swap_used", value, "%", "exceeds", "threshold:memory.swap_used.crit"),
        Claim("memory.swap_used", value, "percent", "exceeds", "memory.used"),
        Claim("memory.swap_used", value, "percent", "rose", "baseline:memory.swap_used"),
        Claim("memory.swap_in", Decimal("90.0"), "MB/s"),
        Claim("memory.swap_in", Decimal("85.8"), "MiB/s", "exceeds", "threshold:memory.swap_in.crit"),
    )
    assert [check(claim, snapshot) for claim in true] == [check(true[0], snapshot)] * len(true)
    without_history = snapshot.with_baseline(None)
    assert check(true[3], without_history).fault == "reference"
    assert (
        check(Claim("memory.used", Decimal(25), "percent", "rose", "baseline:memory.used"), snapshot).fault
        == "relation"
    )
    zero = Claim("net.conntrack", Decimal(0), "percent")
    assert check(zero, machine({}, {"conntrack.used": 100.0})).fault == "value"


@given(
    st.dictionaries(
        st.sampled_from(["metric", "value", "unit", "relation", "reference"]),
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12) | st.just("is") | st.lists(st.none(), max_size=1),
    )
)  # fmt: skip
def test_models_may_write_anything(shown_claim):
    """What is no claim is none; what is one has only what was written."""
    claim = read_claim(shown_claim)
    if claim is not None:
        assert claim.metric == shown_claim["metric"]
        assert claim.value.is_finite()
        assert read_claim(claim.as_json()) == claim


def test_numbers_as_models_write_them():
    """Numbers, texts, a sign of percent behind them."""
    base = {"metric": "cpu.busy", "unit": "percent"}
    for value in (97.4, "97.4", " 97.4% "):
        assert read_claim(base | {"value": value}) == Claim("cpu.busy", Decimal("97.4"), "percent")
    for value in ("1e5", "٣", "97,4", "", "nan", True, None, "--5", "9" * 99):
        assert read_claim(base | {"value": value}) is None
    assert read_claim(base | {"value": 1, "relation": "causes"}) is None


def test_numbers_as_people_read_them():
    """A comma in Portuguese, units that fit, no more digits than say something."""
    assert shown(*stated(97.4312, "percent"), "pt-BR") == "97,4%"
    assert shown(*stated(97.4312, "percent"), "en") == "97.4%"
    assert shown(*stated(82_592_309_248.0, "bytes"), "en") == "82.6 GB"
    assert shown(*stated(1234.5, "bytes/s"), "en") == "1.23 kB/s"
    assert shown(*stated(0.0, "percent"), "en") == "0%"
    assert shown(*stated(3.24, "per cpu"), "pt-BR") == "3,24 por CPU"
    assert shown(*stated(123456.7, "per second"), "en") == "123457/s"
