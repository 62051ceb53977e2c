"""What the doctor finds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Severity(StrEnum):
    """``error``: something that is wanted does not work; ``warning``: it works worse than it could;
    ``hint``: nobody suffers."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know. ``subject``: whom it is about; ``mend``: an exact command or setting."""

    symptom: str
    severity: Severity
    sentence: str
    mend: str
    subject: str = ""


class Make(Protocol):
    """Makes a finding from the texts of its symptom; ``mend`` among the values replaces the symptom's own."""

    def __call__(self, symptom: str, severity: Severity, subject: str = "", **values: object) -> Finding: ...
