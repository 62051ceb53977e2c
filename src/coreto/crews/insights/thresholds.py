"""From which value on something is wrong, and why: one table. Whoever knows better changes it here.

A threshold that does not hold ``alone`` counts only together with another of its kind: a busy disk does what it is
there for, until somebody waits for it. ``needs_s``: over how many seconds its metric must be measured: everybody
waits for a moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from coreto.crews.insights.metrics.catalogue import CATALOGUE, Axis, Resource
from coreto.crews.insights.metrics.readings import name_of

Kind = Literal[
    "cpu.saturated",
    "cpu.throttled",
    "cpu.stolen",
    "cpu.hot",
    "memory.short",
    "memory.thrashing",
    "memory.killed",
    "memory.faulty",
    "storage.full",
    "storage.inodes",
    "storage.slow",
    "storage.failing",
    "network.saturated",
    "network.lossy",
    "network.table",
    "workload.limits",
]
"""What can be wrong. The word before the dot is the resource."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_MIB, _GIB = 2.0**20, 2.0**30


@dataclass(frozen=True, slots=True)
class Threshold:
    """``warn`` and ``crit``: reached or passed, in the metric's unit. ``why``: the reason for the numbers.

    ``relief``: a metric and a value from which on the level is one lower, of the same instance. ``counter``: it counts
    since boot, and what matters is what it has counted since the last snapshot.
    """

    metric: str
    kind: Kind
    warn: float
    crit: float
    why: str
    alone: bool = True
    needs_s: float = 0.0
    relief: tuple[str, float] | None = None
    counter: bool = False

    @property
    def resource(self) -> Resource:
        return CATALOGUE[self.metric].resource

    @property
    def axis(self) -> Axis:
        return CATALOGUE[self.metric].axis


_MOMENT = 5.0
"""Seconds below which waiting is everyday."""

_SECOND = 0.9
"""Seconds over which a rate says something, allowing for a window that came out short."""

_TABLE: Final[tuple[Threshold, ...]] = (
    Threshold("cpu.busy", "cpu.saturated", 85, 97, "a busy CPU is well used; it is a problem once tasks wait", alone=False, needs_s=_MOMENT),
    Threshold("cpu.pressure", "cpu.saturated", 50, 80, "for half of the time some task had no CPU", needs_s=_MOMENT),
    Threshold("cpu.pressure_10s", "cpu.saturated", 50, 80, "for half of ten seconds some task had no CPU"),
    Threshold("cpu.load_per_cpu", "cpu.saturated", 1.5, 3, "more tasks than CPUs; but tasks that wait for disks count too", alone=False),
    Threshold("cpu.runnable_per_cpu", "cpu.saturated", 2, 4, "as many waiting as running; a moment's count", alone=False),
    Threshold("cpu.throttled", "cpu.throttled", 10, 50, "one period in ten was cut short by the container's quota", needs_s=_SECOND),
    Threshold("cpu.quota_used", "cpu.throttled", 90, 99, "the container's quota is used up; a problem once it throttles", alone=False),
    Threshold("cpu.steal", "cpu.stolen", 10, 30, "the hypervisor gives a tenth of the time to others", needs_s=_SECOND),
    Threshold("cpu.thermal_throttles", "cpu.hot", 1, 20, "the processor slows down to stay cool"),
    Threshold("memory.used", "memory.short", 90, 97, "what is left does not cover a burst", relief=("memory.available", 4 * _GIB)),
    Threshold("memory.cgroup_used", "memory.short", 90, 97, "the container is killed at its limit, without swap"),
    Threshold("memory.pressure", "memory.thrashing", 10, 30, "tasks stall for memory; healthy machines show none", needs_s=_MOMENT),
    Threshold("memory.pressure_10s", "memory.thrashing", 10, 30, "tasks stall for memory; healthy machines show none"),
    Threshold("memory.stalled_10s", "memory.thrashing", 3, 15, "nothing at all moves while memory is found"),
    Threshold("memory.cgroup_pressure_10s", "memory.thrashing", 10, 30, "the container stalls at its limit"),
    Threshold("memory.swap_in", "memory.thrashing", 1 * _MIB, 20 * _MIB, "memory in use is read back from disk", needs_s=_SECOND),
    Threshold("memory.swap_out", "memory.thrashing", 5 * _MIB, 50 * _MIB, "memory is pushed out; harmless until it is read back", alone=False),
    Threshold("memory.swap_used", "memory.thrashing", 50, 90, "history, unless it is being read back", alone=False),
    Threshold("memory.major_faults", "memory.thrashing", 500, 3000, "starting programs cause them too", alone=False),
    Threshold("memory.direct_reclaim", "memory.thrashing", 100, 2000, "writing many files causes it too", alone=False),
    Threshold("memory.oom_kills", "memory.killed", 1, 1, "the kernel had to kill"),
    Threshold("memory.oom_kills_boot", "memory.killed", 1, 1, "the kernel had to kill since the last look", counter=True),
    Threshold("memory.cgroup_oom_kills", "memory.killed", 1, 1, "the kernel had to kill in the container"),
    Threshold("memory.ecc_errors", "memory.faulty", 1, 1, "memory that cannot be corrected corrupts data"),
    Threshold("fs.used", "storage.full", 85, 95, "writes fail at the end; large ones have room for long", relief=("fs.free", 50 * _GIB)),
    Threshold("fs.inodes", "storage.inodes", 85, 95, "no file can be made without an inode, however much room there is"),
    Threshold("disk.busy", "storage.slow", 80, 97, "disks that work in parallel are busy long before they are slow", alone=False, needs_s=_MOMENT),
    Threshold("disk.queue", "storage.slow", 4, 16, "requests pile up; fast disks like queues", alone=False),
    Threshold("disk.latency", "storage.slow", 50, 200, "slow for a hard disk, very slow for a solid one; large requests take long too", alone=False),
    Threshold("cpu.iowait", "storage.slow", 20, 50, "CPUs idle for want of data; hidden where they have other work", alone=False),
    Threshold("io.pressure", "storage.slow", 30, 60, "for a third of the time some task waited for I/O", needs_s=_MOMENT),
    Threshold("io.pressure_10s", "storage.slow", 30, 60, "for a third of ten seconds some task waited for I/O"),
    Threshold("io.stalled_10s", "storage.slow", 15, 40, "nothing at all moves while I/O is awaited"),
    Threshold("io.blocked", "storage.slow", 4, 16, "tasks that cannot even be killed; a moment's count", alone=False),
    Threshold("fs.errors", "storage.failing", 1, 100, "the file system found itself damaged since it was checked last"),
    Threshold("fs.readonly", "storage.failing", 1, 1, "it turned read-only, as it does when it meets an error"),
    Threshold("net.receive_used", "network.saturated", 80, 95, "a full link is a problem once packets get lost", alone=False),
    Threshold("net.send_used", "network.saturated", 80, 95, "a full link is a problem once packets get lost", alone=False),
    Threshold("net.backlog_drops", "network.saturated", 1, 100, "the machine does not keep up with its packets", needs_s=_SECOND),
    Threshold("net.listen_drops", "network.saturated", 1, 50, "clients are turned away", needs_s=_SECOND),
    Threshold("net.retransmitted", "network.lossy", 3, 10, "connections slow down from about a hundredth of loss", needs_s=_SECOND),
    Threshold("net.errors", "network.lossy", 1, 50, "cables and cards should make none", needs_s=_SECOND),
    Threshold("net.drops", "network.lossy", 20, 1000, "a few are packets that nobody wanted", needs_s=_SECOND),
    Threshold("net.conntrack", "network.table", 80, 95, "new connections fail at the end"),
    Threshold("limits.files", "workload.limits", 80, 95, "nothing can be opened at the end"),
    Threshold("limits.threads", "workload.limits", 80, 95, "nothing can be started at the end"),
    Threshold("limits.cgroup_pids", "workload.limits", 80, 95, "nothing can be started in the container at the end"),
)  # fmt: skip

THRESHOLDS: Final[Mapping[str, Threshold]] = MappingProxyType({held.metric: held for held in _TABLE})


def threshold_of(metric: str) -> Threshold | None:
    """The threshold of a metric, by its id or its name; ``None`` where it has none."""
    return THRESHOLDS.get(name_of(metric))
