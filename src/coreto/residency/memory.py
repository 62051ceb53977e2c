"""What a model takes in memory, worked out from its GGUF header or what a server tells of it.

The figures follow llama.cpp's own: on three architectures the key-value cache agreed to the byte, the compute buffers
within half a percent, and the process's size after a long prompt within three. Mixture-of-experts, latent-attention and recurrent models
were not measured: for them the key-value cache is an upper bound.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from coreto.providers.gguf import GgufHeader, LongArray

#: Bytes of one cached number, by the engine's name of the type.
CACHE_BYTES: Mapping[str, float] = MappingProxyType(
    {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32, "q4_1": 20 / 32, "q4_0": 18 / 32}
)  # fmt: skip

#: Every so many layers one looks at the whole context and the others through the window, where the header has the
#: window but not this. (Of other models every layer is taken to look at all of it: too much is safe.)
_WINDOW_PERIODS: Mapping[str, int] = MappingProxyType(
    {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "llama4": 4, "exaone4": 4}
)

#: Tokens that the engine computes at a time.
_UBATCH = 512
#: Bytes of the tokenizer a token of the vocabulary: with merges, and without.
_MERGES, _NO_MERGES = 0.6 * 1024, 0.3 * 1024
#: Bytes of the engine itself: 16 MiB when loaded, and 12 that its first long prompt adds (measured on three files).
_RUNTIME = 28 * 2**20


class UnknownShapeError(ValueError):
    """The header does not say enough to work the memory out."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What memory depends on. ``weights`` in bytes; by layer: ``kv_heads`` and whether it is ``windowed``;
    ``window`` in tokens; ``feed_forward``: the widest layer's."""

    weights: int
    kv_heads: tuple[int, ...]
    windowed: tuple[bool, ...]
    key_length: int
    value_length: int
    embedding: int
    feed_forward: int
    vocabulary: int
    merges: bool = False
    window: int = 0
    context: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what they are for. ``host`` stays in the machine's own memory when the rest is on a GPU."""

    weights: int
    cache: int
    compute: int
    output: int
    host: int

    @property
    def device(self) -> int:
        """Bytes on the GPU, with all layers there."""
        return self.weights + self.cache + self.compute + self.output

    @property
    def total(self) -> int:
        """Bytes in all: what counts where there is no GPU."""
        return self.device + self.host

    def parts(self) -> tuple[tuple[str, int], ...]:
        """The parts by name, in the order in which they are explained."""
        return (
            ("weights", self.weights),
            ("cache", self.cache),
            ("compute", self.compute),
            ("output", self.output),
            ("host", self.host),
        )


def estimate(shape: Shape, context: int, *, slots: int = 1, cache_type: str = "f16") -> MemoryEstimate:
    """Bytes that the model takes with ``context`` tokens in all, shared by ``slots`` requests at a time.

    Raises ``ValueError`` for a cache type that is not known.
    """
    each = CACHE_BYTES.get(cache_type)
    if each is None:
        raise ValueError(f"unknown cache type {cache_type!r}; one of: {', '.join(CACHE_BYTES)}")
    seen = min(context, shape.window + _UBATCH) if shape.window else context
    per_head = (shape.key_length + shape.value_length) * each
    cache = sum(
        heads * per_head * (seen if windowed else context)
        for heads, windowed in zip(shape.kv_heads, shape.windowed, strict=True)
    )
    compute = 4 * _UBATCH * (3 * shape.feed_forward + 5 * shape.embedding) + 2 * _UBATCH * math.ceil(
        context / slots
    )
    if any(shape.windowed):
        compute += 2 * _UBATCH * seen
    return MemoryEstimate(
        weights=shape.weights,
        cache=math.ceil(cache),
        compute=compute,
        output=4 * shape.vocabulary * slots,
        host=math.ceil((_MERGES if shape.merges else _NO_MERGES) * shape.vocabulary) + _RUNTIME,
    )


def largest_context(shape: Shape, budget: int, *, least: int = 512, slots: int = 1) -> int | None:
    """The longest context, a multiple of 256 tokens, with which the model fits into ``budget`` bytes, at most its
    own; ``None`` where not even ``least`` tokens fit."""
    low, high = math.ceil(least / 256), (shape.context or 131_072) // 256
    if low > high or estimate(shape, low * 256, slots=slots).total > budget:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if estimate(shape, middle * 256, slots=slots).total <= budget:
            low = middle
        else:
            high = middle - 1
    return low * 256


def shape_of(header: GgufHeader) -> Shape:
    """The shape of a model by its file. Raises :class:`UnknownShapeError`."""
    return shape_from(header.metadata, header.tensor_bytes)


def shape_from(metadata: Mapping[str, object], weights: int) -> Shape:
    """The shape by GGUF keys, of a header or of Ollama's ``model_info``; ``weights`` in bytes.

    Raises :class:`UnknownShapeError` naming the key that is missing.
    """
    family = metadata.get("general.architecture")
    if not isinstance(family, str) or not family:
        raise UnknownShapeError("the header has no `general.architecture`")
    layers = _required(metadata, f"{family}.block_count")
    embedding = _required(metadata, f"{family}.embedding_length")
    heads = _by_layer(metadata.get(f"{family}.attention.head_count"), layers)
    if heads is None:
        raise UnknownShapeError(f"the header has no `{family}.attention.head_count`")
    default_length = embedding // max(*heads, 1)
    window = _count(metadata.get(f"{family}.attention.sliding_window")) or 0
    tokens = _length(metadata.get("tokenizer.ggml.tokens"))
    return Shape(
        weights=weights,
        kv_heads=_by_layer(metadata.get(f"{family}.attention.head_count_kv"), layers) or heads,
        windowed=_windowed(metadata, family, layers) if window else (False,) * layers,
        key_length=_count(metadata.get(f"{family}.attention.key_length")) or default_length,
        value_length=_count(metadata.get(f"{family}.attention.value_length")) or default_length,
        embedding=embedding,
        feed_forward=max(
            _by_layer(metadata.get(f"{family}.feed_forward_length"), layers) or (4 * embedding,)
        ),
        vocabulary=_count(metadata.get(f"{family}.vocab_size")) or tokens or 0,
        merges=bool(_length(metadata.get("tokenizer.ggml.merges"))),
        window=window,
        context=_count(metadata.get(f"{family}.context_length")),
    )


def _windowed(metadata: Mapping[str, object], family: str, layers: int) -> tuple[bool, ...]:
    pattern = metadata.get(f"{family}.attention.sliding_window_pattern")
    items = _items(pattern)
    if items:
        flags = [bool(flag) for flag in items]
        return tuple(flags[layer % len(flags)] for layer in range(layers))
    period = _count(pattern) or _WINDOW_PERIODS.get(family, 1)
    return tuple(layer % period < period - 1 for layer in range(layers))


def _required(metadata: Mapping[str, object], key: str) -> int:
    value = _count(metadata.get(key))
    if value is None:
        raise UnknownShapeError(f"the header has no `{key}`")
    return value


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**40 else None


def _by_layer(value: object, layers: int) -> tuple[int, ...] | None:
    """A figure for each layer, which the header gives once or layer by layer."""
    items = _items(value)
    if items is not None:
        figures = tuple(item for item in items if isinstance(item, int) and 0 <= item < 2**40)
        return figures if len(figures) == layers else None
    count = _count(value)
    return None if count is None else (count,) * layers


def _length(value: object) -> int | None:
    if isinstance(value, LongArray):
        return value.length
    items = _items(value)
    return None if items is None else len(items)


def _items(value: object) -> tuple[object, ...] | None:
    return tuple(cast("tuple[object, ...]", value)) if isinstance(value, list | tuple) else None
