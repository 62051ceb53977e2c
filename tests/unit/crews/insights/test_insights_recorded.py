"""Snapshots of a real machine of two CPUs, recorded while hogs ran on it and while none did."""

import json
from pathlib import Path

import pytest

from coreto.crews.insights.claims import check
from coreto.crews.insights.findings import findings
from coreto.crews.insights.metrics.catalogue import CATALOGUE
from coreto.crews.insights.metrics.readings import Reading, SystemMetrics, name_of
from coreto.crews.insights.report import report_on

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))


def snapshot(name: str) -> SystemMetrics:
    """The snapshot recorded under ``name``."""
    kept = RECORDED[name]
    readings = {}
    for metric, value in kept["values"].items():
        known = CATALOGUE[name_of(metric)]
        window = 0.0 if known.state else known.span_s or kept["window_s"]
        missing = "absent" if value is None else None
        readings[metric] = Reading(metric, value, known.unit, 0.0, window, "proc", missing=missing)
    return SystemMetrics("box", 0.0, kept["window_s"], kept["n_cpu"], kept["mem_total"], readings)


@pytest.mark.parametrize("kind", [name for name in RECORDED if name != "quiet"])
def test_the_trouble_that_was_made_is_named_first(kind):
    """Six loops on two CPUs, eight direct writers, a full container, a full file system."""
    metrics = snapshot(kind)
    found = findings(metrics)
    assert found[0].kind == kind
    assert all(check(claim, metrics).accepted for one in found for claim in one.claims)


def test_no_trouble():
    """A machine at work, but well, has no problem."""
    made = report_on(snapshot("quiet"), now=0.0, language="en")
    assert made.headline == "No problem found."
    assert made.confidence.band != "low"


def test_a_disk_that_was_slow_a_moment_ago():
    """The memory was recorded after the writers had ended: their wake is told, and told to be over."""
    found = {one.kind: one for one in findings(snapshot("memory.short"))}
    assert found["storage.slow"].fading
    assert not found["memory.short"].fading
