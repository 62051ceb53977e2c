"""OpenAI's custom tools, whose input is free text, as functions of one text. Pure.

Chat completions outside OpenAI know functions only. What the model gives as ``input`` is the text; a model that
answers with something else has meant that by it, so nothing here fails.
"""

from typing import cast

import orjson

from coreto.messages import Json, as_object, as_objects
from coreto.server.dialects.reading import Notes, name_of, optional_object, text, wrong

_FIELDS = ("type", "name", "description", "format")
#: What may be missing of arguments that were cut.
_ENDINGS = ("", '"}', "}")


def function_of(tool: Json, at: str, notes: Notes) -> Json:
    """The chat function that stands for the custom tool ``tool``. Its grammar is told, not enforced."""
    notes.rest(tool, _FIELDS, "tools")
    told = [text(tool, "description", at)] if tool.get("description") is not None else []
    form = optional_object(tool, "format", at)
    match form.get("type", "text"):
        case "text":
            pass
        case "grammar":
            notes.add("tools.format")
            syntax, grammar = (text(form, name, f"{at}.format") for name in ("syntax", "definition"))
            told.append(f"The input must follow this {syntax} grammar:\n{grammar}")
        case kind:
            raise wrong(f"{at}.format.type", f'must be "text" or "grammar"; got {kind!r}')
    said = {"type": "string", "description": "the whole input, as it is"}
    function: Json = {
        "name": name_of(tool, at),
        "description": "\n\n".join(told),
        "parameters": {
            "type": "object",
            "properties": {"input": said},
            "required": ["input"],
            "additionalProperties": False,
        },
    }
    return {"type": "function", "function": function}


def names_of(request: Json) -> frozenset[str]:
    """The names of the custom tools of a request that was found to be right."""
    return frozenset(
        str(t.get("name")) for t in as_objects(request.get("tools")) if t.get("type") == "custom"
    )


def arguments_for(said: str) -> str:
    """The arguments of a call with the input ``said``."""
    return orjson.dumps({"input": said}).decode()


def input_of(arguments: str) -> str:
    """The input in a call's ``arguments``, which may have been cut or be no object with an ``input``."""
    for ending in _ENDINGS:
        try:
            value: object = orjson.loads(arguments + ending)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, str):
            return value
        found = as_object(value)
        if isinstance(found.get("input"), str):
            return cast("str", found["input"])
        texts = [one for one in found.values() if isinstance(one, str)]
        if len(texts) == 1 == len(found):
            return texts[0]
        return arguments if found else ""
    return arguments
