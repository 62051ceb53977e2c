"""``.env`` files: ``NAME=value`` lines, with comments, quotes and ``export``."""

import re
from dataclasses import dataclass
from pathlib import Path

from coreto.errors import ConfigError

_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")
_COMMENT = re.compile(r"[ \t]*(?:#.*)?")
_BARE_COMMENT = re.compile(r"(?:^|[ \t]+)#")
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and the line it is on."""

    value: str
    line: int


def read_dotenv(path: Path) -> dict[str, Entry]:
    """The file's variables; none if there is no such file. Raises ``ConfigError``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {_reason(error)}") from error
    return parse_dotenv(text, str(path))


def parse_dotenv(text: str, file: str = ".env") -> dict[str, Entry]:
    """The variables of the text; the last of two equal names counts.

    A ``#`` begins a comment at the start of a line or after white space, outside quotes. In double
    quotes ``\\n``, ``\\t``, ``\\r`` and a backslash before any other character are escapes; in single quotes
    only ``\\'`` and ``\\\\`` are. Raises ``ConfigError`` with file and line, never with the value.
    """
    entries: dict[str, Entry] = {}
    for number, raw in enumerate(_lines(text), start=1):
        line = raw.strip(" \t")
        if not line or line.startswith("#"):
            continue
        match = _NAME.match(line)
        if match is None:
            raise ConfigError(f"{file}:{number}: expected NAME=value")
        try:
            entries[match[1]] = Entry(_value(line[match.end() :]), number)
        except ValueError as error:
            raise ConfigError(f"{file}:{number}: {match[1]}: {error}") from None
    return entries


def _lines(text: str) -> list[str]:
    # Not splitlines(): it also splits at characters that belong to values.
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _value(text: str) -> str:
    """The value of what follows the equals sign."""
    if not text.startswith(("'", '"')):
        comment = _BARE_COMMENT.search(text)
        return (text[: comment.start()] if comment else text).rstrip(" \t")
    match = (_SINGLE if text[0] == "'" else _DOUBLE).match(text)
    if match is None:
        raise ValueError(f"expected a closing {text[0]} on the same line")
    if _COMMENT.fullmatch(text, match.end()) is None:
        raise ValueError("expected nothing but a comment after the closing quote")
    return _ESCAPE.sub(_single if text[0] == "'" else _double, match[1])


def _double(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])


def _single(match: re.Match[str]) -> str:
    return match[1] if match[1] in "'\\" else match[0]


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (
        "it is not UTF-8 text"
        if isinstance(error, UnicodeDecodeError)
        else error.strerror or "unknown reason"
    )
