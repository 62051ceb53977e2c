"""A machine with as much memory as a test says."""

from collections.abc import Sequence

from coreto.hardware.base import Gpu, Memory


class FakeHardware:
    """A :class:`~coreto.hardware.base.Hardware` whose figures may be set at any time. Bytes; ``gpu`` and
    ``system``: the total, all of it free, or ``None`` for one that cannot be asked (no GPU at all: 0)."""

    def __init__(self, *, gpu: int | None = None, system: int | None = None) -> None:
        self.cards: Sequence[Gpu] | None = None
        if gpu is not None:
            self.cards = (Gpu(0, "a fake", Memory(gpu, gpu)),) if gpu else ()
        self.memory = None if system is None else Memory(system, system)

    def use(self, size: int) -> None:
        """Fill ``size`` bytes of the GPU, or of the system's memory where there is none."""
        if self.cards:
            card = self.cards[0]
            memory = Memory(card.memory.total, card.memory.available - size)
            self.cards = (Gpu(card.index, card.name, memory), *self.cards[1:])
        elif self.memory is not None:
            self.memory = Memory(self.memory.total, self.memory.available - size)

    def system(self) -> Memory | None:
        return self.memory

    def gpus(self) -> Sequence[Gpu] | None:
        return self.cards
