"""What memory there is: by files, by psutil, by the driver, and by none of them."""

import sys
import types

import pytest

from coreto.hardware.base import Gpu, Memory, suggested_budget
from coreto.hardware.machine import Machine
from coreto.hardware.nvml import nvidia_gpus
from coreto.hardware.system import system_memory
from coreto.testing.hardware import FakeHardware

KIB, GIB = 1024, 2**30

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    6000000 kB\nCached: 4000000 kB\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    (tmp_path / "sys" / "fs" / "cgroup" / "memory").mkdir(parents=True)
    return tmp_path


def test_meminfo_is_read_in_bytes(root):
    """Total and available memory come from the system's table."""
    assert system_memory(root) == Memory(16_000_000 * KIB, 6_000_000 * KIB)


def test_old_kernels_do_not_say_what_is_available(root):
    """Without that line, free and cached pages together are a fair guess."""
    table = "".join(line for line in MEMINFO.splitlines(keepends=True) if "Available" not in line)
    (root / "proc" / "meminfo").write_text(table)
    assert system_memory(root).available == 5_000_000 * KIB


@pytest.mark.parametrize("table", ["", "nonsense", "MemTotal:\n", "MemTotal: many kB\n"])
def test_a_table_without_figures_is_unknown(root, table):
    """Where the system does not tell, nothing is made up."""
    (root / "proc" / "meminfo").write_text(table)
    assert system_memory(root) is None


def test_no_table_is_unknown(tmp_path):
    """A system without the file is unknown too."""
    assert system_memory(tmp_path) is None


@pytest.mark.parametrize(
    ("limit", "used"),
    [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")],
)
def test_a_container_has_what_its_limit_leaves(root, limit, used):
    """A control group's limit counts, in either version of its files."""
    group = root / "sys" / "fs" / "cgroup"
    (group / limit).write_text(f"{4 * GIB}\n")
    (group / used).write_text(f"{3 * GIB}\n")
    assert system_memory(root) == Memory(4 * GIB, GIB)


@pytest.mark.parametrize("limit", ["max\n", str(2**63 - 4096), str(40 * GIB)])
def test_a_limit_that_is_none(root, limit):
    """An unlimited group, or one allowed more than there is, changes nothing."""
    (root / "sys" / "fs" / "cgroup" / "memory.max").write_text(limit)
    assert system_memory(root).total == 16_000_000 * KIB


def test_this_machine_has_memory():
    """The machine that runs the tests has some, of which not all is used."""
    memory = Machine().system()
    assert 0 < memory.available <= memory.total
    assert memory.used == memory.total - memory.available


class NVMLError(Exception):
    pass


def driver(*, cards=(), installed=True):
    """The driver's library, as far as it is used."""

    def handle(index):
        if cards[index] is None:
            raise NVMLError("fallen off the bus")
        return cards[index]

    def init():
        if not installed:
            raise NVMLError("library not found")
        module.running += 1

    def shutdown():
        module.running -= 1

    module = types.ModuleType("a_driver")
    module.running = 0
    module.NVMLError = NVMLError
    module.nvmlInit, module.nvmlShutdown = init, shutdown
    module.nvmlDeviceGetCount = lambda: len(cards)
    module.nvmlDeviceGetHandleByIndex = handle
    module.nvmlDeviceGetName = lambda card: card[0]
    module.nvmlDeviceGetMemoryInfo = lambda card: types.SimpleNamespace(total=card[1], free=card[2])
    return module


@pytest.fixture
def install(monkeypatch):
    def put(**options):
        module = driver(**options)
        monkeypatch.setitem(sys.modules, "a_driver", module)
        return module

    return put


def test_cards_are_listed(install):
    """Each card has its name, as text or bytes, and its memory; one that does not answer is left out."""
    module = install(cards=[("RTX", 16, 10), None, (b"A100", 80, 80)])
    assert nvidia_gpus("a_driver") == (Gpu(0, "RTX", Memory(16, 10)), Gpu(2, "A100", Memory(80, 80)))
    assert module.running == 0


def test_without_a_driver_there_are_no_cards(install):
    """The package may be there without a driver: no cards, no error."""
    install(installed=False)
    assert nvidia_gpus("a_driver") == ()


def test_without_the_package_nobody_can_tell():
    """An optional package that is not installed makes it unknown."""
    assert nvidia_gpus("no_such_driver_package") is None


def test_the_budget_is_the_gpus_or_a_part_of_what_is_free():
    """A GPU's memory counts where there is one, else what the machine has free, else nothing is suggested."""
    assert suggested_budget(FakeHardware(gpu=16 * GIB, system=64 * GIB)) == int(16 * GIB * 0.92)
    assert suggested_budget(FakeHardware(gpu=0, system=64 * GIB)) == 48 * GIB
    assert suggested_budget(FakeHardware()) is None


def test_the_fake_can_be_filled():
    """What a test uses is no longer available: on the GPU, or in the system without one."""
    gpu, system = FakeHardware(gpu=10, system=10), FakeHardware(system=10)
    gpu.use(4)
    system.use(3)
    assert (gpu.gpus()[0].memory.available, gpu.system().available) == (6, 10)
    assert system.system().available == 7
