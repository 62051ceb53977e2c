"""A text's scores: the learned weights, tipped by the first rule that fits and the nearest example."""

from dataclasses import dataclass, replace

from coreto.routing.detection.examples import Examples, Likeness
from coreto.routing.detection.features import View, view
from coreto.routing.detection.lexicon import classes
from coreto.routing.detection.model import TaskModel
from coreto.routing.detection.rules import Finding, first_finding
from coreto.routing.detection.verdict import TASKS, Scores, Task, best, margin, probabilities

SETTLED = 0.6
"""Margin from which the embedder is not asked. Cross-validated: below stand 30 of 100 prompts, and the embedder
lifts their accuracy from 0.71 to 0.83; above it changes nothing (0.974 to 0.976)."""

_DROWNED = 1.2
"""Added to what a rule says of a long text's first or last line."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Scores with what led to them. ``embedded``: an embedding had its say."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    finding: Finding | None
    likeness: Likeness | None
    embedded: bool
    blank: bool

    @property
    def task(self) -> Task:
        return best(self.scores)

    @property
    def settled(self) -> bool:
        """Whether the embedder could hardly change the decision."""
        return self.blank or self.embedded or margin(self.scores) >= SETTLED


def judge(seen: View, model: TaskModel, examples: Examples, vector: Scores | None = None) -> Judgement:
    """Score a text; with its embedding's ``vector`` where there is one."""
    finding, likeness = first_finding(seen) or _at_the_edges(seen), examples.nearest(seen)
    if likeness is None and is_blank(seen):
        even = (0.0, 0.0, 0.0, 0.0, 0.1)
        return Judgement(even, probabilities(even, 1.0), None, None, embedded=False, blank=True)
    if vector is None:
        scores = list(model.alone.scores(seen))
    else:
        words, meaning = model.beside.scores(seen), model.head(vector)
        scores = [a + b for a, b in zip(words, meaning, strict=True)]
    if finding is not None:
        scores[TASKS.index(finding.task)] += finding.weight
    if likeness is not None:
        scores[TASKS.index(likeness.task)] += likeness.weight
    sharpness = model.sharpness[vector is not None]
    said = probabilities(scores, sharpness)
    return Judgement(tuple(scores), said, finding, likeness, embedded=vector is not None, blank=False)


def is_blank(seen: View) -> bool:
    """Whether there is nothing to go by: no words, or none of a language or subject known here."""
    if not any(token[0].isalnum() for token in seen.tokens):
        return True
    return (
        seen.language == "other"
        and not seen.marks & {"code", "fence", "trace", "source"}
        and not any(token in classes() for token in seen.tokens)
    )


def _at_the_edges(seen: View) -> Finding | None:
    """What a rule says of a long text's first or last line; louder, since the material drowns it."""
    for line in seen.edges:
        finding = first_finding(view(line))
        if finding is not None:
            return replace(finding, weight=finding.weight + _DROWNED)
    return None
