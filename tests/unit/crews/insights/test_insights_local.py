"""This machine as a source, and machines that were made of files."""

import asyncio
import importlib.util
import time
from pathlib import Path

import pytest

from coreto.crews.insights.metrics.derive import snapshot_of
from coreto.crews.insights.metrics.local import LocalMetrics
from coreto.crews.insights.metrics.portable import portable_figures, portable_processes
from coreto.crews.insights.metrics.sample import Sample
from coreto.errors import MissingExtraError
from coreto.testing.clock import VirtualClock

STAT = "cpu  {busy} 0 0 {idle} 0 0 0 0\ncpu0 {busy} 0 0 {idle} 0 0 0 0\nbtime 7\n"


def write(root: Path, files: dict[str, str]) -> None:
    """Put ``files`` under ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def look(root: Path, later: dict[str, str]):
    """A snapshot of the machine under ``root`` over ten seconds, in which its files became ``later``."""
    clock = VirtualClock()
    source = LocalMetrics(root=root, clock=clock)
    first = source.sample()
    write(root, later)
    clock.move(10.0)
    return snapshot_of(first, source.sample())


def test_a_machine_of_files(tmp_path):
    """Rates come of two looks; what has no file is absent."""
    write(tmp_path, {"proc/stat": STAT.format(busy=100, idle=900), "proc/sys/kernel/hostname": "box\n"})
    metrics = look(tmp_path, {"proc/stat": STAT.format(busy=1000, idle=1000)})
    assert metrics.host == "box"
    assert metrics.boot == "7"
    assert metrics.value("cpu.busy") == pytest.approx(90.0)
    assert metrics.readings["memory.used"].missing == "absent"
    assert metrics.readings["cpu.pressure"].missing == "absent"
    assert metrics.n_cpu == 1


def test_the_last_sample_may_serve_again(tmp_path):
    """Who is asked again soon need not wait; too soon or too late one waits as at first."""
    write(tmp_path, {"proc/stat": STAT.format(busy=100, idle=900)})
    clock = VirtualClock(skipping=True)
    source = LocalMetrics(2.0, keep=30.0, root=tmp_path, clock=clock)
    windows = []
    for pause in (0.0, 10.0, 1.0, 50.0):
        clock.move(pause)
        windows.append(asyncio.run(source.snapshot()).window_s)
    assert windows == [2.0, 10.0, 2.0, 2.0]
    assert clock.slept == [2.0, 2.0, 2.0]


def test_a_container_of_version_two(tmp_path):
    """The tightest limit on the way up counts; page cache that can be dropped is not in use."""
    group = "sys/fs/cgroup/pod/box"
    write(tmp_path, {
        "proc/stat": STAT.format(busy=1, idle=1), "proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 9000000 kB\n",
        "proc/self/cgroup": "0::/pod/box\n",
        f"{group}/memory.max": "max\n", f"{group}/memory.current": "400000000\n",
        f"{group}/cpu.max": "50000 100000\n", f"{group}/cpu.stat": "usage_usec 0\nnr_periods 0\nnr_throttled 0\n",
        f"{group}/memory.pressure": "some avg10=44.00 avg60=0 avg300=0 total=5\n",
        f"{group}/memory.events": "oom 1\noom_kill 1\n",
        f"{group}/pids.max": "100\n", f"{group}/pids.current": "90\n",
        "sys/fs/cgroup/pod/memory.max": "1000000000\n", "sys/fs/cgroup/pod/memory.current": "990000000\n",
        "sys/fs/cgroup/pod/memory.stat": "anon 1\ninactive_file 40000000\n",
    })  # fmt: skip
    later = {
        "proc/stat": STAT.format(busy=2, idle=2),
        f"{group}/cpu.stat": "usage_usec 4500000\nnr_periods 100\nnr_throttled 80\n",
        f"{group}/memory.events": "oom 2\noom_kill 3\n",
    }
    metrics = look(tmp_path, later)
    assert metrics.value("memory.cgroup_used") == pytest.approx(95.0)
    assert metrics.value("memory.cgroup_pressure_10s") == 44.0
    assert metrics.value("memory.cgroup_oom_kills") == 2.0
    assert metrics.value("cpu.throttled") == pytest.approx(80.0)
    assert metrics.value("cpu.quota_used") == pytest.approx(90.0)
    assert metrics.value("limits.cgroup_pids") == pytest.approx(90.0)


def test_a_container_of_version_one(tmp_path):
    """Controllers have trees of their own; an endless limit is none, and a path of the machine's outside is the root."""
    base = "sys/fs/cgroup"
    write(tmp_path, {
        "proc/stat": STAT.format(busy=1, idle=1), "proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 9000000 kB\n",
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpuacct:/docker/abc\n2:cpu:/docker/abc\n1:pids:/docker/abc\n",
        f"{base}/memory/memory.limit_in_bytes": "1000\n", f"{base}/memory/memory.usage_in_bytes": "900\n",
        f"{base}/memory/memory.stat": "total_inactive_file 100\n", f"{base}/memory/memory.oom_control": "oom_kill 4\n",
        f"{base}/cpu/cpu.cfs_quota_us": "-1\n", f"{base}/cpu/cpu.cfs_period_us": "100000\n",
        f"{base}/cpuacct/cpuacct.usage": "0\n", f"{base}/pids/pids.max": "max\n", f"{base}/pids/pids.current": "9\n",
    })  # fmt: skip
    metrics = look(tmp_path, {"proc/stat": STAT.format(busy=2, idle=2)})
    assert metrics.value("memory.cgroup_used") == pytest.approx(80.0)
    assert metrics.value("memory.cgroup_oom_kills") == 0.0
    assert metrics.readings["cpu.quota_used"].missing == "absent"
    assert metrics.readings["limits.cgroup_pids"].missing == "absent"
    write(tmp_path, {f"{base}/memory/memory.limit_in_bytes": "9223372036854771712\n"})
    assert look(tmp_path, {}).readings["memory.cgroup_used"].missing == "absent"


def test_file_systems(tmp_path):
    """Pseudo file systems, those of other machines and those that are full by design are left out; one mount point a
    file system; a root that an error turned read-only is found."""
    lines = [
        "1 0 0:1 / /proc rw - proc proc rw",
        "2 0 0:2 / /nfs rw - nfs4 server:/x rw",
        "3 0 7:0 / /snap ro - squashfs /dev/loop0 ro",
        "4 0 8:1 / /data rw - ext4 /dev/sda1 rw",
        "5 0 8:1 / /data/longer rw - ext4 /dev/sda1 rw",
        "6 0 8:2 / /broken rw - ext4 /dev/sda2 ro,errors=remount-ro",
        "7 0 8:3 / /backup ro - ext4 /dev/sda3 ro",
        "8 0 0:9 / /gone rw - tmpfs tmpfs rw",
    ]
    write(tmp_path, {
        "proc/stat": STAT.format(busy=1, idle=1), "proc/self/mountinfo": "\n".join(lines),
        "sys/fs/ext4/sda1/errors_count": "3\n", "data/longer/x": "", "nfs/x": "", "backup/x": "",
    })  # fmt: skip
    metrics = look(tmp_path, {})
    assert [r.metric for r in metrics.named("fs.used")] == ["fs.used[/data]"]
    assert metrics.value("fs.errors[/data]") == 3.0
    assert metrics.value("fs.readonly[/data]") == 0.0
    assert metrics.value("fs.readonly[/broken]") == 1.0
    assert "fs.readonly[/backup]" not in metrics.readings


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc")
def test_this_machine():
    """A real look: most is known, in milliseconds of work, and the loop goes on meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    async def run():
        beside = asyncio.create_task(count())
        try:
            return await LocalMetrics(0.1).snapshot()
        finally:
            beside.cancel()

    metrics = asyncio.run(run())
    known = [reading for reading in metrics.readings.values() if reading.value is not None]
    assert turns > 5
    assert len(known) > 25
    assert 0 <= metrics.value("cpu.busy") <= 100
    assert 0 < metrics.value("memory.used") < 100
    source = LocalMetrics()
    begun = time.thread_time()
    for _ in range(5):
        source.sample()
    assert (time.thread_time() - begun) / 5 < 0.05


def test_without_proc_and_psutil(tmp_path):
    """One line says which extra is missing."""
    source = LocalMetrics(0.0, root=tmp_path, psutil="coreto_no_such_module")
    with pytest.raises(MissingExtraError, match="insights"):
        asyncio.run(source.snapshot())


@pytest.mark.skipif(importlib.util.find_spec("psutil") is None, reason="psutil is not installed")
def test_by_psutil(tmp_path):
    """Systems without /proc: what psutil tells, and nothing for the rest."""
    source = LocalMetrics(0.05, root=tmp_path)
    metrics = asyncio.run(source.snapshot())
    assert {reading.source for reading in metrics.readings.values()} == {"psutil"}
    assert 0 <= metrics.value("cpu.busy") <= 100
    assert 0 < metrics.value("memory.used") < 100
    assert metrics.readings["cpu.pressure"].missing == "absent"
    assert metrics.readings["memory.oom_kills"].missing == "absent"


class Bare:
    """A psutil of a system that tells little, as those of some BSDs."""

    class Error(Exception):
        """psutil's own."""

    def virtual_memory(self):
        class Seen:
            total, available = 100, 40

        return Seen()

    def swap_memory(self):
        raise OSError("not here")

    def process_iter(self, names):
        return iter(())


def test_a_psutil_that_tells_little():
    """What it lacks or fails at is left out; the rest stays."""
    figures = portable_figures(Bare())
    assert figures == {("mem.total", ""): 100.0, ("mem.available", ""): 40.0}
    assert portable_processes(Bare()) == {}
    sample = Sample(0.0, 0.0, "psutil", "x", "", None, figures)
    assert snapshot_of(sample, sample).value("memory.used") == pytest.approx(60.0)
