"""The seam: what anybody may ask of a machine's memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

#: Share of a GPU's memory that models may fill: drivers and desktops hold some, and buffers fragment the rest.
GPU_SHARE = 0.92
#: Share of what a machine without a GPU has free: the caller's own programs live there too.
SYSTEM_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: ``total``, and ``available`` without pushing anything out."""

    total: int
    available: int

    @property
    def used(self) -> int:
        return self.total - self.available


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card. ``index``: as the driver counts."""

    index: int
    name: str
    memory: Memory


class Hardware(Protocol):
    """A machine, as far as memory goes. Asking takes well under a millisecond."""

    def system(self) -> Memory | None:
        """The machine's own memory, or the part of it that this process may use; ``None`` where unknown."""
        ...

    def gpus(self) -> Sequence[Gpu] | None:
        """The graphics cards; none where there are none, ``None`` where nobody can tell."""
        ...


def suggested_budget(hardware: Hardware) -> int | None:
    """Bytes that models may fill together, where the user has not said: most of the largest GPU, else a part of
    the free memory. ``None`` where neither is known."""
    gpus = hardware.gpus()
    if gpus:
        return int(max(gpu.memory.total for gpu in gpus) * GPU_SHARE)
    system = hardware.system()
    return None if system is None else int(system.available * SYSTEM_SHARE)
