"""This machine as a source: two samples, taken in a thread, and what lies between them."""

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any, Protocol

from coreto.clock import Clock, SystemClock
from coreto.crews.insights.metrics.derive import snapshot_of
from coreto.crews.insights.metrics.files import (
    host_name,
    machine_figures,
    process_figures,
    space_figures,
    text_of,
)
from coreto.crews.insights.metrics.groups import group_figures
from coreto.crews.insights.metrics.parsing import boot_of
from coreto.crews.insights.metrics.portable import portable_figures, portable_processes, psutil_module
from coreto.crews.insights.metrics.readings import SystemMetrics
from coreto.crews.insights.metrics.sample import Figures, Sample
from coreto.errors import MissingExtraError

#: Seconds between the two samples: long enough for rates that mean something, short enough to wait for.
WINDOW = 1.0


class MetricsSource(Protocol):
    """A machine that can be asked how it is."""

    async def snapshot(self) -> SystemMetrics:
        """How it is now. Raises :class:`~coreto.errors.CoretoError` where nothing can be learnt."""
        ...


class LocalMetrics:
    """The machine that this process runs on: by ``/proc`` where there is one, else by psutil.

    ``window``: seconds between the two samples; ``keep``: for how many seconds the last sample may serve as the first of
    the next snapshot, which then need not wait; ``root``: of the file system that is asked; ``psutil``: the module's name.
    """

    def __init__(
        self,
        window: float = WINDOW,
        *,
        keep: float = 0.0,
        root: Path = Path("/"),
        clock: Clock | None = None,
        psutil: str = "psutil",
    ) -> None:
        self._window = window
        self._keep = keep
        self._root = root
        self._clock = clock or SystemClock()
        self._psutil = psutil
        self._last: Sample | None = None

    async def snapshot(self) -> SystemMetrics:
        """The machine now, over the last ``window`` seconds or since the last snapshot. Some milliseconds of work, none
        of them on the loop.

        Raises :class:`MissingExtraError` where there is neither ``/proc`` nor psutil.
        """
        first = self._kept()
        if first is None:
            first = await asyncio.to_thread(self.sample)
            await self._clock.sleep(self._window)
        second = await asyncio.to_thread(self.sample)
        self._last = second
        return snapshot_of(first, second)

    def _kept(self) -> Sample | None:
        """The last sample, where it is neither too old nor too young to compare with."""
        if self._last is None:
            return None
        age = self._clock.monotonic() - self._last.monotonic
        return self._last if self._window <= age <= self._keep else None

    def sample(self) -> Sample:
        """The raw figures of this moment. Blocks. Raises as :meth:`snapshot` does."""
        at, monotonic = self._clock.time(), self._clock.monotonic()
        if (self._root / "proc/stat").exists():
            return _by_proc(self._root, at, monotonic)
        psutil = psutil_module(self._psutil)
        if psutil is None:
            raise MissingExtraError("insights", "to measure a machine without /proc")
        return _by_psutil(psutil, at, monotonic)


def _by_proc(root: Path, at: float, monotonic: float) -> Sample:
    ticks, page = _counts()
    figures: Figures = machine_figures(root, ticks, page)
    cores = sum(1 for name, core in figures if name == "cpu.busy_s" and core)
    figures |= space_figures(root)
    figures |= group_figures(root, figures.get(("mem.total", "")), cores or None)
    figures |= process_figures(root, ticks, page)
    boot = boot_of(text_of(root / "proc/stat"))
    return Sample(at, monotonic, "proc", host_name(root), boot, cores or None, figures)


def _by_psutil(psutil: Any, at: float, monotonic: float) -> Sample:
    figures = portable_figures(psutil) | portable_processes(psutil)
    boot = str(int(psutil.boot_time()))
    return Sample(at, monotonic, "psutil", socket.gethostname(), boot, os.cpu_count(), figures)


def _counts() -> tuple[int, int]:
    """Ticks a second, and bytes of a page."""
    if sys.platform == "win32":  # no /proc there either
        return 100, 4096
    return os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
