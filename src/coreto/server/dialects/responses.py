"""OpenAI's Responses requests as chat requests. Pure.

What is kept on OpenAI's servers (earlier responses, conversations, files) is refused by name; what only steers
them, and what they have done with tools of their own, is left out and noted.
"""

from coreto.messages import Json
from coreto.server.dialects.freeform import arguments_for
from coreto.server.dialects.reading import (
    Notes,
    an_object,
    content,
    copied,
    count,
    joined,
    name_of,
    objects,
    optional_object,
    text,
    truth,
    wrong,
)
from coreto.server.dialects.responses_tools import chat_tools
from coreto.server.dialects.translated import Translated

_SAME = ("model", "temperature", "top_p", "user", "stream", "private")
#: ``metadata`` is the client's own and comes back to it; the rest says what is so anyway.
_READ = frozenset(
    {
        *_SAME,
        "input",
        "instructions",
        "max_output_tokens",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "metadata",
    }
    | {"store", "background", "truncation", "stream_options"}
)
#: What tools of OpenAI's servers were asked and told: the model's own words say what came of it.
_HOSTED = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "computer_call",
        "computer_call_output",
        "tool_search_call",
        "tool_search_output",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_request",
        "mcp_approval_response",
    }
)
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_IMPOSSIBLE = {
    "previous_response_id": "needs kept responses: send the whole conversation as `input`",
    "conversation": "needs kept conversations: send the whole conversation as `input`",
    "prompt": "needs kept prompts: send `instructions` and `input`",
    "store": "asks to keep the response, which Coreto does not: send false",
    "background": "asks to answer later, which Coreto does not: stream instead",
}


def to_chat(request: Json) -> Translated:
    """The chat request. Raises :class:`~coreto.errors.InvalidRequestError` naming the field."""
    notes = Notes()
    for name, why in _IMPOSSIBLE.items():
        if request.get(name):
            raise wrong(name, why)
    notes.rest(request, _READ)
    if request.get("truncation") == "auto":
        notes.add("truncation")
    truth(request, "stream")
    body: Json = {**copied(request, _SAME), "messages": _messages(request, notes)}
    if (most := count(request, "max_output_tokens")) is not None:
        body["max_tokens"] = most
    truth(request, "parallel_tool_calls")
    body |= chat_tools(request, notes)
    body |= _reasoning(optional_object(request, "reasoning"), notes)
    body |= _format(optional_object(request, "text"), notes)
    if body.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return Translated(body, notes.names)


def _messages(request: Json, notes: Notes) -> list[Json]:
    out: list[Json] = []
    if request.get("instructions") is not None:
        out.append({"role": "system", "content": text(request, "instructions")})
    said = request.get("input")
    if isinstance(said, str) and said:
        return [*out, {"role": "user", "content": said}]
    if not said:
        raise wrong("input", "must be a text or a list of at least one item")
    shown: list[Json] = []  # images of tools' results, which wait until all results are told
    for at, item in objects(said, "input"):
        if item.get("type") in _OUTPUTS:
            out.append(_function_output(item, at, notes, shown))
            continue
        out += _pictures(shown)
        _add(item, at, out, notes)
    out += _pictures(shown)
    if not out:
        raise wrong("input", "says nothing that can be passed on: a message is needed")
    return out


def _pictures(shown: list[Json]) -> list[Json]:
    """A user's message that shows them; chat completions know images in those only."""
    if not shown:
        return []
    parts = [*shown]
    shown.clear()
    return [{"role": "user", "content": parts}]


def _add(item: Json, at: str, out: list[Json], notes: Notes) -> None:
    """Append an item's message to ``out``, or to the last message where they are one in chats."""
    match item.get("type", "message"):
        case "message":
            _add_message(item, at, out, notes)
        case "function_call" | "custom_tool_call":
            call = _function_call(item, at)
            if out and out[-1]["role"] == "assistant":
                out[-1]["tool_calls"] = [*out[-1].get("tool_calls", ()), call]
            else:
                out.append({"role": "assistant", "content": None, "tool_calls": [call]})
        case "reasoning":
            notes.add("input.reasoning")
        case str(kind) if kind in _HOSTED:
            notes.add(f"input.{kind}")
        case kind:
            raise wrong(
                f"{at}.type", f"is {kind!r}, which Coreto cannot pass on; messages and function calls it can"
            )


def _add_message(item: Json, at: str, out: list[Json], notes: Notes) -> None:
    role = item.get("role")
    said = item.get("content")
    parts = (
        [{"type": "text", "text": said}] if isinstance(said, str) else _parts(said, f"{at}.content", notes)
    )
    match role:
        case "user":
            out.append({"role": "user", "content": content(parts)})
        case "system" | "developer":  # many servers know no developer, and one system message only
            told = _text_only(parts, f"{at}.content")
            if out and out[-1]["role"] == "system":
                out[-1]["content"] = joined([out[-1]["content"], told])
            else:
                out.append({"role": "system", "content": told})
        case "assistant":
            out.append({"role": "assistant", "content": _text_only(parts, f"{at}.content")})
        case _:
            raise wrong(f"{at}.role", f'must be "user", "assistant", "system" or "developer"; got {role!r}')


def _parts(said: object, at: str, notes: Notes) -> list[Json]:
    if said is None:
        raise wrong(at, "is missing: a text or a list of parts")
    parts: list[Json] = []
    for where, part in objects(said, at):
        match part.get("type"):
            case "input_text" | "output_text" | "text":
                parts.append({"type": "text", "text": text(part, "text", where)})
            case "refusal":
                parts.append({"type": "text", "text": text(part, "refusal", where)})
            case "input_image":
                if part.get("file_id"):
                    raise wrong(f"{where}.file_id", "names a file on OpenAI's servers: send the image inline")
                notes.rest(part, ("type", "image_url", "detail"), "input")
                image = {"url": text(part, "image_url", where), **copied(part, ("detail",))}
                parts.append({"type": "image_url", "image_url": image})
            case kind:
                raise wrong(
                    f"{where}.type", f"is {kind!r}, which Coreto cannot pass on; text and images it can"
                )
    return parts


def _text_only(parts: list[Json], at: str) -> str:
    said = content(parts)
    if not isinstance(said, str):
        raise wrong(at, "may hold images in a user's message only")
    return said


def _function_call(item: Json, at: str) -> Json:
    custom = item.get("type") == "custom_tool_call"
    arguments = arguments_for(text(item, "input", at)) if custom else text(item, "arguments", at)
    function = {"name": name_of(item, at), "arguments": arguments}
    return {"id": text(item, "call_id", at), "type": "function", "function": function}


def _function_output(item: Json, at: str, notes: Notes, shown: list[Json]) -> Json:
    """A tool's message; images in it are appended to ``shown``."""
    identifier = text(item, "call_id", at)
    said = item.get("output")
    parts = [{"type": "text", "text": said}] if isinstance(said, str) else _parts(said, f"{at}.output", notes)
    if images := [part for part in parts if part["type"] != "text"]:
        shown += [{"type": "text", "text": f"Images of the tool result {identifier}:"}, *images]
    told = joined([part["text"] for part in parts if part["type"] == "text"])
    return {"role": "tool", "tool_call_id": identifier, "content": told}


def _reasoning(wanted: Json, notes: Notes) -> Json:
    notes.rest(wanted, ("effort",), "reasoning")
    return {} if wanted.get("effort") is None else {"reasoning_effort": text(wanted, "effort", "reasoning")}


def _format(wanted: Json, notes: Notes) -> Json:
    notes.rest(wanted, ("format",), "text")
    form = optional_object(wanted, "format", "text")
    match form.get("type"):
        case None | "text":
            return {}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "json_schema":
            schema = an_object(form.get("schema"), "text.format.schema")
            inner = {"name": name_of(form, "text.format"), "schema": schema}
            inner |= copied(form, ("description", "strict"))
            return {"response_format": {"type": "json_schema", "json_schema": inner}}
        case kind:
            raise wrong("text.format.type", f'must be "text", "json_object" or "json_schema"; got {kind!r}')
