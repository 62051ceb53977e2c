"""The chain on a virtual clock, with scripted providers."""

import asyncio
import random

import pytest

from coreto import errors
from coreto.errors import CallError, ExhaustedError, PrivacyError
from coreto.labels import Label
from coreto.messages import Accumulator, Call, Chunk, Limits, Whole, text_of
from coreto.providers.catalog import Deployment
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.testing.clock import VirtualClock
from coreto.testing.provider import FakeProvider, Say


class Bench:
    """A chain ``a``, ``b``, … over fakes; accounts are shared by the candidates named in ``account``."""

    def __init__(self, *fakes, account=None, heirs=None, **plan):
        self.clock = VirtualClock(skipping=True)
        self.book = HealthBook(self.clock, lambda _: None)
        self.fakes = fakes
        self.candidates = tuple(
            Candidate(self.where(name, account or name), fake, Limits(attempt=60.0))
            for name, fake in zip("abcdef", fakes, strict=False)
        )
        self.heirs = heirs or {}
        self.plan = Plan("chat", "chat", self.candidates, **plan)
        self.journal = Journal()

    @staticmethod
    def where(name, account, local=True):
        return Deployment(f"p/{name}", "p", name, local=local, account=account, endpoint=account)

    async def ask(self, *, stream=False, within=1000.0, label=Label.INTERNAL):
        self.journal = Journal()
        ward = Ward(self.book, self.clock, random.Random(0), lambda c, _e: self.heirs.get(c.deployment.id))
        call = Call(
            "c",
            {"messages": [{"role": "user", "content": "hi"}]},
            "chat",
            stream,
            label=label,
            deadline=self.clock.monotonic() + within,
        )
        async with Fallback(self.plan, self.journal, ward).open(call) as items:
            return [item async for item in items]

    def run(self, **how):
        try:
            return asyncio.run(self.ask(**how))
        finally:
            assert all(fake.leaks == 0 for fake in self.fakes)

    @property
    def outcomes(self):
        return [(attempt.deployment, attempt.outcome) for attempt in self.journal.attempts]


def test_fallback_first_that_answers():
    """The first that answers ends it; nobody behind it is asked."""
    bench = Bench(FakeProvider(errors.ServerFaultError("x")), FakeProvider(Say("b")), FakeProvider(Say("c")))
    (whole,) = bench.run()
    assert isinstance(whole, Whole)
    assert text_of(whole.body) == "b"
    assert bench.outcomes == [("p/a", "server_error"), ("p/b", "ok")]
    assert bench.journal.answered_by == "p/b"
    assert bench.fakes[2].calls == []


@pytest.mark.parametrize(
    "say", [Say(delay=1, error=errors.CutError("x")), Say(error=errors.CutError("x"), after=1)]
)
def test_fallback_stream_before_the_first_token(say):
    """A stream that dies before it has said anything is answered by the next one, unseen."""
    bench = Bench(FakeProvider(say), FakeProvider(Say("second try")))
    items = bench.run(stream=True)
    heard = Accumulator()
    for item in items:
        assert isinstance(item, Chunk)
        heard.add(item.body)
    assert heard.text == "second try"
    assert bench.outcomes == [("p/a", "cut"), ("p/b", "ok")]


def test_fallback_stream_after_the_first_token():
    """A stream that dies midway is never glued to another one's: its error is the caller's."""
    bench = Bench(
        FakeProvider(Say("one two three", error=errors.CutError("x"), after=3)), FakeProvider(Say("b"))
    )
    with pytest.raises(errors.CutError):
        bench.run(stream=True)
    assert bench.outcomes == [("p/a", "cut")]
    assert bench.fakes[1].calls == []
    assert bench.journal.attempts[0].usage.completion > 0


@pytest.mark.parametrize("say", [Say("", pieces=()), Say("", pieces=("",))])
def test_fallback_empty_stream(say):
    """A stream that ends having said nothing is an empty answer; the next one is asked."""
    bench = Bench(FakeProvider(say), FakeProvider(Say("b")))
    bench.run(stream=True)
    assert bench.outcomes == [("p/a", "invalid_output"), ("p/b", "ok")]


def test_fallback_retries_the_last_only():
    """Passing faults are retried, with growing waits, where nobody is left; a plan may say otherwise."""
    flaky = FakeProvider(errors.OverloadedError("x"), errors.OverloadedError("x"), Say("at last"))
    bench = Bench(FakeProvider(errors.OverloadedError("x")), flaky)
    bench.run()
    assert bench.outcomes == [("p/a", "overloaded"), *[("p/b", "overloaded")] * 2, ("p/b", "ok")]
    assert len(bench.clock.slept) - bench.clock.slept.count(0.0) == 2
    waits = [seconds for seconds in bench.clock.slept if seconds]
    assert waits[0] < waits[1]
    eager = Bench(FakeProvider(errors.CutError("x"), Say("again")), FakeProvider(Say("b")), retries=1)
    eager.run()
    assert eager.outcomes == [("p/a", "cut"), ("p/a", "ok")]


def test_fallback_retry_after_on_the_clock():
    """A lone candidate is asked again no sooner than the server wants, and not at all beyond the deadline."""
    bench = Bench(FakeProvider(errors.RateError("x", retry_after=20.0), Say("now")))
    bench.run()
    assert 20 <= bench.clock.monotonic() < 22
    late = Bench(FakeProvider(errors.RateError("x", retry_after=20.0), Say("now")))
    with pytest.raises(ExhaustedError):
        late.run(within=10.0)
    assert late.clock.monotonic() < 10
    assert len(late.fakes[0].calls) == 1


def test_fallback_account_is_asked_once():
    """Candidates that share an exhausted account are passed by, in this call and the next."""
    limited = FakeProvider(errors.QuotaError("x", until=VirtualClock().time() + 3600))
    bench = Bench(limited, FakeProvider(), account="acme")
    with pytest.raises(ExhaustedError):
        bench.run()
    assert bench.outcomes == [("p/a", "quota"), ("p/b", "skipped")]
    with pytest.raises(ExhaustedError) as caught:
        bench.run()
    assert bench.outcomes == [("p/a", "skipped"), ("p/b", "skipped")]
    assert caught.value.http_status == 503
    assert caught.value.retry_after == pytest.approx(3600, abs=1)
    assert len(limited.calls) == 1


def test_fallback_waits_for_who_is_back_soon():
    """With everybody cooling down, one that is back within seconds is waited for."""
    bench = Bench(FakeProvider(errors.RateError("x", retry_after=3.0), Say("back")), retries=0)
    with pytest.raises(ExhaustedError):
        bench.run()
    bench.run()
    assert bench.outcomes == [("p/a", "skipped"), ("p/a", "ok")]


def test_fallback_rejected_is_relayed():
    """The caller's own mistake is not tried elsewhere."""
    bench = Bench(FakeProvider(errors.RejectedError("no")), FakeProvider())
    with pytest.raises(errors.RejectedError):
        bench.run()
    assert bench.fakes[1].calls == []


def test_fallback_a_breach_stops_everything():
    """Private data that reached a provider off the machine raises, is recorded, and leaves no probe behind."""
    bench = Bench(FakeProvider(local=False), FakeProvider())
    where = bench.candidates[0].deployment
    for _ in range(3):
        bench.book.failed(where, errors.ServerFaultError("x"), 0.0)
    bench.clock.move(1000)
    with pytest.raises(PrivacyError):
        bench.run(label=Label.PRIVATE)
    assert bench.outcomes == [("p/a", "privacy")]
    assert bench.book.block(where) is None


def test_fallback_canceled_call_frees_its_probe():
    """A caller that leaves during a probe leaves the place free, and the attempt in the journal."""
    slow = FakeProvider(Say(delay=10))
    bench = Bench(slow)
    bench.clock = VirtualClock()
    slow._clock = bench.clock
    bench.book = HealthBook(bench.clock, lambda _: None)
    where = bench.candidates[0].deployment

    async def work():
        for _ in range(3):
            bench.book.failed(where, errors.CutError("x"), 0.0)
        bench.clock.move(1000)
        task = asyncio.create_task(bench.ask(within=10_000))
        await bench.clock.advance(1)
        assert bench.book.breaker_state(where) == "half-open"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert bench.outcomes == [("p/a", "canceled")]
    assert bench.book.block(where) is None
    assert slow.leaks == 0


def test_fallback_off():
    """Without fallback only the first is asked."""
    bench = Bench(FakeProvider(errors.AuthError("x")), FakeProvider(), fallback=False)
    with pytest.raises(ExhaustedError):
        bench.run()
    assert bench.fakes[1].calls == []


@pytest.mark.parametrize("error", [errors.RetiredError("gone"), errors.MissingModelError("gone")])
def test_fallback_heirs(error):
    """A model that is gone is replaced, also while it cools down; an heir farther away is not."""
    heir_fake = FakeProvider(Say("heir"))
    heir = Candidate(Bench.where("heir", "h"), heir_fake)
    bench = Bench(FakeProvider(error), heirs={"p/a": heir})
    bench.run()
    bench.run()
    assert bench.outcomes == [("p/a", "skipped"), ("p/heir", "ok")]
    assert bench.journal.warnings == ["p/a is gone; p/heir takes its place"]
    far = Candidate(Bench.where("heir", "h", local=False), heir_fake)
    near = Bench(FakeProvider(error), heirs={"p/a": far})
    with pytest.raises(ExhaustedError):
        near.run()
    assert len(heir_fake.calls) == 2


def test_fallback_total_failure_carries_all():
    """The last error has every cause, and says what was tried and what was dropped."""
    bench = Bench(
        FakeProvider(errors.AuthError("bad key")),
        FakeProvider(errors.OutOfMemoryError("too big")),
        dropped=(("p/z", "offline"),),
    )
    with pytest.raises(ExhaustedError) as caught:
        bench.run()
    for part in ("p/a: auth (bad key)", "p/b: out_of_memory (too big)", "p/z: offline"):
        assert part in caught.value.message
    assert all(isinstance(cause, CallError) for cause in caught.value.causes)
