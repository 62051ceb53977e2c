"""Private life told in sentences: health, children, belief, origin, love, politics, crime, money, secrets.

A word such as "diabetes" is no secret; "my father has diabetes" is one. So each rule wants a term and,
in the same sentence or the one before, the sign of a particular person; talk about a subject ("write an
article about …", "what are the symptoms of …") counts only when somebody is named.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from coreto.routing.sensitive import vocabulary
from coreto.routing.sensitive.context import beginnings, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.people import People, people_in
from coreto.routing.sensitive.spans import Span

_LONGEST = 600
"""Characters judged as one sentence at most, so that a text without full stops stays linear."""

_END = re.compile(r"(?<=[.!?;])\s+(?=[^a-z])|\n+")
_ABBREVIATED = re.compile(
    r"(?:^|[ (])(?:[A-Z]|[Dd]rs?|[Dd]ras?|[Ss]ras?|[Ss]rs?|[Mm]rs?|[Mm]s|[Pp]rof|[Aa]v|[Rr]|vs|etc|[Nn]o|[Jj]r|[Ss]t)\.$"
)
_MONEY = re.compile(
    r"(?:r\$|us\$|\$|€|£|usd|brl|eur) ?\d|(?<![\w])\d[\d.,]* ?(?:mil|k|reais|euros?|dolares|dollars|brl|usd|eur|gbp|milh\w+|million|thousand|a year|a month|por mes|por ano)(?![a-z])"
)
_FIGURE = re.compile(r"(?<![\d.,/-])(?:\d{1,3}[.,]\d{3}|\d{4,6})(?![\d.,/-]*\d)")
_PAY_SIZE = re.compile(  # nobody's pay is $12, unless it is an hour's
    r"\d[\d.,]*\d{2}|\d ?(?:k|mil|thousand|milh\w+|million)(?![a-z])|(?:an|per|por|/) ?(?:hour|hora|h|day|dia|week|semana)(?![a-z])"
)
_DIGIT = re.compile(r"\d")
_AGE = re.compile(
    r"(?<![\d.,/])(?:[1-9]|1[0-7])(?: ?(?:anos?|anin?hos|meses|years?(?: old)?|yo|y/o|months?(?: old)?)(?![a-z])|-year-old|-month-old)|(?<=[ (])(?:[1-9]|1[0-7])(?=\))|(?<=[a-z], )(?:[1-9]|1[0-7])(?=,)|(?:is|turned|fez|has turned) (?:[1-9]|1[0-7])(?![\d:/.,%])"
)
_ANY_AGE = re.compile(r"(?<![\d.,/])\d{1,3} ?(?:anos|years old|yo|y/o)(?![a-z])|\d{1,3}-year-old")
_CID = re.compile(
    r"(?<![a-z])(?:cid|icd)(?:-?1[01])?[ :-]{1,3}[a-tv-z]\d{2}(?:\.\d{1,2})?(?![a-z0-9])|(?<![a-z0-9.])[a-tv-z]\d{2}\.\d(?![\d.])(?=.{0,40}(?:laudo|atestado|diagnos))"
)
_RECORD = words(
    r"pacientes?(?=[ :,]).{0,40}(?:\d|:)", r"patient(?=[ :,]).{0,40}(?:\d|:)", r"prontuario", r"laudo", r"atestado", r"medical record", r"add to the record", r"client notes", r"chart", r"anamnese",
    r"\d{1,3} ?(?:y/o|yo|anos|year[- ]old|years old),? (?:male|female|m|f|man|woman|masculino|feminin[oa]|homem|mulher)", r"(?:resumo|summary|relato) d[oe] caso", r"case (?:note|summary|report)", r"this note", r"evolucao", r"guia tiss", r"beneficiari[oa]", r"receituario", r"relatorio (?:psicologico|medico)", r"encaminho", r"discharge summary", r"ficha (?:medica|dela|dele|d[ao])",
)  # fmt: skip
_FIRST_HAS = re.compile(
    r"(?<![a-z'])(?:i (?:have|had|am|was|got|take|took|suffer|live with|struggle|tested|need|just|recently|still|think i)|i've|i'm|my(?: \w+){0,2}|am i|do i have|could i|me (?:deu|diagnostic)"
    r"|put me on|(?:eu )?(?:tenho|tive|estou|to|fui|sou|sofro|tomo|tomei|faco|fiz|descobri|comecei|peguei|parei|uso|convivo)|(?:parar|paro|parando|comecar) (?:de |a )?(?:tomar|usar)|(?:stop|start|quit)(?:ping|ting)? taking|minhas?(?: \w+){0,2}|meus?(?: \w+){0,2}|sera que|me (?:trato|sinto)|estive|perdi)(?![a-z])"
)
_FIRST_TALK = re.compile(
    r"(?<![a-z])(?:dog|cat|pet|puppy|kitten|cachorr[oa]|gat[oa])s?(?![a-z])|(?:question|article|essay|post|paper|exams?(?![a-z])|course|class|study|novel|story|script|game|character|livro|conto|romance|cena|roteiro|personagem|writing|interested|reading|curious|working|researching|building|making|duvida|prova|artigo|redacao|curso|trabalho|tcc|pesquis|escrev|lendo|estud|doctor appointment for my dog|project|projeto|app|campaign|campanha|book|talk|presentation|cliente|customers?|users?|pergunta)"
)
_GENERIC = re.compile(
    r"^\W*(?:what|which|how (?:do|does|can|to|many|much|common|long|is|are)|why|when (?:did|was|is|do)|who (?:won|wrote|is|was)|is (?:it|there|the)|are (?:there|the)|can (?:a|you|people)|does|do|explain|describe|define|list|compare|tell me about"
    r"|o que|qual|quais|como|por que|porque|quando|onde|quem|quant[oa]s?|existe|explique|explica|descreva|defina|liste|compare|me fal[ae] sobre|a partir de que)(?![a-z])"
)
_METAPHOR = re.compile(
    r"(?:market|mercado|projeto|project|app|server|servidor|processo|process|code|codigo|economy|economia|software|deploy|bug|battery|bateria|heap|engine|build|weather|tempo) (?:\w+ ){0,2}(?:is|e|esta|morreu|had|teve|is having|are)|allerg\w+ to (?:meetings|work|mornings|mondays|small talk|bullshit|bugs)|alergic\w a (?:reunia\w+|trabalho|segunda)|(?:heart attack|infarto|stroke|cancer|aneurism\w*) (?:of the|quando vi|when i saw|about (?:this|the))"
)
_CUSTODY = re.compile(
    r"(?:guarda (?:d[aoe]s?|compartilhada)|custody|conselho tutelar|child protective|adoc?[pt]\w+|visitation)"
)
_FILED = re.compile(
    r"(?:ficha|cadastro|candidat\w|applicant|consta|record|field|anota|registra|mark|file|hire|employee|funcionari|dele|dela)"
)
_LINKS = re.compile(
    r"(?:am|is|was|'s|he's|she's|i'm|are|e|era|sou|virou|ser|came out|out to me|comecou|started|became|tornou|identif\w+|se declara\w*|declared?|consta|como|as|:|of)(?: [a-z-]+){0,3} $"
)


@dataclass(frozen=True, slots=True)
class _Sentence:
    plain: str
    low: str
    at: int
    people: People
    #: the whole text, and who is spoken of anywhere in it
    text: str
    everyone: People


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    terms: tuple[str, ...]
    holds: Callable[[_Sentence, re.Match[str]], bool]


def find_prose(seen: Folded) -> Iterator[Span]:
    """What sentences tell about a particular person; the span is the word that tells it, one a kind."""
    rules = [rule for rule, stems in _compiled_stems() if stems & seen.heads]
    if not rules:
        return
    missing = list(rules)
    everyone: People | None = None
    for start, end in _sentences(seen.plain):
        plain, low = seen.plain[start:end], seen.low[start:end]
        hits = [(rule, match) for rule in missing for match in _first_terms(rule, low)]
        if not hits:
            continue
        everyone = everyone or people_in(seen.plain[:2_000], seen.low[:2_000])
        sentence = _Sentence(plain, low, start, people_in(plain, low), seen.low, everyone)
        for rule, match in hits:
            if rule in missing and rule.holds(sentence, match):
                missing.remove(rule)
                yield Span(start + match.start(), start + match.end(), rule.kind)
        if not missing:
            return


def _first_terms(rule: _Rule, low: str) -> list[re.Match[str]]:
    """At most four terms of a rule in a sentence: whoever says more says them of the same person."""
    found: list[re.Match[str]] = []
    for match in _pattern(rule.terms).finditer(low):
        found.append(match)
        if len(found) == 4:
            break
    if rule.kind == "health":
        found.extend(_CID.finditer(low))
    return found


def _sentences(plain: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _END.finditer(plain):
        if _ABBREVIATED.search(plain[max(start, match.start() - 8) : match.start()]):
            continue
        yield from _pieces(start, match.start())
        start = match.end()
    yield from _pieces(start, len(plain))


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _LONGEST:
        yield start, start + _LONGEST
        start += _LONGEST - 80  # a term and its person may stand on both sides of the cut
    if end > start:
        yield start, end


@cache
def _pattern(terms: tuple[str, ...]) -> re.Pattern[str]:
    return words(*terms)


@cache
def _compiled_stems() -> tuple[tuple[_Rule, frozenset[str]], ...]:
    """Each rule with the first letters of its terms, as :attr:`Folded.heads` has them."""
    return tuple((rule, beginnings(*rule.terms)) for rule in _RULES)


def _is_topic(sentence: _Sentence) -> bool:
    """Whether the sentence is about a subject: a question to an encyclopaedia, a text to be written, a novel.

    Whoever is named or is somebody's mother is no subject: "how much is taken off Bruna's salary?"
    """
    if _pattern(vocabulary.FICTION).search(sentence.low):
        return True
    if sentence.people.name or sentence.people.relation:
        return False
    return (
        _GENERIC.search(sentence.low) is not None
        or _pattern(vocabulary.TOPICAL).search(sentence.low) is not None
    )


def _somebody(sentence: _Sentence) -> bool:
    """Whether somebody other than the writer is spoken of, here or just before."""
    return not _is_topic(sentence) and (sentence.people.other or sentence.everyone.name)


def _writer(sentence: _Sentence, match: re.Match[str]) -> bool:
    """Whether the writer says it of himself: "I was diagnosed with …", "tomo …"."""
    left = sentence.low[max(0, match.start() - 60) : match.start() + 3]
    said = list(_FIRST_HAS.finditer(left))
    return bool(said) and _FIRST_TALK.search(left[said[-1].start() :]) is None


def _health(sentence: _Sentence, match: re.Match[str]) -> bool:
    if _METAPHOR.search(sentence.low):
        return False
    if _CID.fullmatch(match.group()):
        return sentence.people.any or sentence.everyone.name or _RECORD.search(sentence.low) is not None
    record = _RECORD.search(sentence.low) is not None and not _is_topic(sentence)
    if record and (
        sentence.people.name or _ANY_AGE.search(sentence.low) or re.search(r"\d{3}\.\d{3}", sentence.low)
    ):
        return True
    if (
        match.group() in _COMMON
        and not _DIGIT.search(sentence.low)
        and not sentence.people.name
        and not sentence.people.relation
    ):
        return _writer(sentence, match) and match.group() not in _WEAK
    return _somebody(sentence) or _writer(sentence, match)


_COMMON = frozenset(
    {
        "cirurgia",
        "surgery",
        "terapia",
        "diagnosis",
        "diagnostico",
        "medicacao",
        "alergia",
        "allergy",
        "stroke",
        "ist",
        "std",
        "sti",
        "add",
        "tea",
        "prep",
        "gota",
        "base",
        "als",
    }
)
_WEAK = frozenset({"ist", "add", "tea", "prep", "gota", "als"})


def _measured(sentence: _Sentence, match: re.Match[str]) -> bool:
    valued = _DIGIT.search(sentence.low) or re.search(
        r"(?<![a-z])(?:positiv[oe]|negativ[oe]|alterad[oa]|reagente|high|low|alt[oa]|baix[oa])(?![a-z])",
        sentence.low,
    )
    if not valued or _is_topic(sentence):
        return False
    return _somebody(sentence) or _writer(sentence, match) or sentence.people.first


def _child(sentence: _Sentence, match: re.Match[str]) -> bool:
    """A minor with two of: a name, an age, a school or a routine; or a dispute over one."""
    del match
    low = sentence.low
    if _CUSTODY.search(low):
        return sentence.people.any and not _is_topic(sentence)
    signs = (
        sentence.people.name,
        _AGE.search(low) is not None,
        _pattern(vocabulary.SCHOOL).search(low) is not None,
    )
    return sum(signs) >= 2 and (sentence.people.name or sentence.people.relation) and not _is_topic(sentence)


def _named_child(sentence: _Sentence, match: re.Match[str]) -> bool:
    """A named person of a minor's age at a school: "pick up Noah (5) from daycare"."""
    del match
    return sentence.people.name and _AGE.search(sentence.low) is not None and not _is_topic(sentence)


_NAMED_AGE = re.compile(
    r"[A-Z][a-z]{2,},? \(?(?:de |com |tem |fez |is |aged? )?(?:[1-9]|1[0-7])(?:\)| anos| aninhos| meses| years? old| yrs?)"
)


def _aged_child(sentence: _Sentence, match: re.Match[str]) -> bool:
    """A name with a child's age right after it: "Joaquim, de 5 anos"."""
    del match
    return sentence.people.name and _NAMED_AGE.search(sentence.plain) is not None and not _is_topic(sentence)


def _belonging(sentence: _Sentence, match: re.Match[str]) -> bool:
    """Belief, origin, love and politics of somebody: a person and a word that says what the person is."""
    if _is_topic(sentence):
        return False
    left = sentence.low[max(0, match.start() - 40) : match.start()]
    linked = _LINKS.search(left) is not None or _FILED.search(sentence.low) is not None
    people = sentence.people
    if people.name or people.relation:
        return True
    if people.third:
        return linked
    return (
        people.first
        and re.search(
            r"(?<![a-z'])(?:i'?m|i am|sou|eu sou|me identifico|i came|me assumi|i voted|votei)(?: [a-z-]+){0,2} ?$",
            left + match.group()[:0],
        )
        is not None
    )


def _origin(sentence: _Sentence, match: re.Match[str]) -> bool:
    """Words of colour and origin are words for cars and food too: they need a name or a file as well."""
    people = sentence.people
    if match.group() in _COLOURS:
        left = sentence.low[max(0, match.start() - 24) : match.start()]
        return (
            (people.name or people.relation)
            and (_LINKS.search(left) is not None or _FILED.search(sentence.low) is not None)
            and re.match(r"(?: ?[.,;!]| ?$| and| e |, )", sentence.low[match.end() :]) is not None
        )
    return _belonging(sentence, match) and (
        people.name or people.relation or _FILED.search(sentence.low) is not None
    )


_COLOURS = frozenset(
    {
        "black",
        "preto",
        "preta",
        "negro",
        "negra",
        "pardo",
        "parda",
        "asian",
        "latino",
        "latina",
        "roma",
        "raca",
        "race",
        "hispanic",
    }
)


def _crime(sentence: _Sentence, match: re.Match[str]) -> bool:
    del match
    if _is_topic(sentence):
        return False
    return (
        sentence.people.name
        or sentence.people.relation
        or (
            sentence.people.third
            or re.search(r"(?<![a-z])(?:fui|sou|i was|i have|i'm|tenho|meu|minha|my)(?![a-z])", sentence.low)
            is not None
        )
    )


def _biometric(sentence: _Sentence, match: re.Match[str]) -> bool:
    del match
    sent = re.search(
        r"(?:anex\w+|segue|attach\w*|upload\w*|envi\w+|scan of|cadastr\w+|regist\w+|enroll\w*|store|salv\w+|sample)",
        sentence.low,
    )
    if _is_topic(sentence):
        return False
    return sentence.people.name or sentence.people.relation or (sentence.people.any and sent is not None)


def _pay(sentence: _Sentence, match: re.Match[str]) -> bool:
    figure = _MONEY.search(sentence.low) or (
        match.group().startswith("salar") and _FIGURE.search(sentence.low)
    )
    if not figure or not _PAY_SIZE.search(sentence.low) or _is_topic(sentence):
        return False
    if sentence.people.other:
        return True
    left = sentence.low[max(0, match.start() - 30) : match.end()]
    return (
        re.search(
            r"(?<![a-z'])(?:i (?:\w+ )?(?:make|earn|get paid|am paid)|i'm (?:making|paid|earning)|my (?:\w+ ){0,2}|me pagam|ganho|recebo|meus? (?:\w+ ){0,2}|minha (?:\w+ ){0,2})",
            left,
        )
        is not None
    )


def _debt(sentence: _Sentence, match: re.Match[str]) -> bool:
    low = sentence.low
    if not (
        _MONEY.search(low)
        or re.search(
            r"(?:\d{2,} (?:dias|days)|score\D{0,8}\d{3}|serasa|negativad|\d (?:parcelas|months|meses)|overdue|bankrupt|evict|despej)",
            low,
        )
    ) or _is_topic(sentence):
        return False
    if match.group() in (
        "balance",
        "saldo",
        "base",
        "score",
        "parcelas",
        "declined",
        "savings",
        "default",
        "defaults",
    ) and not (sentence.people.name or sentence.people.first):
        return False
    if sentence.people.name or sentence.people.relation or sentence.people.third:
        return True
    left = low[max(0, match.start() - 30) : match.end()]
    return (
        re.search(
            r"(?<![a-z'])(?:i (?:\w+ )?(?:owe|am|have)|i'm|my|meus?|minhas?|devo|estou|tenho|to|fiquei)(?![a-z])",
            left,
        )
        is not None
    )


def _deal(sentence: _Sentence, match: re.Match[str]) -> bool:
    """Terms of a deal that is said to be secret: who with, or for how much."""
    del match
    low = sentence.low
    if _is_topic(sentence) or not _pattern(vocabulary.DEALS).search(low):
        return False
    party = re.search(
        r"(?<!^)(?<![.!?:] )(?<![\w])[A-Z][a-z]+(?: (?:S\.A\.|Ltda|Inc|LLC|Corp|GmbH))?", sentence.plain[1:]
    )
    return (
        _MONEY.search(low) is not None
        or (party is not None and _DIGIT.search(low) is not None)
        or re.search(r"\d+ ?%", low) is not None
    )


def _matter(sentence: _Sentence, match: re.Match[str]) -> bool:
    """A dismissal, a divorce, a lawsuit of somebody: named, or spoken of in confidence."""
    del match
    if _is_topic(sentence) or _METAPHOR.search(sentence.low):
        return False
    return sentence.people.name or (sentence.people.other and _QUIET.search(sentence.text) is not None)


_QUIET = re.compile(
    r"(?:don'?t (?:tell|share|mention)|do not (?:tell|share)|keep (?:it|this|that) (?:quiet|secret|between)|between (?:us|you and me)|nobody knows|no one knows|doesn't know|don't know yet|confidential"
    r"|nao (?:conta|comenta|fala|espalha|divulg)|ninguem (?:sabe|pode saber)|entre nos|segredo|sigilo|em off|confidencial|ainda nao sabe|nao sabe ainda|minha|my)"
)
_RULES = (
    _Rule(
        "health", (*vocabulary.CONDITIONS, *vocabulary.CARE, *vocabulary.MEDICATIONS, r"cid", r"icd"), _health
    ),
    _Rule("health", vocabulary.MEASURES, _measured),
    _Rule("child", vocabulary.MINORS, _child),
    _Rule("child", vocabulary.SCHOOL, _named_child),
    _Rule("child", vocabulary.AGES, _aged_child),
    _Rule("religion", vocabulary.RELIGION, _belonging),
    _Rule("ethnicity", vocabulary.ETHNICITY, _origin),
    _Rule("sexual_orientation", vocabulary.ORIENTATION, _belonging),
    _Rule("political", vocabulary.POLITICS, _belonging),
    _Rule("union", vocabulary.UNION, _belonging),
    _Rule("criminal", vocabulary.CRIME, _crime),
    _Rule("biometric", vocabulary.BIOMETRIC, _biometric),
    _Rule("salary", vocabulary.PAY, _pay),
    _Rule("name_finance", vocabulary.DEBT, _debt),
    _Rule("contract", vocabulary.SECRECY, _deal),
    _Rule("confidential", vocabulary.MATTERS, _matter),
)
