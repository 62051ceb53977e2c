"""The machine's own memory: by psutil where it is installed, else from ``/proc/meminfo``, within the cgroup's limit."""

import importlib
from pathlib import Path
from typing import Any

from coreto.hardware.base import Memory

#: No control group limits memory to more than this; larger figures mean "no limit".
_UNLIMITED = 2**60


def system_memory(root: Path = Path("/")) -> Memory | None:
    """The memory that this process may use; ``None`` where the system does not tell. ``root``: of the file system
    that is asked."""
    memory = _by_psutil() if root == Path("/") else None
    memory = memory or _by_meminfo(root / "proc" / "meminfo")
    return None if memory is None else _within_cgroup(memory, root)


def _by_psutil() -> Memory | None:
    try:
        psutil: Any = importlib.import_module("psutil")
        seen = psutil.virtual_memory()
    except (ImportError, OSError):
        return None
    return Memory(int(seen.total), int(seen.available))


def _by_meminfo(path: Path) -> Memory | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    figures: dict[str, int] = {}
    for line in lines:
        key, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            figures[key] = int(words[0]) * 1024
    total = figures.get("MemTotal")
    if not total:
        return None
    free = figures.get("MemAvailable", figures.get("MemFree", 0) + figures.get("Cached", 0))
    return Memory(total, min(free, total))


def _within_cgroup(memory: Memory, root: Path) -> Memory:
    """A container sees the machine's figures but is killed at its own limit."""
    folder = root / "sys" / "fs" / "cgroup"
    limit = _figure(folder / "memory.max") or _figure(folder / "memory" / "memory.limit_in_bytes")
    if limit is None or limit >= min(memory.total, _UNLIMITED):
        return memory
    used = _figure(folder / "memory.current") or _figure(folder / "memory" / "memory.usage_in_bytes") or 0
    return Memory(limit, max(0, min(memory.available, limit - used)))


def _figure(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
