"""What each model takes in memory: as declared or estimated, corrected by what was measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from coreto.residency.model import Hosted, ModelId


@dataclass(slots=True)
class MemoryBook:
    """Bytes by model and context. An estimate gives way to a measurement; a declared figure only to a larger one.
    Of several measurements the largest counts: the next load may be as large again."""

    _hosted: dict[ModelId, Hosted] = field(default_factory=dict[ModelId, Hosted])
    _measured: dict[tuple[ModelId, int | None], int] = field(
        default_factory=dict[tuple[ModelId, int | None], int]
    )

    @classmethod
    def of(cls, models: Iterable[Hosted]) -> "MemoryBook":
        """A book with nothing measured yet."""
        return cls({model.id: model for model in models})

    def add(self, hosted: Hosted) -> None:
        """Take up a model that was not known before."""
        self._hosted[hosted.id] = hosted

    def need(self, model: ModelId, *, small: bool = False) -> int | None:
        """Bytes to set aside for ``model``, with its smaller context if ``small``; ``None`` where unknown."""
        hosted = self._hosted.get(model)
        if hosted is None:
            return None
        context, expected = (
            (hosted.small_context, hosted.small_memory) if small else (hosted.context, hosted.memory)
        )
        measured = self._measured.get((model, context))
        if measured is None:
            return expected
        return max(measured, expected) if hosted.declared and expected is not None else measured

    def measured(self, model: ModelId, context: int | None, size: int) -> None:
        """The engine says that ``model`` takes ``size`` bytes with ``context`` tokens."""
        key = (model, context)
        self._measured[key] = max(self._measured.get(key, 0), size)
