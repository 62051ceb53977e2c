"""On which line of a TOML text each key is."""

import re
import tomllib
from typing import Any

from coreto.settings.draft import Key, as_items, as_table

_HEADER = re.compile(r"\s*(\[\[?[^\[\]]+\]\]?)\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[\w.\-\s]|"[^"]*"|'[^']*')+?)\s*=""")


def key_lines(text: str) -> dict[Key, int]:
    """The first line of each key and table of a valid TOML text, as far as plain to see.

    Text that only looks like a key (in a string of several lines) may get a line too; no key has it.
    """
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.split("\n"), start=1):
        header = _HEADER.fullmatch(line)
        if header is not None:
            table = _path(header[1])
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            key = _path(f"{match[1]} = 0")
            if key:
                lines.setdefault((*table, *key), number)
    return lines


def _path(line: str) -> Key:
    """The names in a header or a key."""
    try:
        node: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str | int] = []
    while table := as_table((as_items(node) or [node])[0]):
        name, node = next(iter(table.items()))
        path.append(name)
    return tuple(path)
