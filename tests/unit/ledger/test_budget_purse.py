"""The purse: what calls reserve and settle, over a store in memory."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Self

import pytest

from coreto.clock import SystemClock
from coreto.errors import BudgetError
from coreto.ledger.limits import Limits
from coreto.ledger.pots import IDLE_SECONDS
from coreto.ledger.purse import Purse
from coreto.messages import NANO
from coreto.settings.model import BudgetSettings
from coreto.stores.budget_records import USABLE_MS, Account, Move
from coreto.stores.errors import StoreDownError
from coreto.testing.budget_store import MemoryBudgetStore
from coreto.testing.clock import VirtualClock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
CENT = NANO // 100


def limits(**given) -> Limits:
    return Limits(BudgetSettings.model_validate(given))


class Bench:
    """A started purse with its store and clock."""

    def __init__(self, store: MemoryBudgetStore | None = None, **given) -> None:
        self.store = store or MemoryBudgetStore()
        self.clock = VirtualClock(NOON)
        self.limits = limits(**given)
        self.purse = Purse(self.store, self.limits, self.clock)

    async def __aenter__(self) -> Self:
        await self.purse.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.purse.close()

    async def obtain(self, cents: float, user=None, role=None, run=None):
        return await self.purse.obtain(user=user, role=role, run=run, worst_nusd=round(cents * CENT))

    def reserve(self, cents: float, user=None, role=None, run=None):
        return self.purse.reserve(user=user, role=role, run=run, worst_nusd=round(cents * CENT))

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and the exchanges that fall due in it happen."""
        for _ in range(round(seconds)):
            await self.clock.advance(1.0)
            await self.purse._answered()

    async def used(self) -> dict[str, float]:
        report = await self.purse.report()
        return {line.limit.title: line.total.spent / CENT for line in report.lines}


def run(test, *args, **given):
    """Run ``test(bench)`` on a started purse."""

    async def whole():
        async with Bench(*args, **given) as bench:
            return await test(bench)

    return asyncio.run(whole())


def test_reserve_settle_release():
    """What was reserved is free again when the call cost less, and all of it when it cost nothing."""

    async def test(bench: Bench) -> None:
        first = await bench.obtain(60)
        with pytest.raises(BudgetError):
            await bench.obtain(50)
        first.settle(10 * CENT)
        first.settle(99 * CENT)
        second = bench.reserve(50)
        second.release()
        second.settle(7)
        await bench.obtain(90)
        assert await bench.used() == {"daily limit": 10}

    run(test, daily_usd=1)


def test_an_unknown_cost_is_the_worst_case():
    """A reservation that is settled without a figure counts whole."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(60)).settle(None)
        assert await bench.used() == {"daily limit": 60}

    run(test, daily_usd=1)


def test_two_hundred_at_once():
    """Of 200 calls at once as many are admitted as fit, and not one more; few exchanges serve them all."""

    async def test(bench: Bench) -> None:
        before = bench.store.exchanges
        got = await asyncio.gather(*(bench.obtain(3) for _ in range(200)), return_exceptions=True)
        admitted = [one for one in got if not isinstance(one, BaseException)]
        assert len(admitted) == 33
        assert all(isinstance(one, BudgetError) for one in got if one not in admitted)
        assert bench.store.exchanges - before <= 4
        for one in admitted:
            one.settle(1 * CENT)
        got = await asyncio.gather(*(bench.obtain(3) for _ in range(200)), return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in got) == 22

    run(test, daily_usd=1)


def test_all_limits_that_apply_must_have_room():
    """A call is reserved under every limit or under none."""

    async def test(bench: Bench) -> None:
        await bench.obtain(20, user="ana", role="brain", run="r1")
        for who, message in (
            ({"user": "ana"}, r"daily limit of user 'ana', \$0.30"),
            ({"user": "bea", "role": "brain"}, r"monthly limit of role 'brain', \$0.25"),
            ({"run": "r1"}, r"limit of run 'r1', \$0.21"),
        ):
            with pytest.raises(BudgetError, match=message):
                await bench.obtain(15, **who)
        await bench.obtain(29, user="bea")
        assert set((await bench.used()).values()) == {0}
        with pytest.raises(BudgetError, match="daily limit of calls without a user"):
            await bench.obtain(31)

    run(
        test,
        daily_usd=1,
        users={"*": {"daily_usd": 0.3}},
        roles={"brain": {"monthly_usd": 0.25}},
        runs={"usd": 0.21},
    )


def test_the_error_says_what_when_and_how_much():
    """A refusal names the limit, what is spent, what the call may cost and when the window ends."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(98)).settle(97 * CENT)
        with pytest.raises(BudgetError) as caught:
            await bench.obtain(5)
        assert caught.value.message == (
            "the daily limit, $1.00, leaves no room: $0.97 is spent, $0.00 reserved for calls in flight,"
            " and this call may cost $0.05; it begins anew at 2026-11-22T00:00:00-03:00"
        )
        assert caught.value.until == datetime(2026, 11, 22, 3, tzinfo=UTC).timestamp()
        assert (caught.value.code, caught.value.http_status) == ("budget", 402)

    run(test, daily_usd=1, timezone="America/Sao_Paulo")


def test_a_new_day_is_a_new_limit():
    """At midnight of the zone the day's limit begins anew and the month's goes on; a call counts for the day
    on which it was admitted."""

    async def test(bench: Bench) -> None:
        late = await bench.obtain(90)
        bench.clock.move(12 * 3600 - 1)
        with pytest.raises(BudgetError):
            await bench.obtain(90)
        bench.clock.move(1)
        (await bench.obtain(90)).settle(80 * CENT)
        late.settle(90 * CENT)
        assert await bench.used() == {"daily limit": 80, "monthly limit": 170}
        with pytest.raises(BudgetError, match="monthly limit"):
            await bench.obtain(19, user="x")
        await bench.pass_time(2)
        assert [line.spent for line in bench.store.balances.values()] == [90 * CENT, 170 * CENT, 80 * CENT]

    run(test, daily_usd=1, monthly_usd=1.8)


def test_a_cost_beyond_the_reservation_counts():
    """What a provider charged beyond the worst case is counted and lowers what is left."""

    async def test(bench: Bench) -> None:
        other = await bench.obtain(30)
        (await bench.obtain(10)).settle(69 * CENT)
        with pytest.raises(BudgetError):
            await bench.obtain(2)
        other.settle(30 * CENT)
        await bench.obtain(1)
        assert await bench.used() == {"daily limit": 99}

    run(test, daily_usd=1)


def test_nothing_costs_nothing():
    """A call that cannot cost anything passes under an exhausted limit, even one of 0."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(0)).settle(0)
        bench.reserve(0).release()
        with pytest.raises(BudgetError):
            await bench.obtain(0.0001)

    run(test, daily_usd=0)


def test_start_reads_what_was_spent():
    """The day's cost so far, from the ledger, is spent at the first start; from the store at the next."""
    store = MemoryBudgetStore(lambda account: 40 * CENT if account.who == "all" else 0)

    async def first(bench: Bench) -> None:
        assert await bench.used() == {"daily limit": 40}
        with pytest.raises(BudgetError):
            await bench.obtain(61)
        (await bench.obtain(60)).settle(20 * CENT)

    async def second(bench: Bench) -> None:
        assert await bench.used() == {"daily limit": 60}
        await bench.obtain(40)

    run(first, store, daily_usd=1)
    run(second, store, daily_usd=1)


def test_a_start_without_a_store():
    """A store that is down at the start does not prevent it; nothing that costs is admitted until it is back."""
    store = MemoryBudgetStore()
    store.fault = StoreDownError("disk full")

    async def test(bench: Bench) -> None:
        with pytest.raises(BudgetError, match="disk full"):
            await bench.obtain(1)
        store.fault = None
        await bench.pass_time(2)
        await bench.obtain(1)

    run(test, store, daily_usd=1)


def test_a_start_forgets_what_is_long_over():
    """Accounts that nothing happened to for more than a month are gone; without any limit nothing is asked."""
    store = MemoryBudgetStore()
    gone = Move(Account("user", "eva", "2026-09"), "old", 1)
    store.exchange([gone], round((NOON - 41 * 86_400) * 1000))

    async def test(bench: Bench) -> None:
        (await bench.obtain(1)).settle(None)

    run(test, store)
    assert (list(store.balances), store.exchanges) == ([gone.account.key], 1)
    run(test, store, daily_usd=1)
    assert list(store.balances) == ["all:2026-11-21:"]


def test_an_end_gives_everything_back():
    """After an orderly end nothing is leased, and what was spent is told."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(10)).settle(3 * CENT)

    store = MemoryBudgetStore()
    run(test, store, daily_usd=1)
    (balance,), (leases,) = store.balances.values(), store.leases.values()
    assert balance.spent == 3 * CENT
    assert [one.amount for one in leases.values()] == [0]


def test_an_idle_lease_goes_back():
    """Who makes no more calls keeps nothing that others may want, except for calls in flight."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(10)).settle(3 * CENT)
        held = await bench.obtain(5)
        await bench.pass_time(2 * IDLE_SECONDS)
        (leases,) = bench.store.leases.values()
        assert sum(one.amount for one in leases.values()) >= 5 * CENT
        held.release()
        await bench.pass_time(IDLE_SECONDS + 2)
        assert sum(one.amount for one in leases.values()) == 0
        exchanges = bench.store.exchanges
        await bench.pass_time(IDLE_SECONDS)
        assert bench.store.exchanges == exchanges
        assert bench.purse._pots == {}
        (await bench.obtain(90)).settle(1 * CENT)
        assert await bench.used() == {"daily limit": 4}

    run(test, daily_usd=1)


def test_a_lease_in_use_stays():
    """While calls are made, reserving never has to wait for the store."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(1)).release()
        for _ in range(3 * round(IDLE_SECONDS)):
            bench.reserve(1).release()
            await bench.pass_time(1)

    run(test, daily_usd=1)


def test_two_processes():
    """What one process has leased the other cannot spend; what it gives back, the other can."""
    store = MemoryBudgetStore()

    async def test(one: Bench) -> None:
        async with Bench(store, daily_usd=1) as two:
            held = [await one.obtain(30), await two.obtain(30), await one.obtain(20)]
            with pytest.raises(BudgetError):
                await two.obtain(25)
            for reservation in held:
                reservation.settle(5 * CENT)
            for bench in (one, two):
                await bench.pass_time(IDLE_SECONDS + 2)
            await two.obtain(85)
            with pytest.raises(BudgetError):
                await one.obtain(1)

    run(test, store, daily_usd=1)


def test_a_store_that_fails():
    """While the store is down a process spends what it has leased, for half a minute; then nothing, until
    the store is back. What was spent meanwhile is told then."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(10)).settle(8 * CENT)
        bench.store.fault = StoreDownError("disk full")
        bench.reserve(1).settle(1 * CENT)
        bench.clock.move(USABLE_MS / 1000)
        with pytest.raises(BudgetError, match="disk full") as caught:
            await bench.obtain(1)
        assert caught.value.until is None
        assert (await bench.purse.report()).as_json()["problem"] == "disk full"
        bench.store.fault = None
        bench.clock.move(1)
        await bench.obtain(1)
        assert await bench.used() == {"daily limit": 9}

    run(test, daily_usd=1)


def test_an_unclear_commit_counts_once():
    """When the connection breaks at the commit, the next exchange tells the same again, which counts once."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(50)).settle(20 * CENT)
        bench.store.fault, bench.store.unclear = StoreDownError("broken pipe"), True
        await bench.pass_time(3)
        bench.store.fault = None
        assert await bench.used() == {"daily limit": 20}
        await bench.obtain(80)

    run(test, daily_usd=1)


def test_an_exhausted_limit_spares_the_store():
    """Calls that find nothing left do not ask the store each time."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(100)).settle(100 * CENT)
        before = bench.store.exchanges
        for _ in range(50):
            with pytest.raises(BudgetError):
                await bench.obtain(1)
        assert bench.store.exchanges - before <= 2

    run(test, daily_usd=1)


def test_a_lease_for_a_burst_shrinks():
    """A process that needed much for a moment does not keep it while it goes on with little."""

    async def test(bench: Bench) -> None:
        for reservation in [await bench.obtain(8) for _ in range(11)]:
            reservation.settle(0)
        for _ in range(15):
            await bench.pass_time(1)
            bench.reserve(1).release()
        (leases,) = bench.store.leases.values()
        assert sum(one.amount for one in leases.values()) < 20 * CENT

    run(test, daily_usd=1)


def test_many_callers_do_not_pile_up():
    """Thousands of users under one rule leave nothing behind once they are gone."""

    async def test(bench: Bench) -> None:
        for turn in range(2000):
            bench.purse._of(f"u{turn}", None, None, NOON)
        assert len(bench.purse._callers) <= 1024
        await bench.pass_time(IDLE_SECONDS + 2)
        assert bench.purse._pots == {}

    run(test, users={"*": {"daily_usd": 1}})


def test_report():
    """The report tells every limit's use, its rest, its end and where the month is going."""

    async def test(bench: Bench) -> None:
        (await bench.obtain(30, user="ana", run="r1")).settle(20 * CENT)
        await bench.obtain(5, user="ana")
        shown = (await bench.purse.report()).as_json()
        assert (shown["when_exceeded"], shown["timezone"]) == ("refuse", "UTC")
        month, ana, each, run = shown["limits"]
        assert month == {
            "who": "all",
            "name": None,
            "window": "month",
            "period": "2026-11",
            "limit_usd": 5.0,
            "used_usd": 0.2,
            "reserved_usd": 0.05,
            "remaining_usd": 4.75,
            "used_share": 0.04,
            "exceeded": False,
            "projection_usd": pytest.approx(0.2 * 30 / 20.5),
            "ends": "2026-12-01T00:00:00+00:00",
        }
        assert (each["who"], each["name"], each["used_usd"]) == ("user", "ana", 0.2)
        assert (ana["name"], ana["used_usd"]) == ("bea", 0.0)
        assert (run["name"], run["ends"], run["projection_usd"]) == ("r1", None, None)

    run(
        test,
        monthly_usd=5,
        when_exceeded="refuse",
        users={"*": {"daily_usd": 1}, "bea": {"daily_usd": 2}},
        runs={"usd": 1},
    )


def test_reserving_is_quick():
    """Reserving and settling under seven limits costs microseconds (generously: a loaded machine's)."""

    async def test(bench: Bench) -> None:
        who = {"user": "ana", "role": "brain", "run": "r"}
        bench.purse._clock = SystemClock()
        (await bench.obtain(1, **who)).release()
        best = 1.0
        for _ in range(20):
            begun = time.perf_counter()
            for _ in range(100):
                bench.purse.reserve(**who, worst_nusd=1000).settle(10)
            best = min(best, (time.perf_counter() - begun) / 100)
        assert best < 20e-6

    each = {"daily_usd": 1, "monthly_usd": 9}
    run(test, **each, users={"*": each}, roles={"*": each}, runs={"usd": 1})
