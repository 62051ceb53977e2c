"""Which limits apply, in which windows, and what a call can cost at most."""

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import BudgetError
from coreto.ledger.budgets import Budgets
from coreto.ledger.limits import (
    Limit,
    Limits,
    answer_most,
    nusd,
    period,
    prompt_most,
    storable,
    worst_nusd,
)
from coreto.ledger.prices import PriceBook
from coreto.ledger.pricing import Price
from coreto.ledger.purse import Purse
from coreto.messages import NANO, Call, EmbedCall, Usage, estimate_tokens
from coreto.providers.catalog import Deployment
from coreto.settings.model import BudgetSettings, SpendingLimits
from coreto.testing.budget_store import MemoryBudgetStore
from coreto.testing.clock import VirtualClock

ZONES = ["UTC", "America/Sao_Paulo", "Asia/Kathmandu", "Europe/Lisbon", "Pacific/Apia", "America/Havana"]
PRICE = Price(input=2_000_000, output=8_000_000, cached=500_000, source="test")  # $2 and $8 a million
CLOUD = Deployment("cloud/x", "cloud", "x", False, "cloud", "https://cloud")
UNPRICED = Deployment("cloud/new", "cloud", "new", False, "cloud", "https://cloud")
HOME = Deployment("ollama/x", "ollama", "x", True, "ollama", "http://127.0.0.1")


def limits(**given_) -> Limits:
    return Limits(BudgetSettings.model_validate(given_))


@given(st.sampled_from(ZONES), st.sampled_from(["day", "month"]), st.integers(946_684_800, 2_208_988_800))
def test_windows_tile_time(zone: str, window, now: int):
    """Every instant is in exactly one window, named after its date in the zone; the next begins where it
    ends."""
    tz = ZoneInfo(zone)
    span = period(window, now, tz)
    assert span.start <= now < span.end
    assert datetime.fromtimestamp(now, tz).date().isoformat().startswith(span.name)
    assert period(window, span.start, tz) == span
    after = period(window, span.end, tz)
    assert after.start == span.end
    assert after.name > span.name
    assert span.end - span.start <= (25 if window == "day" else 31 * 24 + 1) * 3600


def test_days_of_sao_paulo():
    """A day begins at midnight of the zone, also where summer time leaves midnight out."""
    at = datetime(2026, 11, 22, 2, 59, tzinfo=UTC).timestamp()
    tz = ZoneInfo("America/Sao_Paulo")
    assert period("day", at, tz).name == "2026-11-21"
    assert period("day", at + 60, tz).name == "2026-11-22"
    short = period("day", datetime(2018, 11, 4, 12, tzinfo=UTC).timestamp(), tz)
    assert (short.name, short.end - short.start) == ("2018-11-04", 23 * 3600)


def test_limits_that_apply():
    """Everybody's, the user's own or that for each, key by key, the role's and the run's."""
    found = limits(
        daily_usd=10,
        users={"*": {"daily_usd": 1, "monthly_usd": 5}, "ana": {"daily_usd": 3}},
        roles={"brain": {"monthly_usd": 2}},
        runs={"usd": 0.5},
    )
    everybody = Limit("all", "", "day", 10 * NANO)
    assert found.applying("ana", "brain", "r1") == (
        everybody,
        Limit("user", "ana", "day", 3 * NANO),
        Limit("user", "ana", "month", 5 * NANO),
        Limit("role", "brain", "month", 2 * NANO),
        Limit("run", "r1", "run", NANO // 2),
    )
    assert found.applying("bea", "ui", None)[1:] == (
        Limit("user", "bea", "day", NANO),
        Limit("user", "bea", "month", 5 * NANO),
    )
    assert found.applying(None, None, None) == found.applying("", None, "")
    assert [limit.name for limit in found.named()] == ["", "ana", "ana", "brain"]


def test_no_limit():
    """Without any limit none applies; one for runs alone is a limit."""
    assert limits().applying("ana", "brain", "r1") == ()
    assert not limits(users={"ana": {}}, roles={"*": {}}, when_exceeded="refuse").any
    for given_ in ({"runs": {"usd": 1}}, {"users": {"*": {"daily_usd": 1}}}, {"monthly_usd": 0}):
        assert limits(**given_).any


@given(st.floats(0, 1_000_000))
def test_dollars_are_exact(amount: float):
    """An amount becomes whole nano-dollars, never more than was written."""
    assert 0 <= nusd(amount) <= amount * NANO * (1 + 1e-15) + 1e-6
    assert nusd(0.1) == 100_000_000


@given(st.text(max_size=300), st.sampled_from(["", "\0", "\ud800", "é" * 250]))
def test_names_can_be_stored(name: str, more: str):
    """Any name becomes one that a database takes, and stays what it is when stored again."""
    kept = storable(name + more)
    assert len(kept) <= 200
    assert "\0" not in kept.encode("utf-8").decode()
    assert storable(kept) == kept


@given(st.lists(st.text(max_size=200), max_size=5))
def test_the_estimate_is_above_the_ledgers(texts: list[str]):
    """The prompt's worst case is at least the estimate that a missing usage is replaced by."""
    body = {"messages": [{"role": "user", "content": text} for text in texts]}
    assert prompt_most(body) >= estimate_tokens("\n".join(texts))


def test_everything_that_is_sent_counts():
    """Tools, schemas, calls in the history, parts and pictures count for the prompt."""
    plain = {"messages": [{"role": "user", "content": "olá"}]}
    assert prompt_most(plain) == 16 + 2
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert prompt_most({**plain, "tools": tools}) == 16 + -(-(4 + len(orjson.dumps(tools))) // 2)
    parts = [{"type": "text", "text": "olá"}, {"type": "image_url", "image_url": {"url": "data:..."}}]
    assert prompt_most({"messages": [{"role": "user", "content": parts}]}) == 16 + 2 + 1600
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    assert prompt_most({"messages": [called]}) > 16
    assert prompt_most({"input": ["aaaa", "bbbb"]}) == 8
    assert prompt_most({"messages": "rubbish"}) == 0


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({}, 4096),
        ({"max_tokens": 10}, 10),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 20),
        ({"max_tokens": None, "n": 2}, 8192),
        ({"max_tokens": 10, "n": 3}, 30),
        ({"max_tokens": -5, "n": 0}, 0),
        ({"max_tokens": 10**30}, 10**9),
    ],
)
def test_longest_answer(body, most: int):
    """The longest answer is what the request allows, times the answers asked for."""
    assert answer_most(body) == most


def test_worst_case():
    """Prompt and answer at their prices; no answer for embeddings."""
    body = {"messages": [{"role": "user", "content": "a" * 200}], "max_tokens": 1000}
    assert worst_nusd(PRICE, body) == 116 * 2000 + 1000 * 8000
    assert worst_nusd(PRICE, body, answers=False) == 116 * 2000


def admitted(test, **given_):
    """Run ``test(budgets, used)`` on a started purse; ``used`` tells nano-dollars spent."""

    async def whole():
        prices = PriceBook({"cloud/x": PRICE}.get)
        purse = Purse(MemoryBudgetStore(), limits(**given_), VirtualClock())
        await purse.start()

        async def used() -> int:
            return (await purse.report()).lines[0].total.spent

        try:
            await test(Budgets(purse, prices), used)
        finally:
            await purse.close()

    asyncio.run(whole())


def call(**changes) -> Call:
    return Call(
        "c", {"messages": [{"role": "user", "content": "a" * 200}], "max_tokens": 1000, **changes}, "x"
    )


@pytest.mark.parametrize(
    ("usage", "outcome", "counted"),
    [
        (Usage(prompt=100, completion=10), "ok", 280_000),
        (Usage(prompt=100, completion=10, cost_nusd=5), "ok", 5),
        (Usage(prompt=100, completion=10, estimated=True), "cut", 280_000),
        (None, "ok", 8_232_000),
        (None, "timeout", 8_232_000),
        (Usage(), "canceled", 8_232_000),
        (None, "unreachable", 0),
        (None, "quota", 0),
    ],
)
def test_what_an_attempt_counts(usage, outcome: str, counted: int):
    """The price of the tokens, or what the server says it charged; all that was reserved where it may have
    charged and does not say; nothing where it cannot have."""

    async def test(budgets: Budgets, used) -> None:
        reservation = await budgets.admit(call(), CLOUD)
        assert reservation.nusd == 8_232_000
        budgets.settle(reservation, CLOUD, usage, outcome)
        assert await used() == counted

    admitted(test, daily_usd=1)


def test_local_models_pass_freely():
    """A model on this machine needs no price and no room."""

    async def test(budgets: Budgets, used) -> None:
        budgets.settle(await budgets.admit(call(), HOME), HOME, Usage(10**6, 10**6), "ok")
        assert await used() == 0
        with pytest.raises(BudgetError):
            await budgets.admit(call(), CLOUD)

    admitted(test, daily_usd=0)


def test_an_unknown_price_under_a_limit():
    """A model without a known price is refused where spending is limited, with what to do about it."""

    async def test(budgets: Budgets, used) -> None:
        with pytest.raises(BudgetError, match=r"no known price for 'cloud/new'.*allow_unknown_price"):
            await budgets.admit(call(), UNPRICED)

    admitted(test, daily_usd=1)


def test_an_unknown_price_that_is_allowed():
    """With leave it passes, and counts what its server says that it charged."""

    async def test(budgets: Budgets, used) -> None:
        for usage in (Usage(100, 10), Usage(100, 10, cost_nusd=77), None):
            budgets.settle(await budgets.admit(call(), UNPRICED), UNPRICED, usage, "ok")
        assert await used() == 77

    admitted(test, daily_usd=1, allow_unknown_price=True)


def test_without_a_limit_that_applies_nothing_is_asked():
    """A call that no limit concerns passes, whatever it costs and whether its price is known or not."""

    async def test(budgets: Budgets, used) -> None:
        for deployment in (CLOUD, UNPRICED):
            budgets.settle(await budgets.admit(call(), deployment), deployment, None, "ok")
        assert await used() == 0

    admitted(test, users={"ana": {"daily_usd": 0}})


def test_embeddings_reserve_their_prompt():
    """An embeddings call reserves its input's price and nothing for an answer."""

    async def test(budgets: Budgets, used) -> None:
        asked = EmbedCall("e", {"input": ["a" * 100] * 2}, "x")
        assert (await budgets.admit(asked, CLOUD)).nusd == 104 * 2000

    admitted(test, daily_usd=1)


def test_keys_have_limits_of_their_own() -> None:
    """A key's limits are those of the user it is; with one of the configuration too the lower one holds."""
    keys = {"shop": (5 * NANO, None), "ana": (1 * NANO, 9 * NANO)}
    settings = BudgetSettings(users={"ana": SpendingLimits(daily_usd=3.0, monthly_usd=4.0)})
    limits = Limits(settings, lambda name: keys.get(name, (None, None)))
    assert limits.any
    assert Limits(BudgetSettings(), lambda _: (None, None)).any
    assert limits.applying("shop", None, None) == (Limit("user", "shop", "day", 5 * NANO),)
    assert set(limits.applying("ana", None, None)) == {
        Limit("user", "ana", "day", 1 * NANO),
        Limit("user", "ana", "month", 4 * NANO),
    }
    assert limits.applying("bob", None, None) == ()
