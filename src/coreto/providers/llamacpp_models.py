"""What llama.cpp's router says of its models in ``GET /models``. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from coreto.messages import Json, as_object, as_objects

#: States in which a model has a process of its own. The router lists no other for one that is being stopped.
RUNNING = frozenset({"loading", "loaded", "sleeping"})
#: Requests that a model answers at the same time where nobody has said how many.
AUTO_SLOTS = 4

_CONTEXT = ("--ctx-size", "-c")
_SLOTS = ("--parallel", "-np")
#: Whose tensors are all in memory: the model, its projector of images, its draft model.
_FILES = (("--model", "-m"), ("--mmproj", "-mm"), ("--model-draft", "-md"))


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as the router lists it.

    ``state``: as the router calls it, empty where the server is no router; ``exit_code``: of a process that has
    failed, though the router also gives one for models that nobody tried to load; ``arguments``: those that its
    process is, or would be, started with. Known of loaded ones only: ``weights`` in bytes and ``window``, the
    tokens of one request.
    """

    name: str
    aliases: tuple[str, ...] = ()
    state: str = ""
    exit_code: int | None = None
    arguments: tuple[str, ...] = ()
    path: str | None = None
    weights: int | None = None
    window: int | None = None

    def is_called(self, name: str) -> bool:
        """Whether the router takes ``name`` for this model."""
        return name == self.name or name in self.aliases

    @property
    def slots(self) -> int:
        """Requests that it answers at the same time."""
        return _number(self._argument(_SLOTS)) or AUTO_SLOTS

    @property
    def total(self) -> int | None:
        """Tokens that are kept for all requests together; ``None`` where only the file, or the free memory, will
        decide."""
        given = _number(self._argument(_CONTEXT))
        if given or self.window is None:
            return given
        return self.window if self._shared else self.window * self.slots

    @property
    def context(self) -> int | None:
        """Tokens of one request; ``None`` as for ``total``."""
        if self.window or self.total is None:
            return self.window
        return self.total if self._shared else self.total // self.slots

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of what is loaded, the model's first; empty where the router does not tell the model's."""
        model, *others = (self._argument(names) for names in _FILES)
        model = model or self.path
        return (model, *(path for path in others if path)) if model else ()

    @property
    def _shared(self) -> bool:
        """Whether each request may take all that is free: so it is where nobody says how many there are."""
        flags = {"--kv-unified", "-kvu"} & set(self.arguments)
        return bool(flags) or _number(self._argument(_SLOTS)) is None

    def _argument(self, names: tuple[str, ...]) -> str | None:
        """The last value given by one of ``names``, as llama.cpp takes it."""
        values = (v for k, v in zip(self.arguments, self.arguments[1:], strict=False) if k in names)
        return next(reversed(list(values)), None)


def read_list(body: Json) -> tuple[Listed, ...]:
    """The models in the body of ``GET /models``; what cannot be read is left out."""
    return tuple(_read(m) for m in as_objects(body.get("data")) if isinstance(m.get("id"), str))


def find(listed: Iterable[Listed], name: str) -> Listed | None:
    """The model called ``name``, by its own name before any alias."""
    models = tuple(listed)
    own = (model for model in models if model.name == name)
    return next(own, None) or next((model for model in models if model.is_called(name)), None)


def _read(entry: Json) -> Listed:
    status, meta = as_object(entry.get("status")), as_object(entry.get("meta"))
    state, path = status.get("value"), entry.get("path")
    return Listed(
        name=str(entry["id"]),
        aliases=_texts(entry.get("aliases")),
        state=state if isinstance(state, str) else "",
        exit_code=_whole(status.get("exit_code")),
        arguments=_texts(status.get("args")),
        path=path if isinstance(path, str) else None,
        weights=_whole(meta.get("size")),
        window=_whole(meta.get("n_ctx")),
    )


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(text: str | None) -> int | None:
    """A positive number; ``None`` for everything else, 0 and -1 for "decide yourself" included."""
    return (
        int(text) if text and len(text) < 12 and text.isascii() and text.isdecimal() and int(text) else None
    )
