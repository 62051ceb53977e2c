"""One sample of a Linux machine, read from ``/proc`` and ``/sys``. It blocks for a few milliseconds: call it in a
thread."""

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from coreto.crews.insights.metrics import parsing
from coreto.crews.insights.metrics.sample import Figures

_PART, _MOST_PARTS = 1 << 16, 64
"""Bytes that are read at once, and how often at most. Kernels give some files a page at a time."""

_PSEUDO = frozenset({
    "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "configfs", "pstore",
    "bpf", "mqueue", "hugetlbfs", "fusectl", "binfmt_misc", "autofs", "rpc_pipefs", "nsfs", "efivarfs", "ramfs", "selinuxfs",
})  # fmt: skip
_SYSTEMS = ("/proc/", "/sys/")
_FULL_BY_DESIGN = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"})
_ELSEWHERE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs", "ncpfs", "fuse"}
)
"""File systems of other machines: to ask one may block for minutes."""

_JOURNALED = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
"""Those that turn read-only when they meet an error."""

_SMALLEST = 1 << 20
"""Bytes of a file system worth watching; smaller ones are markers."""

_MOST_MOUNTS = 64


def text_of(path: Path | str) -> str:
    """The text of a small file; empty where it cannot be read. (Bare calls: there is one such file a process.)"""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    parts: list[bytes] = []
    try:
        while len(parts) < _MOST_PARTS and (part := os.read(file, _PART)):
            parts.append(part)
    except OSError:
        return ""
    finally:
        os.close(file)
    return b"".join(parts).decode("utf-8", "replace")


def machine_figures(root: Path, ticks: int, page: int) -> Figures:
    """What ``/proc`` and ``/sys`` tell of CPU, memory, disks, network and limits. ``root``: of the file system that
    is asked; ``ticks`` a second and bytes of a ``page``: as the kernel counts."""
    proc = root / "proc"
    readers: Sequence[tuple[str, Callable[[str], Figures]]] = (
        ("stat", lambda text: parsing.cpu_figures(text, ticks)),
        ("loadavg", parsing.load_figures),
        ("pressure/cpu", lambda text: parsing.pressure_figures(text, "psi.cpu")),
        ("pressure/memory", lambda text: parsing.pressure_figures(text, "psi.memory")),
        ("pressure/io", lambda text: parsing.pressure_figures(text, "psi.io")),
        ("meminfo", parsing.memory_figures),
        ("vmstat", lambda text: parsing.vm_figures(text, page)),
        ("diskstats", parsing.disk_figures),
        ("net/dev", parsing.link_figures),
        ("net/snmp", parsing.protocol_figures),
        ("net/netstat", parsing.protocol_figures),
        ("net/softnet_stat", parsing.backlog_figures),
        ("sys/fs/file-nr", parsing.file_figures),
    )
    found: Figures = {}
    for name, read in readers:
        found |= read(text_of(proc / name))
    for key, path in (
        ("conntrack.used", "sys/net/netfilter/nf_conntrack_count"),
        ("conntrack.most", "sys/net/netfilter/nf_conntrack_max"),
    ):
        if (value := parsing.figure(text_of(proc / path))) is not None:
            found[key, ""] = value
    most = (parsing.figure(text_of(proc / f"sys/kernel/{name}")) for name in ("threads-max", "pid_max"))
    known = [value for value in most if value is not None]
    if known:
        found["threads.most", ""] = min(known)
    return found | _hardware(root / "sys", [name for key, name in found if key == "net.receive_bytes"])


def _hardware(sys: Path, links: Sequence[str]) -> Figures:
    """Speeds of the interfaces, heat, memory that fails."""
    found: Figures = {}
    for link in links:
        if megabits := parsing.figure(text_of(sys / "class/net" / link / "speed")):
            found["net.speed", link] = megabits * 1e6 / 8
    for key, base, pattern in (
        ("ecc.uncorrected", "devices/system/edac/mc", "mc*/ue_count"),
        ("heat.throttles", "devices/system/cpu", "cpu[0-9]*/thermal_throttle/core_throttle_count"),
    ):
        counts = [parsing.figure(text_of(path)) for path in _glob(sys / base, pattern)]
        known = [count for count in counts if count is not None]
        if known:
            found[key, ""] = sum(known)
    return found


def space_figures(root: Path) -> Figures:
    """How full each local file system is, and which has turned read-only or counts errors. One mount point a file
    system, the shortest; file systems of other machines are left out, because asking them may block."""
    found: Figures = {}
    seen: set[str] = set()
    mounts = parsing.mounts_of(text_of(root / "proc/self/mountinfo"))
    visible = {mount.point: mount for mount in mounts}  # a later mount hides an earlier one at the same point
    for mount in sorted(visible.values(), key=lambda mount: len(mount.point)):
        if mount.kind in _PSEUDO | _FULL_BY_DESIGN | _ELSEWHERE or mount.kind.startswith("fuse."):
            continue
        if mount.device in seen or len(seen) >= _MOST_MOUNTS or mount.point.startswith(_SYSTEMS):
            continue
        seen.add(mount.device)
        found |= _health(mount, root)
        if not mount.readonly and not mount.frozen:
            found |= _space(mount, root)
    return found


def _health(mount: parsing.Mount, root: Path) -> Figures:
    if mount.kind not in _JOURNALED or not mount.source.startswith("/dev/"):
        return {}
    found: Figures = {}
    if not mount.readonly:
        found["fs.readonly", mount.point] = float(mount.frozen)
    errors = parsing.figure(text_of(root / "sys/fs" / mount.kind / Path(mount.source).name / "errors_count"))
    if errors is not None:
        found["fs.errors", mount.point] = errors
    return found


def _space(mount: parsing.Mount, root: Path) -> Figures:
    try:
        seen = os.statvfs(root / mount.point.lstrip("/"))
    except (OSError, ValueError):
        return {}
    total = seen.f_blocks * seen.f_frsize
    if total < _SMALLEST:
        return {}
    used = (seen.f_blocks - seen.f_bfree) * seen.f_frsize
    free = seen.f_bavail * seen.f_frsize
    found: Figures = {("fs.used", mount.point): used, ("fs.free", mount.point): free}
    if seen.f_files:
        found |= {
            ("fs.inodes", mount.point): seen.f_files,
            ("fs.inodes_free", mount.point): seen.f_favail,
        }
    return found


def process_figures(root: Path, ticks: int, page: int) -> Figures:
    """CPU seconds and resident bytes of each process that may be seen, by ``name#pid``."""
    found: Figures = {}
    try:
        entries = [entry for entry in os.scandir(root / "proc") if entry.name.isdigit()]
    except OSError:
        return {}
    for entry in entries:
        seen = parsing.process_of(text_of(f"{entry.path}/stat"), ticks, page)
        if seen is not None:
            key = f"{seen.name}#{seen.pid}"
            found |= {("process.cpu_s", key): seen.cpu_s, ("process.resident", key): seen.resident}
    return found


def host_name(root: Path) -> str:
    """What the machine calls itself."""
    return text_of(root / "proc/sys/kernel/hostname").strip() or platform.node()


def _glob(folder: Path, pattern: str) -> Sequence[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return ()
