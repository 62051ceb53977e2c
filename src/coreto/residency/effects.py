"""The only way a scheduler acts, and what it tells about itself."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coreto.residency.model import Lease, ModelId, Rejection, RequestId


class Happening(StrEnum):
    """What a note tells of."""

    SWITCH = "switch"
    LOADED = "loaded"
    UNLOADED = "unloaded"
    SHRUNK = "shrunk"
    CLEARED = "cleared"
    FAILED = "failed"
    OVER_BUDGET = "over_budget"
    RESYNCHRONISED = "resynchronised"


#: What an operator should see without looking for it.
TROUBLES = frozenset({Happening.FAILED, Happening.OVER_BUDGET, Happening.SHRUNK, Happening.CLEARED})


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a log line or a metric. ``detail``: in words, with the figures."""

    happening: Happening
    model: ModelId
    detail: str = ""


class Effects(Protocol):
    """What a scheduler asks of the world. Nothing here waits: results come back as events of the scheduler."""

    def start_load(self, model: ModelId, context: int | None) -> None:
        """Begin to load; ends in ``on_loaded`` or ``on_load_failed``."""
        ...

    def start_unload(self, model: ModelId) -> None:
        """Begin to free; ends in ``on_unloaded``, once the engine no longer lists it, or ``on_unload_failed``."""
        ...

    def grant(self, request: RequestId, lease: Lease) -> bool:
        """Let the request run. ``False``: whoever asked has gone, so that nothing is held and nothing will be
        released."""
        ...

    def reject(self, request: RequestId, rejection: Rejection) -> None:
        """End the request here."""
        ...

    def set_timer(self, at: float | None) -> None:
        """Call ``on_timer`` at ``at`` (monotonic seconds), in place of any earlier wish; ``None``: never."""
        ...

    def note(self, note: Note) -> None:
        """Take note of what happened."""
        ...
