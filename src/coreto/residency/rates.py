"""How long things take, learned from how long they took."""

from dataclasses import dataclass, field

from coreto.residency.model import ModelId

#: What the newest observation weighs: the last four or five decide.
_WEIGHT = 0.4
#: How much of the longest service so far is kept with each one after it: forgotten after some twenty.
_FADES = 0.95
#: Seconds a request is taken to last until one has.
_SERVICE = 5.0


@dataclass(slots=True)
class Rates:
    """Load and service times. ``bandwidth``: bytes a second, of all loads so far; a model's own last loads count
    more than it."""

    bandwidth: float
    _speeds: dict[ModelId, float] = field(default_factory=dict[ModelId, float])
    _services: dict[ModelId, float] = field(default_factory=dict[ModelId, float])
    _longest: dict[ModelId, float] = field(default_factory=dict[ModelId, float])
    _measured: bool = False

    def load_seconds(self, model: ModelId, size: int) -> float:
        """Expected seconds to load ``size`` bytes of ``model``."""
        return size / self._speeds.get(model, self.bandwidth)

    def service_seconds(self, model: ModelId) -> float:
        """Expected seconds that a request holds ``model``."""
        return self._services.get(model, _SERVICE)

    def longest_seconds(self, model: ModelId) -> float:
        """Seconds that a request of ``model`` may well hold it: as long as the longest of late."""
        return self._longest.get(model, _SERVICE)

    def loaded(self, model: ModelId, size: int, seconds: float) -> None:
        """Learn from a load."""
        if size <= 0 or seconds <= 0:
            return
        speed = size / seconds
        self._speeds[model] = _blend(self._speeds.get(model), speed)
        self.bandwidth = _blend(self.bandwidth if self._measured else None, speed)
        self._measured = True

    def served(self, model: ModelId, seconds: float) -> None:
        """Learn from a request."""
        self._services[model] = _blend(self._services.get(model), seconds)
        self._longest[model] = max(seconds, self._longest.get(model, 0.0) * _FADES)


def _blend(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
