"""A quiet machine that a test can make unwell, figure by figure."""

from collections.abc import Callable, Mapping

import pytest

from coreto.crews.insights.metrics.derive import snapshot_of
from coreto.crews.insights.metrics.readings import SystemMetrics
from coreto.crews.insights.metrics.sample import Key, Sample

GIB = 2.0**30
EPOCH = 1_800_000_000.0

#: Four CPUs, 16 GiB, one disk, one interface, at the first look.
AT_FIRST: dict[Key, float] = {
    **{(name, core): 1000.0 for core in ("", "0", "1", "2", "3") for name in ("cpu.busy_s", "cpu.iowait_s", "cpu.steal_s")},
    ("cpu.total_s", ""): 40_000.0,
    **{("cpu.total_s", core): 10_000.0 for core in "0123"},
    ("cpu.running", ""): 1.0,
    ("load1", ""): 0.3,
    ("threads", ""): 300.0,
    ("threads.most", ""): 32_768.0,
    **{(f"psi.{what}.{kind}_s", ""): 50.0 for what in ("cpu", "memory", "io") for kind in ("some", "full")},
    **{(f"psi.{what}.{kind}_10s", ""): 0.0 for what in ("cpu", "memory", "io") for kind in ("some", "full")},
    ("mem.total", ""): 16 * GIB,
    ("mem.available", ""): 12 * GIB,
    ("swap.total", ""): 2 * GIB,
    ("swap.free", ""): 2 * GIB,
    **{(f"vm.{name}", ""): 0.0 for name in ("swap_in", "swap_out", "major_faults", "direct_reclaim", "oom_kills")},
    **{(f"disk.{name}", "sda"): 100.0 for name in ("read_bytes", "write_bytes", "requests", "request_s", "busy_s", "queue_s")},
    ("fs.used", "/"): 40 * GIB,
    ("fs.free", "/"): 60 * GIB,
    ("fs.inodes", "/"): 1e6,
    ("fs.inodes_free", "/"): 9e5,
    ("fs.errors", "/"): 0.0,
    ("fs.readonly", "/"): 0.0,
    ("io.blocked", ""): 0.0,
    **{(f"net.{name}", "eth0"): 0.0 for name in ("receive_bytes", "send_bytes", "errors", "drops")},
    ("net.speed", "eth0"): 125e6,
    ("tcp.sent", ""): 0.0,
    ("tcp.sent_again", ""): 0.0,
    ("tcp.listen_drops", ""): 0.0,
    ("net.backlog_drops", ""): 0.0,
    ("conntrack.used", ""): 100.0,
    ("conntrack.most", ""): 65_536.0,
    ("files.open", ""): 2_000.0,
    ("files.most", ""): 1e6,
    ("work.switches", ""): 0.0,
    ("work.forks", ""): 0.0,
}  # fmt: skip

#: What a quiet machine counts in ten seconds.
QUIET: dict[Key, float] = {
    ("cpu.busy_s", ""): 1.0,
    ("cpu.total_s", ""): 40.0,
    **{("cpu.total_s", core): 10.0 for core in "0123"},
    **{("cpu.busy_s", core): 0.25 for core in "0123"},
    ("tcp.sent", ""): 500.0,
    ("work.switches", ""): 3000.0,
}

Build = Callable[..., SystemMetrics]


def _key(name: str) -> Key:
    base, _, instance = name.partition("[")
    return base, instance.rstrip("]")


@pytest.fixture
def machine() -> Build:
    """Builds a snapshot: ``counted``: what counters counted in the window beyond the quiet; ``now``: figures of
    this moment; ``without``: raw names, or how they begin, that the system does not tell; names as ``disk.busy_s[sda]``."""

    def build(
        counted: Mapping[str, float] | None = None,
        now: Mapping[str, float] | None = None,
        *,
        without: tuple[str, ...] = (),
        window: float = 10.0,
        boot: str = "1",
    ) -> SystemMetrics:
        first = dict(AT_FIRST)
        later = {key: first.get(key, 0.0) + count for key, count in QUIET.items()}
        for name, count in (counted or {}).items():
            first.setdefault(_key(name), 0.0)
            later[_key(name)] = first[_key(name)] + count
        second = first | later | {_key(name): value for name, value in (now or {}).items()}
        kept = [
            {k: v for k, v in figures.items() if not k[0].startswith(without or "-")}
            for figures in (first, second)
        ]
        samples = [
            Sample(EPOCH + at, at, "proc", "box", boot, 4, figures)
            for at, figures in zip((0.0, window), kept, strict=True)
        ]
        return snapshot_of(*samples)

    return build


#: What makes a machine unwell: counted in ten seconds, figures of the moment, and what is to be named first.
UNWELL: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "cpu.saturated": (
        {"cpu.busy_s": 39.9, "psi.cpu.some_s": 9.5, "process.cpu_s[stress#77]": 38.0},
        {"psi.cpu.some_10s": 92.0, "load1": 14.0, "cpu.running": 13.0},
    ),
    "cpu.throttled": ({"group.periods": 100.0, "group.throttled": 70.0, "group.cpu_s": 10.0}, {"group.cpus": 1.0}),
    "cpu.stolen": ({"cpu.steal_s": 16.0}, {}),
    "cpu.hot": ({"heat.throttles": 40.0}, {}),
    "memory.short": ({}, {"mem.available": 0.3 * GIB, "process.resident[leaky#9]": 11 * GIB}),
    "memory.thrashing": (
        {"vm.swap_in": 900e6, "vm.swap_out": 900e6, "vm.major_faults": 90_000.0, "psi.memory.some_s": 6.0},
        {"psi.memory.some_10s": 55.0, "psi.memory.full_10s": 30.0, "swap.free": 0.1 * GIB},
    ),
    "memory.killed": ({"vm.oom_kills": 2.0}, {}),
    "memory.faulty": ({}, {"ecc.uncorrected": 1.0}),
    "storage.full": ({}, {"fs.used[/var]": 99.9 * GIB, "fs.free[/var]": 0.1 * GIB}),
    "storage.inodes": ({}, {"fs.inodes_free": 9e5, "fs.inodes_free[/]": 1e3}),
    "storage.slow": (
        {
            "disk.busy_s[sda]": 9.9, "disk.queue_s[sda]": 200.0, "disk.requests[sda]": 800.0, "disk.request_s[sda]": 190.0,
            "disk.write_bytes[sda]": 3e9, "psi.io.some_s": 9.0, "cpu.iowait_s": 12.0,
        },
        {"psi.io.some_10s": 88.0, "psi.io.full_10s": 50.0, "io.blocked": 6.0},
    ),
    "storage.failing": ({}, {"fs.readonly[/]": 1.0, "fs.errors[/]": 7.0}),
    "network.saturated": ({"net.receive_bytes[eth0]": 1.24e9, "net.backlog_drops": 5000.0}, {}),
    "network.lossy": ({"tcp.sent": 10_000.0, "tcp.sent_again": 1500.0}, {}),
    "network.table": ({}, {"conntrack.used": 65_000.0}),
    "workload.limits": ({}, {"files.open": 990_000.0}),
}  # fmt: skip


@pytest.fixture
def unwell(machine: Build) -> Callable[[str], SystemMetrics]:
    """A snapshot of a machine with one kind of trouble."""
    return lambda kind: machine(*UNWELL[kind])
