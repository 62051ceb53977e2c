"""Whether an answer is what was asked for: not empty, JSON, of the schema, one of the labels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from coreto.errors import ContextError, InvalidOutputError, InvalidRequestError
from coreto.messages import (
    Call,
    Json,
    Usage,
    as_object,
    estimate_tokens,
    finish_of,
    message_of,
    prompt_text,
    text_of,
)
from coreto.redaction import brief

SUSPECT = 1_500
"""Estimated prompt tokens from which a silent cut is looked for; estimates of short ones are too rough."""

_FENCE = re.compile(r"```(?:json)?\s*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an answer must be. ``schema``: the JSON schema as text, so that expectations compare."""

    json: bool = False
    schema: bytes | None = None
    labels: tuple[str, ...] = ()

    @property
    def constrained(self) -> bool:
        return self.json or self.schema is not None or bool(self.labels)


def expectation(body: Mapping[str, Any], default: Expectation) -> Expectation:
    """What ``body`` asks for by ``response_format``; ``default`` (the role's) where it does not.

    Raises :class:`InvalidRequestError` for a schema that is not one.
    """
    wanted = as_object(body.get("response_format"))
    match wanted.get("type"):
        case None:
            return default
        case "json_schema":
            schema = as_object(wanted.get("json_schema")).get("schema")
            if schema is None:
                raise InvalidRequestError(
                    "`json_schema` needs a `schema`", "response_format.json_schema.schema"
                )
            text = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
            _validator(text)
            return Expectation(json=True, schema=text)
        case "json_object":
            return Expectation(json=True)
        case _:
            return Expectation()


def require_schema(schema: bytes) -> None:
    """Raise :class:`InvalidRequestError` when ``schema`` is not a JSON schema."""
    _validator(schema)


def check(body: Json, expected: Expectation) -> Json:
    """``body``, its text cut down to the JSON or the label asked for.

    Raises :class:`InvalidOutputError` that says what is wrong. A tool call is always an answer.
    """
    message = message_of(body)
    if message.get("tool_calls") or message.get("function_call"):
        return body
    text = text_of(body)
    if not text.strip():
        if message.get("refusal"):
            return body
        raise InvalidOutputError(f"the answer is empty (finish_reason {finish_of(body)!r})")
    if not expected.constrained:
        return body
    if expected.labels:
        wanted = find_label(text, expected.labels)
    else:
        if finish_of(body) == "length":
            raise InvalidOutputError("the JSON was cut at the token limit")
        wanted = find_json(text, expected.schema)
    return body if wanted == text else _with_text(body, wanted)


def refuse_truncated(call: Call, usage: Usage | None) -> None:
    """Raise :class:`ContextError` when the engine reports far fewer prompt tokens than were sent.

    Ollama cuts a prompt that does not fit, to about half its window, and answers with status 200.
    """
    if usage is None or usage.prompt == 0:
        return
    sent = estimate_tokens(prompt_text(call.body))
    window = call.context
    cut_to_half = window is not None and sent > window and usage.prompt <= window // 2 + 8
    if sent >= SUSPECT and (usage.prompt * 3 < sent or cut_to_half):
        raise ContextError(
            f"the engine read {usage.prompt} prompt tokens of about {sent}: it cut the prompt", truncated=True
        )


def find_label(text: str, labels: tuple[str, ...]) -> str:
    """The one label that ``text`` names, in any case. Raises :class:`InvalidOutputError`."""
    exact = text.strip().strip("\"'`.*").casefold()
    words = {word.casefold() for word in _WORD.findall(text)}
    said = text.strip()
    named = [label for label in labels if label == said or label.casefold() == exact] or [
        label for label in labels if label.casefold() in words
    ]
    if len(named) != 1:
        raise InvalidOutputError(f"expected one of {', '.join(labels)}; got: {brief(text, 80)}", answer=text)
    return named[0]


def find_json(text: str, schema: bytes | None) -> str:
    """The JSON in ``text``: all of it, a fenced block, or the first object or array in it. Without a
    ``schema`` it must be an object.

    Raises :class:`InvalidOutputError` when there is none, or none is valid against ``schema``.
    """
    problem = ""
    for group in _candidates(text):
        for candidate in group:
            try:
                value: object = orjson.loads(candidate)
            except orjson.JSONDecodeError:
                continue
            flaw = _flaw(value, schema)
            if flaw is None:
                return candidate
            problem = problem or flaw
        if problem:
            break  # a part of JSON that is wrong is not the answer
    raise InvalidOutputError(problem or f"not JSON: {brief(text, 80)}", answer=text)


def _flaw(value: object, schema: bytes | None) -> str | None:
    if schema is None:
        return None if isinstance(value, dict) else "JSON, but not an object"
    error = next(iter(_validator(schema).iter_errors(value)), None)
    if error is None:
        return None
    where = "/".join(str(step) for step in error.instance_path)
    return f"not of the schema at {where or 'the top'}: {brief(error.message, 160)}"


def _candidates(text: str) -> list[list[str]]:
    spans = [(text.find(opening), text.rfind(closing)) for opening, closing in ("{}", "[]")]
    parts = [[text[start : end + 1]] for start, end in sorted(spans) if 0 <= start < end]
    return [[text.strip()], [block.strip() for block in _FENCE.findall(text)], *parts]


def _with_text(body: Json, text: str) -> Json:
    first = body["choices"][0]
    choice = {**first, "message": {**first["message"], "content": text}}
    return {**body, "choices": [choice, *body["choices"][1:]]}


def _refuse(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to {uri}")


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    try:
        return jsonschema_rs.validator_for(orjson.loads(schema), retriever=_refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        problem = brief(str(error).splitlines()[0], 160)
        raise InvalidRequestError(
            f"not a JSON schema: {problem}", "response_format.json_schema.schema"
        ) from error
