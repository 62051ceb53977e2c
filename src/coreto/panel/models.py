"""Specialists and consolidators that are roles of the gateway."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import orjson

from coreto.errors import InvalidOutputError
from coreto.messages import Call, Item, Json, Trace, new_call_id, text_of, whole_of
from coreto.panel.model import Answer, Consolidate, Draft, Seat, Specialist


class Models(Protocol):
    """The gateway of this process or of another one."""

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """The items of ``call``; the last one is its trace."""
        ...


def specialist(
    name: str,
    models: Models,
    role: str,
    body: Callable[[Json], Json],
    *,
    timeout: float = 30.0,
    required: bool = False,
) -> Specialist:
    """Asks ``role``, or a deployment. ``body``: the OpenAI request for a panel's request; with a ``response_format`` the
    answer is a JSON object."""

    async def ask(seat: Seat, request: Json) -> Answer:
        return await chat(models, seat, role, body(request))

    return Specialist(name, ask, timeout=timeout, required=required)


def consolidator(models: Models, role: str, body: Callable[[Draft], Json]) -> Consolidate:
    """Has ``role`` consolidate. ``body``: the OpenAI request for a draft."""

    async def consolidate(seat: Seat, draft: Draft) -> Answer:
        return await chat(models, seat, role, body(draft))

    return consolidate


async def chat(models: Models, seat: Seat, role: str, body: Json) -> Answer:
    """Ask ``role`` for a whole answer, until the panel's deadline and within its label. Raises
    :class:`~coreto.errors.CoretoError`."""
    body = {**body, "model": role}
    call = Call(new_call_id(), body, role, label=seat.label, deadline=seat.deadline)
    async with models.open(call) as items:
        answer, trace = await whole_of(items)
    return _answer(answer, trace, structured="response_format" in body)


def _answer(body: Json, trace: Trace, *, structured: bool) -> Answer:
    text = text_of(body)
    tokens = sum(attempt.usage.prompt + attempt.usage.completion for attempt in trace.attempts)
    content = _parsed(text) if structured else text
    return Answer(content, tokens, trace.cost_nusd, trace.label, trace.deployment)


def _parsed(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidOutputError(f"not JSON: {error}", answer=text) from None
