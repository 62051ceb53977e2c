"""The languages in which Coreto speaks to people, and texts that are there in both."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Language = Literal["en", "pt-BR"]
Text = Mapping[Language, str]


def both(en: str, pt: str) -> Text:
    """A text in both languages."""
    return MappingProxyType({"en": en, "pt-BR": pt})


def spoken(catalogue: Mapping[str, Text], language: Language, key: str, /, **values: object) -> str:
    """The text of ``key`` in ``language`` with its placeholders filled."""
    return catalogue[key][language].format(**values)
