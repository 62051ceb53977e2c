"""What a host's memory looks like from outside."""

from dataclasses import dataclass

from coreto.residency.model import ModelId
from coreto.residency.state import House, Phase


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model: its phase, bytes held, requests that use it and that wait for it. ``context``: the window in
    tokens it is loaded with; ``shrunk``: that is the smaller one, because the other did not fit."""

    id: ModelId
    phase: Phase
    size: int
    running: int
    waiting: int
    context: int | None = None
    shrunk: bool = False


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host, in bytes. ``current``: the model in use, else the one used last, at ``current_used_at`` (monotonic
    seconds); ``home``: the one that returns."""

    used: int
    budget: int
    current: ModelId | None
    home: ModelId | None
    loads: int
    switches: int
    models: tuple[ModelStatus, ...]
    current_used_at: float = 0.0

    def is_loaded(self, model: ModelId) -> bool:
        """Whether ``model`` can answer now."""
        return any(known.id == model and known.phase is Phase.READY for known in self.models)


def status_of(house: House, *, loads: int, switches: int) -> HostStatus:
    """The host's state as people and programs see it."""
    ready = [entry for entry in house.entries.values() if entry.phase is Phase.READY]
    current = max(ready, key=lambda entry: (bool(entry.holders), entry.last_used), default=None)
    return HostStatus(
        used=house.used,
        budget=house.budget,
        current=None if current is None else current.hosted.id,
        home=house.home,
        loads=loads,
        switches=switches,
        models=tuple(
            ModelStatus(
                entry.hosted.id,
                entry.phase,
                entry.size,
                len(entry.holders),
                len(entry.queue),
                entry.context,
                shrunk=entry.small,
            )
            for entry in house.entries.values()
        ),
        current_used_at=0.0 if current is None else current.last_used,
    )
