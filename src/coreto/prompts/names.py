"""Names of prompts, labels and experiments, and what ``name@2`` means. Pure."""

import re
from dataclasses import dataclass
from typing import Final

PRODUCTION: Final = "production"
"""The label that is used where nobody says which version is wanted."""

LATEST: Final = "latest"
"""The label that nobody moves: the greatest version."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A prompt, and which of it: a version, a label, or whatever is usual."""

    name: str
    wanted: int | str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read ``name``, ``name@2`` or ``name@label``. Raises ``ValueError``."""
        name, at, wanted = text.partition("@")
        check_name(name)
        if not at:
            return cls(name)
        if re.fullmatch(r"\d{1,7}", wanted, re.ASCII):
            return cls(name, int(wanted))
        return cls(name, check_label(wanted))


def check_name(text: str) -> str:
    """``text``, when it can be a name. Raises ``ValueError``."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} cannot be a name: up to 64 small letters, digits and . _ -")
    return text


def check_label(text: str) -> str:
    """``text``, when it can be a label: a name, but not a number. Raises ``ValueError``."""
    if text.isdigit():
        raise ValueError(f"{text[:80]!r} cannot be a label: it would be a version")
    return check_name(text)
