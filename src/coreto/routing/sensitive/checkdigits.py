"""Check digits: which digits can be an identifier. Pure arithmetic; nothing here looks at words.

python-stdnum says it where it knows the number (it is loaded with the first candidate); the Brazilian
PIS, voter, CNH, RENAVAM and payment-slip rules are not in it and stand here.
"""

from collections.abc import Iterable

KNOWN_TESTS = frozenset({
    "4111111111111111", "4242424242424242", "4000056655665556", "5555555555554444", "5105105105105100",
    "378282246310005", "371449635398431", "6011111111111117", "3056930009020004", "30569309025904",
    "4012888888881881", "4222222222222", "2223003122003222", "6200000000000005", "4000000000000002",
})  # fmt: skip
"""Card numbers that the payment networks publish for tests."""

_CPF_PLACEHOLDERS = frozenset({"12345678909", "01234567890"})


def cpf(digits: str) -> bool:
    """Whether ``digits`` are a CPF; repeated and counted-up digits pass the arithmetic, but are nobody's."""
    from stdnum.br import cpf as rules  # noqa: PLC0415  # with the first candidate: 5 ms

    return digits not in _CPF_PLACEHOLDERS and len(set(digits)) > 1 and rules.is_valid(digits)


def cnpj(text: str) -> bool:
    """Whether ``text`` is a CNPJ, of digits or of the alphanumeric form that came in 2026."""
    from stdnum.br import cnpj as rules  # noqa: PLC0415

    return len(set(text)) > 2 and rules.is_valid(text)


def luhn(digits: str) -> bool:
    """Whether the last digit is right by Luhn's rule."""
    from stdnum import luhn as rules  # noqa: PLC0415

    return len(set(digits)) > 1 and rules.is_valid(digits)


def card(digits: str) -> bool:
    """Whether ``digits`` are of an issuer's range and length and pass Luhn's rule."""
    return len(digits) in _card_lengths(digits) and luhn(digits)


def _card_lengths(digits: str) -> tuple[int, ...]:
    two, four, six = int(digits[:2]), int(digits[:4]), int(digits[:6])
    if six in (606282, 637095, 637568, 637599, 637609, 637612):  # Hipercard
        return (16, 19)
    if digits[0] == "4":
        return (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return (16,)
    if two in (34, 37):
        return (15,)
    if two in (36, 38, 39) or 300 <= int(digits[:3]) <= 305:
        return (14, 16)
    if four == 6011 or two == 65 or 644 <= int(digits[:3]) <= 649 or two == 62 or 3528 <= four <= 3589:
        return (16, 17, 18, 19)
    if four in (5018, 5020, 5038, 5067, 5090, 6304, 6363, 6362, 6759, 6761, 6762, 6763):  # Maestro, Elo
        return (16, 19)
    return ()


def iban(text: str) -> bool:
    """Whether ``text`` (capital letters and digits) is an IBAN of a country's length and structure.

    National check digits inside are left alone: banks' own rules have more exceptions than the table knows.
    """
    from stdnum import iban as rules  # noqa: PLC0415

    # the remainder first: it costs 1 µs, the country's structure 20
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1 and rules.is_valid(
        text, check_country=False
    )


def pis(digits: str) -> bool:
    """Whether 11 digits are a PIS, PASEP, NIS or NIT number."""
    rest = 11 - _weigh(digits, (3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(set(digits)) > 1 and int(digits[10]) == (0 if rest > 9 else rest)


def voter(digits: str) -> bool:
    """Whether 12 digits are a Brazilian voter's number. São Paulo and Minas write 1 for a remainder of 0."""
    state = int(digits[8:10])
    if not 1 <= state <= 28:
        return False
    lenient = (0, 1) if state in (1, 2) else (0,)
    rest = _weigh(digits, range(2, 10)) % 11
    first = (rest % 10 if rest == 10 else rest,) if rest else lenient
    rest = _weigh(digits[8:11], (7, 8, 9)) % 11
    second = (rest % 10 if rest == 10 else rest,) if rest else lenient
    return int(digits[10]) in first and int(digits[11]) in second


def cnh(digits: str) -> bool:
    """Whether 11 digits are a Brazilian driver's registration number."""
    first = _weigh(digits, range(9, 0, -1)) % 11
    less = 2 if first > 9 else 0
    second = _weigh(digits, range(1, 10)) % 11 - less
    second = 0 if second < 0 or second > 9 else second
    return len(set(digits)) > 1 and digits[9:] == f"{0 if first > 9 else first}{second}"


def renavam(digits: str) -> bool:
    """Whether 9 to 11 digits are a vehicle's RENAVAM; short ones had their zeros left out."""
    digits = digits.zfill(11)
    rest = _weigh(digits, (3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) * 10 % 11
    return len(set(digits)) > 1 and int(digits[10]) == rest % 10


def slip(digits: str) -> bool:
    """Whether 47 digits are the line of a bank slip (boleto) with an amount or a due date in it."""
    fields = (digits[:10], digits[10:21], digits[21:32])
    # a line of zeros passes the arithmetic: it is what forms show as an example
    return digits[33:].strip("0") != "" and all(_mod10(field) for field in fields)


def ssn(digits: str) -> bool:
    """Whether nine digits can be a United States social security number."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def routing(digits: str) -> bool:
    """Whether nine digits are an American bank's routing number."""
    return digits.strip("0") != "" and _weigh(digits, (3, 7, 1, 3, 7, 1, 3, 7, 1)) % 10 == 0


def _weigh(digits: str, weights: Iterable[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _mod10(field: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(field[:-1])):
        product = int(digit) * (1 if place % 2 else 2)
        total += product // 10 + product % 10
    return int(field[-1]) == -total % 10
