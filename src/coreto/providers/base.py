"""The seam that everything above the wire is built on.

Fallback, cache, budget and gateway are Providers too: wrappers, not flags.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from coreto.messages import Call, EmbedCall, Item, Json

Items = AsyncGenerator[Item, None]
"""What a provider's own generator yields; ``open`` wraps it in ``contextlib.aclosing``."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as its server lists it. ``size``: bytes on disk; ``context``: tokens; ``local``: runs on
    the machine that serves it (an Ollama cloud stub does not)."""

    name: str
    size: int | None = None
    context: int | None = None
    capabilities: frozenset[str] = frozenset()
    local: bool = True


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a server answers. ``detail`` names what is wrong; ``until`` (epoch seconds) when an
    exhausted account is expected back; ``headroom`` the share of the allowance that is left, 0 to 1, of the
    scarcest window where there are several (``None``: not known, or no limit)."""

    ok: bool
    detail: str = ""
    version: str | None = None
    code: str | None = None
    until: float | None = None
    headroom: float | None = None


class Provider(Protocol):
    """Answers chat calls."""

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """Start ``call``; iterate its items inside the context.

        A non-stream call yields one :class:`Whole`, a stream its :class:`Chunk` s. Leaving the context, by
        exhaustion, error or cancellation, frees socket, lease and reservation before it returns. Failures
        are raised as :class:`~coreto.errors.CallError`, from the iterator as from the entry.
        """
        ...

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models the server has. Raises :class:`~coreto.errors.CallError`."""
        ...

    async def health(self) -> Health:
        """Ask the server how it is, without generating anything. Never raises a ``CallError``."""
        ...

    async def close(self) -> None:
        """Free every connection and process. Idempotent."""
        ...


class Embedder(Protocol):
    """Answers embeddings calls."""

    async def embed(self, call: EmbedCall) -> Json:
        """An OpenAI ``list`` of embeddings. Raises :class:`~coreto.errors.CallError`."""
        ...


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in an engine's memory. Bytes: ``size`` in all, ``size_vram`` of it on the GPU."""

    name: str
    size: int
    size_vram: int = 0
    context: int | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """What an engine tells of a model, from which its memory is worked out. ``metadata``: by GGUF keys;
    ``weights`` in bytes; ``context``: tokens it is loaded with when no others are asked for, where that is known;
    ``slots``: requests it answers at the same time."""

    metadata: Mapping[str, object]
    weights: int
    context: int | None = None
    slots: int = 1


class LocalEngine(Provider, Protocol):
    """A provider whose models are loaded into this machine's memory."""

    async def load(self, model: str, *, context: int | None = None) -> None:
        """Bring ``model`` into memory with a window of ``context`` tokens (``None``: the engine's own choice);
        returns when it can answer. A loaded one stays as it is."""
        ...

    async def describe(self, model: str) -> Described | None:
        """What is known of a model that need not be loaded; ``None`` where the engine does not tell. Raises
        :class:`~coreto.errors.CallError`, a ``MissingModelError`` for one that it does not have."""
        ...

    async def unload(self, model: str) -> None:
        """Free ``model``; returns when its memory is free. No error when it was not loaded."""
        ...

    async def resident(self) -> tuple[Resident, ...]:
        """The models in memory now."""
        ...
