"""Where in a text something sensitive stands, and what it is."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

PROSE = frozenset({
    "health", "child", "religion", "ethnicity", "sexual_orientation", "political", "union", "criminal",
    "salary", "name_finance", "contract", "biometric", "confidential",
})  # fmt: skip
"""Kinds that are said in sentences: what tells them cannot be cut out by replacing a span."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """``text[start:end]`` is sensitive data of ``kind``."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What was found in a text. ``kinds`` are those of the spans, sorted, each once; ``spans`` are ordered
    and do not overlap."""

    spans: tuple[Span, ...] = ()

    @property
    def sensitive(self) -> bool:
        return bool(self.spans)

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({span.kind for span in self.spans}))


def settle(found: Iterable[Span]) -> tuple[Span, ...]:
    """``found`` without overlaps: what is sure to be found by its form wins over prose, then the longer
    span, then the one found first."""
    ranked = sorted(
        enumerate(found), key=lambda item: (item[1].kind in PROSE, item[1].start - item[1].end, item[0])
    )
    # Spans that are kept never overlap, so a new one can only clash with its two neighbours.
    starts: list[int] = []
    kept: list[Span] = []
    for _, span in ranked:
        at = bisect_left(starts, span.end)
        if at and kept[at - 1].end > span.start:
            continue
        starts.insert(at, span.start)
        kept.insert(at, span)
    return tuple(kept)
