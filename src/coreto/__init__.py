"""Coreto: local and cloud language models that work as one.

The names below are loaded when first used, so that ``import coreto`` stays quick.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING

from coreto.errors import (
    CallError,
    ConfigError,
    CoretoError,
    ExhaustedError,
    InvalidRequestError,
    MissingExtraError,
    PrivacyError,
    UnknownModelError,
)
from coreto.labels import Label

if TYPE_CHECKING:
    from coreto.client import Answer, Coreto, Parsed

__all__ = [
    "Answer",
    "CallError",
    "ConfigError",
    "Coreto",
    "CoretoError",
    "ExhaustedError",
    "InvalidRequestError",
    "Label",
    "MissingExtraError",
    "Parsed",
    "PrivacyError",
    "UnknownModelError",
]


def __getattr__(name: str) -> object:
    if name in ("Answer", "Coreto", "Parsed"):
        return getattr(import_module("coreto.client"), name)
    if name == "__version__":
        return metadata.version("coreto")
    raise AttributeError(f"module 'coreto' has no attribute {name!r}")
