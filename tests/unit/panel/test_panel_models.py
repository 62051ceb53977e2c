"""Roles of a gateway as specialists."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from coreto.durable import InlineDurable
from coreto.errors import CallError, InvalidOutputError
from coreto.labels import Label
from coreto.messages import Attempt, Trace, Usage, Whole
from coreto.panel import models
from coreto.panel.model import Answer, Draft, Part, Seat

SEAT = Seat(InlineDurable(), "cpu", Label.PRIVATE, deadline=12.5)


class Gateway:
    """Says one text, in two attempts that are paid for."""

    def __init__(self, text: str, *, traced: bool = True) -> None:
        self.text = text
        self.traced = traced
        self.calls = []
        self.open_calls = 0

    @asynccontextmanager
    async def open(self, call):
        self.calls.append(call)
        self.open_calls += 1
        try:
            yield self._items(call)
        finally:
            self.open_calls -= 1

    async def _items(self, call):
        yield Whole({"choices": [{"message": {"content": self.text}}]})
        if self.traced:
            attempts = (
                Attempt("paid/m", "invalid_output", usage=Usage(10, 5), cost_nusd=7),
                Attempt("lab/m", "ok", usage=Usage(20, 6), cost_nusd=3),
            )
            yield Trace(call.id, "lab/m", "specialist", Label.PRIVATE, attempts)


def ask(gateway: Gateway, body: dict) -> Answer:
    found = asyncio.run(models.specialist("cpu", gateway, "specialist", lambda request: body).ask(SEAT, {}))
    assert gateway.open_calls == 0
    assert isinstance(found, Answer)
    return found


def test_a_text() -> None:
    """The answer with the tokens and the money of all attempts; the call has the seat's label and deadline."""
    gateway = Gateway("all is well")
    assert ask(gateway, {"messages": []}) == Answer("all is well", 41, 10, Label.PRIVATE, "lab/m")
    [call] = gateway.calls
    assert (call.model, call.body["model"], call.label, call.deadline) == (
        "specialist",
        "specialist",
        Label.PRIVATE,
        12.5,
    )


def test_an_object() -> None:
    """With a response format the answer is JSON, or it is none."""
    body = {"messages": [], "response_format": {"type": "json_object"}}
    assert ask(Gateway('{"a": 1}'), body).content == {"a": 1}
    with pytest.raises(InvalidOutputError):
        ask(Gateway("sure: {"), body)


def test_without_a_trace() -> None:
    """A gateway that ends so is broken."""
    with pytest.raises(CallError):
        ask(Gateway("x", traced=False), {"messages": []})


def test_a_consolidator() -> None:
    """It is asked with the draft."""
    gateway = Gateway("so it is")
    draft = Draft({}, (Part("cpu", "ok", "busy"),))
    consolidate = models.consolidator(gateway, "boss", lambda draft: {"messages": [draft.answers[0].content]})
    found = asyncio.run(consolidate(SEAT, draft))
    assert isinstance(found, Answer)
    assert found.content == "so it is"
    assert gateway.calls[0].body == {"messages": ["busy"], "model": "boss"}
