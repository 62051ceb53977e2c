"""Two samples of one machine become readings. Pure.

A counter that went back gives no rate, a disk that did nothing has no latency, and what one of the two samples does
not have is absent: nothing is taken to be 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coreto.crews.insights.metrics.catalogue import CATALOGUE, Metric
from coreto.crews.insights.metrics.readings import Missing, Reading, SystemMetrics, metric_id
from coreto.crews.insights.metrics.sample import Sample

_TOP = 3
"""Processes that are named, by CPU and by memory."""

_LEAST_SEGMENTS = 100
"""TCP segments of a window from which the share that was sent again says anything."""

_MOST_INSTANCES = 32
"""Instances of a metric that are kept: those with the largest values."""

Result = float | tuple[Missing, str]
_ABSENT: tuple[Missing, str] = ("absent", "")


def snapshot_of(first: Sample, second: Sample) -> SystemMetrics:
    """The machine at ``second``, with rates since ``first``, an earlier sample of the same run of it."""
    derived = _Derived(first, second)
    for name, work in _SINGLE.items():
        derived.put(name, work(derived))
    for name, (raw, each) in _MANY.items():
        instances = derived.instances(raw)
        for instance in instances:
            derived.put(name, each(derived, instance), instance)
        if not instances:
            derived.put(name, _ABSENT)
    for name, raw in (("process.cpu", "process.cpu_s"), ("process.memory", "process.resident")):
        derived.processes(name, raw)
    total = second.figures.get(("mem.total", ""))
    return SystemMetrics(
        host=second.host,
        taken_at=second.at,
        window_s=derived.window,
        n_cpu=second.n_cpu,
        mem_total=None if total is None else int(total),
        readings=bounded(derived.readings),
        boot=second.boot,
    )


def bounded(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """``readings`` with at most 32 instances a metric: the largest values."""
    kept: dict[str, Reading] = {}
    for name in dict.fromkeys(metric.partition("[")[0] for metric in readings):
        of_name = [r for metric, r in readings.items() if metric.partition("[")[0] == name]
        if len(of_name) > _MOST_INSTANCES:
            smallest_first = CATALOGUE[name].unit == "bytes"
            of_name.sort(key=lambda r: (r.value is None, (r.value or 0.0) * (1 if smallest_first else -1)))
        kept |= {reading.metric: reading for reading in of_name[:_MOST_INSTANCES]}
    return kept


@dataclass(slots=True)
class _Derived:
    """``readings`` so far, and the two samples to ask."""

    first: Sample
    second: Sample
    readings: dict[str, Reading] = field(default_factory=dict[str, Reading])

    @property
    def window(self) -> float:
        return max(0.0, self.second.monotonic - self.first.monotonic)

    def put(self, name: str, result: Result, instance: str = "") -> None:
        metric = CATALOGUE[name]
        missing, reason = result if isinstance(result, tuple) else (None, "")
        key = metric_id(name, instance)
        self.readings[key] = Reading(
            metric=key,
            value=None if isinstance(result, tuple) else within(result, metric),
            unit=metric.unit,
            at=self.second.at,
            window_s=0.0 if metric.state else float(metric.span_s or self.window),
            source=self.second.source,
            missing=missing,
            reason=reason,
        )

    def instances(self, raw: str) -> Sequence[str]:
        return [instance for name, instance in self.second.figures if name == raw and instance]

    def now(self, raw: str, instance: str = "", scale: float = 1.0) -> Result:
        value = self.second.figures.get((raw, instance))
        return _ABSENT if value is None else float(value * scale)

    def grown(self, raw: str, instance: str = "") -> Result:
        """What a counter has counted between the samples."""
        before, after = self.first.figures.get((raw, instance)), self.second.figures.get((raw, instance))
        if before is None or after is None:
            return _ABSENT
        if after < before or self.first.boot != self.second.boot:
            return "nan", "the counter began anew"
        return float(after - before)

    def rate(self, raw: str, instance: str = "", scale: float = 1.0) -> Result:
        """What a counter counts a second, times ``scale``."""
        grown = self.grown(raw, instance)
        if not isinstance(grown, float):
            return grown
        return grown / self.window * scale if self.window > 0 else ("nan", "no time has passed")

    def share(self, raw: str, instance: str = "") -> Result:
        """The percentage of the time between the samples that a counter of seconds has counted."""
        rate = self.rate(raw, instance, 100.0)
        return min(rate, 100.0) if isinstance(rate, float) else rate

    def of_cpu(self, raw: str, core: str = "") -> Result:
        """The percentage of a core's time, of all cores' without one."""
        return ratio(self.grown(raw, core), self.grown("cpu.total_s", core), 100.0, "no time has passed")

    def busiest(self) -> Result:
        cores = [self.of_cpu("cpu.busy_s", core) for core in self.instances("cpu.busy_s")]
        known = [core for core in cores if isinstance(core, float)]
        return max(known) if known else _ABSENT

    def runnable(self) -> Result:
        """Without this process itself, which always runs when it looks."""
        seen = [sample.figures.get(("cpu.running", "")) for sample in (self.first, self.second)]
        known = [value for value in seen if value is not None]
        if len(known) < 2 or not self.second.n_cpu:
            return _ABSENT
        return max(0.0, sum(known) / 2 - 1) / self.second.n_cpu

    def per_cpu(self, raw: str) -> Result:
        return self.now(raw, scale=1 / self.second.n_cpu) if self.second.n_cpu else _ABSENT

    def quota_used(self) -> Result:
        return ratio(self.rate("group.cpu_s"), self.now("group.cpus"), 100.0)

    def retransmitted(self) -> Result:
        sent = self.grown("tcp.sent")
        if isinstance(sent, float) and sent < _LEAST_SEGMENTS:
            return "nan", "too few segments were sent"
        return ratio(self.grown("tcp.sent_again"), sent, 100.0)

    def link_used(self, raw: str, link: str) -> Result:
        return ratio(self.rate(raw, link), self.now("net.speed", link), 100.0)

    def latency(self, disk: str) -> Result:
        return ratio(
            self.grown("disk.request_s", disk), self.grown("disk.requests", disk), 1000.0, "no requests"
        )

    def file_system(self, point: str) -> Result:
        used, free = self.now("fs.used", point), self.now("fs.free", point)
        if not isinstance(used, float) or not isinstance(free, float):
            return _ABSENT
        return ratio(used, used + free, 100.0)

    def left(self, free: str, total: str, instance: str = "") -> Result:
        """The percentage of ``total`` that is not ``free``."""
        share = ratio(self.now(free, instance), self.now(total, instance), 100.0, "there is none")
        return max(0.0, 100.0 - share) if isinstance(share, float) else share

    def processes(self, name: str, raw: str) -> None:
        """The processes that use most, and at least 1 % of the machine."""
        found: list[tuple[float, str]] = []
        for process in self.instances(raw):
            if raw == "process.cpu_s":
                share = self.rate(raw, process, 100.0 / self.second.n_cpu) if self.second.n_cpu else _ABSENT
            else:
                share = ratio(self.now(raw, process), self.now("mem.total"), 100.0)
            if isinstance(share, float) and share >= 1.0:
                found.append((share, process))
        for share, process in sorted(found, reverse=True)[:_TOP]:
            self.put(name, share, process)


def within(value: float, metric: Metric) -> float:
    """``value`` without what rounding makes of a percentage: more than all, less than nothing."""
    return min(100.0, max(0.0, value)) if metric.unit == "percent" else value


def ratio(part: Result, whole: Result, scale: float, none: str = "") -> Result:
    """``part`` of ``whole``, times ``scale``; ``none``: why there is no ratio to nothing."""
    if not isinstance(part, float):
        return part
    if not isinstance(whole, float):
        return whole
    return part / whole * scale if whole > 0 else ("nan", none)


_SINGLE: Mapping[str, Callable[[_Derived], Result]] = {
    "cpu.busy": lambda d: d.of_cpu("cpu.busy_s"),
    "cpu.busiest": _Derived.busiest,
    "cpu.quota_used": _Derived.quota_used,
    "cpu.steal": lambda d: d.of_cpu("cpu.steal_s"),
    "cpu.pressure": lambda d: d.share("psi.cpu.some_s"),
    "cpu.pressure_10s": lambda d: d.now("psi.cpu.some_10s"),
    "cpu.load_per_cpu": lambda d: d.per_cpu("load1"),
    "cpu.runnable_per_cpu": _Derived.runnable,
    "cpu.throttled": lambda d: ratio(
        d.grown("group.throttled"), d.grown("group.periods"), 100.0, "it did not run"
    ),
    "cpu.thermal_throttles": lambda d: d.grown("heat.throttles"),
    "memory.used": lambda d: d.left("mem.available", "mem.total"),
    "memory.available": lambda d: d.now("mem.available"),
    "memory.swap_used": lambda d: d.left("swap.free", "swap.total"),
    "memory.cgroup_used": lambda d: ratio(d.now("group.memory_used"), d.now("group.memory_limit"), 100.0),
    "memory.pressure": lambda d: d.share("psi.memory.some_s"),
    "memory.pressure_10s": lambda d: d.now("psi.memory.some_10s"),
    "memory.stalled_10s": lambda d: d.now("psi.memory.full_10s"),
    "memory.cgroup_pressure_10s": lambda d: d.now("group.memory.some_10s"),
    "memory.swap_in": lambda d: d.rate("vm.swap_in"),
    "memory.swap_out": lambda d: d.rate("vm.swap_out"),
    "memory.major_faults": lambda d: d.rate("vm.major_faults"),
    "memory.direct_reclaim": lambda d: d.rate("vm.direct_reclaim"),
    "memory.oom_kills": lambda d: d.grown("vm.oom_kills"),
    "memory.oom_kills_boot": lambda d: d.now("vm.oom_kills"),
    "memory.cgroup_oom_kills": lambda d: d.grown("group.oom_kills"),
    "memory.ecc_errors": lambda d: d.now("ecc.uncorrected"),
    "cpu.iowait": lambda d: d.of_cpu("cpu.iowait_s"),
    "io.pressure": lambda d: d.share("psi.io.some_s"),
    "io.pressure_10s": lambda d: d.now("psi.io.some_10s"),
    "io.stalled_10s": lambda d: d.now("psi.io.full_10s"),
    "io.blocked": lambda d: d.now("io.blocked"),
    "net.conntrack": lambda d: ratio(d.now("conntrack.used"), d.now("conntrack.most"), 100.0),
    "net.retransmitted": _Derived.retransmitted,
    "net.listen_drops": lambda d: d.rate("tcp.listen_drops"),
    "net.backlog_drops": lambda d: d.rate("net.backlog_drops"),
    "limits.files": lambda d: ratio(d.now("files.open"), d.now("files.most"), 100.0),
    "limits.threads": lambda d: ratio(d.now("threads"), d.now("threads.most"), 100.0),
    "limits.cgroup_pids": lambda d: ratio(d.now("group.pids"), d.now("group.pids_most"), 100.0),
    "work.context_switches": lambda d: d.rate("work.switches"),
    "work.forks": lambda d: d.rate("work.forks"),
}

_MANY: Mapping[str, tuple[str, Callable[[_Derived, str], Result]]] = {
    "disk.busy": ("disk.busy_s", lambda d, disk: d.share("disk.busy_s", disk)),
    "disk.read": ("disk.read_bytes", lambda d, disk: d.rate("disk.read_bytes", disk)),
    "disk.write": ("disk.write_bytes", lambda d, disk: d.rate("disk.write_bytes", disk)),
    "disk.queue": ("disk.queue_s", lambda d, disk: d.rate("disk.queue_s", disk)),
    "disk.latency": ("disk.request_s", _Derived.latency),
    "fs.used": ("fs.used", _Derived.file_system),
    "fs.free": ("fs.free", lambda d, point: d.now("fs.free", point)),
    "fs.inodes": ("fs.inodes", lambda d, point: d.left("fs.inodes_free", "fs.inodes", point)),
    "fs.errors": ("fs.errors", lambda d, point: d.now("fs.errors", point)),
    "fs.readonly": ("fs.readonly", lambda d, point: d.now("fs.readonly", point)),
    "net.receive": ("net.receive_bytes", lambda d, link: d.rate("net.receive_bytes", link)),
    "net.send": ("net.send_bytes", lambda d, link: d.rate("net.send_bytes", link)),
    "net.receive_used": ("net.receive_bytes", lambda d, link: d.link_used("net.receive_bytes", link)),
    "net.send_used": ("net.send_bytes", lambda d, link: d.link_used("net.send_bytes", link)),
    "net.errors": ("net.errors", lambda d, link: d.rate("net.errors", link)),
    "net.drops": ("net.drops", lambda d, link: d.rate("net.drops", link)),
}
