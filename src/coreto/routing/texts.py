"""Everything that a request says, wherever it says it. Pure.

A cloud server gets the whole body, not the prompt alone: an e-mail address in ``user``, a CPF in the description
of a tool, in ``metadata`` or in a field that nobody knows leaves the machine like one in a message. So every text
counts, also in the forms in which data travels: JSON's escapes, percent signs of addresses, base64 of text files.
"""

import base64
import binascii
import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

import orjson

from coreto.messages import as_object

#: Fields that are long, nested, and the same at every turn: looked at as the JSON that they are.
_SCHEMAS = frozenset({"tools", "functions", "response_format"})
_USUAL = {"include_usage": True}
_ROLES = frozenset({"user", "assistant", "system", "developer", "tool", "function"})
_DECODINGS = 3
_JSON_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|([nrt"/\\]))')
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-z]{2,8});")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\r\n-]{24,}={0,2}\s*")
#: Characters of base64 that tell whether the rest is a text or a picture; a multiple of four.
_SAMPLE = 256
#: How files begin that are no texts: PNG, JPEG, GIF, RIFF (WebP, WAV), PDF, ZIP (DOCX), Ogg, MP3, FLAC, Matroska.
_MAGIC = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"%PDF",
    b"PK\x03\x04",
    b"OggS",
    b"ID3",
    b"\xff\xfb",
    b"fLaC",
    b"\x1aE\xdf\xa3",
)
#: A number below it is a parameter, such as a temperature; from it on it may be somebody's.
_LARGE = 10**7
_BLANK = {"n": "\n", "r": "\r", "t": "\t"}


def texts_of(body: Mapping[str, Any]) -> Iterator[str]:
    """Every text that ``body``, a chat or embeddings request, would tell a server. What was split over several
    parts of a message comes once more put together; pictures, sounds and token numbers cannot be read."""
    for name, value in body.items():
        if name == "model" or value is None or (isinstance(value, int | float) and abs(value) < _LARGE):
            continue
        if name == "messages" and isinstance(value, list):
            for message in cast("list[object]", value):
                yield from _message(message)
        elif name == "input":
            yield from _inputs(value)
        elif value == _USUAL:
            continue
        elif name in _SCHEMAS:
            yield from _forms(_dumped(value))
        else:
            yield from _structure(name, value)


def _message(message: object) -> Iterator[str]:
    if not isinstance(message, dict):
        yield from _structure("", message)
        return
    for name, value in cast("dict[str, object]", message).items():
        if name == "content":
            if isinstance(value, str):
                if "\\" in value or "%" in value or "&" in value:
                    yield from _forms(value)
                else:  # most messages: one generator less
                    yield value
            elif value is not None:
                yield from _parts(value)
        elif name == "tool_calls" and isinstance(value, list):
            for call in cast("list[object]", value):
                yield from _tool_call(call)
        elif value is not None and not (name == "role" and value in _ROLES):
            yield from _structure(name, value)


def _parts(content: object) -> Iterator[str]:
    if not isinstance(content, list):
        yield from _structure("", content)
        return
    texts: list[str] = []
    for part in cast("list[object]", content):
        fields = as_object(part)
        text = part if isinstance(part, str) else fields.get("text")
        if isinstance(text, str):
            texts.append(text)
            yield from _forms(text)
        if fields.keys() - {"type", "text"}:
            yield from _structure("", {k: v for k, v in fields.items() if k not in ("type", "text")})
        elif text is None:
            yield from _structure("", part)
    if len(texts) > 1:
        yield " ".join(texts)
        yield "".join(texts)


def _tool_call(call: object) -> Iterator[str]:
    """The arguments by themselves, as they are JSON; names and ids beside them."""
    arguments = as_object(as_object(call).get("function")).get("arguments")
    if not isinstance(arguments, str):
        yield from _structure("", call)
        return
    yield from _forms(arguments)
    fields = as_object(call)
    function = {k: v for k, v in as_object(fields["function"]).items() if k != "arguments"}
    yield from _structure("", {**fields, "function": function})


def _inputs(given: object) -> Iterator[str]:
    if isinstance(given, str):
        yield from _forms(given)
    elif isinstance(given, list):
        for one in cast("list[object]", given):
            if isinstance(one, str):
                yield from _forms(one)
            elif not isinstance(one, int | list):  # tokens
                yield from _structure("", one)


def _structure(name: str, value: object) -> Iterator[str]:
    """All of a nested value as lines ``key: value``, since a key often says what a value is."""
    lines: list[str] = []
    opened: list[str] = []
    _collect(name, value, lines, opened)
    if lines:
        yield from _forms("\n".join(lines))
    for text in opened:
        yield from _forms(text)


def _collect(name: str, value: object, lines: list[str], opened: list[str]) -> None:
    """Append ``value`` to ``lines``; what was packed in it, unpacked, to ``opened``."""
    match value:
        case str():
            packed, inside = _unpacked(value)
            if inside:
                opened.append(inside)
            if not packed:
                lines.append(f"{name}: {value}" if name else value)
        case None | bool():
            return
        case int() | float():
            lines.append(f"{name}: {value}" if name else str(value))
        case list() | tuple():
            for item in cast("list[object]", value):
                _collect(name, item, lines, opened)
        case dict():
            for key, item in cast("dict[object, object]", value).items():
                if not isinstance(item, str):
                    lines.append(str(key))
                _collect(str(key), item, lines, opened)
        case _:
            return


def _unpacked(text: str) -> tuple[bool, str]:
    """Whether ``text`` is a picture or the like in base64, which would only look like keys and numbers, and the
    text that was packed into it, if any was."""
    head, comma, payload = text.partition(",") if text.startswith("data:") else ("", "", text)
    if comma and not head.endswith(";base64"):
        return False, unquote(payload)
    sample = payload[:_SAMPLE]
    if not _BASE64.fullmatch(sample):
        return False, ""
    begun = _decoded(sample)
    if _is_text(begun):
        return False, _decoded(payload).decode(errors="replace")
    return bool(comma) or begun.startswith(_MAGIC), ""


def _decoded(packed: str) -> bytes:
    """As many bytes of base64 as can be had."""
    compact = "".join(packed.split()).rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return base64.b64decode(compact[: len(compact) // 4 * 4] + _last(compact))
    except (binascii.Error, ValueError):
        return b""


def _last(compact: str) -> str:
    rest = compact[len(compact) // 4 * 4 :]
    return rest + "=" * (4 - len(rest)) if len(rest) > 1 else ""


def _is_text(data: bytes) -> bool:
    """Whether the beginning of ``data`` reads as text; a character cut at its end does not count."""
    text = data[: len(data) - 3].decode(errors="replace") if len(data) > 3 else ""
    odd = sum(c == "\N{REPLACEMENT CHARACTER}" or (c < " " and c not in "\t\n\r\f") for c in text)
    return bool(text) and odd * 20 <= len(text)


def _forms(text: str) -> Iterator[str]:
    """``text``, and what it says once its escapes are undone; a JSON text in a JSON text has them twice."""
    yield text
    for _ in range(_DECODINGS):
        plain = _unescaped(text)
        if plain == text:
            return
        yield plain
        text = plain


def _unescaped(text: str) -> str:
    if "\\" in text:
        text = _JSON_ESCAPE.sub(_character, text)
    if "%" in text and _PERCENT.search(text):
        text = unquote(text)
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    return text


def _character(match: re.Match[str]) -> str:
    code, letter = match.groups()
    return chr(int(code, 16)) if code else _BLANK.get(letter, letter)


def _dumped(value: object) -> str:
    try:
        return orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:  # numbers over 64 bits, half a surrogate pair
        return json.dumps(value, default=str, ensure_ascii=False)
