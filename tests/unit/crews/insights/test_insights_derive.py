"""Two samples become readings: rates, ratios, and what is missing."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.crews.insights.metrics.catalogue import CATALOGUE
from coreto.crews.insights.metrics.derive import snapshot_of
from coreto.crews.insights.metrics.readings import (
    Reading,
    Robust,
    SystemMetrics,
    instance_of,
    metric_id,
    name_of,
)
from coreto.crews.insights.metrics.sample import Sample


def test_a_quiet_machine(machine):
    """Rates are over the window, shares of the whole, states of this moment."""
    metrics = machine()
    assert metrics.value("cpu.busy") == pytest.approx(2.5)
    assert metrics.value("memory.used") == pytest.approx(25.0)
    assert metrics.value("fs.used[/]") == pytest.approx(40.0)
    assert metrics.value("work.context_switches") == pytest.approx(300.0)
    assert metrics.value("memory.swap_used") == 0.0
    assert metrics.readings["cpu.busy"].window_s == 10.0
    assert metrics.readings["cpu.load_per_cpu"].window_s == 60.0
    assert metrics.readings["fs.used[/]"].window_s == 0.0
    assert metrics.n_cpu == 4
    assert metrics.mem_total == 16 * 2**30


def test_what_is_not_told_is_absent(machine):
    """Every metric of the catalogue has a reading; without its figure it is missing and no 0."""
    metrics = machine(without=("psi.cpu.some_s", "vm.oom_kills", "mem.available", "disk.busy_s"))
    for metric in ("cpu.pressure", "memory.oom_kills", "memory.used", "disk.busy", "memory.cgroup_used"):
        assert metrics.readings[metric].missing == "absent"
        assert metrics.value(metric) is None
    assert {name_of(metric) for metric in metrics.readings} | {"process.cpu", "process.memory"} == set(
        CATALOGUE
    )


def test_there_may_be_no_such_figure(machine):
    """A disk that did nothing has no latency, a machine without swap no swap in use, few segments no loss."""
    metrics = machine({"tcp.sent": 5.0}, {"swap.total": 0.0, "swap.free": 0.0})
    assert metrics.readings["disk.latency[sda]"].missing == "nan"
    assert metrics.readings["memory.swap_used"].missing == "nan"
    assert metrics.readings["net.retransmitted"].missing == "nan"
    assert metrics.readings["net.retransmitted"].reason


def test_counters_that_begin_anew(machine):
    """A counter that went back gives no rate, neither a negative one nor 0."""
    metrics = machine({"disk.write_bytes[sda]": -50.0, "vm.oom_kills": -1.0})
    assert metrics.readings["disk.write[sda]"].missing == "nan"
    assert metrics.readings["memory.oom_kills"].missing == "nan"


def test_no_time_between_the_samples(machine):
    """Rates over no time are not known."""
    metrics = machine({"work.forks": 5.0}, window=0.0)
    assert metrics.readings["work.forks"].missing == "nan"


def test_links_without_a_speed(machine):
    """What share of an unknown speed is used, nobody knows."""
    metrics = machine({"net.receive_bytes[eth0]": 5e8}, without=("net.speed",))
    assert metrics.value("net.receive[eth0]") == 5e7
    assert metrics.readings["net.receive_used[eth0]"].missing == "absent"


def test_the_processes_that_use_most(machine):
    """Three at most, of a percent at least; those that were not there before have used nothing that is known."""
    used = {f"process.cpu_s[worker#{n}]": float(n) for n in range(1, 9)}
    metrics = machine(used, {"process.cpu_s[new#99]": 30.0, "process.resident[big#5]": 4 * 2.0**30})
    assert [r.metric for r in metrics.named("process.cpu")] == [
        "process.cpu[worker#8]", "process.cpu[worker#7]", "process.cpu[worker#6]",
    ]  # fmt: skip
    assert metrics.value("process.cpu[worker#8]") == pytest.approx(20.0)
    assert metrics.value("process.memory[big#5]") == pytest.approx(25.0)


def test_many_instances_are_bounded(machine):
    """Of hundreds of mounts the fullest are kept, and those with the least room."""
    mounts = {f"fs.used[/m{n}]": float(n) for n in range(200)} | {
        f"fs.free[/m{n}]": 200.0 - n for n in range(200)
    }
    metrics = machine({}, mounts)
    assert len(list(metrics.named("fs.used"))) == 32
    assert metrics.value("fs.used[/m199]") == pytest.approx(99.5)
    assert metrics.value("fs.free[/m199]") == 1.0


def test_ids_and_instances():
    """Names of mounts may hold anything; ids may not."""
    assert metric_id("fs.used", "/a[b]\n c") == "fs.used[/ab c]"
    assert name_of("fs.used[/a.b[c]") == "fs.used"
    assert instance_of("fs.used[/a.b]") == "/a.b"
    assert instance_of("memory.used") == ""


def test_a_reading_is_a_value_or_missing():
    """Never both, never neither, never a number that is none."""
    kept = ("cpu.busy", "percent", 0.0, 1.0, "proc")
    for value, missing in ((1.0, "absent"), (None, None), (float("nan"), None), (float("inf"), None)):
        with pytest.raises(ValueError):
            Reading(kept[0], value, *kept[1:], missing=missing)


def test_old_readings_are_stale(machine):
    """What is too old has no value any more; what was missing stays so for its own reason."""
    metrics = machine(without=("psi.cpu.some_s",))
    aged = metrics.aged(metrics.taken_at + 100, 60)
    assert aged.readings["cpu.busy"].missing == "stale"
    assert aged.value("cpu.busy") is None
    assert aged.readings["cpu.pressure"].missing == "absent"
    assert metrics.aged(metrics.taken_at + 10, 60) == metrics


def test_json_and_fingerprint(machine):
    """A snapshot survives JSON; its fingerprint is of the figures, whatever is usual."""
    metrics = machine(without=("psi.cpu.some_s",)).with_baseline({"cpu.busy": Robust(3.0, 1.0, 9)})
    back = SystemMetrics.from_json(orjson.loads(orjson.dumps(metrics.as_json())))
    assert back == metrics
    assert back.fingerprint == machine(without=("psi.cpu.some_s",)).fingerprint
    assert back.fingerprint != machine().fingerprint


FIGURES = st.dictionaries(
    st.tuples(
        st.sampled_from([
            "cpu.busy_s", "cpu.total_s", "mem.total", "mem.available", "disk.busy_s", "disk.requests", "disk.request_s", "fs.used",
            "fs.free", "net.speed", "net.receive_bytes", "tcp.sent", "tcp.sent_again", "group.cpus", "group.cpu_s", "swap.total",
            "swap.free", "process.resident", "process.cpu_s", "load1", "cpu.running", "files.open", "files.most",
        ]),
        st.sampled_from(["", "a", "b"]),
    ),
    st.floats(0, 1e15),
)  # fmt: skip


@given(FIGURES, FIGURES, st.floats(0, 1e4), st.sampled_from([None, 0, 1, 64]))
def test_any_two_samples(first, second, window, cpus):
    """Whatever two samples hold, each reading is finite or missing, and none is negative."""
    samples = [
        Sample(0.0, at, "proc", "x", "1", cpus, figures) for at, figures in ((0.0, first), (window, second))
    ]
    for reading in snapshot_of(*samples).readings.values():
        assert reading.value is None or reading.value >= 0
