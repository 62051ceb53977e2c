"""Figures as people read them."""

from datetime import datetime

from coreto.messages import NANO


def money(nusd: int | None, unknown: str) -> str:
    """Nano-dollars as dollars: ``$0``, ``$1.20``, ``$0.000123``; ``unknown`` where there is no price."""
    if nusd is None:
        return unknown
    sign = "-" if nusd < 0 else ""
    value = abs(nusd) / NANO
    if value == 0:
        return "$0"
    digits = 2 if value >= 1 else 4 if value >= 0.01 else 9
    text = f"{value:.{digits}f}"
    return f"{sign}${text if value >= 1 else text.rstrip('0').rstrip('.')}"


def duration(ms: float | None, decimal: str = ".") -> str:
    """Milliseconds as ``12 ms`` or ``1.2 s``; ``-`` where there is none."""
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s".replace(".", decimal)


def size(count: int | None) -> str:
    """Bytes as ``93 MB`` or ``8.7 GB`` (powers of ten); ``-`` where unknown."""
    if count is None:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def tokens(count: int | None) -> str:
    """A context window: ``512``, ``8K`` (8192) or ``128K`` (128000); ``-`` where unknown."""
    if count is None:
        return "-"
    if count < 1000:
        return str(count)
    return f"{count / (1000 if count % 1000 == 0 else 1024):.0f}K"


def per_million(pico_per_token: int) -> str:
    """A price per million tokens, of whole pico-dollars a token."""
    return f"${pico_per_token / 1e6:.4f}".rstrip("0").rstrip(".")


def moment(epoch: float) -> str:
    """An instant in local time, to the minute."""
    return datetime.fromtimestamp(epoch).astimezone().strftime("%Y-%m-%d %H:%M")
