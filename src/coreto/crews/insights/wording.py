"""Free text about a machine: numbers come from claims, and "because" needs a rule. Pure.

A sentence is a template with places ``{c0}``, ``{c1}`` … for its claims. Code writes the numbers there.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from coreto.crews.insights.causes import is_edge
from coreto.crews.insights.claims import Claim
from coreto.crews.insights.metrics.catalogue import metric_of
from coreto.crews.insights.metrics.readings import SystemMetrics, instance_of, name_of
from coreto.crews.insights.thresholds import threshold_of
from coreto.crews.insights.units import shown
from coreto.languages import Language
from coreto.routing.detection.text import word_set

TextFault = Literal["", "blank", "long", "number", "place", "cause"]
"""Why a text is not taken: nothing in it; too much in it; a number that is no claim; a place without a claim, or none
at all; a cause that no rule knows."""

LONGEST: Final = 600
"""Characters of a text."""

_SENTENCES = re.compile(r"(?<=[.!?;])\s")
_PLACE = re.compile(r"\{c(\d{1,2})\}")
_NUMBER_WORDS = word_set(
    """zero two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty seventy eighty
    ninety hundred thousand million billion half third quarter double doubled doubles twice triple tripled dozen percent
    dois duas tres quatro cinco seis sete oito nove dez onze doze quinze vinte trinta quarenta cinquenta sessenta setenta
    oitenta noventa cem cento duzentos mil milhao milhoes bilhao bilhoes metade terco quarto dobro dobrou duplicou
    triplo triplicou duzia porcento tenfold"""
)
"""Without "one" and "um", which are articles as well."""

_BACKWARD = (
    r"because(?: of)?|due to|caused by|owing to|thanks to|as a result of|results? from|stems? from|comes? from|explained by"
    r"|driven by|triggered by|since|porque|por causa d[eoa]s?|devido aos?|devido a|gracas a|causad[oa]s? por|causad[oa]s? pel[oa]s?"
    r"|provocad[oa]s? pel[oa]s?|provocad[oa]s? por|em razao d[eoa]s?|em funcao d[eoa]s?|decorre(?:nte)? d[eoa]s?|pois|ja que|visto que"
    r"|explicad[oa]s? pel[oa]s?|resultado d[eoa]s?"
)
_FORWARD = (
    r"causes?|causing|caused|leads? to|led to|results? in|resulting in|makes?|forc(?:es?|ing)|triggers?|drives?|explains?|therefore|thus|hence"
    r"|consequently|so|brings? about|causa|causam|causando|causou|provoca|provocam|provocando|provocou|leva a|levam a|levou a|resulta(?:m|ndo)? em"
    r"|gera|geram|gerando|faz|fazem|portanto|logo|por isso|assim|consequentemente|explica|explicam|forca|forcam|forcando"
)
_CAUSAL = re.compile(rf"\b(?:(?P<backward>{_BACKWARD})|(?P<forward>{_FORWARD}))\b")


@dataclass(frozen=True, slots=True)
class Wording:
    """``text`` with its numbers in place; empty where it is not taken, and ``fault`` says why."""

    text: str
    fault: TextFault = ""


def word(template: str, claims: Sequence[Claim], metrics: SystemMetrics, language: Language) -> Wording:
    """``template`` with its ``claims`` in place, each of which has been checked against ``metrics``. Not taken are:

    1. nothing but blanks, or more than 600 characters;
    2. braces that are no place, places without a claim, and texts with no place at all;
    3. digits, signs and words of number outside of places, except in names of disks, mounts and interfaces;
    4. words of cause, unless a rule leads from a claim's metric on the one side to one's on the other, in the
       direction that is said.
    """
    if not template.strip():
        return Wording("", "blank")  # 1
    if len(template) > LONGEST:
        return Wording("", "long")  # 1
    places = [int(number) for number in _PLACE.findall(template)]
    bare = _PLACE.sub("", template)
    if not places or max(places) >= len(claims) or "{" in bare or "}" in bare:
        return Wording("", "place")  # 2
    if _has_number(bare, _names(metrics)):
        return Wording("", "number")  # 3
    if not _causes_hold(template, claims, metrics):
        return Wording("", "cause")  # 4
    text = _PLACE.sub(lambda place: in_words(claims[int(place[1])], language), template)
    return Wording(" ".join("".join(c for c in text if c.isprintable() or c.isspace()).split()))


def in_words(claim: Claim, language: Language) -> str:
    """A claim as a phrase: "CPU in use 97.4%", with the disk or the file system that it is of."""
    measured = metric_of(claim.metric)
    called = claim.metric if measured is None else measured.called(language)
    where = instance_of(claim.metric).replace("#", " ")
    return f"{called}{f' ({where})' if where else ''} {shown(claim.value, claim.unit, language)}"


def _names(metrics: SystemMetrics) -> frozenset[str]:
    """What may stand in a text although it has digits. Not the names of processes: anybody can choose those."""
    found = (instance_of(metric) for metric in metrics.readings if not name_of(metric).startswith("process."))
    return frozenset(name for name in found if name[:1].isalpha() or name.startswith("/"))


def _has_number(text: str, names: frozenset[str]) -> bool:
    for token in text.split():
        bare = token.strip(".,;:!?()\"'`")
        if bare in names:
            continue
        if any(unicodedata.category(c).startswith("N") or c in "%‰" for c in token):
            return True
        if any(part in _NUMBER_WORDS for part in re.split(r"[^a-z]+", _flat(bare))):
            return True
    return False


def _causes_hold(template: str, claims: Sequence[Claim], metrics: SystemMetrics) -> bool:
    """Each word of cause stands between claims that a rule connects, in its own sentence."""
    for sentence in _SENTENCES.split(_flat(template)):
        said = list(_CAUSAL.finditer(sentence))
        ends = [0, *(word.end() for word in said)]
        starts = [*(word.start() for word in said), len(sentence)]
        parts = [
            [claims[int(place[1])] for place in _PLACE.finditer(sentence, end, start)]
            for end, start in zip(ends, starts, strict=True)
        ]
        for number, found in enumerate(said):
            before, behind = parts[number], parts[number + 1]
            if found["backward"] and not before and len(behind) > 1:  # "Because of A, B"
                before, behind = behind[1:], behind[:1]
            causes, effects = (behind, before) if found["backward"] else (before, behind)
            if not _holds(causes, effects, metrics):
                return False
    return True


def _holds(causes: Sequence[Claim], effects: Sequence[Claim], metrics: SystemMetrics) -> bool:
    """Whether every effect has a cause here, every cause an effect, and none of them is as it should be."""
    if not causes or not effects:
        return False
    if not all(any(is_edge(cause.metric, effect.metric) for cause in causes) for effect in effects):
        return False
    if not all(any(is_edge(cause.metric, effect.metric) for effect in effects) for cause in causes):
        return False
    return all(_is_abnormal(claim.metric, metrics) for claim in (*causes, *effects))


def _is_abnormal(metric: str, metrics: SystemMetrics) -> bool:
    """What has no threshold may be anything."""
    held, value = threshold_of(metric), metrics.value(metric)
    return held is None or (value is not None and value >= held.warn)


def _flat(text: str) -> str:
    """``text`` in lower case without accents, so that words are found; its places stay."""
    bare = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in bare if not unicodedata.combining(c))
