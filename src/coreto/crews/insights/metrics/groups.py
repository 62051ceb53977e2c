"""Control groups, version 1 and 2: what limits the container that this process lives in."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from coreto.crews.insights.metrics.files import text_of
from coreto.crews.insights.metrics.parsing import figure, groups_of, keyed, pressure_figures
from coreto.crews.insights.metrics.sample import Figures

_UNLIMITED = 2**60
"""No control group limits anything to more; larger figures mean "no limit"."""


def group_figures(root: Path, machine_memory: float | None, n_cpu: int | None) -> Figures:
    """The tightest limits of memory, CPU and processes on this process's group and those around it, and what is used
    of them. Without a limit that is tighter than the machine (``machine_memory`` bytes, ``n_cpu``) there is none."""
    groups = groups_of(text_of(root / "proc/self/cgroup"))
    base = root / "sys/fs/cgroup"
    unified = tuple(_chain(base / "unified", groups.get(""))) or tuple(_chain(base, groups.get("")))
    found: Figures = {}
    found |= _memory(unified, tuple(_chain(base / "memory", groups.get("memory"))), machine_memory)
    found |= _cpu(unified, tuple(_chain(base / "cpu", groups.get("cpu"))), n_cpu)
    found |= _cpu_use(unified, tuple(_chain(base / "cpuacct", groups.get("cpuacct"))))
    return found | _processes((*unified, *_chain(base / "pids", groups.get("pids"))))


def _chain(base: Path, path: str | None) -> Iterator[Path]:
    """The folders from the group at ``path`` up to ``base``. In a container without a namespace of its own the path
    is the machine's, and only the base is there."""
    if path is None or not base.is_dir():
        return
    folder = base / path.lstrip("/")
    if not folder.is_dir():
        folder = base
    while folder != base:
        yield folder
        folder = folder.parent
    yield base


def _memory(unified: Sequence[Path], old: Sequence[Path], machine: float | None) -> Figures:
    found: Figures = {}
    tightest = 0.0
    pairs = [(folder, "memory.max", "memory.current", "inactive_file") for folder in unified]
    pairs += [
        (folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file") for folder in old
    ]
    for folder, limit_file, used_file, cache_name in pairs:
        limit, used = figure(text_of(folder / limit_file)), figure(text_of(folder / used_file))
        if not limit or used is None or limit >= (machine or _UNLIMITED):
            continue
        working = max(0, used - keyed(text_of(folder / "memory.stat")).get(cache_name, 0))
        if working / limit >= tightest:
            tightest = working / limit
            found |= {("group.memory_limit", ""): limit, ("group.memory_used", ""): working}
    if found and unified:
        own = pressure_figures(text_of(unified[0] / "memory.pressure"), "group.memory")
        found |= {key: value for key, value in own.items() if key[0].endswith("_10s")}
    kills = keyed(text_of(unified[0] / "memory.events")).get("oom_kill") if unified else None
    if kills is None and old:
        kills = keyed(text_of(old[0] / "memory.oom_control")).get("oom_kill")
    return found if kills is None else {**found, ("group.oom_kills", ""): kills}


def _cpu(unified: Sequence[Path], old: Sequence[Path], n_cpu: int | None) -> Figures:
    """The quota in CPUs, and how many of its periods were cut short."""
    quotas: list[tuple[float, Path]] = []
    for folder in unified:
        words = text_of(folder / "cpu.max").split()
        if len(words) == 2 and (quota := figure(words[0])) and (period := figure(words[1])):
            quotas.append((quota / period, folder))
    for folder in old:
        quota = figure(text_of(folder / "cpu.cfs_quota_us"))
        period = figure(text_of(folder / "cpu.cfs_period_us"))
        if quota and period:
            quotas.append((quota / period, folder))
    if not quotas:
        return {}
    cpus, folder = min(quotas)
    counts = keyed(text_of(folder / "cpu.stat"))
    found: Figures = {("group.cpus", ""): cpus} if n_cpu is None or cpus < n_cpu else {}
    if "nr_periods" in counts and "nr_throttled" in counts:
        found |= {
            ("group.periods", ""): counts["nr_periods"],
            ("group.throttled", ""): counts["nr_throttled"],
        }
    return found


def _cpu_use(unified: Sequence[Path], old: Sequence[Path]) -> Figures:
    used = keyed(text_of(unified[0] / "cpu.stat")).get("usage_usec") if unified else None
    if used is not None:
        return {("group.cpu_s", ""): used / 1e6}
    nanoseconds = figure(text_of(old[0] / "cpuacct.usage")) if old else None
    return {} if nanoseconds is None else {("group.cpu_s", ""): nanoseconds / 1e9}


def _processes(folders: Sequence[Path]) -> Figures:
    found: Figures = {}
    tightest = 0.0
    for folder in folders:
        most, current = figure(text_of(folder / "pids.max")), figure(text_of(folder / "pids.current"))
        if most and current is not None and current / most >= tightest:
            tightest = current / most
            found = {("group.pids", ""): current, ("group.pids_most", ""): most}
    return found
