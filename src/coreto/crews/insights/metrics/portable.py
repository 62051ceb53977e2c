"""One sample by psutil, for systems without ``/proc``. What psutil does not tell there is left out."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from coreto.crews.insights.metrics.sample import Figures

_MOST_PROCESSES = 2_000


def psutil_module(name: str = "psutil") -> Any | None:
    """psutil where it is installed (the extra ``insights``), else ``None``. ``name``: what to import."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def portable_figures(psutil: Any) -> Figures:
    """CPU, memory, disks, network and file systems. It blocks for some milliseconds: call it in a thread."""
    failures = (OSError, NotImplementedError, RuntimeError, AttributeError, psutil.Error)
    readers: tuple[Callable[[Any], Figures], ...] = (_cpu, _counts, _memory, _swap, _disks, _links, _spaces)
    found: Figures = {}
    for read in readers:
        try:
            found |= read(psutil)
        except failures:
            continue  # each system lacks some of them
    return found


def portable_processes(psutil: Any) -> Figures:
    """CPU seconds and resident bytes of each process that may be seen, by ``name#pid``."""
    found: Figures = {}
    for count, process in enumerate(psutil.process_iter(["pid", "name", "cpu_times", "memory_info"])):
        if count >= _MOST_PROCESSES:
            break
        seen = process.info
        if seen["cpu_times"] is None or seen["memory_info"] is None:
            continue
        name = "".join(c for c in str(seen["name"] or "?") if c.isprintable() and c not in "[]")[:32]
        key = f"{name}#{seen['pid']}"
        found["process.cpu_s", key] = float(seen["cpu_times"].user + seen["cpu_times"].system)
        found["process.resident", key] = float(seen["memory_info"].rss)
    return found


def _cpu(psutil: Any) -> Figures:
    found: Figures = {}
    for core, times in (("", psutil.cpu_times()), *_numbered(psutil.cpu_times(percpu=True))):
        named: dict[str, float] = times._asdict()
        named.pop("guest", None)
        named.pop("guest_nice", None)
        if "interrupt" in named:  # Windows counts interrupts within the system's time
            named.pop("interrupt")
            named.pop("dpc", None)
        total = sum(named.values())
        resting = named.get("idle", 0.0) + named.get("iowait", 0.0) + named.get("steal", 0.0)
        found |= {("cpu.total_s", core): total, ("cpu.busy_s", core): total - resting}
        for name in ("iowait", "steal"):
            if name in named:
                found[f"cpu.{name}_s", core] = named[name]
    return found


def _counts(psutil: Any) -> Figures:
    found: Figures = {("work.switches", ""): float(psutil.cpu_stats().ctx_switches)}
    found["load1", ""] = float(psutil.getloadavg()[0])
    return found


def _memory(psutil: Any) -> Figures:
    seen = psutil.virtual_memory()
    return {("mem.total", ""): float(seen.total), ("mem.available", ""): float(seen.available)}


def _swap(psutil: Any) -> Figures:
    seen = psutil.swap_memory()
    return {("swap.total", ""): float(seen.total), ("swap.free", ""): float(seen.free)}


def _disks(psutil: Any) -> Figures:
    found: Figures = {}
    counters: dict[str, Any] = psutil.disk_io_counters(perdisk=True) or {}
    for disk, seen in counters.items():
        found |= {
            ("disk.read_bytes", disk): float(seen.read_bytes),
            ("disk.write_bytes", disk): float(seen.write_bytes),
            ("disk.requests", disk): float(seen.read_count + seen.write_count),
            ("disk.request_s", disk): (seen.read_time + seen.write_time) / 1000,
        }
        if hasattr(seen, "busy_time"):
            found["disk.busy_s", disk] = seen.busy_time / 1000
    return found


def _links(psutil: Any) -> Figures:
    found: Figures = {}
    known: dict[str, Any] = psutil.net_if_stats()
    counters: dict[str, Any] = psutil.net_io_counters(pernic=True) or {}
    for link, seen in counters.items():
        if link.lower().startswith(("lo", "loopback")):
            continue
        found |= {
            ("net.receive_bytes", link): float(seen.bytes_recv),
            ("net.send_bytes", link): float(seen.bytes_sent),
            ("net.errors", link): float(seen.errin + seen.errout),
            ("net.drops", link): float(seen.dropin + seen.dropout),
        }
        if link in known and known[link].speed > 0:
            found["net.speed", link] = known[link].speed * 1e6 / 8
    return found


def _spaces(psutil: Any) -> Figures:
    found: Figures = {}
    devices: set[str] = set()
    for part in psutil.disk_partitions(all=False):
        if part.device in devices or "ro" in part.opts.split(",") or "cdrom" in part.opts:
            continue
        devices.add(part.device)
        try:
            seen = psutil.disk_usage(part.mountpoint)
        except OSError:  # a drive without a medium
            continue
        found |= {
            ("fs.used", part.mountpoint): float(seen.used),
            ("fs.free", part.mountpoint): float(seen.free),
        }
    return found


def _numbered(times: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((str(core), seen) for core, seen in enumerate(times))
