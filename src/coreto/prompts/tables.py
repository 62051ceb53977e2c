"""TOML of prompts and experiments, read so that every complaint names a file and a line. Pure."""

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

from coreto.prompts.errors import PromptError
from coreto.settings.lines import key_lines

_AT_LINE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")
LONGEST_LINE: Final = 4_000
"""Characters of a line: reading a key costs the square of its length."""

_LONGEST_KEY = 300


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a TOML text. ``start``: the line of the file before the text's first; ``path``: of the table."""

    content: dict[str, Any]
    file: str
    start: int
    lines: dict[tuple[str, ...], int]
    path: tuple[str, ...] = ()

    def fail(self, problem: str, *key: str) -> PromptError:
        """An error at the line of ``key`` in this table."""
        path = (*self.path, *key)
        while path and path not in self.lines:
            path = path[:-1]
        return PromptError(problem, file=self.file, line=self.start + self.lines.get(path, 1))

    def expect(self, known: Collection[str]) -> None:
        """Raise :class:`PromptError` for a key that is not in ``known``."""
        for name in self.content:
            if name not in known:
                raise self.fail(f"unknown key {name!r}; there is: {', '.join(known)}", name)

    def get(self, name: str, kind: type[Any], what: str) -> Any:
        """The value of ``name``, ``None`` when absent. Raises :class:`PromptError` unless it is of ``kind``."""
        value = self.content.get(name)
        if value is not None and (
            not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        ):
            raise self.fail(f"{name}: expected {what}", name)
        return value

    def text(self, name: str) -> str | None:
        return cast("str | None", self.get(name, str, "a string"))

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number within bounds."""
        value = cast("int | None", self.get(name, int, "a whole number"))
        if value is not None and not least <= value <= most:
            raise self.fail(f"{name}: expected {least} to {most}", name)
        return value

    def tables(self, name: str) -> "list[tuple[str, Any]]":
        """Names and values of the table ``name``."""
        return list(cast("dict[str, Any]", self.get(name, dict, "a table") or {}).items())

    def inner(self, content: dict[str, Any], *key: str) -> "Table":
        """A table within this one."""
        return Table(content, self.file, self.start, self.lines, (*self.path, *key))


def read_table(text: str, *, file: str, start: int = 0) -> Table:
    """The table of a whole text; floats become decimals. Raises :class:`PromptError`."""
    told_lines = text.split("\n")
    for number, line in enumerate(told_lines, 1):
        if len(line) > LONGEST_LINE:
            raise PromptError(
                f"a line of more than {LONGEST_LINE} characters", file=file, line=start + number
            )
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        told = str(error)
        at = _AT_LINE.search(told)
        line = int(at[1]) if at and at[1] else text.count("\n") + 1
        raise PromptError(_AT_LINE.sub("", told), file=file, line=start + line) from None
    except (ValueError, ArithmeticError, RecursionError):
        raise PromptError("not TOML that can be used", file=file, line=start + 1) from None
    # longer lines hold no key that anybody would look for, and looking costs more than the square of their length
    plain = "\n".join(line if len(line) <= _LONGEST_KEY else "" for line in told_lines)
    lines = {tuple(str(part) for part in key): line for key, line in key_lines(plain).items()}
    return Table(content, file, start, lines)
