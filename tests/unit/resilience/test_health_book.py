"""Breakers and cool-downs on a clock that stands still until told."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from coreto import errors
from coreto.errors import CallError, Scope
from coreto.events import HealthChanged
from coreto.providers.catalog import Deployment
from coreto.resilience.health import COOL, OPEN_FIRST, OPEN_MOST, THRESHOLD, HealthBook
from coreto.testing.clock import VirtualClock


def deployment(name: str, account: str = "acme") -> Deployment:
    return Deployment(f"{account}/{name}", account, name, local=False, account=account, endpoint=account)


A, B, OTHER = deployment("a"), deployment("b"), deployment("a", "other")


class Bench:
    """A book, its clock and what it emitted."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.events: list[HealthChanged] = []
        self.book = HealthBook(self.clock, self.events.append)

    def fail(self, where: Deployment, error: CallError, seconds: float = 0.0) -> None:
        self.book.starting(where)
        self.clock.move(seconds)
        self.book.failed(where, error, seconds)

    def free(self, where: Deployment) -> bool:
        return self.book.block(where) is None


@pytest.mark.parametrize("kind", [errors.TimedOutError, errors.ServerFaultError, errors.GarbledError])
def test_health_breaker_opens_probes_and_closes(kind):
    """Failures in a row open it, a pause later one probe may go, and its success closes it."""
    bench = Bench()
    for _ in range(THRESHOLD - 1):
        bench.fail(A, kind("x"))
        assert bench.free(A)
    bench.fail(A, kind("x"))
    block = bench.book.block(A)
    assert (block.key, block.code, block.soft) == ("model:acme/a", kind.code, True)
    assert bench.book.breaker_state(A) == "open"
    assert bench.free(B)
    bench.clock.move(OPEN_FIRST)
    assert bench.free(A)
    bench.book.starting(A)
    assert bench.book.breaker_state(A) == "half-open"
    assert not bench.free(A)
    bench.book.succeeded(A, 5.0)
    assert bench.free(A)
    assert bench.book.breaker_state(A) == "closed"
    assert [event.state for event in bench.events] == ["open", "closed"]


def test_health_unreachable_blocks_the_whole_endpoint():
    """A server that cannot be reached is passed by for all its models, and for nobody else's."""
    bench = Bench()
    for where in (A, B, A):
        bench.fail(where, errors.UnreachableError("x"))
    assert not bench.free(A)
    assert not bench.free(B)
    assert bench.free(OTHER)


@pytest.mark.parametrize(
    ("opening", "probing"),
    [
        (errors.ServerFaultError, errors.UnreachableError),
        (errors.UnreachableError, errors.ServerFaultError),
        (errors.UnreachableError, errors.RateError),
        (errors.ServerFaultError, errors.InvalidOutputError),
    ],
)
def test_health_a_probe_that_fails_otherwise_is_over(opening, probing):
    """A probe that fails for another reason than the one that opened the breaker leaves no probe behind."""
    bench = Bench()
    for _ in range(THRESHOLD):
        bench.fail(A, opening("x"))
    bench.clock.move(OPEN_FIRST)
    bench.fail(A, probing("y"))
    bench.clock.move(OPEN_MOST)
    assert bench.free(A)


def test_health_a_canceled_probe_is_over():
    """A probe whose caller left makes room for the next one."""
    bench = Bench()
    for _ in range(THRESHOLD):
        bench.fail(A, errors.CutError("x"))
    bench.clock.move(OPEN_FIRST)
    bench.book.starting(A)
    bench.book.abandoned(A)
    assert bench.free(A)


def test_health_a_late_caller_is_no_probe():
    """A call that began before the breaker opened neither frees the probe's place nor lengthens the pause."""
    bench = Bench()
    bench.clock.move(100)
    for _ in range(THRESHOLD):
        bench.fail(A, errors.ServerFaultError("x"))
    until = bench.book.block(A).until
    for _ in range(20):
        bench.book.failed(A, errors.ServerFaultError("late"), 50.0)
    assert bench.book.block(A).until == until
    bench.clock.move(OPEN_FIRST)
    bench.book.starting(A)
    bench.book.abandoned(A, 60.0)
    assert not bench.free(A)


def test_health_pauses_grow_to_a_limit():
    """Each failed probe doubles the pause, up to a limit."""
    bench = Bench()
    for _ in range(THRESHOLD):
        bench.fail(A, errors.ServerFaultError("x"))
    pauses = []
    for _ in range(6):
        pauses.append(bench.book.block(A).until - bench.clock.time())
        bench.clock.move(pauses[-1])
        bench.fail(A, errors.ServerFaultError("x"))
    assert pauses == [min(OPEN_FIRST * 2**i, OPEN_MOST) for i in range(6)]


def test_health_success_forgets_failures():
    """Only failures in a row count."""
    bench = Bench()
    for _ in range(5):
        for _ in range(THRESHOLD - 1):
            bench.fail(A, errors.ServerFaultError("x"))
        bench.book.succeeded(A, 1.0)
    assert bench.free(A)


def test_health_account_cools_all_its_models():
    """An account's end takes out its models until the time that is known, and nobody else's."""
    bench = Bench()
    until = bench.clock.time() + 1000
    bench.fail(A, errors.QuotaError("x", until=until))
    for where in (A, B):
        block = bench.book.block(where)
        assert (block.key, block.until, block.code) == ("account:acme", until, "quota")
    assert bench.free(OTHER)
    bench.clock.move(999)
    assert not bench.free(B)
    bench.clock.move(1)
    assert bench.free(B)
    assert [event.state for event in bench.events] == ["cooling", "back"]


@pytest.mark.parametrize("kind", COOL, ids=lambda kind: kind.code)
def test_health_cool_downs(kind):
    """Each error's own pause holds where it does not say a time, its ``retry_after`` where it does."""
    for given_after, seconds in ((None, COOL[kind]), (7.5, 7.5)):
        bench = Bench()
        bench.fail(A, kind("x", retry_after=given_after))
        bench.clock.move(seconds - 0.001)
        assert not bench.free(A)
        bench.clock.move(0.002)
        assert bench.free(A)


def test_health_retry_after_holds_for_any_error():
    """A server that says when to come back is left alone until then, whatever its error."""
    bench = Bench()
    bench.fail(A, errors.OverloadedError("x", retry_after=42.0))
    assert bench.book.block(A).until == bench.clock.time() + 42.0
    assert bench.free(B)


def test_health_a_longer_cool_down_stays():
    """A short pause told later does not cut a long one short."""
    bench = Bench()
    until = bench.clock.time() + 5000
    bench.fail(A, errors.QuotaError("weekly", until=until))
    bench.fail(B, errors.AuthError("x"))
    assert bench.book.block(A).until == until


@pytest.mark.parametrize("scope", [Scope.REQUEST, Scope.ROLE])
def test_health_the_requests_fault_cools_nothing(scope):
    """What only says something about the request or the role takes nobody out of service."""
    bench = Bench()
    for _ in range(10):
        bench.fail(A, CallError("x", scope=scope, retry_after=5.0))
    assert bench.free(A)
    assert bench.book.records["acme/a"].failures == 10


_TRIPPING = st.sampled_from(
    [
        errors.UnreachableError,
        errors.TimedOutError,
        errors.ServerFaultError,
        errors.OverloadedError,
        errors.CutError,
    ]
)
_COOLING = st.sampled_from([errors.QuotaError, errors.AuthError, errors.RateError, errors.MissingModelError])
_PLACES = (A, B, OTHER)


class Traffic(RuleBasedStateMachine):
    """Calls that start when they are let through, and end in any way and order, while time goes by."""

    flying = Bundle("flying")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.number = 0
        self.probes: dict[int, set[str]] = {}
        self.account_until: dict[str, float] = {}

    def _begin(self, where: Deployment) -> tuple[int, Deployment, float]:
        book = self.bench.book
        keys = {f"endpoint:{where.endpoint}", f"model:{where.id}"}
        due = {key for key in keys if key in book._breakers and book._breakers[key].opened_for}
        self.number += 1
        self.probes[self.number] = due
        book.starting(where)
        return self.number, where, self.bench.clock.monotonic()

    @rule(target=flying, where=st.sampled_from(_PLACES))
    def start(self, where):
        if not self.bench.free(where):
            return (0, where, 0.0)
        return self._begin(where)

    @rule(seconds=st.floats(0.01, 200.0))
    def wait(self, seconds):
        self.bench.clock.move(seconds)

    def _end(self, call):
        number, where, began = call
        self.probes.pop(number, None)
        return where, self.bench.clock.monotonic() - began

    @rule(call=consumes(flying))
    def succeed(self, call):
        if call[0]:
            where, seconds = self._end(call)
            self.bench.book.succeeded(where, seconds * 1000)
            assert self.bench.book.breaker_state(where) == "closed"
            for held in self.probes.values():
                held -= {f"endpoint:{where.endpoint}", f"model:{where.id}"}

    @rule(call=consumes(flying), kind=_TRIPPING | _COOLING)
    def fail(self, call, kind):
        if call[0]:
            where, seconds = self._end(call)
            error = kind("x")
            self.bench.book.failed(where, error, seconds)
            if error.scope is Scope.ACCOUNT:
                until = self.bench.clock.time() + COOL[kind]
                self.account_until[where.account] = max(until, self.account_until.get(where.account, 0.0))

    @rule(call=consumes(flying))
    def leave(self, call):
        if call[0]:
            where, seconds = self._end(call)
            self.bench.book.abandoned(where, seconds)

    @invariant()
    def one_probe_at_a_time(self):
        for key in {key for held in self.probes.values() for key in held}:
            assert sum(key in held for held in self.probes.values()) <= 1, key

    @invariant()
    def accounts_are_out_until_their_time(self):
        now = self.bench.clock.time()
        for where in _PLACES:
            out = now < self.account_until.get(where.account, 0.0)
            block = self.bench.book.block(where)
            assert (block is not None and block.key == f"account:{where.account}") == out

    @precondition(lambda self: not self.probes)
    @invariant()
    def nobody_is_lost_for_ever(self):
        """With nothing in flight, everybody may be asked again after the longest pause."""
        blocks = [self.bench.book.block(where) for where in _PLACES]
        limit = self.bench.clock.time() + max(OPEN_MOST, *COOL.values())
        assert all(block is None or block.until <= limit for block in blocks)
        for breaker in self.bench.book._breakers.values():
            assert not breaker.probing


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
