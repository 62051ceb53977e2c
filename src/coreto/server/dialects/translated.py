"""What a dialect turns a request into, and what it gives back. Pure."""

import secrets
from dataclasses import dataclass
from typing import Protocol

import orjson

from coreto.messages import Json, Trace, Usage, as_object, as_objects, estimate_tokens, prompt_text, usage_of
from coreto.server.exchange import Envelope

#: About what a picture of the usual size takes in the models that say.
_IMAGE_TOKENS = 1_500
#: What the template puts around a message.
_MESSAGE_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Translated:
    """A chat request, and the fields of the original that it does not carry."""

    body: Json
    unmapped: tuple[str, ...] = ()


class Events(Envelope, Protocol):
    """Turns one answer's chunks into events; :meth:`event` is its end when it breaks."""

    def feed(self, chunk: Json) -> bytes:
        """The events for a chunk; empty when it has none."""
        ...

    def finish(self, trace: Trace) -> bytes:
        """The events that end the answer. Raises :class:`~coreto.errors.CallError` when it is not over."""
        ...


def used(body: Json, trace: Trace) -> Usage:
    """The tokens of an answer: what its server said, else what the gateway counted."""
    last = trace.attempts[-1].usage if trace.attempts else Usage()
    return usage_of(body) or last


def sent_event(body: Json) -> bytes:
    """A server-sent event, named as its type."""
    return b"event: %b\ndata: %b\n\n" % (str(body["type"]).encode(), orjson.dumps(body))


def call_id_of(call: Json) -> str:
    """The id of a model's tool call; a new one where its server gave none."""
    found = call.get("id")
    return found if isinstance(found, str) and found else f"call_{secrets.token_hex(12)}"


def arguments_of(function: Json) -> str:
    """The arguments of a model's tool call as the text they should be; some servers send an object."""
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        return arguments
    return orjson.dumps(arguments).decode() if arguments else ""


def estimate_prompt(chat: Json) -> int:
    """About how many tokens the prompt of a chat request has."""
    texts = [prompt_text(chat)]
    tokens = 0
    if chat.get("tools"):
        texts.append(orjson.dumps(chat["tools"]).decode())
    for message in as_objects(chat.get("messages")):
        tokens += _MESSAGE_TOKENS
        for part in as_objects(message.get("content")):
            tokens += _IMAGE_TOKENS if part.get("type") == "image_url" else 0
        for call in as_objects(message.get("tool_calls")):
            function = as_object(call.get("function"))
            texts.append(f"{function.get('name')}{function.get('arguments')}")
    return tokens + estimate_tokens("\n".join(texts))
