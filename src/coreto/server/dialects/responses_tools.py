"""The tools of a Responses request as those of a chat request. Pure.

Functions are the same in both, custom tools become functions. Tools that OpenAI's servers run are left out and
noted: a client that offers them can do without, unless it forces one.
"""

from coreto.messages import Json
from coreto.server.dialects import freeform
from coreto.server.dialects.reading import Notes, an_object, copied, name_of, objects, wrong

_NO_TOOL_LEFT = "forces a tool, but those given are OpenAI's own, which Coreto does not have"


def chat_tools(request: Json, notes: Notes) -> Json:
    """The fields of the chat request about tools; none where no tool is left, as OpenAI refuses a
    ``tool_choice`` without tools. Raises :class:`~coreto.errors.InvalidRequestError` naming the field."""
    given = objects(request.get("tools"), "tools")
    tools = [function for at, tool in given if (function := _function(tool, at, notes)) is not None]
    out, tools = _choice(request.get("tool_choice"), tools)
    if tools:
        return {"tools": tools, **out, **copied(request, ("parallel_tool_calls",))}
    if out.get("tool_choice", "auto") in ("auto", "none"):
        return {}
    if given:
        raise wrong("tool_choice", _NO_TOOL_LEFT)
    return out


def _function(tool: Json, at: str, notes: Notes) -> Json | None:
    """The chat tool; ``None`` for what is left out."""
    kind = tool.get("type")
    if not isinstance(kind, str) or not kind:
        raise wrong(f"{at}.type", 'must be a text such as "function"')
    if kind == "custom":
        return freeform.function_of(tool, at, notes)
    if kind != "function":
        notes.add(f"tools.{kind}")
        return None
    notes.rest(tool, ("type", "name", "description", "parameters", "strict"), "tools")
    function: Json = {"name": name_of(tool, at), **copied(tool, ("description", "parameters", "strict"))}
    return {"type": "function", "function": function}


def _choice(choice: object, tools: list[Json]) -> tuple[Json, list[Json]]:
    """``tool_choice``, and the tools that it leaves to choose from."""
    if choice is None:
        return {}, tools
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise wrong("tool_choice", f'must be "auto", "none", "required" or a tool; got {choice!r}')
        return {"tool_choice": choice}, tools
    named = an_object(choice, "tool_choice")
    match named.get("type"):
        case "function" | "custom":
            function = {"name": name_of(named, "tool_choice")}
            return {"tool_choice": {"type": "function", "function": function}}, tools
        case "allowed_tools":
            return _allowed(named, tools)
        case kind:
            raise wrong("tool_choice.type", f"is {kind!r}: it forces a tool that Coreto does not have")


def _allowed(choice: Json, tools: list[Json]) -> tuple[Json, list[Json]]:
    mode = choice.get("mode")
    if mode not in ("auto", "required"):
        raise wrong("tool_choice.mode", f'must be "auto" or "required"; got {mode!r}')
    names = [tool.get("name") for _, tool in objects(choice.get("tools"), "tool_choice.tools")]
    return {"tool_choice": mode}, [tool for tool in tools if tool["function"]["name"] in names]
