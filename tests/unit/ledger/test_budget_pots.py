"""One pot, while its exchange with the store is under way."""

import pytest

from coreto.ledger.limits import Limit
from coreto.ledger.pots import IDLE_SECONDS, SHRINK_SECONDS, Pot, Reservation
from coreto.stores.budget_records import Account, Standing

NOW = 1_800_000_000.0


@pytest.fixture
def pot() -> Pot:
    """A pot with a lease of 100 of 160."""
    pot = Pot(Limit("all", "", "day", 160), Account("all", "", "2027-01-15"), "p", NOW)
    pot.told(pot.move(NOW), Standing(lease=100, spent=0, room=60), NOW)
    return pot


def test_what_is_given_back_cannot_be_spent(pot: Pot):
    """From the moment on that an idle pot offers its lease, nothing can be reserved of it."""
    later = NOW + IDLE_SECONDS
    pot.usable_until = later + 1
    move = pot.move(later)
    assert move.keep == 0
    assert not pot.has(1, later)
    pot.told(move, Standing(0, 0, 160), later)
    assert not pot.has(1, later)
    assert pot.is_done(later)


def test_what_is_given_back_in_part(pot: Pot):
    """A pot in use keeps what is reserved and one slice."""
    held = Reservation([pot], 30)
    later = NOW + SHRINK_SECONDS
    pot.used_at = later
    assert pot.move(later).keep == 40
    assert pot.free == 10
    held.settle(5)
    assert pot.free == 35
    assert not pot.has(36, later)


def test_calls_go_on_during_an_exchange(pot: Pot):
    """What is settled and reserved while the store is asked comes off its answer, and is told the next time."""
    first, second = Reservation([pot], 30), Reservation([pot], 20)
    move = pot.move(NOW + 1)
    first.settle(25)
    third = Reservation([pot], 10)
    pot.told(move, Standing(lease=100, spent=0, room=60), NOW + 1)
    assert (pot.free, pot.spent_by_all, pot.untold) == (45, 25, True)
    move = pot.move(NOW + 2)
    assert (move.spent, move.acked_spent, move.reserved) == (25, 0, 30)
    pot.told(move, Standing(lease=75, spent=25, room=60), NOW + 2)
    assert (pot.free, pot.spent_by_all, pot.untold) == (45, 25, False)
    second.release()
    third.settle(None)
    move = pot.move(NOW + 3)
    assert (move.spent, move.known, move.acked_spent, move.acked_known, move.reserved) == (35, 25, 25, 25, 0)


def test_wants_are_asked_for_once(pot: Pot):
    """A move asks for what the waiting calls lack together; any part helps that is enough for the least."""
    for wanted in (70, 50, 90):
        pot.want(wanted, NOW)
    move = pot.move(NOW)
    assert (move.need, move.least) == (110, 0)
    assert pot.move(NOW).need == 0
    Reservation([pot], 90)
    pot.want(30, NOW)
    assert (pot.move(NOW).need, pot.move(NOW).least) == (20, 0)


def test_a_negative_rest_is_asked_for_by_what_is_reserved(pot: Pot):
    """After an overshoot nothing is free, and the store is told what calls in flight still hold."""
    Reservation([pot], 40).settle(95)
    Reservation([pot], 5)
    second = Reservation([pot], 40)
    assert pot.free == -40
    assert not pot.has(0, NOW)
    move = pot.move(NOW)
    assert (move.spent, move.reserved, move.keep) == (95, 45, None)
    pot.told(move, Standing(lease=45, spent=95, room=20), NOW)
    second.settle(10**30)
    assert pot.spent == 95 + 10**15
