"""Whether a sentence speaks of a particular person, and by what sign."""

import re
from dataclasses import dataclass
from functools import cache

from coreto.routing.sensitive import vocabulary
from coreto.routing.sensitive.context import words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.names import ALSO_WORDS, GIVEN_NAMES, NOT_PEOPLE, PUBLIC_FIGURES

_CAPITALISED = re.compile(
    r"(?<![\w@/.-])[A-Z][a-z]+(?:-[A-Z][a-z]+)?(?: (?:d[aeo]s? |von |van |de la )?[A-Z][a-z]+){0,3}(?![\w@])"
)
_INITIAL = re.compile(
    r"(?<![\w.])(?:[A-Z]\. ?){1,2}[A-Z][a-z]{2,}|(?<![\w.])[A-Z][a-z]{2,} [A-Z]\.(?!\w)|(?<![\w.])(?!U\.S\.|U\.K\.|S\.A\.|E\.U\.|A\.M\.|P\.M\.|N\.Y\.|L\.A\.|D\.C\.|P\.S\.)(?:[A-Z]\.){2,3}(?=,| [(,])"
)
_TITLED = re.compile(
    r"(?<![a-z0-9])(?:sr\.?|sra\.?|srta\.?|seu|dona|dr\.?|dra\.?|mr\.?|mrs\.?|ms\.?|miss|prof\.?|professora?|tia|tio|uncle|aunt"
    r"|senhora?|don|dona) (?=[A-Z])",
    re.IGNORECASE,
)
_ROLE = (
    r"(?:pacientes?|clientes?|funcionari[oa]|colega|vizinh[oa]|chefe|estagiari[oa]|alun[oa]|candidat[oa]|inquilin[oa]|locatari[oa]"
    r"|beneficiari[oa]|baba|zelador|porteir[oa]|motorista|diarista|empregad[oa]|socio|socia|gerente|patient|client|employee|coworker"
    r"|co-worker|colleague|neighbou?r|boss|manager|intern|student|candidate|applicant|tenant|landlord|nanny|driver|teammate|roommate"
    r"|hire|customer|cleaner|babysitter|segurad[oa]|titular|gestante|resident|inmate|defendant|suspect|assistant|secretary|secretari[oa]|c[efto]o|diretora?|director|professora?|teacher|accountant|contadora?|desenvolvedora?|developer|analista|analyst|gardener|maid|cook|enfermeir[oa]|nurse|engineer|engenheir[oa]|designer|vendedora?|accountant|caseir[oa]|faxineir[oa]|lawyer|advogad[oa]|therapist|subordinad[oa]|lead|lider|supervisora?|entregador[ae]?|pedreiro|garcon\w*|cozinheir[oa]|vigia|jardineir[oa]|eletricista|encanador|atendente|recepcionista|hospede|passageir[oa]|moradora?|sindic[oa]|moc[oa]|rapaz|senhora?|guy|lady|courier|guest|passenger|waiter|waitress|plumber|guard|receptionist|volunteer|voluntari[oa]|au pair|respondent|witness|testemunha|vitima|victim|user|usuari[oa]|member|recruit|trainee|aprendiz|operari[oa]|soldado|soldier|pastora?|partner|investor|buyer|seller|compradora?|passenger|tutor|coach|trainer|donor|doadora?)"
)
_KIN = (
    r"(?:mae|pai|marido|esposa|mulher|esposo|namorad[oa]|noiv[oa]|irma|irmao|filh[oa]s?|net[oa]|av[oa]|sogr[oa]|cunhad[oa]|ti[oa]|prim[oa]"
    r"|sobrinh[oa]|amig[oa]|enteado|enteada|ex|companheir[oa]|mother|mom|mum|father|dad|husband|wife|partner|boyfriend|girlfriend|fiancee?"
    r"|brother|sister|son|daughter|kids?|child|grandmother|grandma|grandfather|grandpa|grandson|granddaughter|aunt|uncle|cousin|nephew"
    r"|niece|friend|stepson|stepdaughter|parents?|spouse|roommate|in-laws?|mother-in-law|father-in-law|nora|genro|madrasta|padrasto|bisav[oa]|afilhad[oa]|madrinha|padrinho|mommy|daddy|madre|padre|hij[oa]|herman[oa])"
)
_POSSESSED = words(
    rf"(?:meus?|minhas?|nosso|nossa|my|our|mi|his|her|dele|dela) (?:\w+ )?(?:{_KIN}|{_ROLE})",
    rf"{_KIN} (?:dele|dela)",
    rf"{_ROLE} (?:#|no?\.? ?|id ?|number |numero )?\d+",
    r"(?:mom|mum|dad|grandma|grandpa|nana|mamae|papai|vovo|vovó|vo)(?:'s)?",
)
_RELATION = words(rf"(?:o|a|do|da|ao|the|este|esta|esse|essa|this|that|one of our) {_ROLE}")
_ROLE_NAME = re.compile(rf"(?<![a-zA-Z])(?i:{_ROLE}|{_KIN}),? (?=[A-Z][a-z]+)")
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
_ACTS = re.compile(
    r" (?:is|was|has|had|spent|went|took|told|said|got|gets|keeps|needs|can't|cannot|won't|doesn't|didn't|isn't|filed|admitted|confessed|disclosed|lost|started|stopped|missed|asked|wants|just|recently|still"
    r"|came|joined|voted|takes|uses|lives|works|earns|owes|attends|identifies|converted|tested|e|esta|ta|tem|foi|passou|contou|disse|pediu|precisa|quer|perdeu|comecou|parou|faltou|recebe|ganha|responde|cumpre"
    r"|toma|faz|vive|deve|mora|frequenta|virou|testou|usa|sofre|nao|anda)(?![a-z])"
)
_NOUN = re.compile(
    r".*(?:s|tion|ment|ness|ity|ing|ism|ance|ence|cao|coes|dade|mento|agem|ology|ologia|ure|ship|hood)$"
)
_NO_SUBJECT = frozenset(
    """
    everyone someone nobody nothing everything people most some many all each both one there police court congress government life love work
    money time today tomorrow yesterday now then but and so because since while after before every any another other alguem ninguem tudo nada
    todos muitos cada outro gente policia governo justica tribunal vida amor trabalho dinheiro tempo mas porque depois antes enquanto nunca sempre
    never always maybe perhaps talvez also tambem not nao sim yes no ok sure thanks obrigado team equipe server servidor system sistema data code
    research science medicine doctor medico therapy war guerra crime food music art sleep water exercise alcohol tobacco society inflation
    marriage divorce religion politics poverty hunger stress pain dor sangue blood
    """.split()  # noqa: SIM905  # prose is easier to extend than quoted strings
)
_DEPARTMENT = re.compile(
    r",? (?:from|in) (?:sales|hr|accounting|marketing|finance|legal|support|engineering|it|payroll)\b|,? d[oa] (?:rh|financeiro|marketing|comercial|juridico|suporte|ti|vendas|portaria)\b"
)
_ARTICLE = re.compile(
    r"(?<![a-z])(?:o|a|do|da|ao|pro|pra|com|de|pela|pelo|for|about|from|with|of|e|and|client|named|chamad[oa]) $"
)
_ENGLISH_ARTICLE = re.compile(r"(?<![a-z])(?:for|about|from|with|of|and|client|named) $")
_ENGLISH = re.compile(r"(?<![a-z])(?:the|of|from|is|my|and|how|with|are|for|this|that|in|on|was)(?![a-z])")
_FIELD = re.compile(
    r"(?:name|nome|cadastro|titular|segurad[oa]|client[e]?|paciente|patient|alun[oa]|student|candidat[oa]|candidate|applicant|funcionari[oa]|employee|favorecido): (?=[A-Z])",
    re.IGNORECASE,
)
_FAMILY = re.compile(
    r"(?<![A-Za-z])[Tt]he (?=[A-Z][a-z]+s (?:are|have|owe|were|had|got)(?![a-z]))|(?<![a-z])[Ff]am[ií]l(?:ia|y) (?=[A-Z])"
)


@dataclass(frozen=True, slots=True)
class People:
    """Signs of a particular person. ``name``: one is named; ``relation``: "my mother", "the tenant";
    ``kin``: the first of the two, which is never just anybody;
    ``third``: he, she; ``first``: the writer."""

    name: bool = False
    relation: bool = False
    kin: bool = False
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
    kin = _POSSESSED.search(low) is not None
    return People(
        name=_named(plain, low) is not None,
        relation=kin or _RELATION.search(low) is not None,
        kin=kin,
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

    for pattern in (_TITLED, _ROLE_NAME, _FIELD, _FAMILY):
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
    if re.match(r" [A-Z]{2,}(?![a-z])", plain[match.end() : match.end() + 4]):  # "Face ID"
        return False
    if initial and len(parts) > 1 and tail.startswith("'s"):  # "Delete Gwen's …"
        return True
    if (_LINKED.match(tail) and (known or not initial)) or _DEPARTMENT.match(low, match.end()):
        return True
    if len(parts) in (2, 3) and tail[:1] in (",", ":", ";", "("):  # "Amara Obi, born in …"
        return True
    article = _ENGLISH_ARTICLE if _ENGLISH.search(low) else _ARTICLE
    if initial and len(parts) == 1 and _acts(parts[0], low, match.end()):
        return True
    linked = (
        len(parts) < whole
        and low[match.start() :].split(" ", 1)[0] not in ("the", "o", "a", "os", "as", "an")
    ) or article.search(low[: match.start()]) is not None
    return not initial and linked and len(parts) <= 3


def _acts(word: str, low: str, end: int) -> bool:
    """Whether an unknown capitalised word at the start of a sentence does what people do, and is no noun."""
    if word in _NO_SUBJECT or _NOUN.match(word) or not _ACTS.match(low, end):
        return False
    return _subjects().fullmatch(word) is None


@cache
def _subjects() -> re.Pattern[str]:
    """Illnesses, crimes and beliefs start sentences about themselves: "Diabetes is …"."""
    return words(
        *vocabulary.CONDITIONS,
        *vocabulary.CARE,
        *vocabulary.MEDICATIONS,
        *vocabulary.CRIME,
        *vocabulary.RELIGION,
        *vocabulary.POLITICS,
    )


def _starts_sentence(plain: str, at: int) -> bool:
    left = plain[max(0, at - 3) : at].rstrip(" \"'(*#>-")
    return not left or left[-1] in ".!?:\n"
