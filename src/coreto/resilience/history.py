"""Conversations that another provider can read: what one model left in them may be refused by the next."""

import hashlib

from coreto.messages import Call, Json, as_object, as_objects

#: OpenAI refuses longer ids of tool calls; some providers make ids of hundreds of characters.
ID_MOST = 40
#: What a model thinks is signed for, or known to, its own provider alone.
_OWN = ("reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_blocks")


def portable(call: Call) -> Call:
    """``call`` with a history that any provider takes: no reasoning of other models, no long ids."""
    messages = as_objects(call.body.get("messages"))
    changed = [_portable(message) for message in messages]
    if all(new is old for new, old in zip(changed, messages, strict=True)):
        return call
    return call._replace(body={**call.body, "messages": changed})


def _portable(message: Json) -> Json:
    out = message
    if message.get("role") == "assistant" and any(field in message for field in _OWN):
        out = {name: value for name, value in out.items() if name not in _OWN}
    answered = message.get("tool_call_id")
    if isinstance(answered, str) and len(answered) > ID_MOST:
        out = {**out, "tool_call_id": short_id(answered)}
    calls = as_objects(message.get("tool_calls"))
    if any(len(str(call.get("id"))) > ID_MOST for call in calls):
        out = {**out, "tool_calls": [{**call, "id": short_id(str(call.get("id")))} for call in calls]}
    return out


def short_id(identifier: str) -> str:
    """``identifier`` if it is short enough, else a digest of it: the same for a call and its answer."""
    if len(identifier) <= ID_MOST:
        return identifier
    return "call_" + hashlib.sha256(identifier.encode()).hexdigest()[:24]


def turn(role: str, content: str) -> Json:
    """One message."""
    return {"role": role, "content": content}


def with_turns(call: Call, *turns: Json) -> Call:
    """``call`` with ``turns`` after its messages."""
    return call._replace(body={**call.body, "messages": [*as_objects(call.body.get("messages")), *turns]})


def delta_of(chunk: Json) -> Json:
    """What a chunk's first choice adds."""
    choices = as_objects(chunk.get("choices"))
    return as_object(choices[0].get("delta")) if choices else {}
