"""Spending limits on the way of a call, over real HTTP."""

import asyncio

import pytest

from coreto.errors import CallError

BASE = """
[providers.paid]
base_url = "{paid}/v1"
local = false
api_key = "k"

[providers.lab]
base_url = "{free}/v1"

[models."paid/m"]
input_price = 100.0
output_price = 100.0

[roles.r]
chain = ["paid/m", "lab/m"]
max_tokens = 10

[budgets]
daily_usd = {daily}
when_exceeded = "{what}"
"""


def toml(first, second, *, daily=0.004, what="local"):
    return BASE.format(paid=first.url, free=second.url, daily=daily, what=what)


def test_a_used_up_limit_sends_calls_home(ask, first, second):
    """When the day's limit leaves no room, the model on this machine answers, and the trace says why."""

    async def work(c):
        return [await c.chat("hi", role="r") for _ in range(6)]

    answers = ask(toml(first, second), work)
    by = [answer.deployment for answer in answers]
    assert by[0] == "paid/m"
    assert by[-1] == "lab/m"
    skipped = answers[-1].trace.attempts[0]
    assert (skipped.deployment, skipped.outcome) == ("paid/m", "skipped")
    assert "daily limit" in skipped.detail
    assert skipped.until is not None
    spent = sum(a.cost_nusd or 0 for answer in answers for a in answer.trace.attempts)
    assert 0 < spent <= 4_000_000


@pytest.mark.parametrize("daily", [0.004, 0.0])
@pytest.mark.parametrize("prefer", [None, "cloud"])
def test_a_used_up_limit_refuses_where_it_shall(ask, first, second, prefer, daily):
    """With `refuse` the call fails with status 402 and names the limit; nobody else is asked, whoever decides
    the order."""

    async def work(c):
        for _ in range(6):
            await c.chat("hi", role="r", prefer=prefer)

    with pytest.raises(CallError) as caught:
        ask(toml(first, second, daily=daily, what="refuse"), work)
    assert caught.value.http_status == 402
    assert "daily limit" in caught.value.message
    assert second.requests("/v1/chat/completions") == []


def test_many_calls_at_once_stay_below_the_limit(ask, first, second):
    """Forty calls at once, streams among them, spend no more than the limit together."""

    async def one(c, number):
        if number % 2:
            return await c.chat("hi", role="r")
        async with c.stream("hi", role="r") as stream:
            async for _ in stream:
                pass
        return stream.answer

    async def work(c):
        answers = await asyncio.gather(*(one(c, n) for n in range(40)))
        return answers, await c.status()

    answers, status = ask(toml(first, second, daily=0.01), work)
    spent = sum(a.cost_nusd or 0 for answer in answers for a in answer.trace.attempts)
    assert 0 < spent <= 10_000_000
    assert {answer.deployment for answer in answers} == {"paid/m", "lab/m"}
    line = status["budgets"]["limits"][0]
    assert line["limit_usd"] == 0.01
