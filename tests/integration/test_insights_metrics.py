"""Real trouble on this machine, made by the test and bounded, is named first; and a real Prometheus tells the same.

Other work on the machine is none of the test's business: what was wrong before the trouble began is left out.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from coreto.clock import SystemClock
from coreto.crews.insights.claims import check
from coreto.crews.insights.findings import Finding, findings
from coreto.crews.insights.metrics.local import LocalMetrics, MetricsSource
from coreto.crews.insights.metrics.prometheus import PrometheusMetrics
from coreto.crews.insights.metrics.readings import SystemMetrics
from coreto.errors import CallError, InvalidRequestError
from coreto.providers.http import Endpoint, Http

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/pressure/cpu").exists(), reason="the kernel tells no pressure"),
]

MIB = 1 << 20
#: Seconds after which a hog ends by itself, whatever becomes of the test; and within which it must be found.
ALARM = 60
WITHIN = 45.0

CPU_HOG = "while True: pass"
#: Writes past the page cache, over the same 64 MiB, 4 GiB in all.
DISK_HOG = """
import mmap
piece = mmap.mmap(-1, 4 << 20)
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
os.unlink(sys.argv[1])
for number in range(1024):
    os.pwrite(file, piece, (number % 16) * len(piece))
"""
#: Joins a control group and fills it to 95 % of its limit; says so, and holds it until its input ends.
MEMORY_HOG = """
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
most = int(sys.argv[4]) * 0.95
held = []
while int(open(sys.argv[1] + "/" + sys.argv[3]).read()) < most:
    held.append(b"x" * (1 << 20))
print("full", flush=True)
sys.stdin.read()
"""
#: Looks at the machine from inside of a control group or a mount namespace.
LOOK = """
import asyncio, json
from coreto.crews.insights.metrics.local import LocalMetrics
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(asyncio.run(LocalMetrics(1.0).snapshot()).as_json()), flush=True)
"""
JOIN = 'open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))\n'
FILL = """
with open(sys.argv[1] + "/file", "wb", buffering=0) as file:
    try:
        while file.write(bytes(1 << 16)):
            pass
    except OSError:
        pass
"""


@contextmanager
def started(code: str, *args: str, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A Python process of its own, which ends with the block, or after a minute."""
    text = f"import os, signal, sys\nsignal.alarm({ALARM})\n{code}"
    command = [*before, sys.executable, "-c", text, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_new(metrics: SystemMetrics, before: frozenset[str]) -> Finding | None:
    """What is named first, of what was not wrong before."""
    return next((finding for finding in findings(metrics) if finding.kind not in before), None)


async def wrong_now(source: MetricsSource) -> frozenset[str]:
    """The kinds of trouble that the machine has on its own."""
    return frozenset(finding.kind for finding in findings(await source.snapshot()))


async def until(source: MetricsSource, holds: Callable[[SystemMetrics], bool]) -> SystemMetrics:
    """The first snapshot for which something holds. Fails after three quarters of a minute."""
    seen: list[str] = []
    clock = SystemClock()
    end = clock.monotonic() + WITHIN
    while clock.monotonic() < end:
        async with asyncio.timeout(WITHIN):
            metrics = await source.snapshot()
        if holds(metrics):
            return metrics
        seen.append(", ".join(f"{f.kind} {f.level} {f.score:.1f}" for f in findings(metrics)))
    pytest.fail(f"not named first: {seen}")


def named(metrics: SystemMetrics, kind: str, before: frozenset[str]) -> bool:
    """Whether ``kind`` is what is named first, of what is new."""
    found = first_new(metrics, before - {kind})
    return found is not None and found.kind == kind


def assert_true(metrics: SystemMetrics) -> None:
    """Every number of every finding is in the snapshot."""
    claims = [claim for finding in findings(metrics) for claim in finding.claims]
    assert claims
    assert all(check(claim, metrics).accepted for claim in claims)


def test_nothing_is_made_up():
    """Without any trouble of ours, nothing is found but what the kernel's own averages confirm."""

    def pressure(what: str) -> float:
        return float(Path(f"/proc/pressure/{what}").read_text().split("avg10=")[1].split()[0])

    before = {what: pressure(what) for what in ("cpu", "memory", "io")}
    found = asyncio.run(wrong_now(LocalMetrics(1.0)))
    busy = {what: max(before[what], pressure(what)) for what in before}
    allowed = {
        *(["cpu.saturated"] if busy["cpu"] > 40 else []),
        *(["memory.thrashing"] if busy["memory"] > 5 else []),
        *(["storage.slow"] if busy["io"] > 10 else []),
    }
    assert found <= allowed


def test_a_processor_hog():
    """Three endless loops a CPU: the CPU is named first, and one of them as what uses it."""

    async def run() -> SystemMetrics:
        source = LocalMetrics(1.0)
        before = await wrong_now(source)
        with ExitStack() as stack:
            hogs = [stack.enter_context(started(CPU_HOG)) for _ in range(3 * (os.cpu_count() or 1))]
            pids = {f"#{hog.pid}]" for hog in hogs}

            def holds(metrics: SystemMetrics) -> bool:
                used = [reading.metric for reading in metrics.named("process.cpu")]
                own = any(metric.endswith(pid) for metric in used for pid in pids)
                return own and named(metrics, "cpu.saturated", before)

            return await until(source, holds)

    assert_true(asyncio.run(run()))


def test_a_disk_writer(tmp_path):
    """Eight writers past the page cache: storage is named first, with the disk that they write to."""
    try:
        os.close(os.open(tmp_path / "probe", os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
    except (OSError, AttributeError):
        pytest.skip("the file system of the temporary folder takes no direct writes")

    async def run() -> SystemMetrics:
        source = LocalMetrics(1.0)
        before = await wrong_now(source)
        with ExitStack() as stack:
            for number in range(8):
                stack.enter_context(started(DISK_HOG, str(tmp_path / f"hog{number}")))
            return await until(source, lambda metrics: named(metrics, "storage.slow", before))

    metrics = asyncio.run(run())
    assert_true(metrics)
    assert max(reading.value or 0.0 for reading in metrics.named("disk.write")) > 1e6


@contextmanager
def memory_group(limit: int) -> Iterator[tuple[Path, str]]:
    """A control group that may use ``limit`` bytes, and the name of the file with what it uses. Skips where none can
    be made: without root, or in a container without a writable tree."""
    root = Path("/sys/fs/cgroup")
    old = (root / "memory").is_dir()
    group = (root / "memory" if old else root) / f"coreto-test-{os.getpid()}"
    limit_file, used_file = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes") if old else ("memory.max", "memory.current")
    )
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        try:
            (group / limit_file).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"no memory limit can be set here: {error}")
        yield group, used_file
    finally:
        group.rmdir()


def test_a_memory_hog_in_a_container():
    """A process fills the container's memory: memory is named first, by who looks from inside."""
    limit = 256 * MIB

    async def run() -> tuple[SystemMetrics, frozenset[str]]:
        before = await wrong_now(LocalMetrics(1.0))
        with memory_group(limit) as (group, used_file), started(JOIN + LOOK, str(group)) as look:
            assert await asyncio.to_thread(look.stdout.readline) == "ready\n"
            with started(MEMORY_HOG, str(group), "", used_file, str(limit)) as hog:
                assert await asyncio.to_thread(hog.stdout.readline) == "full\n"
                look.stdin.write("\n")
                look.stdin.flush()
                shown = await asyncio.to_thread(look.stdout.readline)
                hog.kill()
                hog.wait()
            look.wait()
        return SystemMetrics.from_json(json.loads(shown)), before

    metrics, before = asyncio.run(run())
    assert first_new(metrics, before).kind == "memory.short"
    assert 90 <= metrics.value("memory.cgroup_used") <= 100
    assert metrics.value("memory.used") < metrics.value("memory.cgroup_used")
    assert_true(metrics)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_full_file_system(tmp_path):
    """A temporary file system of 8 MiB in a mount namespace of its own, full to the end: it is named first."""
    full = tmp_path / "full"
    full.mkdir()
    box = ["bwrap", "--dev-bind", "/", "/", "--size", str(8 * MIB), "--tmpfs", str(full)]
    if subprocess.run([*box, "true"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap cannot make a mount namespace here")
    before = asyncio.run(wrong_now(LocalMetrics(1.0)))
    with started(FILL + LOOK, str(full), before=[*box, "--die-with-parent"]) as look:
        shown, _ = look.communicate("\n", timeout=ALARM)
    metrics = SystemMetrics.from_json(json.loads(shown.splitlines()[1]))
    found = first_new(metrics, before)
    assert (found.kind, found.level, found.where) == ("storage.full", "crit", str(full))
    assert metrics.value(f"fs.free[{full}]") == 0.0
    assert_true(metrics)


@pytest.fixture
def prometheus(tmp_path) -> Iterator[str]:
    """The address of a real server that scrapes a real node_exporter each second."""
    exporter, server = shutil.which("prometheus-node-exporter"), shutil.which("prometheus")
    if exporter is None or server is None:
        pytest.skip(
            "Prometheus and node_exporter are not installed (Debian: prometheus, prometheus-node-exporter)"
        )
    ports: list[int] = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: node\n  static_configs:\n"
        f"  - targets: ['127.0.0.1:{ports[0]}']\n"
    )
    commands = (
        [exporter, f"--web.listen-address=127.0.0.1:{ports[0]}"],
        [
            server, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{ports[1]}",
        ],
    )  # fmt: skip
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "log").open("wb"))
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path))
            stack.callback(process.kill)
        yield f"http://127.0.0.1:{ports[1]}"


class Watched:
    """A server that has just started, asked again until it has figures."""

    def __init__(self, source: PrometheusMetrics) -> None:
        self._source = source

    async def snapshot(self) -> SystemMetrics:
        """As soon as there is one with rates."""
        async with asyncio.timeout(30):
            while True:
                try:
                    metrics = await self._source.snapshot()
                except (CallError, InvalidRequestError):
                    await SystemClock().sleep(0.2)
                    continue
                if metrics.value("cpu.busy") is not None:
                    return metrics
                await SystemClock().sleep(0.2)


def test_a_real_prometheus(prometheus):
    """It tells what /proc tells; a bad query fails alone, with the server's words; a hog is found through it too."""

    async def run() -> None:
        http = Http(Endpoint("prometheus", prometheus, local=True))
        try:
            plain = PrometheusMetrics(http, window=5)
            source = Watched(plain)
            metrics, own = await source.snapshot(), await LocalMetrics(0.2).snapshot()
            assert metrics.n_cpu == own.n_cpu
            assert metrics.mem_total == own.mem_total
            assert metrics.host == own.host
            assert metrics.value("memory.used") == pytest.approx(own.value("memory.used"), abs=5)
            assert metrics.value("memory.oom_kills_boot") == own.value("memory.oom_kills_boot")
            known = {name for name, reading in metrics.readings.items() if reading.value is not None}
            assert {"cpu.pressure", "io.pressure", "cpu.load_per_cpu", "limits.files", "work.forks"} <= known
            assert {reading.metric for reading in own.named("disk.busy")} == {
                reading.metric for reading in metrics.named("disk.busy")
            }
            reason = await plain._points_or_reason("rate(foo", metrics.taken_at)
            assert "bad_data" in reason
            with pytest.raises(InvalidRequestError):
                await PrometheusMetrics(http, 'nobody"} or up{x="').snapshot()
            before = frozenset(finding.kind for finding in findings(metrics))
            with ExitStack() as stack:
                for _ in range(3 * (os.cpu_count() or 1)):
                    stack.enter_context(started(CPU_HOG))
                found = await until(source, lambda now: named(now, "cpu.saturated", before))
            assert_true(found)
        finally:
            await http.close()

    asyncio.run(run())
