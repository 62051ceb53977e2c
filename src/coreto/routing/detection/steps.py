"""A request for several kinds of work, as the ordered steps that it names.

"Plan X and then run Y" is a planning step and an execution step. Where a request is of one kind all
through, or no step can be told from the next, it is one step.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from coreto.routing.detection.features import View, view
from coreto.routing.detection.lexicon import classes
from coreto.routing.detection.text import WINDOW, plain, words
from coreto.routing.detection.verdict import Task

Language = Literal["pt", "en", "other"]

LabelOf = Callable[[View], Task]
"""What kind of work a part of a request is."""

_MOST_STEPS = 12

_ITEM = re.compile(r"^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+(?=\S)", re.MULTILINE)
_INLINE_ITEM = re.compile(r"(?:^|(?<=\s))\(?\d[.)]\s+(?=[^\W\d])")
_FIRST = re.compile(
    r"^\s*(?:primeir[oa]|primeiramente|antes de tudo|first(?: of all)?|to start)\b[,:]?\s*", re.IGNORECASE
)
_AFTER = re.compile(
    r"^\s*(?:depois de|ap[oó]s|assim que|after|once you(?:'ve| have)?)\s+(?P<first>[^,;.\n]{4,200}),\s*(?P<then>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
_PAIR = re.compile(
    r"^(?:(?:por favor|please|primeiro|first|pode|voc[eê] pode|preciso que voc[eê]|quero que voc[eê]|can you|could you|i (?:want|need) you to),?\s+)?(?P<one>[^\W\d_]+)\s+(?:e|and|&)\s+(?:depois\s+|then\s+|em seguida\s+|já\s+)?"
    r"(?P<two>[^\W\d_]+)\s+(?P<rest>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
_THEN = re.compile(
    r"(?:\s*[,;.:]+\s*|\s+)(?:e\s+|and\s+|mas\s+|but\s+)?"
    r"(?:depois(?:\s+disso)?(?!\s+d[eoa]s?\b)|em\s+seguida|logo\s+em\s+seguida|s[oó]\s+ent[aã]o|ent[aã]o|por\s+fim|no\s+final|a[ií]"
    r"|and\s+then|then|after\s+that|afterwards|finally|once\s+(?:that's|it's)\s+done|right\s+after)\b[,:]?\s+"
    r"(?:s[oó]\s+ent[aã]o\s+|j[aá]\s+)?"
    r"|\s*;\s+|\.\s+(?=[A-ZÀ-Ú])|\n+",
    re.IGNORECASE,
)
_AND_DO = re.compile(
    r"(?:\s*,)?\s+(?:e|and)\s+(?:j[aá]\s+|also\s+|tamb[eé]m\s+)?(?=(?:execut|rod|run\b|publi|envi|send\b|deploy|dispar|agend|schedul"
    r"|manda\b|mande\b|implement|escrev|write\b|codific|code\b|carry\b|perform\b|instal|testa\b|test\b|desenh|design\b|draw\b|sobe\b"
    r"|suba\b|aplic|apply\b|pausa\b|pause\b|delet|apag|email\b|post\b))",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(?:if|se|when|quando|caso)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a request: what kind of work it is, in the requester's words."""

    label: Task
    text: str
    language: str


def may_be_mixed(seen: View) -> bool:
    """Whether a look for steps is worth its while: an order with a join in it."""
    return (
        "then" in seen.marks
        or "lines" in seen.marks
        or ";" in seen.flat
        or " e " in seen.flat
        or " and " in seen.flat
        or "1" in seen.flat
        or seen.flat.startswith(("depois", "apos", "after", "once", "assim"))
    )


def find_steps(text: str, whole: View, label_of: LabelOf) -> tuple[Step, ...]:
    """The steps of ``text`` (``whole`` is its view), neighbours of one kind put together; none for a request
    of one kind. Source code and what is longer than the window are left whole."""
    if len(text) > WINDOW or whole.marks & {"fence", "code"} or not may_be_mixed(whole):
        return ()
    parts = _parts(text.strip())
    if len(parts) < 2:
        return ()
    steps: list[Step] = []
    for part in parts:
        label = label_of(view(part))
        if steps and steps[-1].label == label:
            steps[-1] = Step(label, f"{steps[-1].text}; {part}", whole.language)
        else:
            steps.append(Step(label, part, whole.language))
    return tuple(steps[:_MOST_STEPS]) if len(steps) > 1 else ()


def _parts(text: str) -> list[str]:
    for pattern in (_ITEM, _INLINE_ITEM):
        items = [item.strip(" \t\n;,") for item in pattern.split(text)]
        listed = [item for item in items[1:] if item]
        if len(listed) > 1 and sum(_orders(item) for item in listed) * 2 > len(listed):
            return listed
    if (after := _AFTER.match(text)) and _orders(after["first"]) and _orders(after["then"]):
        return [after["first"].strip(), *_parts(after["then"])]
    if (pair := _PAIR.match(text)) and _differ(pair["one"], pair["two"]):
        rest = pair["rest"]
        return [f"{pair['one']} {rest}", f"{pair['two']} {rest}"]
    parts = _joined(_cut(_THEN, _FIRST.sub("", text)))
    return [piece for part in parts for piece in _joined(_cut(_AND_DO, part))]


def _cut(pattern: re.Pattern[str], text: str) -> list[str]:
    return [part for raw in pattern.split(text) if (part := raw.strip(" \t\n,;.:"))]


def _joined(parts: list[str]) -> list[str]:
    """``parts``, what is no order of its own given back to the part before it."""
    kept: list[str] = []
    for part in parts:
        if kept and (not _orders(part) or not _orders(kept[-1]) or _CONDITION.match(kept[-1])):
            kept[-1] = f"{kept[-1]}, {part}"
        else:
            kept.append(part)
    return kept


def _orders(part: str) -> bool:
    """Whether a part begins as an order: a verb among its first words."""
    return any(name.isupper() for token in words(plain(part))[:3] for name in classes().get(token, ()))


def _differ(one: str, two: str) -> bool:
    """Whether two verbs are of different kinds, so that "plan and run X" is two steps."""
    first, second = (_verbs(word) for word in (one, two))
    return bool(first and second) and not first & second


def _verbs(word: str) -> frozenset[str]:
    names = classes().get(plain(word), ())
    return frozenset(name for name in names if name in ("PLAN", "EXEC", "CODE", "UI"))
