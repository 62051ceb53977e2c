"""Breakers of panel members."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.panel.breakers import Breakers
from coreto.testing.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def fail(breakers: Breakers, times: int = 1) -> None:
    for _ in range(times):
        ticket = breakers.enter("a")
        assert ticket is not None
        breakers.leave(ticket, "failed")


def test_it_opens_for_longer_each_time(clock) -> None:
    """10 s, then 20, 40, 80, and never more than 120; one good answer and all is forgotten."""
    breakers = Breakers(clock)
    fail(breakers, 3)
    for seconds in (10.0, 20.0, 40.0, 80.0, 120.0, 120.0):
        assert breakers.state("a") == "open"
        clock.move(seconds - 0.5)
        assert breakers.enter("a") is None
        clock.move(0.5)
        fail(breakers)
    clock.move(120.0)
    probe = breakers.enter("a")
    assert probe is not None
    breakers.leave(probe, "well")
    assert breakers.state("a") == "closed"
    fail(breakers, 2)
    assert breakers.state("a") == "closed"


def test_one_probe_at_a_time(clock) -> None:
    """While one panel tries, the others pass the member by; a try that says nothing leaves the next one free to."""
    breakers = Breakers(clock)
    fail(breakers, 3)
    clock.move(10.0)
    probe = breakers.enter("a")
    assert probe is not None
    assert breakers.state("a") == "half-open"
    assert breakers.enter("a") is None
    assert breakers.enter("b") is not None
    breakers.leave(probe, "unknown")
    assert breakers.enter("a") is not None


def test_a_burst_is_one_reason_to_open(clock) -> None:
    """Failures of calls that had begun before it opened do not prolong it."""
    breakers = Breakers(clock)
    tickets = [breakers.enter("a") for _ in range(10)]
    for ticket in tickets:
        assert ticket is not None
        breakers.leave(ticket, "failed")
    clock.move(10.0)
    assert breakers.enter("a") is not None


@given(st.lists(st.tuples(st.sampled_from(("well", "failed", "unknown")), st.floats(0, 200)), max_size=30))
def test_nobody_is_passed_by_for_ever(story) -> None:
    """Whatever has happened, two minutes later it is tried."""
    clock = VirtualClock()
    breakers = Breakers(clock)
    for verdict, seconds in story:
        ticket = breakers.enter("a")
        if ticket is not None:
            breakers.leave(ticket, verdict)
        clock.move(seconds)
    clock.move(120.0)
    assert breakers.enter("a") is not None
