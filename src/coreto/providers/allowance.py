"""How much of an account's allowance is left, from what its provider tells about it. Pure; garbage is not known."""

import math
from collections.abc import Mapping
from typing import Any

from coreto.messages import as_object

WINDOWS = ("session", "weekly", "monthly")
"""Ollama Cloud's limits, the one that comes back soonest first."""


def used_windows(usage: Mapping[str, Any]) -> dict[str, float]:
    """The used share of each limit in Ollama Cloud's ``/api/usage``; a missing or null one is no limit.

    Undocumented, so that anything may stand there: the models are a list or an object, and neither counts here.
    """
    limits = as_object(usage.get("limits"))
    shares = ((window, _number(as_object(limits.get(window)).get("usage"))) for window in WINDOWS)
    return {window: share for window, share in shares if share is not None}


def left_of_usage(usage: Mapping[str, Any]) -> float | None:
    """The share, 0 to 1, that is left of the scarcest of Ollama Cloud's limits; ``None``: no limit is known."""
    used = used_windows(usage)
    return _share(1.0 - max(used.values())) if used else None


def left_of_key(answer: Mapping[str, Any]) -> float | None:
    """The share, 0 to 1, that is left of an OpenRouter key's limit (``GET /key``); ``None``: it has none."""
    data = as_object(answer.get("data"))
    limit, left = _number(data.get("limit")), _number(data.get("limit_remaining"))
    if limit is None or left is None or limit < 0:
        return None
    return _share(left / limit) if limit else 0.0


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _share(value: float) -> float:
    return min(1.0, max(0.0, value)) if math.isfinite(value) else 1.0
