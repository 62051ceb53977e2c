"""The messages of a prompt with its files."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from coreto.errors import InvalidRequestError
from coreto.messages import Json

STDIN = "-"


def read_prompt(prompt: str) -> str:
    """``prompt``, or all of standard input for ``-``. Raises :class:`InvalidRequestError` for none."""
    text = _decoded(sys.stdin.buffer.read(), "standard input") if prompt == STDIN else prompt
    if not text.strip():
        raise InvalidRequestError("the prompt is empty", "prompt")
    return text


def messages(prompt: str, files: Sequence[Path], system: str | None) -> list[Json]:
    """The conversation to send. Raises :class:`InvalidRequestError` for a file that is not text."""
    parts = [prompt, *(fenced(str(path), read_text(path)) for path in files)]
    asked: list[Json] = [{"role": "user", "content": "\n\n".join(parts)}]
    return [{"role": "system", "content": system}, *asked] if system else asked


def fenced(name: str, text: str) -> str:
    """``text`` as a named block, in a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{name}\n{fence}\n{text.removesuffix(chr(10))}\n{fence}"


def read_text(path: Path) -> str:
    """The text of a file. Raises :class:`InvalidRequestError`."""
    try:
        return _decoded(path.expanduser().read_bytes(), str(path))
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {error.strerror or error}", "file") from error


def response_format(path: Path) -> Json:
    """The request field that asks for JSON of the schema in ``path``. Raises :class:`InvalidRequestError`."""
    try:
        schema: object = orjson.loads(read_text(path))
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"{path} is not JSON: {error}", "schema") from error
    if not isinstance(schema, dict):
        raise InvalidRequestError(f"{path} is not a JSON schema: it must be an object", "schema")
    name = re.sub(r"\W", "_", path.stem)[:64] or "answer"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name} is not UTF-8 text", "file") from error
