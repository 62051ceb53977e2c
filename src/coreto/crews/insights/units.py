"""Units: which may stand for which, and numbers as people read them."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Final

from coreto.crews.insights.metrics.readings import Unit
from coreto.languages import Language

_BYTES: Mapping[str, int] = {
    "bytes": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("k", "M", "G", "T"), 1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("K", "M", "G", "T"), 1)},
}

CONVERSIONS: Final[Mapping[str, tuple[Unit, Decimal]]] = MappingProxyType(
    {
        "percent": ("percent", Decimal(1)),
        "%": ("percent", Decimal(1)),
        "count": ("count", Decimal(1)),
        "per second": ("per second", Decimal(1)),
        "per cpu": ("per cpu", Decimal(1)),
        "ms": ("ms", Decimal(1)),
        "s": ("ms", Decimal(1000)),
        **{name: ("bytes", Decimal(factor)) for name, factor in _BYTES.items()},
        **{f"{name}/s": ("bytes/s", Decimal(factor)) for name, factor in _BYTES.items()},
    }
)
"""What a claim may be stated in: the metric's unit that it means, and how many of those one is."""

_BEHIND: Mapping[str, Mapping[Language, str]] = {
    "percent": {"en": "%", "pt-BR": "%"},
    "%": {"en": "%", "pt-BR": "%"},
    "count": {"en": "", "pt-BR": ""},
    "per second": {"en": "/s", "pt-BR": "/s"},
    "per cpu": {"en": " per CPU", "pt-BR": " por CPU"},
}


def stated(value: float, unit: Unit) -> tuple[Decimal, str]:
    """``value`` as one would say it: three significant digits and more, in a unit of a fitting size."""
    scaled, said = value, str(unit)
    if unit in {"bytes", "bytes/s"}:
        for prefix in ("k", "M", "G", "T"):
            if abs(scaled) < 1000:
                break
            scaled /= 1000
            said = f"{prefix}B" + ("/s" if unit == "bytes/s" else "")
    exact = Decimal(repr(scaled))
    if exact == 0 or exact == exact.to_integral_value():
        return exact.quantize(Decimal(1)), said
    places = min(12, max(1 if abs(scaled) >= 10 else 2, 2 - exact.adjusted()))
    rounded = exact.quantize(Decimal(1).scaleb(-places if abs(scaled) < 1000 else 0), ROUND_HALF_EVEN)
    return rounded, said


def shown(value: Decimal, unit: str, language: Language) -> str:
    """A number with its unit, in the language's notation."""
    text = f"{value:f}"
    if language == "pt-BR":
        text = text.replace(".", ",")
    behind = _BEHIND.get(unit)
    return f"{text} {unit}" if behind is None else f"{text}{behind[language]}"
