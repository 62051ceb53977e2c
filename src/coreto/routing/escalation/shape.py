"""Faults of an answer's shape: it goes round in circles, it breaks off, it holds fewer items than were asked for."""

import re
from collections import Counter

from coreto.routing.detection.text import plain, word_set
from coreto.routing.escalation.exchange import Exchange

_TIMES = 4
_WANTS_REPETITION = re.compile(
    r"repit|repet|repeat|vezes|times|poem|poesia|song|letra|m[uú]sica|mantra|chorus|refr[ãa]o|lyrics|ladainha|litany|seed data|tabela|table|csv|loop",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+")
_WORD = re.compile(r"[^\W_]+")
_LONGEST_PERIOD = 40
_LEAST_TAIL = 16


def find_repetition(seen: Exchange) -> str | None:
    """That the same words come again and again, as small models do when they get stuck."""
    if _WANTS_REPETITION.search(seen.asked):
        return None
    if (
        _letters_cycle(seen.tail)
        or (not seen.blocks and _words_cycle(seen.tail))
        or _sentences_repeat(seen.prose[:8_000])
    ):
        return "repeats itself over and over"
    return None


def _letters_cycle(tail: str) -> bool:
    """The last 160 characters are one run of up to 12, over and over."""
    end = tail[-160:]
    if len(end) < 160 or not any(c.isalpha() for c in end):
        return False
    return any(end[period:] == end[:-period] for period in range(1, 13))


def _words_cycle(tail: str) -> bool:
    words = _WORD.findall(tail.lower())[-400:]
    if tail.rpartition("\n")[2].lstrip().startswith("|"):
        return False  # rows of a table are alike
    if len(words) < _LEAST_TAIL or not any(word.isalpha() for word in words[-4:]):
        return False
    for cut in range(min(3, len(words))):  # the token limit may have cut the last round short
        end = words[: len(words) - cut]
        for period in range(1, min(_LONGEST_PERIOD, len(end) // _TIMES) + 1):
            run = 0
            while run + period < len(end) and end[-1 - run] == end[-1 - run - period]:
                run += 1
            if run >= (_TIMES - 1) * period and run + period >= _LEAST_TAIL:
                return True
    return False


def _sentences_repeat(prose: str) -> bool:
    found = [" ".join(s.lower().split()) for s in _SENTENCE.findall(prose) if not s.lstrip().startswith("|")]
    total = sum(map(len, found))
    counts = Counter(s for s in found if s.count(" ") >= 3)
    if not counts:
        return False
    sentence, times = counts.most_common(1)[0]
    return times >= _TIMES and times * len(sentence) * 10 >= total * 3


_HANGING = word_set(
    "the and an or but because which whose their your my its than a de da do dos das e que para com em um uma os as no na nos nas ou mas"
    " porque pelo pela pelos pelas ao aos à seu sua seus suas por quando y el los las del"
)
_LABEL = word_set(
    "letra alternativa opção option choice vitamina vitamin item plan plano grade classe class tipo type grupo group team nota vogal"
)
_ITEM = re.compile(r"\s*(?:[-*•+]|\d{1,3}[.)]|#{1,6}|\||>)\s?")
_CLOSED = re.compile(r"[.!?…;)\]}\"'”’»*_`~|>%°º:✓✔✅\d]\W*$")
_INNER = re.compile(r"[^\W\d_]{3,}[.!?] +[\"“(]?[A-ZÀ-Ý]")


def find_unfinished(seen: Exchange) -> str | None:
    """That the answer breaks off: inside a code block, after a word that wants another, in a sentence."""
    if seen.open:
        return "stops inside a code block"
    if not seen.tail or seen.tail.endswith("```"):
        return None
    last = seen.tail.rpartition("\n")[2].strip()
    words = last.split()
    if len(seen.answer.split()) < 5 or "http" in last:
        return None
    return "stops in the middle of a sentence" if _breaks_off(last, words) else None


def _breaks_off(last: str, words: list[str]) -> bool:
    end = words[-1]
    if end.endswith((",", "(", "[", " -", "–")):
        return len(words) >= 6
    if last.endswith(":"):
        return not _ITEM.match(last) or len(words) > 3
    if end in _HANGING and (len(words) >= 5 or not _ITEM.match(last)):
        return not (len(end) == 1 and len(words) > 1 and words[-2].lower().strip("(") in _LABEL)
    if _CLOSED.search(last) or not end[-1].isalpha():
        return False
    return (
        len(words) >= 8
        and _INNER.search(last) is not None
        and len(re.split(r"[.!?] ", last)[-1].split()) >= 3
    )


_NUMBERS = {
    word: n
    for n, names in enumerate(
        ("dois duas two", "três tres three", "quatro four", "cinco five", "seis six", "sete seven", "oito eight", "nove nine", "dez ten"), 2
    )
    for word in names.split()
} | {"twelve": 12, "doze": 12, "quinze": 15, "fifteen": 15, "twenty": 20, "vinte": 20}  # fmt: skip
_COUNT = re.compile(
    r"(?:^|[.!?;,\n] ?|please |por favor |por favor, |me |pode |poderia |can you |could you |would you |quero que |voce |preciso que )"
    r"(?:liste|listar|cite|citar|enumere|lista|sugira|sugerir|indique|aponte|list|name|suggest|enumerate|propose|recommend"
    r"|(?:de|da|dar|diga|manda|mande|escreva|crie|give|tell|write|show)(?: me| us|-me)?)"
    r" (?:(?:me|us|os|as|the|a|uma|list|lista|of|de|top|at least|pelo menos|exactly|exatamente|best|melhores|principais|main|just|so|apenas) ){0,4}"
    r"(?P<n>\d{1,2}|"
    + "|".join(plain(word) for word in _NUMBERS)
    + r")(?! ?(?:%|mil\b|ou\b|or\b|to\b|a \d|-|[.,:/]\d|º|ª|°))"
    r" (?P<noun>(?:[^\W\d_]+ ?){1,3})"
)
_PLAIN_NUMBERS = {plain(word): n for word, n in _NUMBERS.items()}
_NO_ITEMS = re.compile(
    r"\b(?:anos?|years?|dias?|days?|meses|months?|horas?|hours?|minutos?|minutes?|segundos?|seconds?|reais|dolares|dollars|euros|km|kg|metros|linhas?|lines?"
    r"|caracteres|characters?|paragrafos?|paragraphs?|palavras? sobre|words? (?:about|on)|pages?|paginas?|letters? from|vezes|times|semanas?|weeks?|frases? sobre"
    r"|sentences? (?:about|on|explaining)|graus|degrees|rows?|digits?|digitos?|estrofes?|stanzas?|versos?)\b"
)
_NUMBERED = re.compile(r"^[ \t]*(?:\*\*|#+ )?(?:\w+ )?\d{1,3}[.):ªº\-–—*]", re.MULTILINE)
_BULLETED = re.compile(r"^[ \t]*(?:[-*•+–—▪➤✅◦]|[^\w\s#|(\"'*`]{1,2}) +\S", re.MULTILINE)
_BOLD = re.compile(r"^[ \t]*(?:\*\*|#{1,6} |__)\S", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|(?!\s*:?-)", re.MULTILINE)
_AND = re.compile(r"[,;]|\s(?:e|and|ou|or|y)\s|(?<=[.!?])\s+(?=\S)|\n+")


def find_missing_items(seen: Exchange) -> str | None:
    """That fewer items came than were asked for by number: "list 5 …" and four."""
    asked = plain(seen.asked)
    found = _COUNT.search(asked)
    if found is None or not seen.whole or _NO_ITEMS.search(found["noun"]):
        return None
    wanted = int(found["n"]) if found["n"].isdigit() else _PLAIN_NUMBERS[found["n"]]
    if not 2 <= wanted <= 30:
        return None
    there = count_items(seen)
    return f"{there} items of the {wanted} asked for" if 0 < there < wanted else None


def count_items(seen: Exchange) -> int:
    """The most items that the answer can be said to hold, over all ways to set a list."""
    text = seen.prose
    listed = max(
        len(_NUMBERED.findall(text)), len(_BULLETED.findall(text)), len(_BOLD.findall(text)),
        len(_ROW.findall(text)) - 1, len(seen.blocks),
    )  # fmt: skip
    if listed >= 2:
        return listed
    return len([part for part in _AND.split(seen.answer.strip()) if part and part.strip(" .")])
