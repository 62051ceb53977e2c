"""A user's own labelled texts: what equals or resembles one of them is taken for the same kind of work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from coreto.routing.detection.features import View, bucket, view, word_features
from coreto.routing.detection.text import FUNCTION_WORDS
from coreto.routing.detection.verdict import Task, task

NEAR = 0.6
"""Cosine from which an example decides: of 2,266 shipped prompts none has a neighbour of another task there (at
0.5 two have, at 0.4 one in a hundred)."""

KIN = 0.3
"""Cosine from which an example begins to weigh."""

_CERTAIN = 4.0
"""Added to the score of the example's task: more than learned weights and a rule differ by (3.5 at most)."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How the nearest example stands to a text. ``weight`` is added to the score of ``task``."""

    task: Task
    cosine: float

    @property
    def weight(self) -> float:
        return _CERTAIN if self.cosine >= NEAR else (self.cosine - KIN) / (NEAR - KIN)


class Examples:
    """Labelled texts, indexed by their features. Raises ``ValueError`` for an unknown label."""

    def __init__(self, extra: Mapping[str, Sequence[str]]) -> None:
        self._tasks: list[Task] = []
        self._exact: dict[str, Task] = {}
        self._index: dict[int, list[tuple[int, float]]] = {}
        for name, texts in extra.items():
            label = task(name)
            for text in texts:
                self._add(label, view(text))

    def _add(self, label: Task, seen: View) -> None:
        at = len(self._tasks)
        self._tasks.append(label)
        self._exact[seen.flat] = label
        for key, weight in _fingerprint(seen).items():
            self._index.setdefault(key, []).append((at, weight))

    def nearest(self, seen: View) -> Likeness | None:
        """The example most like the text; ``None`` when none is of its kin."""
        if not self._tasks:
            return None
        if (same := self._exact.get(seen.flat)) is not None:
            return Likeness(same, 1.0)
        cosines: dict[int, float] = {}
        for key, weight in _fingerprint(seen).items():
            for at, other in self._index.get(key, ()):
                cosines[at] = cosines.get(at, 0.0) + weight * other
        if not cosines:
            return None
        at = max(cosines, key=cosines.__getitem__)
        return Likeness(self._tasks[at], cosines[at]) if cosines[at] > KIN else None


def _fingerprint(seen: View) -> dict[int, float]:
    """Words, their letters and pairs, of length 1; function words count little."""
    found: dict[int, float] = {}
    for word in dict.fromkeys(seen.tokens):
        share = 0.2 if word in FUNCTION_WORDS or not word[0].isalnum() else 1.0
        for key, weight in word_features(word):
            found[key] = found.get(key, 0.0) + share * weight
    for first, second in pairwise(seen.tokens):
        key = bucket(f"p{first} {second}")
        found[key] = found.get(key, 0.0) + 0.4
    length = sum(weight * weight for weight in found.values()) ** 0.5 or 1.0
    return {key: weight / length for key, weight in found.items()}
