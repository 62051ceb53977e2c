"""What is wrong is named, what is not is not, and the most important comes first."""

import pytest

from coreto.crews.insights.claims import check
from coreto.crews.insights.confidence import confidence_of, confidence_of_none
from coreto.crews.insights.findings import findings, findings_of, held_back
from coreto.crews.insights.metrics.baseline import Baseline
from coreto.crews.insights.metrics.catalogue import AXES, CATALOGUE, RESOURCES
from coreto.crews.insights.thresholds import KINDS, THRESHOLDS
from coreto.crews.insights.use import use_checks
from coreto.panel.policy import CAPS

UNWELL_KINDS = list(KINDS)
GIB = 2.0**30


def test_a_quiet_machine_has_no_problem(machine):
    """Nothing is over its threshold, nothing held back."""
    metrics = machine()
    assert findings(metrics) == ()
    assert held_back(use_checks(metrics), ()) == ()


@pytest.mark.parametrize("kind", UNWELL_KINDS)
def test_what_is_wrong_is_named_first(kind, unwell):
    """Each kind of trouble is found, first of all, with evidence that is true."""
    metrics = unwell(kind)
    found = findings(metrics)
    assert found[0].kind == kind
    assert found[0].resource == kind.partition(".")[0]
    assert found[0].level == "crit" or kind == "storage.failing" or found[0].checks[0].margin < 1
    assert found[0].claims
    assert all(check(claim, metrics).accepted for one in found for claim in one.claims)


def test_every_non_ok_check_is_told(unwell):
    """No finding may say less than the checklist: what is flagged is in a finding or held back in sight."""
    for kind in KINDS:
        metrics = unwell(kind)
        checks = use_checks(metrics)
        found = findings_of(checks, metrics)
        told = {c.metric for one in found for c in one.checks} | {c.metric for c in held_back(checks, found)}
        assert {c.metric for c in checks if c.flagged} == told


def test_busy_is_no_problem_by_itself(machine):
    """A CPU and a disk that are fully used, without anybody who waits, are held back."""
    metrics = machine({"cpu.busy_s": 39.9, "disk.busy_s[sda]": 9.9})
    checks = use_checks(metrics)
    assert findings(metrics) == ()
    assert {held.metric for held in held_back(checks, ())} == {"cpu.busy", "disk.busy[sda]"}


def test_a_moment_is_no_problem(machine):
    """Over a short window the average of ten seconds decides."""
    waits = {"cpu.busy_s": 3.9, "psi.cpu.some_s": 0.95}
    assert findings(machine(waits, {"psi.cpu.some_10s": 8.0}, window=1.0)) == ()
    assert findings(machine(waits, {"psi.cpu.some_10s": 60.0}, window=1.0))[0].kind == "cpu.saturated"


def test_trouble_that_is_over(machine):
    """Averages that are still high while the moment is quiet: a warning at most, after everything that goes on."""
    fading = {"psi.io.some_10s": 95.0, "psi.io.full_10s": 60.0, "mem.available": 1.5 * GIB}
    found = findings(machine({}, fading, window=1.0))
    assert [(one.kind, one.level, one.fading) for one in found] == [
        ("memory.short", "warn", False),
        ("storage.slow", "warn", True),
    ]
    goes_on = findings(machine({"psi.io.some_s": 0.8}, fading, window=1.0))
    assert (goes_on[0].kind, goes_on[0].level, goes_on[0].fading) == ("storage.slow", "crit", False)


def test_kernels_without_pressure(machine):
    """Where nobody tells who waits, two axes that agree make a warning, and one does not."""
    without = ("psi.cpu.some_s", "psi.cpu.some_10s")
    busy = {"cpu.busy_s": 39.9}
    assert findings(machine(busy, without=without)) == ()
    found = findings(machine(busy, {"load1": 20.0}, without=without))
    assert [(one.kind, one.level, one.weak) for one in found] == [("cpu.saturated", "warn", True)]


def test_missing_is_no_problem_and_not_fine(machine):
    """What is not known is unknown: no level, no finding, and less confidence that nothing is wrong."""
    names = ("mem.available", "psi.memory.some_s", "psi.memory.some_10s", "vm.oom_kills", "fs.used")
    metrics, whole = machine(without=names), machine()
    checks = use_checks(metrics)
    by_metric = {one.metric: one for one in checks}
    assert by_metric["memory.used"].level == "unknown"
    assert by_metric["fs.used"].level == "unknown"
    assert findings(metrics) == ()
    now = metrics.taken_at
    partly = confidence_of_none(checks, metrics, "basic", now)
    assert partly.percent < confidence_of_none(use_checks(whole), whole, "basic", now).percent


def test_thrashing_comes_before_the_disk_that_suffers(machine):
    """Paging makes a disk slow: the cause is named first, and said to be one."""
    metrics = machine(
        {
            "vm.swap_in": 900e6, "psi.memory.some_s": 6.0, "psi.io.some_s": 9.9, "disk.busy_s[sda]": 10.0, "disk.queue_s[sda]": 900.0,
            "disk.requests[sda]": 100.0, "disk.request_s[sda]": 90.0, "cpu.iowait_s": 30.0,
        },
        {"psi.memory.some_10s": 60.0, "psi.io.some_10s": 99.0, "psi.io.full_10s": 90.0, "io.blocked": 40.0},
    )  # fmt: skip
    found = findings(metrics)
    assert [one.kind for one in found[:2]] == ["memory.thrashing", "storage.slow"]
    assert found[1].explained_by == ("memory.thrashing",)
    assert found[1].score > found[0].score


def test_critical_comes_before_warnings(machine):
    """However much speaks for a warning."""
    metrics = machine(
        {"cpu.busy_s": 39.0, "psi.cpu.some_s": 6.0},
        {"psi.cpu.some_10s": 60.0, "load1": 11.0, "fs.used[/tmp]": 1e9, "fs.free[/tmp]": 0.0},
    )
    assert [(one.kind, one.level) for one in findings(metrics)] == [
        ("storage.full", "crit"),
        ("cpu.saturated", "warn"),
    ]
    assert findings(metrics)[0].where == "/tmp"


def test_much_room_is_room(machine):
    """A tenth of a large disk, or of a large memory, is a lot; of a small one it is not."""
    assert findings(machine({}, {"fs.used": 0, "fs.used[/]": 900 * GIB, "fs.free[/]": 100 * GIB})) == ()
    assert findings(machine({}, {"fs.used[/]": 9 * GIB, "fs.free[/]": 1 * GIB}))[0].kind == "storage.full"
    assert findings(machine({}, {"mem.total": 128 * GIB, "mem.available": 8 * GIB})) == ()
    assert findings(machine({}, {"mem.total": 8 * GIB, "mem.available": 0.5 * GIB}))[0].kind == "memory.short"


def test_counters_since_boot(machine):
    """A kill since the last look is found; one before it, or of another run of the machine, is not."""
    before = Baseline().with_snapshot(machine({}, {"vm.oom_kills": 3.0}))
    after = machine(now={"vm.oom_kills": 5.0}, counted={"vm.oom_kills": 0.0})
    same = machine(now={"vm.oom_kills": 3.0}, counted={"vm.oom_kills": 0.0})
    rebooted = machine(now={"vm.oom_kills": 5.0}, counted={"vm.oom_kills": 0.0}, boot="2")

    def since(metrics, baseline):
        return {c.metric: c for c in use_checks(metrics, baseline)}["memory.oom_kills_boot"]

    assert (since(after, before).value, since(after, before).level) == (2.0, "crit")
    assert since(same, before).level == "ok"
    assert since(after, None).level == "unknown"
    assert since(rebooted, before).level == "unknown"


def test_the_table_is_sane():
    """Each threshold is of a metric there is, in order, with a reason; each kind of trouble has one that is enough; each
    resource is looked at on each axis, but for the limits, which have no queues and no errors."""
    for name, held in THRESHOLDS.items():
        assert name in CATALOGUE
        assert 0 < held.warn <= held.crit
        assert held.kind.partition(".")[0] == held.resource
        assert len(held.why) > 15
    assert {held.kind for held in THRESHOLDS.values() if held.alone} == set(KINDS)
    seen = {(held.resource, held.axis) for held in THRESHOLDS.values()}
    for resource in RESOURCES[:-1]:
        assert {(resource, axis) for axis in AXES} <= seen


def test_confidence_is_computed(unwell, machine):
    """It differs between findings, grows with the margin, falls with age, and stays below the quality's cap."""
    found = {kind: (findings(unwell(kind))[0], unwell(kind)) for kind in KINDS}
    percents = {
        kind: confidence_of(one, metrics, "excellent", metrics.taken_at).percent
        for kind, (one, metrics) in found.items()
    }
    assert len(set(percents.values())) > 4
    assert all(5 <= percent <= 95 for percent in percents.values())
    one, metrics = found["cpu.saturated"]
    for quality, cap in CAPS.items():
        assert confidence_of(one, metrics, quality, metrics.taken_at).percent <= cap
    fresh, old = (confidence_of(one, metrics, "excellent", metrics.taken_at + age) for age in (0, 240))
    assert old.percent < fresh.percent
    assert (fresh.band, old.band) == ("high", "low")
    barely = machine({"cpu.busy_s": 20.0}, {"psi.cpu.some_10s": 51.0})
    low = confidence_of(findings(barely)[0], barely, "excellent", barely.taken_at)
    assert low.percent < min(percents.values()) - 10
    assert low.as_json()["calibrated"] is False


def test_what_is_always_so_is_less_sure(machine):
    """A value that is usual for the machine counts less than one that has risen."""
    metrics = machine({"cpu.busy_s": 30.0}, {"psi.cpu.some_10s": 60.0})
    usual, risen = Baseline(), Baseline()
    for _ in range(9):
        usual, risen = usual.with_snapshot(metrics), risen.with_snapshot(machine())
    one = findings(metrics)[0]
    sure = [
        confidence_of(one, metrics.with_baseline(known.usual), "excellent", metrics.taken_at).percent
        for known in (usual, risen)
    ]
    assert sure[0] < sure[1]
