"""Random traces of several processes under two limits: neither is ever exceeded."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.ledger.limits import Limit
from coreto.ledger.pots import Pot, Reservation
from coreto.stores.budget_records import Account, Move, Standing
from coreto.stores.errors import StoreDownError
from coreto.testing.budget_store import MemoryBudgetStore

ALL, ANA = Account("all", "", "2026-11-21"), Account("user", "ana", "2026-11-21")
LIMITS = {ALL: Limit("all", "", "day", 1000), ANA: Limit("user", "ana", "day", 400)}
PROCESSES = 3
RENEWED_WITHIN = 40.0


class Process:
    """What a purse does, in the order that a trace says."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.pots = {
            account: Pot(limit, account, f"{name}-{limit.who}", world.now)
            for account, limit in LIMITS.items()
        }
        self.calls: list[tuple[Reservation, list[Account]]] = []
        self.answers: list[tuple[Pot, Move, Standing, float]] = []
        self.renewed = world.now

    def reserve(self, worst: int, accounts: list[Account], fault: str) -> None:
        pots = [self.pots[account] for account in accounts]
        if not all(pot.has(worst, self.world.now) for pot in pots):
            for pot in pots:
                pot.want(worst, self.world.now)
            self.exchange(fault)
        if all(pot.has(worst, self.world.now) for pot in pots):
            for pot in pots:
                pot.used_at = self.world.now
            self.calls.append((Reservation(pots, worst), accounts))

    def settle(self, which: int, share: float | None) -> None:
        """``share`` of the worst case was charged; more than 1 is an overshoot, ``None`` is not known."""
        if not self.calls:
            return
        reservation, accounts = self.calls.pop(which % len(self.calls))
        actual = None if share is None else round(reservation.nusd * share)
        if actual == 0:
            reservation.release()
        else:
            reservation.settle(actual)
        for account in accounts:
            self.world.charge(account, reservation.nusd, actual)

    def exchange(self, fault: str, *, at_once: bool = True) -> None:
        """Tell the store; its answer comes at once, or after what the trace does next. One at a time."""
        self.hear()
        store, now = self.world.store, self.world.now
        store.fault = None if fault == "none" else StoreDownError("gone")
        store.unclear = fault == "unclear"
        due = [pot for pot in self.pots.values() if pot.is_due(now)]
        moves = [pot.move(now) for pot in due]
        try:
            standings = store.exchange(moves, round(now * 1000))
        except StoreDownError:
            return
        self.renewed = now
        self.answers = [(*told, now) for told in zip(due, moves, standings, strict=True)]
        if at_once:
            self.hear()

    def hear(self) -> None:
        for pot, move, standing, sent_at in self.answers:
            pot.told(move, standing, sent_at)
        self.answers = []


class World:
    def __init__(self, *, tracked: bool) -> None:
        self.now = 1_800_000_000.0
        self.tracked = tracked
        self.store = MemoryBudgetStore(self.recorded if tracked else None)
        self.charged: Counter[Account] = Counter()
        self.overshot: Counter[Account] = Counter()
        self.ledger: Counter[str] = Counter()
        self.names: Iterator[int] = iter(range(1000))
        self.crashes = 0
        self.processes = [self.new() for _ in range(PROCESSES)]

    def new(self) -> Process:
        return Process(self, f"p{next(self.names)}")

    def recorded(self, account: Account) -> int:
        return self.ledger[account.key]

    def charge(self, account: Account, worst: int, actual: int | None) -> None:
        self.charged[account] += worst if actual is None else actual
        self.ledger[account.key] += actual or 0
        self.overshot[account] += max((actual or 0) - worst, 0)

    def crash(self, number: int) -> None:
        """Kill -9: all that the process settled is in the ledger. Without costs in the ledger, calls in
        flight are charged whole; with them, it is not known whether they are."""
        process = self.processes[number]
        if not self.tracked:
            for reservation, accounts in process.calls:
                for account in accounts:
                    self.charge(account, reservation.nusd, None)
        self.processes[number] = self.new()
        self.crashes += 1

    def pass_time(self, seconds: float) -> None:
        """Processes that live renew their leases."""
        self.now += seconds
        for process in self.processes:
            if self.now - process.renewed > RENEWED_WITHIN:
                process.exchange("none")

    def check(self) -> None:
        for account, limit in LIMITS.items():
            reserved = sum(
                reservation.nusd
                for process in self.processes
                for reservation, accounts in process.calls
                if account in accounts
            )
            assert reserved == sum(process.pots[account].reserved for process in self.processes)
            assert self.charged[account] + reserved <= limit.nusd + self.overshot[account]


process = st.integers(0, PROCESSES - 1)
faults = st.sampled_from(["none", "none", "none", "down", "unclear"])
whose = st.sampled_from([[ALL], [ALL, ANA]])
reserving = st.tuples(st.just("reserve"), process, st.integers(1, 300), whose, faults)
shares = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.0])
passing = st.tuples(st.just("time"), st.sampled_from([0.5, 5.0, 20.0]))
telling = st.tuples(st.just("tell"), process, faults, st.booleans())
others = telling | telling | st.tuples(st.just("crash"), process)


def trace(share: st.SearchStrategy) -> st.SearchStrategy:
    settling = st.tuples(st.just("settle"), process, st.integers(0, 9), share)
    return st.lists(reserving | reserving | settling | passing | others, max_size=60)


def played(ops, *, tracked: bool) -> World:
    world = World(tracked=tracked)
    for op, *given_ in ops:
        if op == "time":
            world.pass_time(*given_)
        elif op == "crash":
            world.crash(*given_)
        elif op == "tell":
            number, fault, at_once = given_
            world.processes[number].exchange(fault, at_once=at_once)
        else:
            getattr(world.processes[given_[0]], op)(*given_[1:])
        world.check()
    return world


def ended(world: World) -> dict[str, int]:
    """What the store counts once every call has ended and every process has told."""
    for each in world.processes:
        while each.calls:
            each.settle(0, 0.5)
        each.exchange("none")
    return {account.key: world.store.balances[account.key].spent for account in LIMITS}


@settings(max_examples=300, deadline=None)
@given(trace(shares))
def test_no_limit_is_exceeded(ops):
    """Whatever happens, what was charged and what is reserved stay within the limit; the store's figure is
    never too low, and exact when no process died."""
    world = played(ops, tracked=True)
    counted = ended(world)
    for account in LIMITS:
        assert counted[account.key] >= world.charged[account] - lost(world, account)
        if not world.crashes:
            assert counted[account.key] == world.charged[account]


@settings(max_examples=300, deadline=None)
@given(trace(shares | st.none()))
def test_nor_without_costs_in_the_ledger(ops):
    """The same where the ledger records no costs, costs may stay unknown, and the dead's calls are charged."""
    world = played(ops, tracked=False)
    counted = ended(world)
    for account in LIMITS:
        assert counted[account.key] >= world.charged[account] - lost(world, account)


@settings(max_examples=200, deadline=None)
@given(trace(shares | st.sampled_from([1.5, 4.0])))
def test_an_overshoot_is_the_calls_own(ops):
    """A limit is exceeded by no more than what providers charged beyond the worst cases."""
    world = played(ops, tracked=True)
    if not world.crashes:
        assert ended(world) == {account.key: world.charged[account] for account in LIMITS}


def lost(world: World, account: Account) -> int:
    """What dead processes still hold: it counts as spent until it is taken back."""
    return sum(lease.amount for lease in world.store.leases[account.key].values())


@pytest.mark.parametrize("tracked", [True, False])
def test_the_dead_are_found_out(tracked: bool):
    """After a crash and its time, the next exchange counts what the dead had spent."""
    world = World(tracked=tracked)
    first, second = world.processes[:2]
    first.reserve(100, [ALL], "none")
    first.settle(0, 0.5)
    world.crash(0)
    second.reserve(1, [ALL], "none")
    assert world.store.balances[ALL.key].spent == 0
    for _ in range(5):
        world.pass_time(20.0)
    second.exchange("none")
    assert world.store.balances[ALL.key].spent == (50 if tracked else 162)
