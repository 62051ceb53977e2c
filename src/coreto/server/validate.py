"""What a request must look like. Pure; by hand, because a model of every field would cost more than routing.

Only what is wrong beyond doubt is refused: fields that are not known pass, ranges are the upstream's business.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from coreto.errors import InvalidRequestError
from coreto.messages import PREFERENCES, Json

#: Deeper bodies could be read but not written again.
MAX_DEPTH = 200
#: Characters of a name. Longer ones are no names, and come back in errors, logs and reports.
MAX_NAME = 512
_GZIP = b"\x1f\x8b"

Check = Callable[[object], bool]
Rules = Mapping[str, tuple[Check, str]]


def parse_body(raw: bytes) -> Json:
    """The JSON object in ``raw``. Raises :class:`InvalidRequestError`."""
    try:
        body: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if raw.startswith(_GZIP):
            raise InvalidRequestError("the body is compressed; send it as it is") from None
        where = f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise InvalidRequestError(
            where if raw.strip() else "the body is empty; a JSON object is expected"
        ) from None
    if not isinstance(body, dict):
        raise InvalidRequestError("the body must be a JSON object")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(cast("Json", body)) > MAX_DEPTH:
        raise InvalidRequestError(f"the body is nested more than {MAX_DEPTH} levels deep")
    return cast("Json", body)


def check_chat(body: Json) -> None:
    """Refuse what is not a chat request. Raises :class:`InvalidRequestError` naming the field."""
    _check_fields(body, _CHAT)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequestError("`messages` must be a list of at least one message", "messages")
    for index, message in enumerate(cast("list[object]", messages)):
        _check_message(message, f"messages[{index}]")


def check_embeddings(body: Json) -> None:
    """Refuse what is not an embeddings request. Raises :class:`InvalidRequestError` naming the field."""
    _check_fields(body, _EMBEDDINGS)
    texts = body.get("input")
    if not (_is_text(texts) or _is_texts(texts)):
        raise InvalidRequestError(
            "`input` must be a text, a list of texts, or tokens, and not be empty", "input"
        )


def _check_message(message: object, at: str) -> None:
    if not isinstance(message, dict):
        raise InvalidRequestError(f"`{at}` must be an object", at)
    fields = cast("Json", message)
    role = fields.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidRequestError(f'`{at}.role` must be a text such as "user"', f"{at}.role")
    content = fields.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise InvalidRequestError(f"`{at}.content` must be a text, a list of parts or null", f"{at}.content")
    for index, part in enumerate(cast("list[object]", content)):
        if not isinstance(part, dict) or not isinstance(cast("Json", part).get("type"), str):
            where = f"{at}.content[{index}]"
            raise InvalidRequestError(f"`{where}` must be an object with a `type`", where)


def _check_fields(body: Json, rules: Rules) -> None:
    for name, value in body.items():
        rule = rules.get(name)
        if rule is not None and value is not None and not rule[0](value):
            raise InvalidRequestError(f"`{name}` must be {rule[1]}", name)


def _depth(body: Json) -> int:
    """Levels of nesting, without recursion."""
    level: list[Json | list[Any]] = [body]
    depth = 0
    while level:
        depth += 1
        children = (v for box in level for v in (box.values() if isinstance(box, dict) else box))
        level = [child for child in children if isinstance(child, dict | list)]
    return depth


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def is_name(value: object) -> bool:
    """Whether ``value`` can name a model, user or run: a text without control characters, not too long."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_typed_object(value: object) -> bool:
    return isinstance(value, dict) and isinstance(cast("Json", value).get("type"), str)


def _is_text_or_object(value: object) -> bool:
    return isinstance(value, str | dict)


def _is_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in cast("list[object]", value))


def _is_stop(value: object) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value))


def _is_texts(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    items = cast("list[object]", value)
    if isinstance(items[0], list):
        return all(map(_is_tokens, items))
    return all(map(_is_text, items)) or _is_tokens(items)


def _is_tokens(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(map(_is_integer, cast("list[object]", value)))


_MODEL = (is_name, f"the name of a role or model, of {MAX_NAME} characters at most")
_USER = (is_name, f"a text without control characters, of {MAX_NAME} at most")
_TRUTH = (_is_bool, "true or false")

_CHAT: Rules = {
    "model": _MODEL,
    "user": _USER,
    "private": _TRUTH,
    "prefer": (lambda value: value in PREFERENCES, f"one of {', '.join(PREFERENCES)}"),
    "stream": _TRUTH,
    "stream_options": (_is_object, "an object"),
    "temperature": (_is_number, "a number"),
    "top_p": (_is_number, "a number"),
    "presence_penalty": (_is_number, "a number"),
    "frequency_penalty": (_is_number, "a number"),
    "n": (_is_count, "a whole number of at least 1"),
    "max_tokens": (_is_count, "a whole number of at least 1"),
    "max_completion_tokens": (_is_count, "a whole number of at least 1"),
    "seed": (_is_integer, "a whole number"),
    "stop": (_is_stop, "a text or a list of texts"),
    "tools": (_is_objects, "a list of objects"),
    "functions": (_is_objects, "a list of objects"),
    "tool_choice": (_is_text_or_object, "a text or an object"),
    "response_format": (_is_typed_object, "an object with a `type`"),
    "parallel_tool_calls": _TRUTH,
    "logprobs": _TRUTH,
    "metadata": (_is_object, "an object"),
}

_EMBEDDINGS: Rules = {
    "model": _MODEL,
    "user": _USER,
    "private": _TRUTH,
    "encoding_format": (lambda value: value in ("float", "base64"), '"float" or "base64"'),
    "dimensions": (_is_count, "a whole number of at least 1"),
}
