"""What requests to ``/v1`` look like, as JSON schemas: what :mod:`coreto.server.validate` and the dialects ask.

Pure data. Fields that are not named pass, so every object is open; a field that is null counts as left out.
"""

from collections.abc import Sequence

from coreto.messages import PREFERENCES, Json
from coreto.server.validate import MAX_NAME

#: Whole numbers beyond these are read as fractions.
_LEAST_WHOLE, _MOST_WHOLE = -(2**63), 2**64 - 1


def an_object(fields: Json, required: Sequence[str] = ()) -> Json:
    """An object with ``fields``, those ``required`` among them; others pass."""
    out: Json = {"type": "object", "properties": fields, "additionalProperties": True}
    return {**out, "required": list(required)} if required else out


def _kind(name: str, fields: Json, required: Sequence[str] = ()) -> Json:
    """An object whose ``type`` is ``name``."""
    return an_object({"type": {"const": name}, **fields}, ("type", *required))


def _maybe(schema: Json) -> Json:
    """``schema`` or null."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _list(items: Json, least: int = 0) -> Json:
    return {"type": "array", "items": items, "minItems": least}


def _one_of(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


_TEXT: Json = {"type": "string"}
_FULL: Json = {"type": "string", "minLength": 1}
_ANY_OBJECT: Json = {"type": "object"}
_COUNT: Json = {"type": "integer", "minimum": 1, "maximum": _MOST_WHOLE}
_WHOLE: Json = {"type": "integer", "minimum": _LEAST_WHOLE, "maximum": _MOST_WHOLE}
_TRUTH = _maybe({"type": "boolean"})
_NUMBER = _maybe({"type": "number"})
#: Printable in Python's sense; the space is the only separator that is.
_NAME: Json = {"type": "string", "maxLength": MAX_NAME, "pattern": r"^(?:[^\p{C}\p{Z}]| )+$"}
_EMPTY: Json = {"type": "object", "maxProperties": 0}
#: What asks for nothing where something would be refused.
_NOTHING: Json = {"enum": [None, False, "", 0, [], {}]}

_COMMON: Json = {
    "model": _maybe({**_NAME, "description": "a role, a deployment or `auto`, which is what null means"}),
    "user": _maybe({**_NAME, "description": "whose call it is, for reports and budgets"}),
    "private": {**_TRUTH, "description": "true: it never leaves this machine"},
    "stream": _TRUTH,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
}


def _common(*left_out: str) -> Json:
    return {name: schema for name, schema in _COMMON.items() if name not in left_out}


_MESSAGE = an_object(
    {
        "role": {**_FULL, "examples": ["system", "user", "assistant", "tool"]},
        "content": {
            "anyOf": [_TEXT, {"type": "null"}, _list(an_object({"type": _TEXT}, ["type"]))],
        },
    },
    ["role"],
)

CHAT = an_object(
    {
        "messages": _list(_MESSAGE, 1),
        **_COMMON,
        "prefer": {
            "enum": [*PREFERENCES, None],
            "description": "who of the role's models is asked first; the header `x-coreto-prefer` goes before it",
        },
        "stream_options": _maybe(_ANY_OBJECT),
        "presence_penalty": _NUMBER,
        "frequency_penalty": _NUMBER,
        "n": _maybe(_COUNT),
        "max_tokens": _maybe(_COUNT),
        "max_completion_tokens": _maybe(_COUNT),
        "seed": _maybe(_WHOLE),
        "stop": {"anyOf": [_maybe(_TEXT), _list(_TEXT)]},
        "tools": _maybe(_list(_ANY_OBJECT)),
        "functions": _maybe(_list(_ANY_OBJECT)),
        "tool_choice": {"type": ["string", "object", "null"]},
        "response_format": _maybe(
            {
                "anyOf": [
                    an_object({"type": {"type": "string", "not": {"enum": ["json_schema"]}}}, ["type"]),
                    _kind(
                        "json_schema",
                        {"json_schema": an_object({"schema": _ANY_OBJECT}, ["schema"])},
                        ["json_schema"],
                    ),
                ]
            }
        ),
        "parallel_tool_calls": _TRUTH,
        "logprobs": _TRUTH,
        "metadata": _maybe(_ANY_OBJECT),
    },
    ["messages"],
)

EMBEDDINGS = an_object(
    {
        "input": {"anyOf": [_FULL, _list(_FULL, 1), _list(_WHOLE, 1), _list(_list(_WHOLE, 1), 1)]},
        **_common("stream", "temperature", "top_p"),
        "encoding_format": {"enum": ["float", "base64", None]},
        "dimensions": _maybe(_COUNT),
    },
    ["input"],
)

# Anthropic's Messages

_SOURCE = {
    "anyOf": [
        _kind("base64", {"media_type": _TEXT, "data": _TEXT}, ["media_type", "data"]),
        _kind("url", {"url": _TEXT}, ["url"]),
    ]
}
_TEXT_BLOCK = _kind("text", {"text": _TEXT}, ["text"])
_PARTS = [_TEXT_BLOCK, _kind("image", {"source": _SOURCE}, ["source"])]
_RESULT = {"anyOf": [_maybe(_TEXT), _list({"anyOf": _PARTS})]}
_TOOL_RESULT = _kind("tool_result", {"tool_use_id": _TEXT, "content": _RESULT}, ["tool_use_id"])
_TOOL_USE = _kind("tool_use", {"id": _TEXT, "name": _FULL, "input": _ANY_OBJECT}, ["id", "name", "input"])
#: What passes, and is left out: thoughts, and what came of tools that Anthropic's servers run.
_LEFT_OUT = an_object(
    {"type": _one_of("thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result")}, ["type"]
)
#: A tool that servers of theirs run: it passes, and is left out unless it is forced.
_HOSTED_TOOL = an_object(
    {"type": {"type": "string", "minLength": 1, "not": {"enum": ["function", "custom"]}}}, ["type"]
)


def _says(role: str, *blocks: Json) -> Json:
    """A message of ``role``: a text, or a list of ``blocks``."""
    content = {"anyOf": [_TEXT, _list({"anyOf": list(blocks)})]}
    return an_object({"role": {"const": role}, "content": content}, ["role", "content"])


_MESSAGES_FIELDS: Json = {
    "messages": _list(
        {
            "anyOf": [
                _says("user", *_PARTS, _TOOL_RESULT),
                _says("assistant", _TEXT_BLOCK, _TOOL_USE, _LEFT_OUT),
                _says("system", _TEXT_BLOCK),
            ]
        },
        1,
    ),
    **_common("user"),
    "system": {"anyOf": [_maybe(_TEXT), _list(_TEXT_BLOCK)]},
    "max_tokens": _COUNT,
    "stop_sequences": _maybe(_list(_TEXT)),
    "tools": _maybe(
        _list(
            {
                "anyOf": [
                    an_object(
                        {"type": {"enum": ["custom", None]}, "name": _FULL, "input_schema": _ANY_OBJECT},
                        ["name", "input_schema"],
                    ),
                    _HOSTED_TOOL,
                ]
            }
        )
    ),
    "tool_choice": _maybe(
        {
            "anyOf": [
                _EMPTY,
                an_object(
                    {"type": _one_of("auto", "none", "any"), "disable_parallel_tool_use": _TRUTH}, ["type"]
                ),
                _kind("tool", {"name": _FULL, "disable_parallel_tool_use": _TRUTH}, ["name"]),
            ]
        }
    ),
    "metadata": _maybe(_ANY_OBJECT),
    "output_config": _maybe(
        an_object(
            {"format": _maybe({"anyOf": [_EMPTY, _kind("json_schema", {"schema": _ANY_OBJECT}, ["schema"])]})}
        )
    ),
}
MESSAGES = an_object(_MESSAGES_FIELDS, ["messages", "max_tokens"])
COUNT_TOKENS = an_object({**_MESSAGES_FIELDS, "max_tokens": _maybe(_COUNT)}, ["messages"])

# OpenAI's Responses

_SPOKEN = [
    an_object({"type": _one_of("input_text", "output_text", "text"), "text": _TEXT}, ["type", "text"]),
    _kind("refusal", {"refusal": _TEXT}, ["refusal"]),
]
_IMAGE = _kind("input_image", {"image_url": _TEXT, "file_id": _NOTHING}, ["image_url"])
_OUTPUT = {"anyOf": [_TEXT, _list({"anyOf": [*_SPOKEN, _IMAGE]})]}


def _item(roles: Json, *parts: Json) -> Json:
    """A message of the input."""
    content = {"anyOf": [_TEXT, _list({"anyOf": list(parts)})]}
    return an_object({"type": {"const": "message"}, "role": roles, "content": content}, ["role", "content"])


_ITEMS = [
    _item({"const": "user"}, *_SPOKEN, _IMAGE),
    _item(_one_of("assistant", "system", "developer"), *_SPOKEN),
    _kind(
        "function_call",
        {"call_id": _TEXT, "name": _FULL, "arguments": _TEXT},
        ["call_id", "name", "arguments"],
    ),
    _kind(
        "custom_tool_call",
        {"call_id": _TEXT, "name": _FULL, "input": _TEXT},
        ["call_id", "name", "input"],
    ),
    an_object(
        {
            "type": _one_of("function_call_output", "custom_tool_call_output"),
            "call_id": _TEXT,
            "output": _OUTPUT,
        },
        ["type", "call_id", "output"],
    ),
    an_object({"type": _one_of("reasoning", "web_search_call", "file_search_call")}, ["type"]),
]
_CUSTOM_TOOL = _kind(
    "custom",
    {
        "name": _FULL,
        "description": _maybe(_TEXT),
        "format": _maybe(
            {
                "anyOf": [
                    an_object({"type": {"const": "text"}}),
                    _kind(
                        "grammar",
                        {"syntax": _TEXT, "definition": _TEXT},
                        ["syntax", "definition"],
                    ),
                ]
            }
        ),
    },
    ["name"],
)

RESPONSES = an_object(
    {
        "input": {"anyOf": [_FULL, _list({"anyOf": _ITEMS}, 1)]},
        **_COMMON,
        "instructions": _maybe(_TEXT),
        "max_output_tokens": _maybe(_COUNT),
        "tools": _maybe(
            _list({"anyOf": [_kind("function", {"name": _FULL}, ["name"]), _CUSTOM_TOOL, _HOSTED_TOOL]})
        ),
        "tool_choice": {
            "anyOf": [
                {"enum": ["auto", "none", "required", None]},
                an_object({"type": _one_of("function", "custom"), "name": _FULL}, ["type", "name"]),
                _kind(
                    "allowed_tools",
                    {"mode": _one_of("auto", "required"), "tools": _maybe(_list(_ANY_OBJECT))},
                    ["mode"],
                ),
            ]
        },
        "parallel_tool_calls": _TRUTH,
        "text": _maybe(
            an_object(
                {
                    "format": _maybe(
                        {
                            "anyOf": [
                                an_object({"type": {"enum": ["text", "json_object", None]}}),
                                _kind(
                                    "json_schema", {"name": _FULL, "schema": _ANY_OBJECT}, ["name", "schema"]
                                ),
                            ]
                        }
                    )
                }
            )
        ),
        "reasoning": _maybe(an_object({"effort": _maybe(_TEXT)})),
        "previous_response_id": _NOTHING,
        "conversation": _NOTHING,
        "prompt": _NOTHING,
        "store": _NOTHING,
        "background": _NOTHING,
    },
    ["input"],
)
