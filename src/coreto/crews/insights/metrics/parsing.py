"""The texts of ``/proc`` and ``/sys`` as figures. Pure; they never raise, and what they cannot read is left out.

No figure is ever made up: each stands in the text, times its unit.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from coreto.crews.insights.metrics.sample import Figures

_LONGEST_FIGURE = 20
"""Digits of the largest counter that a kernel keeps."""

_FLOAT = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_SECTOR = 512
_PARTITIONLESS = re.compile(r"(?:loop|ram|zram|fd|sr|dm-|md)\d")
"""Block devices that are no hardware of their own: their work shows at the disk below them."""

_PARTITION = re.compile(r"(?:(?:nvme|mmcblk|nbd)\d+(?:n\d+)?p\d+|(?:s|h|v|xv)d[a-z]+\d+)")
_VIRTUAL_LINKS = re.compile(r"(?:lo$|veth|br-|docker|virbr|ifb|dummy|tun|tap|cali|flannel|cni)")
"""Interfaces that carry what another one carries too, or nothing."""

_ESCAPE = re.compile(r"\\([0-7]{3})")
_PROCESS = re.compile(r"(?P<pid>\d{1,10}) \((?P<name>.*)\) (?P<rest>[^()]*)", re.DOTALL)


def figure(text: str) -> int | None:
    """A whole number of plain digits; ``None`` for all else."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_FIGURE:
        return int(text)
    return None


def decimal(text: str) -> float | None:
    """A number of plain digits, with or without a fraction; ``None`` for all else."""
    return float(text) if _FLOAT.fullmatch(text) else None


def cpu_figures(text: str, ticks: int) -> Figures:
    """``/proc/stat``: seconds of each core by what it did, with ``ticks`` a second; tasks that run or are blocked."""
    found: Figures = {}
    for name, fields in _lines(text):
        if name.startswith("cpu"):
            found |= _core(name[3:], fields, ticks)
        elif (known := _STAT.get(name)) and fields and (value := figure(fields[0])) is not None:
            found[known, ""] = value
    return found


_STAT: Mapping[str, str] = {
    "ctxt": "work.switches",
    "processes": "work.forks",
    "procs_running": "cpu.running",
    "procs_blocked": "io.blocked",
}


def _core(core: str, fields: list[str], ticks: int) -> Figures:
    known = [figure(field) for field in fields[:8]]
    ticked = [value for value in known if value is not None]
    if len(ticked) < len(known) or len(ticked) < 7 or (core and not core.isdigit()):
        return {}
    user, nice, system, idle, iowait, irq, softirq = ticked[:7]
    busy = user + nice + system + irq + softirq
    steal = ticked[7] if len(ticked) > 7 else None
    found: Figures = {
        ("cpu.busy_s", core): busy / ticks,
        ("cpu.iowait_s", core): iowait / ticks,
        ("cpu.total_s", core): (busy + idle + iowait + (steal or 0)) / ticks,
    }
    if steal is not None:
        found["cpu.steal_s", core] = steal / ticks
    return found


def boot_of(text: str) -> str:
    """``/proc/stat``'s time of the machine's start, as a name for its run; empty where it is not there."""
    for name, fields in _lines(text):
        if name == "btime" and fields and figure(fields[0]) is not None:
            return fields[0]
    return ""


def load_figures(text: str) -> Figures:
    """``/proc/loadavg``: the load of the last minute, and how many threads there are."""
    words = text.split()
    found: Figures = {}
    if words and (load := decimal(words[0])) is not None:
        found["load1", ""] = load
    if len(words) > 3 and (threads := figure(words[3].partition("/")[2])) is not None:
        found["threads", ""] = threads
    return found


def pressure_figures(text: str, prefix: str) -> Figures:
    """A pressure file: seconds that some or all tasks have waited, and the percentage of the last ten seconds."""
    found: Figures = {}
    for kind, fields in _lines(text):
        if kind not in {"some", "full"}:
            continue
        named = {name: value for name, _, value in (field.partition("=") for field in fields)}
        if (average := decimal(named.get("avg10", ""))) is not None:
            found[f"{prefix}.{kind}_10s", ""] = average
        if (total := figure(named.get("total", ""))) is not None:
            found[f"{prefix}.{kind}_s", ""] = total / 1e6
    return found


def memory_figures(text: str) -> Figures:
    """``/proc/meminfo`` in bytes. Kernels without ``MemAvailable`` tell no available memory: it cannot be guessed."""
    found: Figures = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        known = _MEMINFO.get(name)
        words = rest.split()
        if known and len(words) == 2 and words[1] == "kB" and (value := figure(words[0])) is not None:
            found[known, ""] = value * 1024
    return found


_MEMINFO: Mapping[str, str] = {
    "MemTotal": "mem.total",
    "MemAvailable": "mem.available",
    "SwapTotal": "swap.total",
    "SwapFree": "swap.free",
}


def vm_figures(text: str, page: int) -> Figures:
    """``/proc/vmstat``: bytes swapped (pages of ``page`` bytes), faults, direct reclaims, processes killed."""
    found: Figures = {}
    for name, fields in _lines(text):
        value = figure(fields[0]) if len(fields) == 1 else None
        if value is None:
            continue
        if name in {"pswpin", "pswpout"}:
            found["vm.swap_in" if name == "pswpin" else "vm.swap_out", ""] = value * page
        elif name == "pgmajfault":
            found["vm.major_faults", ""] = value
        elif name == "oom_kill":
            found["vm.oom_kills", ""] = value
        elif name.startswith("allocstall"):
            found["vm.direct_reclaim", ""] = found.get(("vm.direct_reclaim", ""), 0) + value
    return found


def disk_figures(text: str) -> Figures:
    """``/proc/diskstats``: bytes, requests and times of each whole disk."""
    found: Figures = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 14 or _PARTITIONLESS.match(words[2]) or _PARTITION.fullmatch(words[2]):
            continue
        known = [figure(word) for word in words[3:14]]
        counts = [value for value in known if value is not None]
        if len(counts) < len(known):
            continue
        disk = words[2]
        found |= {
            ("disk.read_bytes", disk): counts[2] * _SECTOR,
            ("disk.write_bytes", disk): counts[6] * _SECTOR,
            ("disk.requests", disk): counts[0] + counts[4],
            ("disk.request_s", disk): (counts[3] + counts[7]) / 1000,
            ("disk.busy_s", disk): counts[9] / 1000,
            ("disk.queue_s", disk): counts[10] / 1000,
        }
    return found


def link_figures(text: str) -> Figures:
    """``/proc/net/dev``: bytes, errors and drops of each interface that is no shadow of another."""
    found: Figures = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        name = name.strip()
        known = [figure(word) for word in rest.split()[:16]]
        counts = [value for value in known if value is not None]
        if not colon or len(counts) < 16 or not name or _VIRTUAL_LINKS.match(name):
            continue
        found |= {
            ("net.receive_bytes", name): counts[0],
            ("net.send_bytes", name): counts[8],
            ("net.errors", name): counts[2] + counts[10],
            ("net.drops", name): counts[3] + counts[11],
        }
    return found


def protocol_figures(text: str) -> Figures:
    """``/proc/net/snmp`` or ``/proc/net/netstat``: TCP segments, those sent again, connections dropped at listening."""
    found: Figures = {}
    lines = text.splitlines()
    for head, values in pairwise(lines):
        protocol, _, names = head.partition(":")
        other, _, counts = values.partition(":")
        if protocol != other or protocol not in {"Tcp", "TcpExt"}:
            continue
        for name, count in zip(names.split(), counts.split(), strict=False):
            known = _PROTOCOL.get(f"{protocol}.{name}")
            if known and (value := figure(count)) is not None:
                found[known, ""] = value
    return found


_PROTOCOL: Mapping[str, str] = {
    "Tcp.OutSegs": "tcp.sent",
    "Tcp.RetransSegs": "tcp.sent_again",
    "TcpExt.ListenDrops": "tcp.listen_drops",
}


def backlog_figures(text: str) -> Figures:
    """``/proc/net/softnet_stat``: packets dropped, of all cores; hexadecimal."""
    dropped: list[int] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or not re.fullmatch(r"[0-9a-f]{8}", words[1]):
            return {}
        dropped.append(int(words[1], 16))
    return {("net.backlog_drops", ""): sum(dropped)} if dropped else {}


def file_figures(text: str) -> Figures:
    """``/proc/sys/fs/file-nr``: files open, and the most possible."""
    words = text.split()
    known = [figure(word) for word in words]
    if len(known) != 3 or known[0] is None or known[2] is None:
        return {}
    return {("files.open", ""): known[0], ("files.most", ""): known[2]}


@dataclass(frozen=True, slots=True)
class Process:
    """``name``: of its program, as the kernel cuts it; never its arguments, which may hold secrets."""

    pid: int
    name: str
    cpu_s: float
    resident: int


def process_of(text: str, ticks: int, page: int) -> Process | None:
    """``/proc/<pid>/stat``; ``None`` where it is not one. ``ticks`` a second, ``page``: bytes."""
    matched = _PROCESS.match(text)
    words = matched["rest"].split() if matched else []
    if matched is None or len(words) < 22:
        return None
    user, system, resident = figure(words[11]), figure(words[12]), figure(words[21])
    pid = figure(matched["pid"])
    if pid is None or user is None or system is None or resident is None:
        return None
    name = "".join(c for c in matched["name"] if c.isprintable() and c not in "[]")[:32]
    return Process(pid, name, (user + system) / ticks, resident * page)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system. ``device``: its number, the same for all its mount points; ``readonly``: at this
    mount point; ``frozen``: as a whole."""

    point: str
    kind: str
    device: str
    source: str
    readonly: bool
    frozen: bool


def mounts_of(text: str) -> tuple[Mount, ...]:
    """``/proc/self/mountinfo``, without lines that cannot be read."""
    return tuple(mount for line in text.splitlines() if (mount := _mount(line)) is not None)


def _mount(line: str) -> Mount | None:
    front, dash, back = line.partition(" - ")
    fields, super_fields = front.split(), back.split()
    if not dash or len(fields) < 6 or len(super_fields) < 3 or not fields[4].startswith("/"):
        return None
    return Mount(
        point=_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), fields[4]),
        kind=super_fields[0],
        device=fields[2],
        source=super_fields[1],
        readonly="ro" in fields[5].split(","),
        frozen="ro" in super_fields[2].split(","),
    )


def groups_of(text: str) -> Mapping[str, str]:
    """``/proc/self/cgroup``: the path of each controller's group; the unified one's under the empty name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, colon, path = rest.partition(":")
        if number.isdigit() and colon and path.startswith("/"):
            found |= dict.fromkeys(names.split(","), "/" if ".." in path.split("/") else path)
    return found


def keyed(text: str) -> Mapping[str, int]:
    """A file of lines "name number", as control groups have them."""
    found = ((words[0], figure(words[1])) for words in map(str.split, text.splitlines()) if len(words) == 2)
    return {name: value for name, value in found if value is not None}


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of ``text``: the first word, and the others."""
    for words in map(str.split, _bounded(text.splitlines())):
        if words:
            yield words[0], words[1:]


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    """Lines of a sane length; ``intr`` of ``/proc/stat`` alone has thousands of words."""
    return (line for line in lines if len(line) < 4096)
