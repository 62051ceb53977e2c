"""Any JSON that an OpenAI-compatible server may send is an answer or a ``CallError``, never a crash."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.clock import SystemClock
from coreto.errors import CallError, FilteredError, GarbledError, InvalidOutputError
from coreto.messages import Accumulator, Call, Chunk, Whole, usage_of
from coreto.providers.catalog import Deployment
from coreto.providers.openai_compatible import check_chunk, check_whole
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Journal, Plan

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=5,
)


def mostly(right):
    """``right`` in most cases, else any JSON."""
    return st.one_of(right, right, right, _JSON)


_CALLS = mostly(
    st.lists(mostly(st.fixed_dictionaries({}, optional={"id": _JSON, "function": _JSON})), max_size=2)
)
_SPEECH = st.fixed_dictionaries(
    {},
    optional={"content": mostly(st.text(max_size=5)), "tool_calls": _CALLS, "role": _JSON, "refusal": _JSON},
)
_FINISH = mostly(st.sampled_from([None, "stop", "length", "error", "content_filter"]))
_CHOICE = st.fixed_dictionaries(
    {},
    optional={"message": mostly(_SPEECH), "delta": mostly(_SPEECH), "finish_reason": _FINISH, "error": _JSON},
)
_USAGE = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("prompt_tokens", "completion_tokens", "prompt_tokens_details", "cost"), _JSON)
)
_BODY = st.fixed_dictionaries(
    {"choices": mostly(st.lists(mostly(_CHOICE), max_size=2))},
    optional={"usage": mostly(_USAGE), "error": st.none()},
)


class Wire:
    """A provider whose server sends these parsed bodies."""

    def __init__(self, bodies):
        self.bodies = bodies

    async def items(self, call):
        if not call.stream:
            yield Whole(check_whole(self.bodies[0], 0.0))
            return
        finished = False
        for body in self.bodies:
            finished = check_chunk(body, lambda: 0.0) or finished
            yield Chunk(body)

    def open(self, call):
        from contextlib import aclosing

        return aclosing(self.items(call))


async def through_the_chain(bodies, *, stream):
    here = Deployment("p/m", "p", "m", local=True, account="p", endpoint="p")
    plan = Plan("chat", "chat", (Candidate(here, Wire(bodies)),), retries=0)
    ward = Ward(
        HealthBook(SystemClock(), lambda _: None), SystemClock(), random.Random(0), lambda _c, _e: None
    )
    call = Call("c", {"messages": [{"role": "user", "content": "hi"}]}, "m", stream)
    async with Fallback(plan, Journal(), ward).open(call) as items:
        return [item async for item in items]


@given(_BODY)
@settings(max_examples=600, deadline=None)
def test_openai_any_whole(body):
    """A whole answer of any content is given on or refused with a ``CallError``."""
    try:
        (whole,) = asyncio.run(through_the_chain([body], stream=False))
    except CallError:
        return
    usage_of(whole.body)


@given(st.lists(_BODY, min_size=1, max_size=3))
@settings(max_examples=600, deadline=None)
def test_openai_any_stream(bodies):
    """A stream of any content is given on, and can be put together, or is refused with a ``CallError``."""
    heard = Accumulator()
    try:
        items = asyncio.run(through_the_chain(bodies, stream=True))
    except CallError:
        return
    for item in items:
        heard.add(item.body)
    assert isinstance(heard.text, str)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, GarbledError),
        ({"choices": []}, InvalidOutputError),
        ({"choices": [5]}, GarbledError),
        ({"choices": [{"finish_reason": "stop"}]}, GarbledError),
        ({"choices": [{"finish_reason": "content_filter", "message": {}}]}, FilteredError),
        ({"choices": [{"finish_reason": "error", "message": {}}]}, CallError),
        ({"error": {"message": "x", "code": 429}}, CallError),
    ],
)
def test_openai_what_is_no_answer(body, kind):
    """What lacks a part of an answer is refused under the right name."""
    with pytest.raises(kind):
        check_whole(body, 0.0)
