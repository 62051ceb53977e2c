"""Several hosts, each with a scheduler and a budget of its own: which one a request goes to."""

import math
from collections.abc import Mapping
from typing import Protocol

from coreto.residency.model import ModelId


class Forecaster(Protocol):
    """A host, as far as choosing goes."""

    def predicted_wait(self, model: ModelId, now: float) -> float:
        """Seconds that a request for ``model`` would wait; infinite where the host does not have it."""
        ...


class Pool:
    """The hosts by name. A request goes where it would start soonest; of equals to the first, so that a model is not
    loaded in two places without need."""

    __slots__ = ("_hosts",)

    def __init__(self, hosts: Mapping[str, Forecaster]) -> None:
        self._hosts = dict(hosts)

    def choose(self, model: ModelId, now: float) -> str | None:
        """The host for a request for ``model``; ``None`` where no host has it."""
        waits = {name: host.predicted_wait(model, now) for name, host in self._hosts.items()}
        best = min(waits, key=lambda name: waits[name], default=None)
        return None if best is None or waits[best] == math.inf else best

    def predicted_wait(self, model: ModelId, now: float) -> float:
        """Seconds at the host that would be chosen."""
        return min((host.predicted_wait(model, now) for host in self._hosts.values()), default=math.inf)
