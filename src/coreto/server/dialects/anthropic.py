"""Anthropic's Messages requests as chat requests. Pure.

What only steers Anthropic's own servers (caching, thinking budgets, service tiers) is left out and noted, and so
are the tools that they run, and what came of these: a client that offers them can do without, unless it forces
one. What the answer would depend on and chat completions do not have is refused.
"""

import orjson

from coreto.messages import Json
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
    texts,
    truth,
    wrong,
)
from coreto.server.dialects.translated import Translated

#: Longer ones are not a user's: OpenAI refuses them, and coding agents put a session's id into them.
_USER_MOST = 64
_SAME = ("model", "temperature", "top_p", "top_k", "stream", "private")
_READ = frozenset(
    {
        *_SAME,
        "messages",
        "system",
        "max_tokens",
        "stop_sequences",
        "tools",
        "tool_choice",
        "metadata",
        "output_config",
    }
)
#: What tools of Anthropic's servers were asked and told: the model's own words say what came of it.
_HOSTED = frozenset(
    {
        "server_tool_use",
        "mcp_tool_use",
        "mcp_tool_result",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
    }
)


def to_chat(request: Json) -> Translated:
    """The chat request. Raises :class:`~coreto.errors.InvalidRequestError` naming the field."""
    if count(request, "max_tokens") is None:
        raise wrong("max_tokens", "is missing: the longest answer in tokens")
    return prompt_to_chat(request)


def prompt_to_chat(request: Json) -> Translated:
    """The same for a request that only counts its tokens, and needs no ``max_tokens``."""
    notes = Notes()
    notes.rest(request, _READ)
    truth(request, "stream")
    body: Json = {
        **copied(request, _SAME),
        "messages": [*_system(request, notes), *_messages(request, notes)],
    }
    if (most := count(request, "max_tokens")) is not None:
        body["max_tokens"] = most
    if stop := texts(request, "stop_sequences"):
        body["stop"] = stop
    body |= _tools(request, notes)
    body |= _output(optional_object(request, "output_config"), notes)
    body |= _user(optional_object(request, "metadata"), notes)
    if body.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return Translated(body, notes.names)


def _system(request: Json, notes: Notes) -> list[Json]:
    said = _plain(request.get("system"), "system", notes)
    return [{"role": "system", "content": said}] if said else []


_NO_CONTENT = "is missing: a text or a list of blocks"


def _plain(value: object, at: str, notes: Notes) -> str:
    """A text, or blocks of nothing else."""
    if value is None or isinstance(value, str):
        return value or ""
    parts: list[str] = []
    for where, block in objects(value, at):
        if block.get("type") != "text":
            raise wrong(f"{where}.type", f"is {block.get('type')!r}; here only text is possible")
        notes.rest(block, ("type", "text"), at.partition("[")[0])
        parts.append(text(block, "text", where))
    return joined(parts)


def _messages(request: Json, notes: Notes) -> list[Json]:
    if not request.get("messages"):
        raise wrong("messages", "must be a list of at least one message")
    out: list[Json] = []
    for at, message in objects(request["messages"], "messages"):
        inner = f"{at}.content"
        said = message.get("content")
        match message.get("role"):
            case "user":
                out += _from_user(said, inner, notes)
            case "assistant":
                out.append(_from_assistant(said, inner, notes))
            case "system" if said is None:
                raise wrong(inner, _NO_CONTENT)
            case "system":
                out.append({"role": "system", "content": _plain(said, inner, notes)})
            case role:
                raise wrong(f"{at}.role", f'must be "user", "assistant" or "system"; got {role!r}')
    if out[-1]["role"] == "assistant":
        notes.add("messages: the answer begun for the assistant")  # many servers answer anew
    return out


def _blocks(said: object, at: str) -> list[tuple[str, Json]]:
    if isinstance(said, str):
        return [(at, {"type": "text", "text": said})]
    if said is None:
        raise wrong(at, _NO_CONTENT)
    return objects(said, at)


def _from_user(said: object, at: str, notes: Notes) -> list[Json]:
    """The results of tools first, as they must follow the calls, then what the user says."""
    results: list[Json] = []
    images: list[Json] = []
    parts: list[Json] = []
    for where, block in _blocks(said, at):
        if block.get("type") == "tool_result":
            result, seen = _tool_result(block, where, notes)
            results.append(result)
            images += seen
        else:
            parts.append(_part(block, where, notes))
    parts = images + parts
    return [*results, {"role": "user", "content": content(parts)}] if parts or not results else results


def _part(block: Json, at: str, notes: Notes) -> Json:
    match block.get("type"):
        case "text":
            notes.rest(block, ("type", "text"), "messages")
            return {"type": "text", "text": text(block, "text", at)}
        case "image":
            notes.rest(block, ("type", "source"), "messages")
            return _image(an_object(block.get("source"), f"{at}.source"), f"{at}.source")
        case kind:
            raise wrong(
                f"{at}.type", f"is {kind!r}, which Coreto cannot pass on; text, images and tools it can"
            )


def _image(source: Json, at: str) -> Json:
    match source.get("type"):
        case "base64":
            url = f"data:{text(source, 'media_type', at)};base64,{text(source, 'data', at)}"
        case "url":
            url = text(source, "url", at)
        case kind:
            raise wrong(f"{at}.type", f"is {kind!r}; images are passed on inline (base64) or by url")
    return {"type": "image_url", "image_url": {"url": url}}


def _tool_result(block: Json, at: str, notes: Notes) -> tuple[Json, list[Json]]:
    """A tool's message, and the images in it, which chat completions know in user's messages only."""
    notes.rest(block, ("type", "tool_use_id", "content"), "messages.tool_result")
    identifier = text(block, "tool_use_id", at)
    said = block.get("content")
    parts = [] if said is None else [_part(b, w, notes) for w, b in _blocks(said, f"{at}.content")]
    images = [part for part in parts if part["type"] != "text"]
    if images:
        images.insert(0, {"type": "text", "text": f"Images of the tool result {identifier}:"})
    told = joined([part["text"] for part in parts if part["type"] == "text"])
    if not told and block.get("is_error"):
        told = "error"
    return {"role": "tool", "tool_call_id": identifier, "content": told}, images


def _from_assistant(said: object, at: str, notes: Notes) -> Json:
    parts: list[str] = []
    calls: list[Json] = []
    for where, block in _blocks(said, at):
        match block.get("type"):
            case "text":
                notes.rest(block, ("type", "text"), "messages")
                parts.append(text(block, "text", where))
            case "tool_use":
                notes.rest(block, ("type", "id", "name", "input", "caller"), "messages.tool_use")
                calls.append(_tool_use(block, where))
            case "thinking" | "redacted_thinking":
                notes.add("messages.thinking")
            case str(kind) if kind in _HOSTED:
                notes.add(f"messages.{kind}")
            case kind:
                raise wrong(
                    f"{where}.type", f"is {kind!r}, which Coreto cannot pass on; text and tool_use it can"
                )
    message: Json = {"role": "assistant", "content": joined(parts) if parts or not calls else None}
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_use(block: Json, at: str) -> Json:
    arguments = orjson.dumps(an_object(block.get("input"), f"{at}.input")).decode()
    function = {"name": name_of(block, at), "arguments": arguments}
    return {"id": text(block, "id", at), "type": "function", "function": function}


def _tools(request: Json, notes: Notes) -> Json:
    """The fields of the chat request about tools; none where no tool is left, as OpenAI refuses a
    ``tool_choice`` without tools."""
    given = objects(request.get("tools"), "tools")
    tools = [function for at, tool in given if (function := _tool(tool, at, notes)) is not None]
    choice = optional_object(request, "tool_choice")
    out = _tool_choice(choice)
    names = {function["function"]["name"] for function in tools}
    gone = {str(tool.get("name")) for _, tool in given} - names
    if choice.get("type") == "tool" and choice["name"] in gone:
        raise wrong(
            "tool_choice.name",
            f"forces {choice['name']!r}, a tool of Anthropic's own, which Coreto does not have",
        )
    if tools:
        return {"tools": tools, **out}
    if given and choice.get("type") == "any":
        raise wrong(
            "tool_choice", "forces a tool, but those given are Anthropic's own, which Coreto does not have"
        )
    return {} if out.get("tool_choice", "auto") in ("auto", "none") else out


def _tool(tool: Json, at: str, notes: Notes) -> Json | None:
    """The chat tool; ``None`` for what is left out."""
    kind = tool.get("type")
    if kind not in (None, "custom"):
        if not isinstance(kind, str) or kind in ("", "function"):
            raise wrong(f"{at}.type", f'is {kind!r}; tools of the client\'s have none, or "custom"')
        notes.add(f"tools.{kind}")
        return None
    notes.rest(tool, ("type", "name", "description", "input_schema", "strict"), "tools")
    schema = an_object(tool.get("input_schema"), f"{at}.input_schema")
    function: Json = {
        "name": name_of(tool, at),
        **copied(tool, ("description", "strict")),
        "parameters": schema,
    }
    return {"type": "function", "function": function}


def _tool_choice(choice: Json) -> Json:
    if not choice:
        return {}
    out: Json = {}
    if truth(choice, "disable_parallel_tool_use", "tool_choice"):
        out["parallel_tool_calls"] = False
    match choice.get("type"):
        case "auto" | "none" as same:
            out["tool_choice"] = same
        case "any":
            out["tool_choice"] = "required"
        case "tool":
            out["tool_choice"] = {"type": "function", "function": {"name": name_of(choice, "tool_choice")}}
        case kind:
            raise wrong("tool_choice.type", f'must be "auto", "any", "tool" or "none"; got {kind!r}')
    return out


def _output(config: Json, notes: Notes) -> Json:
    notes.rest(config, ("format",), "output_config")
    form = optional_object(config, "format", "output_config")
    if not form:
        return {}
    if form.get("type") != "json_schema":
        raise wrong("output_config.format.type", f'must be "json_schema"; got {form.get("type")!r}')
    schema = an_object(form.get("schema"), "output_config.format.schema")
    wanted = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}


def _user(metadata: Json, notes: Notes) -> Json:
    notes.rest(metadata, ("user_id",), "metadata")
    user = metadata.get("user_id")
    if isinstance(user, str) and 0 < len(user) <= _USER_MOST and user.isprintable():
        return {"user": user}
    if user:
        notes.add("metadata.user_id")
    return {}
