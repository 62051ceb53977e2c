"""The settings while they are put together: layers merged into one tree that knows who set what."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

Key = tuple[str | int, ...]
Table = dict[str, Any]
Kind = Literal["default", "file", "dotenv", "environment", "flag"]
# Weakest first.
KINDS: tuple[Kind, ...] = ("default", "file", "dotenv", "environment", "flag")

_SHOWN = 40
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SEGMENT = re.compile(r'\s*(?:"([^"]*)"|\'([^\']*)\'|([^."\'\s]+))\s*(\.|$)')


@dataclass(frozen=True, slots=True)
class Source:
    """Who set a value. ``origin`` is what `config show` prints, ``where`` how an error line begins."""

    kind: Kind
    origin: str
    where: str


DEFAULT = Source("default", "default", "")
FLAG = Source("flag", "flag", "flag")


def dotted(key: Key) -> str:
    """The key as written in TOML: ``roles.chat.chain[0]``, ``models."ollama/phi3:mini".context``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else f'"{part}"')
    return text


def split_dotted(text: str) -> Key:
    """The inverse of :func:`dotted` for keys without an index. Raises ``ValueError``."""
    parts: list[str | int] = []
    position = 0
    while position < len(text) or not parts or text[-1] == ".":
        match = _SEGMENT.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is not a dotted key")
        parts.append(next(group for group in match.groups()[:3] if group is not None))
        position = match.end()
    return tuple(parts)


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the valid name nearest to a wrong one, or what is valid if few are."""
    known = sorted(set(names))
    lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    close = close or [candidate for candidate in lower if len(name) > 2 and name.lower() in candidate][:1]
    if close:
        return f"; did you mean {lower[close[0]]!r}?"
    if 0 < len(known) <= 20:
        return f"; valid: {', '.join(known)}"
    return ""


def shown(value: object) -> str:
    """The value for an error line: quoted if it is text, cut if it is long."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def as_table(value: object) -> Table | None:
    """The value if it is a table."""
    return cast("Table", value) if isinstance(value, dict) else None


def as_items(value: object) -> list[Any] | None:
    """The value's items if it is a list or tuple."""
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else None


def as_texts(value: object) -> list[str] | None:
    """The value if it is a list of text."""
    items = as_items(value)
    if items is None:
        return None
    return (
        [item for item in items if isinstance(item, str)] if all(isinstance(i, str) for i in items) else None
    )


@dataclass(slots=True)
class Draft:
    """One tree of raw values, who set each, and what was found wrong. Lives for one load."""

    data: Table = field(default_factory=dict[str, Any])
    sources: dict[Key, Source] = field(default_factory=dict[Key, Source])
    problems: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    def get(self, *key: str) -> Any:
        """The value, or ``None``."""
        node: Any = self.data
        for part in key:
            table = as_table(node)
            if table is None or part not in table:
                return None
            node = table[part]
        return node

    def set(self, key: Key, value: Any, source: Source) -> None:
        """Put a value in its place; an older one goes."""
        node = self.data
        for depth, part in enumerate(key[:-1]):
            child = as_table(node.setdefault(str(part), {}))
            if child is None:
                self.problem(key[: depth + 1], "expected no table here", source)
                return
            node = child
        node[str(key[-1])] = value
        self.sources[key] = source

    def merge(self, table: Mapping[str, Any], source: Source, prefix: Key = ()) -> None:
        """Lay a table over what is there: tables merge, everything else replaces."""
        if not table and prefix:
            self.sources.setdefault(prefix, source)
            self._ensure(prefix)
        for name, value in table.items():
            key = (*prefix, name)
            inner = as_table(value)
            if inner is not None:
                self.merge(inner, source, key)
            elif as_table(self.get(*map(str, key))) is not None:
                self.problem(key, "expected a table", source)
            else:
                self.set(key, value, source)

    def _ensure(self, prefix: Key) -> None:
        node = self.data
        for part in prefix:
            node = cast("Table", node.setdefault(str(part), {}))

    def place(self, lines: Mapping[Key, int]) -> None:
        """Add the lines to what names the file."""
        for key, source in self.sources.items():
            line = next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), None)
            if source.kind == "file" and line is not None:
                self.sources[key] = replace(source, where=f"{source.where}:{line}")

    def source(self, key: Key) -> Source:
        """Who set the value (or the list it is in)."""
        while key and isinstance(key[-1], int):
            key = key[:-1]
        return self.sources.get(key, DEFAULT)

    def blame(self, key: Key) -> Source:
        """Who to name when a key is wrong or missing: who set it, something in it, or its table."""
        for end in range(len(key), 0, -1):
            inside = [source for known, source in self.sources.items() if known[:end] == key[:end]]
            if inside:
                return max(inside, key=lambda source: KINDS.index(source.kind))
        return DEFAULT

    def problem(self, key: Key, text: str, source: Source | None = None) -> None:
        """Note what is wrong with a key: ``FILE: KEY: text``."""
        self.fault(f"{dotted(key)}: {text}", source or self.blame(key))

    def fault(self, text: str, source: Source) -> None:
        """Note what is wrong: ``FILE: text``."""
        self.problems.append(f"{source.where}: {text}" if source.where else text)
