"""Documents that only their name tells apart from any other number: RG, CNH, voter, SSN, passport, bank …"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coreto.routing.sensitive import checkdigits
from coreto.routing.sensitive.context import after, before, heads, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.spans import Span

_DIGIT = re.compile(r"\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Document:
    """``name`` must stand within ``reach`` characters before the number, or shortly after it. ``valid``
    judges the number without separators, small letters."""

    kind: str
    name: re.Pattern[str]
    stems: frozenset[str]
    number: re.Pattern[str]
    valid: Callable[[str], bool] = lambda _: True
    reach: int = 48


def _number(expression: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.,/@-])(?:{expression})(?![\w@]|[.,/-]\w)", re.ASCII)


def _digits(least: int, most: int) -> Callable[[str], bool]:
    return lambda text: least <= sum(c.isdigit() for c in text) <= most


def _passport(text: str) -> bool:
    return _digits(5, 9)(text) and len(set(text)) > 2


def _nhs(digits: str) -> bool:
    total = sum(int(d) * w for d, w in zip(digits[:9], range(10, 1, -1), strict=True))
    return -total % 11 == int(digits[9])


def _aadhaar(digits: str) -> bool:
    from stdnum import verhoeff  # noqa: PLC0415  # with the first candidate

    return verhoeff.is_valid(digits)


_DOCUMENTS = (
    _Document(
        "rg",
        words(r"rg", r"r\.g\.", r"identidade", r"registro geral", r"ssp(?:/[a-z]{2})?", r"cedula"),
        heads("identidade", "registro", "ssp", "rg", "cedula"),
        _number(r"(?:[a-z]{2}[ -]?)?\d{1,2}\.?\d{3}\.?\d{3}(?:[ -]?[\dx])?"),
        lambda text: _digits(6, 10)(text) and len(set(text)) > 2,
    ),
    _Document(
        "cnh",
        words(r"cnh", r"habilitacao", r"carteira de motorista", r"driver'?s? licen[sc]e", r"driving licen[sc]e"),
        heads("cnh", "habilitacao", "motorista", "driver", "driving"),
        _number(r"\d(?:[ .-]?\d){10}"),
        lambda digits: len(set(digits)) > 2,
    ),
    _Document(
        "voter",
        words(r"titulo(?: de eleitor| eleitoral| do eleitor)?", r"eleitor", r"voter(?:'s)?", r"titulo"),
        heads("titulo", "eleitor", "voter"),
        _number(r"\d(?:[ .-]?\d){11}"),
        checkdigits.voter,
    ),
    _Document(
        "pis",
        words(r"pis", r"pasep", r"nis", r"nit", r"cadastro unico", r"cadunico", r"inss"),
        heads("pis", "pasep", "nis", "nit", "cadastro", "cadunico", "inss"),
        _number(r"\d(?:[ .-]?\d){10}"),
        checkdigits.pis,
    ),
    _Document(
        "renavam",
        words(r"renavam"),
        heads("renavam"),
        _number(r"\d(?:[ .-]?\d){8,10}"),
        lambda digits: len(set(digits)) > 2,
    ),
    _Document(
        "passport",
        words(r"passaportes?", r"passports?", r"pasaporte"),
        heads("passaporte", "passport", "pasaporte"),
        _number(r"[a-z]{1,2}[ -]?\d{6,8}|\d{9}|[a-z]\d{2}[a-z]\d{5}|c[a-z0-9]{8}"),
        _passport,
    ),
    _Document(
        "ssn",
        words(
            r"ssns?", r"social security", r"social", r"taxpayer", r"tax(?: id| form| return)?", r"w-?[29]", r"itin",
            r"payroll", r"employees?", r"background check", r"seguro social",
        ),
        heads("ssn", "ssns", "social", "taxpayer", "tax", "itin", "payroll", "employee", "background", "seguro"),
        _number(r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{3}\.\d{2}\.\d{4}|\d{9}|\d(?: \d){8}"),
        checkdigits.ssn,
    ),
    _Document(
        "national_id",
        words(r"national insurance", r"nino", r"ni (?:number|no)"),
        heads("national", "nino", "ni"),
        _number(r"[a-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]"),
    ),
    _Document("national_id", words(r"nhs"), heads("nhs"), _number(r"\d{3}[ -]?\d{3}[ -]?\d{4}"), _nhs),
    _Document(
        "national_id", words(r"aadhaar", r"aadhar"), heads("aadhaar"), _number(r"\d{4}[ -]?\d{4}[ -]?\d{4}"), _aadhaar
    ),
    _Document(
        "national_id",
        words(r"dni", r"nie", r"nif", r"documento nacional"),
        heads("dni", "nie", "nif", "documento"),
        _number(r"[xyz]?-?\d{7,8}-?[a-z]"),
        lambda text: len(text.replace("-", "")) == 9,
    ),
    _Document(
        "national_id",
        words(r"nif", r"dni", r"cuit", r"cuil", r"rut", r"curp", r"cedula", r"numero de contribuinte", r"sus", r"cns",
              r"id card", r"identity card", r"national id", r"identification number", r"sin", r"ctps"),
        heads("nif", "dni", "cuit", "cuil", "rut", "curp", "cedula", "contribuinte", "sus", "cns", "card", "identity", "national", "sin", "ctps"),
        _number(r"\d(?:[ .-]?\d){7,14}(?:-?[\dk])?|[a-z]{4}\d{6}[hm][a-z]{5}[a-z0-9]\d"),
        lambda text: len(set(text)) > 2,
        24,
    ),
    _Document(
        "bank",
        words(
            r"conta(?: corrente| poupanca| bancaria| salario)?", r"c/c", r"cc", r"c/p", r"agencia", r"ag\.?",
            r"account(?: number| no\.?| #)?", r"acct\.?", r"a/c", r"sort code", r"bsb", r"checking", r"savings",
        ),
        heads("conta", "agencia", "ag", "cc", "account", "acct", "sort", "bsb", "checking", "savings"),
        _number(r"\d{1,3}(?:[.]\d{3})+-[\dx]|\d{2}-\d{4,5}-\d{3}|\d{4}\.\d{4,6}-[\dx]|\d{3,12}-[\dx]|\d{2}-\d{2}-\d{2}|\d{6,12}"),
        _digits(4, 14),
        20,
    ),
    _Document(
        "bank",
        words(r"routing(?: number| no\.?)?", r"aba"),
        heads("routing", "aba"),
        _number(r"\d{9}"),
        checkdigits.routing,
        20,
    ),
    _Document(
        "bank",
        words(r"pix", r"chave aleatoria"),
        heads("pix", "chave"),
        _number(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"),
        reach=60,
    ),
    _Document(
        "plate",
        words(
            r"placas?", r"(?:license|licence|number|registration) plates?", r"plates?", r"carros?", r"motos?", r"veiculos?",
            r"car", r"vehicle", r"truck", r"caminhao", r"detran", r"multas?", r"estacionad[oa]", r"parked", r"uber",
        ),
        heads("placa", "license", "licence", "number", "registration", "plate", "carro", "moto", "veiculo", "car", "cars",
              "vehicle", "truck", "caminhao", "detran", "multa", "estacionad", "parked", "uber"),
        _number(r"[a-z]{3}[ -]?\d[a-z0-9]\d{2}|\d[a-z]{3}\d{3}|[a-z]{2}\d{2} ?[a-z]{3}"),
    ),
    _Document("device", words(r"imei"), heads("imei"), _number(r"\d{15}"), checkdigits.luhn),
)  # fmt: skip

_CONCEPT = words(
    r"exemplos?",
    r"example",
    r"cpfs?",
    r"cnpj",
    r"telefone",
    r"celular",
    r"phone",
    r"cartao",
    r"cep",
    r"protocolo",
    r"pedido",
    r"order",
    r"edital",
    r"formato",
    r"format",
    r"como e",
    r"invalid[oa]?",
    r"nao e",
    r"not an?",
    r"ficticio",
    r"fake",
)
_BANK_TWICE = words(r"agencia", r"ag\.?", r"sort code", r"bsb", r"routing", r"poupanca", r"corrente", r"cc", r"c/c",
                    r"bancari[ao]", r"bank", r"banco", r"wire", r"transfer\w*", r"deposit\w*", r"ted", r"doc", r"checking",
                    r"account number", r"account no\.?", r"acct", r"itau", r"bradesco", r"nubank", r"santander", r"caixa")  # fmt: skip
_NOT_BANK = words(
    r"anuncios?", r"ads?", r"act", r"github", r"user", r"twitter", r"instagram", r"luz", r"agua", r"google"
)


def find_documents(seen: Folded) -> Iterator[Span]:
    """Numbers that stand next to the name of a document."""
    if not seen.has_digits:
        return
    for document in _DOCUMENTS:
        if not document.stems & seen.heads:
            continue
        reach = document.reach
        done = -1
        for name in document.name.finditer(seen.low):
            if name.end() <= done:
                continue
            found = _near(seen, document, name, reach)
            for span in found:
                if document.kind != "bank" or _is_bank(seen, span):
                    yield span
                    done = max(done, span.end)


def _near(seen: Folded, document: _Document, name: re.Match[str], reach: int) -> list[Span]:
    """The first number after ``name``, else the last one shortly before it."""
    low = seen.low
    stop = _line_end(low, name.end(), name.end() + reach + 44)
    for match in document.number.finditer(low, name.end(), stop):
        if match.start() - name.end() > reach:
            break
        if _good(document, match) and not _CONCEPT.search(low[name.end() : match.start()]):
            return [Span(match.start(), match.end(), document.kind)]
    first = max(0, name.start() - 44)
    left = [m for m in document.number.finditer(low, first, name.start()) if _good(document, m)]
    close = [m for m in left if name.start() - m.end() <= 24 and "\n" not in low[m.end() : name.start()]]
    if close and not _CONCEPT.search(after(low, name.end(), 24) + low[first : name.start()]):
        return [Span(close[-1].start(), close[-1].end(), document.kind)]
    return []


def _good(document: _Document, match: re.Match[str]) -> bool:
    compact = re.sub(r"[ .-]", "", match.group())
    return _DIGIT.search(compact) is not None and document.valid(compact)


def _is_bank(seen: Folded, span: Span) -> bool:
    """Whether an account is one of a bank: every service on the net has accounts with numbers too."""
    around = before(seen.low, span.start, 100) + after(seen.low, span.end, 60)
    if "-" in seen.low[span.start : span.end] and len(seen.low[span.start : span.end]) == 36:
        return True
    return _BANK_TWICE.search(around) is not None and _NOT_BANK.search(before(seen.low, span.start)) is None


def _line_end(low: str, start: int, stop: int) -> int:
    cut = low.find("\n", start, stop)
    return min(len(low), stop) if cut < 0 else cut
