"""The parsers of ``/proc``: what they read, and that they neither fail nor make anything up."""

import math
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.crews.insights.metrics import parsing

STAT = """cpu  74502 303783 39430 145292 522 0 460 397 0 0
cpu0 38848 148494 19657 74945 80 0 132 199 0 0
cpu1 35653 155289 19773 70346 442 0 328 198 0 0
intr 3366180 0 0 5 0
ctxt 8817013
btime 1795834969
processes 20154
procs_running 3
procs_blocked 1
softirq 1 2 3
"""
PRESSURE = """some avg10=27.13 avg60=27.45 avg300=51.98 total=1396718214
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
"""
DISKS = """   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 259       0 nvme0n1 166164 33142 7637450 68332 42423 85777 12215808 35395 0 22724 107392 29058 83 7401776 3413 6288 251
 259       1 nvme0n1p1 166164 33142 7637450 68332 42423 85777 12215808 35395 0 22724 107392 29058 83 7401776 3413 6288 251
   8       0 sda 10 0 80 20 5 0 40 10 0 15 30
   8       1 sda1 10 0 80 20 5 0 40 10 0 15 30
 253       0 dm-0 10 0 80 20 5 0 40 10 0 15 30
"""
LINKS = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 56183172  292281    0    0    0     0          0         0 56183172  292281    0    0    0     0       0          0
  eth0: 796244114   19001    2    3    0     0          0         0   953917   11394    1    4    0     0       0          0
vethab1: 5 5 0 0 0 0 0 0 5 5 0 0 0 0 0 0
"""
SNMP = """Tcp: RtoAlgorithm RtoMin RtoMax MaxConn OutSegs RetransSegs InErrs
Tcp: 1 200 120000 -1 303375 52 0
Udp: InDatagrams NoPorts
Udp: 188 0
"""
MOUNTS = r"""27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 254:0 / /srv/my\040disk rw,relatime - ext4 /dev/vda rw
29 27 0:25 / /snap/x ro,nodev - squashfs /dev/loop3 ro
30 27 8:1 / /data rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro
broken line
"""


def test_processor_times():
    """Seconds by core; busy has neither idle, nor waiting for disks, nor what other machines took."""
    found = parsing.cpu_figures(STAT, 100)
    assert found["cpu.busy_s", ""] == pytest.approx((74502 + 303783 + 39430 + 0 + 460) / 100)
    assert found["cpu.steal_s", "1"] == 1.98
    assert found["cpu.iowait_s", "0"] == 0.80
    assert found["cpu.running", ""] == 3
    assert found["io.blocked", ""] == 1
    assert found["work.forks", ""] == 20154
    assert parsing.boot_of(STAT) == "1795834969"


def test_old_kernels_tell_no_steal():
    """A figure that an old kernel lacks is absent, not 0."""
    assert ("cpu.steal_s", "") not in parsing.cpu_figures("cpu 1 2 3 4 5 6 7", 100)


def test_pressure():
    """Seconds of waiting and the average of ten seconds."""
    assert parsing.pressure_figures(PRESSURE, "psi.cpu") == {
        ("psi.cpu.some_10s", ""): 27.13,
        ("psi.cpu.some_s", ""): 1396.718214,
        ("psi.cpu.full_10s", ""): 0.0,
        ("psi.cpu.full_s", ""): 0.0,
    }


def test_whole_disks_only():
    """Partitions, loops and mappings would count the same work twice."""
    found = parsing.disk_figures(DISKS)
    assert {disk for _, disk in found} == {"nvme0n1", "sda"}
    assert found["disk.write_bytes", "nvme0n1"] == 12215808 * 512
    assert found["disk.request_s", "sda"] == 0.03


def test_links_that_are_no_shadow():
    """Neither the loop nor the ends of containers' cables."""
    found = parsing.link_figures(LINKS)
    assert {link for _, link in found} == {"eth0"}
    assert found["net.errors", "eth0"] == 3
    assert found["net.drops", "eth0"] == 7


def test_protocols():
    """Names stand in one line, their numbers in the next; -1 is no number here."""
    assert parsing.protocol_figures(SNMP) == {("tcp.sent", ""): 303375, ("tcp.sent_again", ""): 52}


def test_memory_without_an_estimate():
    """Kernels without `MemAvailable` do not tell how much there is to have."""
    found = parsing.memory_figures("MemTotal: 1000 kB\nMemFree: 10 kB\nSwapTotal: 0 kB\n")
    assert found == {("mem.total", ""): 1_024_000, ("swap.total", ""): 0}


def test_small_files():
    """The load, the limits, the backlog, paging."""
    assert parsing.load_figures("2.66 3.76 3.82 4/195 5553") == {("load1", ""): 2.66, ("threads", ""): 195}
    assert parsing.file_figures("1314\t0\t2466170") == {("files.open", ""): 1314, ("files.most", ""): 2466170}
    assert parsing.backlog_figures("0002f421 0000000a 0\n0003556b 00000001 0") == {
        ("net.backlog_drops", ""): 11
    }
    found = parsing.vm_figures("pswpin 2\nallocstall_dma 1\nallocstall_normal 4\noom_kill 3\n", 4096)
    assert found == {("vm.swap_in", ""): 8192, ("vm.direct_reclaim", ""): 5, ("vm.oom_kills", ""): 3}


def test_mounts():
    """Escapes are undone, and a file system that turned read-only under a mount that was not is seen."""
    mounts = parsing.mounts_of(MOUNTS)
    assert [mount.point for mount in mounts] == ["/", "/srv/my disk", "/snap/x", "/data"]
    assert [(mount.readonly, mount.frozen) for mount in mounts] == [
        (False, False), (False, False), (True, True), (False, True),
    ]  # fmt: skip


def test_processes_may_call_themselves_anything():
    """Parentheses, spaces and line ends in a name confuse nobody, and do not reach a report."""
    rest = "S 1 1 1 0 -1 4194560 0 0 0 0 250 150 0 0 20 0 1 0 1 1 10 1"
    seen = parsing.process_of(f"42 (a) b[x]\n) {rest}", 100, 4096)
    assert seen == parsing.Process(42, "a) bx", 4.0, 40960)
    assert parsing.process_of("42 (a) S 1", 100, 4096) is None


def test_groups_of_both_versions():
    """The unified group is under the empty name; a path that leaves the container is its root."""
    text = "9:name=systemd:/\n4:cpu,cpuacct:/a/b\n0::/../../x\njunk\n"
    assert parsing.groups_of(text) == {"name=systemd": "/", "cpu": "/a/b", "cpuacct": "/a/b", "": "/"}


PARSERS = (
    lambda text: parsing.cpu_figures(text, 1),
    parsing.load_figures,
    lambda text: parsing.pressure_figures(text, "p"),
    parsing.memory_figures,
    lambda text: parsing.vm_figures(text, 1),
    parsing.disk_figures,
    parsing.link_figures,
    parsing.protocol_figures,
    parsing.backlog_figures,
    parsing.file_figures,
)
REAL = (STAT, "2.66 3.76 3.82 4/195 5553\n", PRESSURE, "MemTotal: 1000 kB\n", "pswpin 2\noom_kill 0\n", DISKS, LINKS, SNMP, "0002f421 0000000a 0\n", "1314\t0\t2466170\n")  # fmt: skip


@st.composite
def damaged(draw) -> str:
    """A real text with pieces cut out, put in or replaced."""
    text = draw(st.sampled_from(REAL))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + draw(st.text(alphabet=string.printable + "٣²½٫−", max_size=8)) + text[end:]
    return text


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(damaged(), st.text(max_size=300), st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
)
def test_garbage_neither_fails_nor_becomes_figures(text):
    """Whatever a file holds: nothing raises, and no figure is 0 unless a zero stands in the text."""
    has_zero = bool(re.search(r"(?<![0-9.])0+(?:\.0+)?(?![0-9.])", text))
    for parse in PARSERS:
        for key, value in parse(text).items():
            assert math.isfinite(value)
            assert value >= 0
            assert value > 0 or has_zero, (key, text)
    parsing.boot_of(text)
    parsing.process_of(text, 100, 4096)
    parsing.mounts_of(text)
    parsing.groups_of(text)
    parsing.keyed(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=string.ascii_letters + " :\n\t-/._", max_size=400))
def test_text_without_a_number_gives_no_figure(text):
    """Where no digit stands there is no figure at all."""
    for parse in PARSERS[:-2]:
        assert parse(text) == {}
