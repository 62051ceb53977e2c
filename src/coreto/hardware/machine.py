"""The machine that this process runs on."""

from collections.abc import Sequence

from coreto.hardware.base import Gpu, Memory
from coreto.hardware.nvml import nvidia_gpus
from coreto.hardware.system import system_memory


class Machine:
    """This machine, asked anew each time."""

    __slots__ = ()

    def system(self) -> Memory | None:
        return system_memory()

    def gpus(self) -> Sequence[Gpu] | None:
        return nvidia_gpus()
