"""What is usual for a machine."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.crews.insights.metrics.baseline import (
    ENOUGH,
    KEPT,
    Baseline,
    load_baseline,
    robust,
    save_baseline,
)


def grown(machine, count: int) -> Baseline:
    """A baseline of ``count`` quiet snapshots."""
    baseline = Baseline()
    for number in range(count):
        baseline = baseline.with_snapshot(machine({"cpu.busy_s": number % 3}))
    return baseline


def test_it_takes_some_snapshots(machine):
    """With few snapshots nobody knows what is usual."""
    assert not grown(machine, ENOUGH - 1).usual
    usual = grown(machine, ENOUGH).usual
    assert usual["cpu.busy"].n == ENOUGH
    assert usual["cpu.busy"].z(90.0) > 6
    assert abs(usual["cpu.busy"].z(usual["cpu.busy"].median)) < 0.1


def test_what_is_missing_adds_nothing(machine):
    """A metric that was absent has no 0 in its history, and processes have none at all."""
    baseline = grown(machine, 3).with_snapshot(
        machine({"process.cpu_s[a#1]": 20.0}, without=("psi.cpu.some_s",))
    )
    assert len(baseline.values["cpu.pressure"]) == 3
    assert len(baseline.values["cpu.busy"]) == 4
    assert not any(metric.startswith("process.") for metric in baseline.values)


def test_it_stays_small(machine):
    """The last values are kept, no more."""
    baseline = grown(machine, KEPT + 30)
    assert {len(kept) for kept in baseline.values.values()} == {KEPT}


def test_another_machine_begins_anew(machine):
    """Figures of one machine say nothing about another."""
    baseline = Baseline(host="other", values={"cpu.busy": (1.0,) * 20})
    assert len(baseline.with_snapshot(machine()).values["cpu.busy"]) == 1


def test_kept_in_a_file(machine, tmp_path):
    """Written whole, read back the same, with nothing beside it."""
    path = tmp_path / "new" / "baseline.json"
    baseline = grown(machine, 9)
    save_baseline(baseline, path)
    save_baseline(baseline, path)
    assert load_baseline(path) == baseline
    assert [file.name for file in path.parent.iterdir()] == ["baseline.json"]
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"form": 9}',
        '{"form": 1, "values": 3}',
        '{"form": 1, "values": {"cpu.busy": ["x"]}, "last_at": "y"}',
    ],
)
def test_a_broken_file_is_no_baseline(tmp_path, text):
    """Whatever the file holds, one begins anew."""
    path = tmp_path / "baseline.json"
    path.write_text(text, encoding="utf-8")
    assert not load_baseline(path).values
    assert not load_baseline(tmp_path / "none.json").values


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=64))
def test_median_and_distance(values):
    """Half of the values lie within the distance of the median, whatever the others do."""
    usual = robust(tuple(values))
    assert usual.median == statistics.median(values)
    within = sum(abs(value - usual.median) <= usual.mad * (1 + 1e-9) + 1e-6 for value in values)
    assert within * 2 >= len(values)
