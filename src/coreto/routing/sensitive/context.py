"""The words around a candidate: what makes ten digits a phone, and what makes them an order number."""

import re

_ATOM = re.compile(
    r"(?:(?P<letter>[a-z])|\[(?P<letters>[a-z]+)\]|\(\?:(?P<choice>[^()]*)\)|\(\?![^()]*\))(?P<optional>\?)?"
)

BEFORE = 48
AFTER = 32
"""Characters looked at on each side of a candidate: about eight words before and five after."""


def before(low: str, start: int, width: int = BEFORE) -> str:
    """What stands before ``start`` in its line."""
    text = low[max(0, start - width) : start]
    return text[text.rfind("\n") + 1 :]


def after(low: str, end: int, width: int = AFTER) -> str:
    """What stands after ``end`` in its line."""
    text = low[end : end + width]
    cut = text.find("\n")
    return text if cut < 0 else text[:cut]


def words(*alternatives: str) -> re.Pattern[str]:
    """A pattern that finds any of ``alternatives`` (already folded; may hold expressions) as whole words."""
    return re.compile(r"(?<![a-z0-9])(?:" + "|".join(alternatives) + r")(?![a-z0-9])")


def heads(*stems: str) -> frozenset[str]:
    """The first four letters of ``stems``, to be compared with a text's."""
    return frozenset(stem[:4] for stem in stems)


def beginnings(*expressions: str) -> frozenset[str]:
    """The first four letters of every word that ``expressions`` can start with, as in :func:`heads`.

    Understands what the vocabulary is written in: letters, ``[ao]``, ``(?:a|b)`` not nested, and ``?``.
    """
    found: set[str] = set()
    open_ends = [("", expression) for expression in expressions]
    while open_ends:
        start, rest = open_ends.pop()
        atom = _ATOM.match(rest) if len(start) < 4 else None
        if atom is None:
            found.add(start[:4])
            continue
        after_it = rest[atom.end() :]
        if atom.group("letter"):
            choices = [atom.group("letter")]
        elif atom.group("letters"):
            choices = list(atom.group("letters"))
        else:
            choices = (atom.group("choice") or "").split("|")
        if atom.group("optional"):
            choices.append("")
        open_ends += [
            (start, choice + after_it) if len(choice) != 1 else (start + choice, after_it)
            for choice in choices
        ]
    return frozenset(found)


def nearest(pattern: re.Pattern[str], text: str) -> int:
    """How far before the end of ``text`` the last match of ``pattern`` ends; a large number for none."""
    ends = [match.end() for match in pattern.finditer(text)]
    return len(text) - ends[-1] if ends else 10_000


#: What is numbered without being anybody's: it outweighs a weak sign of a phone or a document.
THINGS = words(
    r"pedidos?", r"protocolos?", r"nota(?: fiscal)?", r"nfe?", r"lotes?", r"codigo(?: de barras)?", r"produtos?", r"sku",
    r"pecas?", r"serie", r"serial", r"rastreio", r"rastreamento", r"encomenda", r"processos?", r"edital", r"contrato",
    r"campanhas?", r"campaign(?:_id| id)?", r"contador", r"ciclos", r"pulsos", r"versao", r"version", r"build", r"order",
    r"tickets?", r"invoice", r"tracking", r"part", r"model(?:o)?", r"chamado", r"issue", r"commit", r"isbn", r"patente",
    r"timestamps?", r"epoch", r"job", r"hash", r"port", r"porta", r"linhas?", r"lines?", r"id", r"voo", r"flight", r"error",
    r"batch", r"item", r"matricula", r"apolice", r"policy", r"license key", r"upc", r"ean", r"asin", r"doi", r"case",
    r"reference", r"ref", r"confirmation", r"reserva", r"booking", r"counter", r"rows?", r"bytes", r"hits", r"views",
    r"seguidores", r"followers", r"visualizacoes", r"post", r"receipt", r"recibo", r"shipment",
)  # fmt: skip

#: Says that what follows or went before is no real data.
EXAMPLE = words(
    r"exemplos?", r"examples?", r"e\.g\.?", r"ficticios?", r"ficticias?", r"fake", r"dummy", r"sample",
    r"placeholders?", r"sandbox", r"de testes?", r"(?:for )?testing", r"test (?:card|number|cpf|data|account|mode)s?",
    r"(?:cartao|numero|dado|conta|ambiente|linha) (?:de )?testes?", r"homologacao", r"mock(?:ed)?", r"mascaras?", r"masks?",
    r"formato", r"stripe's", r"invalid[oa]?", r"template", r"modelo",
)  # fmt: skip
