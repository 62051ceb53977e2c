"""A prompt as its file says it, and the digest of what it says. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson

from coreto.labels import Label
from coreto.languages import Language
from coreto.prompts.variables import Variable, as_json

LANGUAGES: Final[tuple[Language, ...]] = ("pt-BR", "en")
OTHER: Final[Mapping[Language, Language]] = {"pt-BR": "en", "en": "pt-BR"}
"""Where a language falls back to."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message's template. ``line``: where it begins in its file, from 1."""

    speaker: Literal["system", "user"]
    body: str
    line: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of a prompt in one language.

    ``role``: the models' role that it is written for; ``label``: how far its own words may travel; ``fragments``: the
    files that it includes, by name; ``file``: named in messages.
    """

    name: str
    version: int
    language: Language
    parts: tuple[Part, ...]
    variables: tuple[Variable, ...] = ()
    description: str = ""
    role: str | None = None
    label: Label = Label.PUBLIC
    fragments: Mapping[str, str] = field(default_factory=dict[str, str])
    file: str = ""
    source: str = field(default="", repr=False)

    @property
    def title(self) -> str:
        """Name, version and language in one word."""
        return f"{self.name}@{self.version}.{self.language}"

    def variable(self, name: str) -> Variable | None:
        return next((one for one in self.variables if one.name == name), None)


def digest_of(prompt: Prompt) -> str:
    """SHA-256 of all that can change what a model is told, hexadecimal. Two prompts that say the same share it;
    descriptions, names, files and empty lines at the ends do not count."""
    said = {
        "language": prompt.language,
        "role": prompt.role,
        "label": str(prompt.label),
        "parts": [[part.speaker, part.body] for part in prompt.parts],
        "variables": [_said(variable) for variable in sorted(prompt.variables, key=lambda one: one.name)],
        "fragments": dict(prompt.fragments),
    }
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _said(variable: Variable) -> list[object]:
    bounds = [None if bound is None else as_json(bound) for bound in (variable.least, variable.most)]
    default = None if variable.default is None else as_json(variable.default)
    return [
        variable.name,
        variable.kind,
        default,
        list(variable.choices),
        *bounds,
        variable.longest,
        str(variable.label),
    ]
