"""Reads a request of another dialect: what is wrong is refused by its name, what is left out is noted. Pure."""

from collections.abc import Container
from typing import Any, cast

from coreto.errors import InvalidRequestError
from coreto.messages import Json


class Notes:
    """The fields that the chat request could not carry, each once, without the indices."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        self._names[name] = None

    def rest(self, body: Json, known: Container[str], at: str = "") -> None:
        """Note the fields of ``body`` that are not ``known`` and say something."""
        for name, value in body.items():
            if name not in known and value is not None:
                self.add(f"{at}.{name}" if at else name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names)


def wrong(at: str, why: str) -> InvalidRequestError:
    """What is raised for the field ``at``."""
    return InvalidRequestError(f"`{at}` {why}", at)


def text(body: Json, name: str, at: str = "") -> str:
    """A field that must be a text."""
    value = body.get(name)
    if not isinstance(value, str):
        raise wrong(_path(at, name), "must be a text")
    return value


def name_of(body: Json, at: str) -> str:
    """The field ``name``, which must not be empty."""
    value = text(body, "name", at)
    if not value:
        raise wrong(f"{at}.name", "must not be empty")
    return value


def count(body: Json, name: str) -> int | None:
    """A field that is a whole number of at least 1, if it is there."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise wrong(name, "must be a whole number of at least 1")
    return value


def truth(body: Json, name: str, at: str = "") -> bool | None:
    """A field that is true or false, if it is there."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(_path(at, name), "must be true or false")
    return value


def an_object(value: object, at: str) -> Json:
    """``value``, which must be an object."""
    if not isinstance(value, dict):
        raise wrong(at, "must be an object")
    return cast("Json", value)


def optional_object(body: Json, name: str, at: str = "") -> Json:
    """A field that is an object; an empty one where it is not there."""
    value = body.get(name)
    return {} if value is None else an_object(value, _path(at, name))


def objects(value: object, at: str) -> list[tuple[str, Json]]:
    """The objects of a list, each with where it is. ``None`` is an empty list."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(at, "must be a list")
    items = cast("list[Any]", value)
    return [(f"{at}[{n}]", an_object(item, f"{at}[{n}]")) for n, item in enumerate(items)]


def texts(body: Json, name: str) -> list[str] | None:
    """A field that is a list of texts, if it is there."""
    value = body.get(name)
    if value is None:
        return None
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(isinstance(item, str) for item in items):
        raise wrong(name, "must be a list of texts")
    return cast("list[str]", items)


def copied(body: Json, names: tuple[str, ...]) -> Json:
    """The fields of ``body`` that both dialects call the same and that say something."""
    return {name: body[name] for name in names if body.get(name) is not None}


def joined(parts: list[str]) -> str:
    """Pieces of text as one."""
    return "\n\n".join(parts)


def content(parts: list[Json]) -> str | list[Json]:
    """A chat message's content: a text where all parts are, as more servers take that than a list."""
    if all(part["type"] == "text" for part in parts):
        return joined([part["text"] for part in parts])
    return parts


def _path(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
