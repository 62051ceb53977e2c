"""Whether a sentence speaks of a particular person, and by what sign."""

import re
from dataclasses import dataclass
from functools import cache

from coreto.routing.sensitive.context import words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.names import ALSO_WORDS, GIVEN_NAMES, NOT_PEOPLE, PUBLIC_FIGURES

_CAPITALISED = re.compile(
    r"(?<![\w@/.-])[A-Z][a-z]+(?:-[A-Z][a-z]+)?(?: (?:d[aeo]s? |von |van |de la )?[A-Z][a-z]+){0,3}(?![\w@])"
)
_INITIAL = re.compile(r"(?<![\w.])(?:[A-Z]\. ?){1,2}[A-Z][a-z]{2,}|(?<![\w.])[A-Z][a-z]{2,} [A-Z]\.(?!\w)")
_TITLED = re.compile(
    r"(?<![a-z0-9])(?:sr\.?|sra\.?|srta\.?|seu|dona|dr\.?|dra\.?|mr\.?|mrs\.?|ms\.?|miss|prof\.?|professora?|tia|tio|uncle|aunt"
    r"|senhora?|don|dona) (?=[A-Z])",
    re.IGNORECASE,
)
_ROLE = (
    r"(?:pacientes?|clientes?|funcionari[oa]|colega|vizinh[oa]|chefe|estagiari[oa]|alun[oa]|candidat[oa]|inquilin[oa]|locatari[oa]"
    r"|beneficiari[oa]|baba|zelador|porteir[oa]|motorista|diarista|empregad[oa]|socio|socia|gerente|patient|client|employee|coworker"
    r"|co-worker|colleague|neighbou?r|boss|manager|intern|student|candidate|applicant|tenant|landlord|nanny|driver|teammate|roommate"
    r"|hire|customer|cleaner|babysitter|segurad[oa]|titular|gestante|resident|inmate|defendant|suspect|assistant|secretary|secretari[oa]|c[efto]o|diretora?|director|professora?|teacher|accountant|contadora?|desenvolvedora?|developer|analista|analyst|gardener|maid|cook|enfermeir[oa]|nurse|engineer|engenheir[oa]|designer|vendedora?|accountant|caseir[oa]|faxineir[oa]|lawyer|advogad[oa]|therapist|subordinad[oa]|lead|lider|supervisora?)"
)
_KIN = (
    r"(?:mae|pai|marido|esposa|mulher|esposo|namorad[oa]|noiv[oa]|irma|irmao|filh[oa]s?|net[oa]|av[oa]|sogr[oa]|cunhad[oa]|ti[oa]|prim[oa]"
    r"|sobrinh[oa]|amig[oa]|enteado|enteada|ex|companheir[oa]|mother|mom|mum|father|dad|husband|wife|partner|boyfriend|girlfriend|fiancee?"
    r"|brother|sister|son|daughter|kids?|child|grandmother|grandma|grandfather|grandpa|grandson|granddaughter|aunt|uncle|cousin|nephew"
    r"|niece|friend|stepson|stepdaughter|parents?|spouse|roommate|in-laws?|mother-in-law|father-in-law|madre|padre|hij[oa]|herman[oa])"
)
_RELATION = words(
    rf"(?:meus?|minhas?|nosso|nossa|my|our|mi|his|her|dele|dela) (?:\w+ )?(?:{_KIN}|{_ROLE})", rf"{_KIN} (?:dele|dela)",
    rf"{_ROLE} (?:#|no?\.? ?|id ?|number |numero )?\d+",
    rf"(?:o|a|do|da|ao|the|este|esta|esse|essa|this|that|one of our) {_ROLE}",
)  # fmt: skip
_ROLE_NAME = re.compile(rf"(?<![a-z]){_ROLE},? (?=[A-Z][a-z]+)", re.IGNORECASE)
_THIRD = words(
    r"ele",
    r"ela",
    r"dele",
    r"dela",
    r"he",
    r"she",
    r"his",
    r"her",
    r"him",
    r"he's",
    r"she's",
    r"nele",
    r"nela",
)
_FIRST = words(
    r"eu",
    r"meus?",
    r"minhas?",
    r"mim",
    r"comigo",
    r"me",
    r"i",
    r"i'm",
    r"i've",
    r"i'd",
    r"my",
    r"mine",
    r"myself",
)
_LINKED = re.compile(
    r"^(?:'s| (?:is|was|has|had|got|told|came|e|foi|tem|esta|ta|ja|toma|fez|sofre|deve|ganha|earns|owes|makes|joined|voted|teve|recebe|mora))(?![a-z])"
)
_ARTICLE = re.compile(
    r"(?<![a-z])(?:o|a|do|da|ao|pro|pra|com|de|pela|pelo|for|about|from|with|of|e|and|client|named|chamad[oa]) $"
)


@dataclass(frozen=True, slots=True)
class People:
    """Signs of a particular person. ``name``: one is named; ``relation``: "my mother", "the tenant";
    ``third``: he, she; ``first``: the writer."""

    name: bool = False
    relation: bool = False
    third: bool = False
    first: bool = False

    @property
    def other(self) -> bool:
        """Whether somebody other than the writer is spoken of."""
        return self.name or self.relation or self.third

    @property
    def any(self) -> bool:
        return self.other or self.first


def people_in(plain: str, low: str) -> People:
    """The signs in a sentence, given with its case and without."""
    return People(
        name=_named(plain, low) is not None,
        relation=_RELATION.search(low) is not None,
        third=_THIRD.search(low) is not None,
        first=_FIRST.search(low) is not None,
    )


def points_to_person(seen: Folded, start: int, end: int) -> bool:
    """Whether somebody is named within 80 characters of a place in the text."""
    first, last = max(0, start - 80), end + 80
    return _named(seen.plain[first:last], seen.low[first:last]) is not None


@cache
def _public() -> re.Pattern[str]:
    return words(*(re.escape(name) for name in PUBLIC_FIGURES))


def _named(plain: str, low: str) -> tuple[int, int] | None:
    """Where a private person's name stands."""
    public = [m.span() for m in _public().finditer(low)]

    def private(start: int, end: int) -> bool:
        return not any(a < end and start < b for a, b in public)

    for pattern in (_TITLED, _ROLE_NAME):
        for match in pattern.finditer(plain):
            word = re.match(r"[A-Z][a-z]+", plain[match.end() :])
            if word and word.group().lower() not in NOT_PEOPLE and private(match.end(), match.end() + 1):
                return match.end(), match.end() + word.end()
    for match in _INITIAL.finditer(plain):
        if private(*match.span()):
            return match.span()
    for match in _CAPITALISED.finditer(plain):
        if private(*match.span()) and _is_name(plain, low, match):
            return match.span()
    for match in re.finditer(
        r"(?<![a-z])(?:o|a|do|da|pro|pra|my friend|meu amigo|minha amiga) ([a-z]{3,})", low
    ):
        word = match.group(1)
        if word in GIVEN_NAMES and word not in ALSO_WORDS and private(*match.span(1)):
            return match.span(1)
    return None


def _is_name(plain: str, low: str, match: re.Match[str]) -> bool:
    parts = [part for part in re.split(r"[ -]", match.group().lower()) if len(part) > 2]
    whole = len(parts)
    while parts and parts[0] in NOT_PEOPLE:  # "Client Aaron", "Monday Bruno"
        parts = parts[1:]
    if not parts:
        return False
    initial = _starts_sentence(plain, match.start()) and len(parts) == whole
    known = [part for part in parts if part in GIVEN_NAMES]
    if known and (len(parts) > 1 or known[0] not in ALSO_WORDS or not initial):
        return parts[0] in GIVEN_NAMES or not any(part in NOT_PEOPLE for part in parts[1:])
    if any(part in NOT_PEOPLE for part in parts):
        return False
    tail = low[match.end() : match.end() + 12]
    if _LINKED.match(tail) and (known or not initial):
        return True
    if len(parts) in (2, 3) and tail[:1] in (",", ":", ";", "("):  # "Amara Obi, born in …"
        return True
    linked = (
        len(parts) < whole
        and low[match.start() :].split(" ", 1)[0] not in ("the", "o", "a", "os", "as", "an")
    ) or _ARTICLE.search(low[: match.start()]) is not None
    return not initial and linked and len(parts) <= 3


def _starts_sentence(plain: str, at: int) -> bool:
    left = plain[max(0, at - 3) : at].rstrip(" \"'(*#>-")
    return not left or left[-1] in ".!?:\n"
