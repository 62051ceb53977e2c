"""What a prompt's length and structure say of how much better a large model would do, before anything is known."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from coreto.routing.detection.text import plain, window, words

_BASE = -2.7
"""A plain question of ten words: a gain of 0.06. Small models answer most of them."""

_TERSE = -0.7
_PER_LENGTH = 0.75
"""A prompt of 100 words counts 0.75, of 350 words 1.3, of 1,200 words 2."""

_FOREIGN_SHARE = 0.3
_FOREIGN = 1.9
_ITEM, _MOST_ITEMS = 0.3, 5
_FENCE = 0.6
_STEM = 4
_ITEMS = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cue:
    """Words (whole, or beginnings of at least four letters that end in ``*``) that count ``weight`` each, up to
    ``most`` of them."""

    weight: float
    most: int
    listed: str


CUES = (
    # mathematics and proof
    Cue(0.8, 2,
        "prove prova proof demonstr* teorema theorem lemma integral integrais integrate integrals derivad* derivative* derive derivar equac*"
        " equation* probabilid* probability matriz matrizes matrix matrices converg* inducao induction calcule calculate solve resolva resolver"
        " otimiz* optimiz* optimis* complexidade complexity algorit*"),
    # reasoning over several things
    Cue(0.4, 3,
        "passo step compar* trade-off* tradeoff* pros cons contras analis* analyz* analys* avalie avaliar avaliac* evaluat* why justifi* argument*"
        " estrateg* strateg* planej* plan arquitet* architect* implica* consequen* raciocin* reason reasons reasoning diagnos* critique critica"),
    # constraints to hold at once
    Cue(0.3, 5,
        "deve devem must exatamente exactly maximo most minimo least without don't somente only respeit* entre between cada each formato"
        " format json tabela table schema sem"),
    # code that is more than a line
    Cue(0.6, 3,
        "refator* refactor* concorren* concurren* assincron* async* thread-safe race distribu* deadlock* unitario* debug* traceback regex"
        " parser compil* migra* sql unit"),
    # code or an answer, and its explanation
    Cue(0.25, 2, "explique explain detalh* detail comente document*"),
    # parts, one after the other
    Cue(0.35, 4, "depois seguida then afterwards finally primeiro first segundo second alem also"),
    Cue(0.25, 4, "?"),
)  # fmt: skip


def rule_gain(text: str) -> float:
    """The gain, 0 to 1, that a prompt's form promises: length, parts, constraints, mathematics, code, rare scripts."""
    seen = window(text)
    tokens = words(plain(seen))
    count = len(tokens) * len(text) // len(seen) if seen else 0
    score = _BASE + _PER_LENGTH * math.log1p(max(0, count - 10) / 50)
    score += _TERSE if count <= 6 else 0.0
    score += sum(CUES[at].weight * min(hits, CUES[at].most) for at, hits in sorted(_hits(tokens).items()))
    score += _ITEM * min(len(_ITEMS.findall(seen)), _MOST_ITEMS)
    score += _FENCE if "```" in seen else 0.0
    score += _FOREIGN if foreign_share(seen) > _FOREIGN_SHARE else 0.0
    return 1.0 / (1.0 + math.exp(-score))


def _hits(tokens: list[str]) -> Counter[int]:
    whole, stems = _lexicon()
    found: Counter[int] = Counter()
    for token in tokens:
        at = whole.get(token)
        if at is None:
            at = next((cue for stem, cue in stems.get(token[:_STEM], ()) if token.startswith(stem)), None)
        if at is not None:
            found[at] += 1
    return found


@cache
def _lexicon() -> tuple[MappingProxyType[str, int], MappingProxyType[str, list[tuple[str, int]]]]:
    """The cues by whole word, and by the first letters of their stems."""
    whole: dict[str, int] = {}
    stems: dict[str, list[tuple[str, int]]] = {}
    for at, cue in enumerate(CUES):
        for listed in cue.listed.split():
            if listed.endswith("*"):
                stems.setdefault(listed[:_STEM], []).append((listed[:-1], at))
            else:
                whole[listed] = at
    return MappingProxyType(whole), MappingProxyType(stems)


def foreign_share(text: str) -> float:
    """The share of the letters, 0 to 1, that are of no Latin script: rare in small models' training."""
    if text.isascii():
        return 0.0
    letters = [c for c in text if c.isalpha()]
    return sum(c > "\u024f" for c in letters) / len(letters) if letters else 0.0
