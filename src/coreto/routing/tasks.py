"""What kind of work a request is (SPEC R3): rules and learned weights in a fraction of a millisecond, and,
where their margin is small and the extra ``local`` is installed, a bundled embedder's opinion.

:func:`detect_task` does everything. :func:`detect_task_quickly` leaves the embedder out (15-50 ms) and says
by ``settled`` whether it would have been asked, so that a server can do that off its event loop.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from coreto.messages import estimate_tokens
from coreto.routing.detection.embedder import BundledEmbedder, Embedder
from coreto.routing.detection.examples import NEAR, Examples
from coreto.routing.detection.features import View, view
from coreto.routing.detection.judge import Judgement, judge
from coreto.routing.detection.lexicon import classes
from coreto.routing.detection.model import shipped
from coreto.routing.detection.steps import Step, find_steps
from coreto.routing.detection.verdict import TASKS, Task

__all__ = [
    "TASKS", "Detector", "Step", "Task", "TaskDetection", "detect_task", "detect_task_quickly", "split_steps",
]  # fmt: skip

_SECOND = 0.3
"""Probability from which the second task is named too."""

_JSON = re.compile(
    r"\b(?:em|in|as|como|de|to|valid|valido|formato|format|only|apenas|so|return|retorne|responda|output)\s+"
    r"(?:um |a |an |o |raw |valid |formato )?json\b|\bjson (?:schema|valido|format|output|object|only)\b|\bresponse_format\b"
)
_LIVE = re.compile(
    r"\b(?:agora|hoje|ontem|amanha|right now|today|yesterday|tomorrow|latest|current|atual|neste momento|"
    r"search the web|google|pesquis\w+ na (?:web|internet)|cotacao|clima|weather|forecast|previsao|noticias|news|stock price)\b"
)
_TOOLS = re.compile(r"\b(?:tools?|ferramentas?|function call\w*|chamada de funcao|mcp)\b")


@dataclass(frozen=True, slots=True)
class TaskDetection:
    """What a text asks for.

    ``also``: other kinds of work in it. ``confidence``: the probability of ``label``, 0 to 1. ``reason``: what
    decided. ``language``: ``pt``, ``en`` or ``other``. ``needs_tools``: the world must be touched or asked.
    ``tokens``: estimated. ``steps``: one a kind of work, in order, for mixed requests; else empty.
    ``settled``: the embedder was asked or need not be.
    """

    label: Task
    also: tuple[Task, ...]
    confidence: float
    reason: str
    language: str
    needs_tools: bool
    needs_json: bool
    tokens: int
    steps: tuple[Step, ...] = ()
    settled: bool = True


class Detector:
    """Detects tasks, with a user's own examples (task -> texts) in mind. Safe to share among threads.

    Raises ``ValueError`` for examples of an unknown task.
    """

    def __init__(
        self, extra: Mapping[str, Sequence[str]] | None = None, embedder: Embedder | None = None
    ) -> None:
        self._examples = Examples(extra or {})
        self._embedder: Embedder = embedder or BundledEmbedder()

    def detect(self, text: str) -> TaskDetection:
        """What ``text`` asks for; asks the embedder where rules and weights are near a tie (15-50 ms)."""
        seen = view(text)
        model = shipped()
        found = judge(seen, model, self._examples)
        if not found.settled:
            vector = self._embedder.embed(text)
            if vector is not None:
                found = judge(seen, model, self._examples, vector)
        return self._result(text, seen, found, asked=True)

    def detect_quickly(self, text: str) -> TaskDetection:
        """What ``text`` asks for by rules and weights alone; never blocks."""
        seen = view(text)
        return self._result(text, seen, judge(seen, shipped(), self._examples), asked=False)

    def split(self, text: str) -> tuple[Step, ...]:
        """The steps of ``text`` by kind of work, in order; one for a request of one kind."""
        seen = view(text)
        alone = Step(self._label(seen), text.strip(), seen.language)
        return find_steps(text, seen, self._label) or (alone,)

    def _label(self, seen: View) -> Task:
        return judge(seen, shipped(), self._examples).task

    def _result(self, text: str, seen: View, found: Judgement, *, asked: bool) -> TaskDetection:
        steps = () if found.blank else find_steps(text, seen, self._label)
        label = found.task
        also = _secondary(found, steps)
        tools = label == "execution" or "execution" in also or bool(_TOOLS.search(seen.flat))
        live = (
            label in ("conversation", "planning") and "asks" in seen.marks and bool(_LIVE.search(seen.flat))
        )
        missing = self._embedder.absence if asked and not found.settled else None
        return TaskDetection(
            label=label,
            also=also,
            confidence=round(found.probabilities[TASKS.index(label)], 3),
            reason=_reason(seen, found, missing),
            language=seen.language,
            needs_tools=tools or live,
            needs_json=bool(_JSON.search(seen.flat)),
            tokens=estimate_tokens(text),
            steps=steps,
            settled=asked or found.settled,
        )


def detect_task(text: str) -> TaskDetection:
    """What ``text`` asks for, by the default :class:`Detector`."""
    return _default().detect(text)


def detect_task_quickly(text: str) -> TaskDetection:
    """What ``text`` asks for without the embedder, by the default :class:`Detector`."""
    return _default().detect_quickly(text)


def split_steps(text: str) -> tuple[Step, ...]:
    """The steps of ``text`` by kind of work, in order; one for a request of one kind."""
    return _default().split(text)


@cache
def _default() -> Detector:
    return Detector()


def _secondary(found: Judgement, steps: tuple[Step, ...]) -> tuple[Task, ...]:
    named: list[Task] = [step.label for step in steps]
    if found.finding is not None:
        named.extend(found.finding.also)
        named.append(found.finding.task)
    if not found.blank:
        named.extend(task for task, p in zip(TASKS, found.probabilities, strict=True) if p >= _SECOND)
    return tuple(task for task in dict.fromkeys(named) if task != found.task)


def _reason(seen: View, found: Judgement, missing: str | None) -> str:
    """What decided, in a few words; of the text only words of the lexicon are named."""
    if found.blank:
        return "nothing recognised in the text: taken for conversation"
    if found.likeness is not None and found.likeness.task == found.task and found.likeness.cosine >= NEAR:
        return f"configured example: cosine {found.likeness.cosine:.2f}"
    if found.finding is not None and found.finding.task == found.task:
        said = f"rule: {found.finding.rule}"
    else:
        known = [token for token in dict.fromkeys(seen.tokens) if token in classes()]
        said = f"learned weights: {', '.join(known[:3]) or 'word forms'}"
    if found.embedded:
        return f"{said}; with the embedding"
    return f"{said}; without embedding ({missing})" if missing else said
