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
    from coreto.hybrid import (
        create_hybrid_commander,
        create_smart_commander,
        get_hybrid_model_manager,
        get_model_manager,
    )

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
    "create_hybrid_commander",
    "create_smart_commander",
    "get_hybrid_model_manager",
    "get_model_manager",
]

_LATER = {
    "Answer": "coreto.client",
    "Coreto": "coreto.client",
    "Parsed": "coreto.client",
    "create_hybrid_commander": "coreto.hybrid",
    "create_smart_commander": "coreto.hybrid",
    "get_hybrid_model_manager": "coreto.hybrid",
    "get_model_manager": "coreto.hybrid",
}


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name == "__version__":
        return metadata.version("coreto")
    raise AttributeError(f"module 'coreto' has no attribute {name!r}")
