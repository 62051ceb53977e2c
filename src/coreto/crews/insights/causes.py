"""What may cause what: the only edges along which anybody may say "because". Pure."""

from collections.abc import Iterable
from typing import Final

from coreto.crews.insights.metrics.readings import name_of
from coreto.crews.insights.thresholds import Kind

_WAITING = ("cpu.pressure", "cpu.pressure_10s", "cpu.load_per_cpu", "cpu.runnable_per_cpu")
_IO_WAITING = ("io.pressure", "io.pressure_10s", "io.stalled_10s", "io.blocked", "cpu.iowait")
_STALLS = ("memory.pressure", "memory.pressure_10s", "memory.stalled_10s", "memory.cgroup_pressure_10s")
_DISK = ("disk.busy", "disk.queue", "disk.latency")
_SHORT = ("memory.used", "memory.cgroup_used")
_PAGING = ("memory.swap_in", "memory.swap_out", "memory.major_faults", "memory.direct_reclaim")
_KILLS = ("memory.oom_kills", "memory.oom_kills_boot", "memory.cgroup_oom_kills")


def _all(causes: Iterable[str], effects: Iterable[str]) -> frozenset[tuple[str, str]]:
    known = tuple(effects)
    return frozenset((cause, effect) for cause in causes for effect in known)


EDGES: Final[frozenset[tuple[str, str]]] = frozenset[tuple[str, str]]().union(
    _all(("process.cpu",), ("cpu.busy", "cpu.busiest", "cpu.quota_used", *_WAITING)),
    _all(("process.memory",), _SHORT),
    _all(("cpu.busy", "cpu.busiest", "cpu.steal", "cpu.throttled", "cpu.thermal_throttles"), _WAITING),
    _all(("cpu.quota_used",), ("cpu.throttled",)),
    _all((*_SHORT, "memory.swap_used"), (*_PAGING, *_STALLS, *_KILLS)),
    _all(_PAGING, (*_STALLS, *_DISK, "disk.read", "disk.write", *_IO_WAITING)),
    _all(("disk.read", "disk.write"), (*_DISK, *_IO_WAITING)),
    _all(_DISK, (*_IO_WAITING, "cpu.load_per_cpu")),
    _all(("io.blocked",), ("cpu.load_per_cpu",)),
    _all(("fs.free", "memory.available"), ("fs.used", *_SHORT)),
    _all(("fs.errors",), ("fs.readonly",)),
    _all(("net.receive", "net.send"), ("net.receive_used", "net.send_used", "net.drops")),
    _all(
        ("net.receive_used", "net.send_used"),
        ("net.drops", "net.retransmitted", "net.backlog_drops"),
    ),
    _all(("net.conntrack", "net.errors", "net.drops", "net.backlog_drops"), ("net.retransmitted",)),
    _all(("cpu.pressure", "cpu.pressure_10s"), ("net.backlog_drops", "net.listen_drops")),
    _all(("work.forks",), ("work.context_switches", "limits.threads", "limits.cgroup_pids")),
)
"""Pairs of metric names, cause and effect."""

_EXPLAINS: Final[frozenset[tuple[Kind, Kind]]] = frozenset(
    {
        ("memory.short", "memory.thrashing"),
        ("memory.short", "memory.killed"),
        ("memory.thrashing", "storage.slow"),
        ("memory.short", "storage.slow"),
        ("memory.thrashing", "memory.killed"),
        ("cpu.throttled", "cpu.saturated"),
        ("cpu.stolen", "cpu.saturated"),
        ("cpu.hot", "cpu.saturated"),
        ("storage.failing", "storage.slow"),
        ("network.table", "network.lossy"),
        ("network.saturated", "network.lossy"),
    }
)


def is_edge(cause: str, effect: str) -> bool:
    """Whether the metric ``cause`` may bring about ``effect``; by their ids."""
    return (name_of(cause), name_of(effect)) in EDGES


def explains(cause: Kind, effect: Kind) -> bool:
    """Whether a finding of one kind may bring about one of the other, by a rule."""
    return (cause, effect) in _EXPLAINS
