"""Sizes and time zones as people write them."""

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_bytes(value: object) -> int:
    """Bytes of a size: a whole number, or text such as "16 GB" or "512 MiB".

    GB and GiB both mean 2**30, as model sizes are quoted. Raises ``ValueError`` that shows the form.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a size such as "16 GB" or a number of bytes')
    number, unit, _ = match.groups()
    return round(float(number) * 1024 ** _POWERS[unit.lower()])


def parse_budget(value: object) -> int | str:
    """As :func:`parse_bytes`, or the word "auto"."""
    if value == "auto":
        return "auto"
    found = parse_bytes(value)
    if found == 0:
        raise ValueError('a size above 0 such as "16 GB", or "auto"')
    return found


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises ``ValueError`` that shows the form."""
    if name == "UTC":  # known everywhere, also where the system has no list of zones
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError('the name of a time zone such as "America/Sao_Paulo"') from None


def check_zone(name: str) -> str:
    """``name`` if it names a time zone. Raises ``ValueError``."""
    zone(name)
    return name
