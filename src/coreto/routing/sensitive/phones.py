"""Telephone numbers, Brazilian and international, judged by libphonenumber where their form is plausible.

The library's own matcher reads every digit of a text (6.5 ms for 4.5 kB), so candidates are found here.
"""

import re
from collections.abc import Iterator

from coreto.routing.sensitive.context import THINGS, after, before, nearest, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.spans import Span

_CANDIDATE = re.compile(
    r"(?<![\w.,/@#+-])(?:(?P<plus>\+|00(?=[1-9]))[ ]?)?\(?\d{1,15}+(?:(?:[ ]?[().-]{1,2}[ ]?|[ ])\d{1,15}+){0,14}+",
    re.ASCII,
)
_GOES_ON = re.compile(r"[\w@]|[.,/:-]\d", re.ASCII)
_TRUNK = re.compile(r"(?<![\w])0 ?x{2} ?(?=\d{2}\b)")
_BRAZIL = re.compile(
    r"(?:\+?55 ?)?(?:\(0?[1-9]\d\) ?(?:9[ .]?)?\d{4}[ .-]?\d{4}|0?[1-9]\d[ .-](?:9[ .]?)?\d{4}[ .-]?\d{4})"
)
_AMERICA = re.compile(r"(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[.-])[2-9]\d{2}[ .-]\d{4}")
_SAID = words(
    r"telefones?", r"tel\.?", r"fones?", r"celular(?:es)?", r"cel\.?", r"whats(?:app)?", r"zap", r"wpp", r"wats", r"ligar?",
    r"liga", r"ligue", r"ligando", r"contatos?", r"ddd", r"fixo", r"chama(?:r)?", r"chame", r"phones?", r"phone number",
    r"mobile", r"cell(?:phone)?", r"call(?:ed|ing|s)?", r"texts?", r"texting", r"ring", r"dial", r"reach(?:able)?", r"fax",
    r"sms", r"movil", r"telefono", r"llama(?:r|me)?", r"contact", r"ramal", r"recado", r"telegram", r"signal", r"mensagem",
    r"pager", r"landline", r"hotline", r"voicemail",
)  # fmt: skip
_NUMBER = words(
    r"(?:meu|minha|seu|nosso|my|her|his|their|our) (?:numero|number|n\.?)", r"numero (?:dele|dela|do|da|de)"
)
_COUNTRIES = {"+44": "GB", "07": "GB"}


def find_phones(seen: Folded) -> Iterator[Span]:
    """Telephone numbers of people; emergency, toll-free and short numbers are nobody's."""
    if not seen.has_digits:
        return
    plain = seen.plain
    if "x" in seen.low and _TRUNK.search(seen.low):  # "0 xx 19 …", as numbers were printed for years
        plain = _TRUNK.sub(lambda m: " " * len(m.group()), seen.low)
    for match in _CANDIDATE.finditer(plain):
        for start, end in _parts(plain, match):
            written = plain[start:end]
            digits = "".join(c for c in written if c.isdigit())
            plus = start == match.start() and match.group("plus") is not None
            if 8 <= len(digits) <= 15 and _is_phone(seen, (start, end), written, plus=plus):
                yield Span(start, end, "phone")
                break


def _parts(plain: str, match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The candidate as it stands; then what in it has a phone's form, where another number follows."""
    ends = [group.end() for group in re.finditer(r"\d+", match.group(), re.ASCII)]
    spans = [match.span()]
    if match.group("plus"):
        counted = [(end, sum(c.isdigit() for c in match.group()[:end])) for end in ends[:10]]
        spans += [(match.start(), match.start() + end) for end, size in reversed(counted) if 10 <= size <= 15]
    if len(ends) > 1:
        for pattern in (_BRAZIL, _AMERICA):
            spans += [inner.span() for inner in pattern.finditer(plain, match.start(), match.end())]
    for start, end in spans:
        inside = start > match.start() and plain[start - 1].isalnum()
        if not inside and not _GOES_ON.match(plain, end):
            yield start, end


def _is_phone(seen: Folded, place: tuple[int, int], written: str, *, plus: bool) -> bool:
    digits = "".join(c for c in written if c.isdigit())
    if digits.startswith(("0800", "0300", "0500", "1800", "18009")) or written.startswith(
        ("(800)", "800-", "888-")
    ):
        return False
    left, right = before(seen.low, place[0]), after(seen.low, place[1])
    said = min(nearest(_SAID, left), nearest(_NUMBER, left))
    thing = nearest(THINGS, left)
    said_after = _SAID.search(right) is not None or _NUMBER.search(right) is not None
    if plus:
        return len(digits) >= 9 and (said < 10_000 or said_after or is_number(written, None))
    if thing < said:
        return False
    dotted = written[:1] != "(" and re.match(r"\d{2}\.", written) is not None
    if _BRAZIL.fullmatch(written) and not dotted and is_number(written, "BR"):
        return said < 10_000 or said_after or "-" in written or "(" in written or len(digits) >= 11
    if _AMERICA.fullmatch(written):
        return is_number(written, "US")
    if said >= 10_000 and not said_after:
        return False
    return any(is_number(written, region) for region in ("BR", "US", "GB", "PT", "ES")) or (
        said <= 20 and len(digits) in (8, 9, 10, 11) and _plausible(written)
    )


def _plausible(written: str) -> bool:
    """Whether digits are grouped as phones are, for numbers that no numbering plan knows."""
    groups = [len(group) for group in re.findall(r"\d+", written)]
    return (max(groups) == 1 or (groups[-1] >= 3 and len(groups) <= 5)) and not re.search(
        r"\d\.\d{3}\.", written
    )


def is_number(written: str, region: str | None) -> bool:
    """Whether ``written`` is a number of the plan of ``region``, or of any with its country code in front."""
    import phonenumbers  # noqa: PLC0415  # with the first candidate: 25 ms

    try:
        number = phonenumbers.parse(
            written if region or written.startswith("+") else "+" + written[2:], region
        )
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)
