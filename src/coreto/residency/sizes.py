"""What a model takes in memory, by all that is known of it before it was ever loaded."""

from collections.abc import Mapping
from dataclasses import dataclass

from coreto.providers.base import Described, Resident
from coreto.residency.memory import (
    MemoryEstimate,
    Shape,
    UnknownShapeError,
    estimate,
    largest_context,
    shape_from,
)
from coreto.residency.model import Hosted, ModelId

#: Tokens of context where neither the user nor the engine says: Ollama's on small cards.
USUAL_CONTEXT = 4096
#: No window is made smaller than this to fit: what is left of it could not hold a prompt and its answer.
LEAST_CONTEXT = 1024
#: A window is first cut to this part of itself when it does not fit.
_SMALLER = 4
#: Bytes for each byte of the weights where the shape is not known.
_ROUGHLY = 1.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user says of a host's models: ``memory`` bytes and ``context`` tokens by model; ``slots``: requests
    that each answers at the same time, where the engine does not say."""

    memory: Mapping[ModelId, int]
    context: Mapping[ModelId, int]
    slots: int = 1


@dataclass(frozen=True, slots=True)
class Sized:
    """A model's figures and where they come from. ``estimate``: by its shape, where that is known."""

    hosted: Hosted
    source: str
    context: int
    estimate: MemoryEstimate | None = None


def sized(model: ModelId, described: Described | None, wanted: Wanted, budget: int) -> Sized:
    """The figures of ``model`` on a host with ``budget`` bytes.

    Bytes are, in this order: declared by the user; estimated from the model's shape; roughly, by its weights;
    unknown, until they are measured.
    """
    fixed = wanted.context.get(model) or (described.context if described else None)
    context = fixed or USUAL_CONTEXT
    slots = max(described.slots if described else 1, wanted.slots)
    shape = _shape(described)
    worked_out = estimate(shape, context * slots, slots=slots) if shape else None
    declared = wanted.memory.get(model)
    if declared is not None:
        memory, source = declared, "declared"
    elif worked_out is not None:
        memory, source = worked_out.total, "estimated"
    elif described is not None and described.weights:
        memory, source = int(described.weights * _ROUGHLY), "roughly, by its weights"
    else:
        memory, source = None, "unknown"
    small = _small_context(shape, context, slots, budget) if shape and worked_out else None
    small_memory: int | None = None
    if shape and worked_out and small and memory is not None:  # of what was declared, the same part
        smaller = estimate(shape, small * slots, slots=slots).total
        small_memory = memory * smaller // worked_out.total
    hosted = Hosted(
        model,
        memory,
        fixed,
        declared=declared is not None,
        slots=slots,
        small_context=small,
        small_memory=small_memory,
    )
    return Sized(hosted, source, context, worked_out)


def counted(resident: Resident) -> int:
    """The bytes of a loaded model that count against a budget: those on the GPU, where it is there at all."""
    return resident.size_vram or resident.size


def _shape(described: Described | None) -> Shape | None:
    if described is None or not described.weights:
        return None
    try:
        return shape_from(described.metadata, described.weights)
    except UnknownShapeError:
        return None


def _small_context(shape: Shape, context: int, slots: int, budget: int) -> int | None:
    """The window to fall back to when the full one does not fit; ``None`` where there is none worth having."""
    largest = largest_context(shape, budget, least=LEAST_CONTEXT * slots, slots=slots)
    if largest is None:
        return None
    small = min(max(context // _SMALLER, LEAST_CONTEXT), largest // slots)
    if largest // slots < context:  # it is too large for the budget itself: as much as fits
        small = largest // slots
    return small if LEAST_CONTEXT <= small < context else None
