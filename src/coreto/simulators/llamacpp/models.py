"""The models that a simulated router finds: names, sizes, contexts."""

from dataclasses import dataclass
from typing import Any

from coreto.simulators.ollama.models import GB, SizeError, parse_size

_PARAMETER_BYTES = 0.6  # as a four-bit file has


@dataclass(frozen=True, slots=True)
class RouterModel:
    """One model. `size`: its weights in bytes; `context`: tokens that its `slots` requests share.

    `surprise`: bytes that it takes beyond its weights, and that nobody is told of.
    """

    name: str
    size: int
    context: int = 4096
    slots: int = 4
    aliases: tuple[str, ...] = ()
    path: str = ""
    surprise: int = 0

    @property
    def file(self) -> str:
        """Where its weights are said to lie."""
        return self.path or f"/models/{self.name.replace('/', '_')}.gguf"

    @property
    def memory(self) -> int:
        """Bytes that it takes when it is loaded."""
        return self.size + self.surprise

    @property
    def parameters(self) -> int:
        """Number of parameters, as a four-bit file of that size would have."""
        return int(self.size / _PARAMETER_BYTES)


MODELS: tuple[RouterModel, ...] = (
    RouterModel("smollm2-135m", 105 * 10**6, 8192),
    RouterModel("qwen2.5-7b-instruct", int(4.7 * GB), 32768, aliases=("qwen",)),
    RouterModel("ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", int(2.5 * GB), 8192),
    RouterModel("nomic-embed-text", 274 * 10**6, 2048),
)


def parse_model(text: str) -> RouterModel:
    """``NAME=SIZE[:CONTEXT]``, for instance ``qwen2.5-7b=4.7 GB:8192``. Raises `SizeError`."""
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise SizeError(f"{text!r} is not NAME=SIZE[:CONTEXT]")
    size, _, context = rest.partition(":")
    if context and not context.strip().isdigit():
        raise SizeError(f"{text!r}: the context must be a number of tokens")
    return RouterModel(name, parse_size(size), int(context or 4096))


def declared(item: dict[str, Any]) -> RouterModel:
    """A model from a control call. Raises `SizeError`, `KeyError` and `TypeError`."""
    fields: dict[str, Any] = {**item, "aliases": tuple(item.get("aliases", ()))}
    size = item["size"]
    fields["size"] = parse_size(size) if isinstance(size, str) else int(size)
    return RouterModel(**fields)
