"""Local answers that look wrong: the cloud is asked, and what looks wrong is better than nothing."""

import asyncio
import random

import pytest

from coreto import errors
from coreto.errors import CallError
from coreto.messages import Accumulator, Call, Chunk, Whole, text_of
from coreto.providers.catalog import Deployment
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.output import Expectation
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.testing.clock import VirtualClock
from coreto.testing.provider import FakeProvider, Say

WRONG, RIGHT = "12 * 7 = 85", "12 * 7 = 84"


def look(call: Call, answer: str) -> str | None:
    return "arithmetic: it is 84" if answer == WRONG else None


class Bench:
    def __init__(self, home: FakeProvider, cloud: FakeProvider | None, **plan) -> None:
        self.clock = VirtualClock(skipping=True)
        near = Deployment("home/m", "home", "m", local=True, account="home", endpoint="home")
        far = Deployment("far/m", "far", "m", local=False, account="far", endpoint="far")
        chain = [Candidate(near, home), *([Candidate(far, cloud)] if cloud else [])]
        self.plan = Plan("chat", "chat", tuple(chain), second_look=look, **plan)
        self.journal = Journal()
        self.fakes = (home, *([cloud] if cloud else []))

    def ask(self, *, stream: bool) -> str:
        ward = Ward(HealthBook(self.clock, lambda _: None), self.clock, random.Random(0), lambda *_: None)
        call = Call("c", {"messages": [{"role": "user", "content": "12 * 7?"}]}, "chat", stream)

        async def work() -> str:
            heard = Accumulator()
            async with Fallback(self.plan, self.journal, ward).open(call) as items:
                async for item in items:
                    if isinstance(item, Whole):
                        return text_of(item.body)
                    assert isinstance(item, Chunk)
                    heard.add(item.body)
            assert heard.finish == "stop"
            return heard.text

        try:
            return asyncio.run(work())
        finally:
            assert all(fake.leaks == 0 for fake in self.fakes)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(a.deployment, a.outcome) for a in self.journal.attempts]


@pytest.mark.parametrize("stream", [False, True])
def test_what_looks_wrong_is_asked_of_the_cloud(stream: bool) -> None:
    """The wrong answer is never seen; the trace says why the cloud was asked."""
    bench = Bench(FakeProvider(Say(WRONG)), FakeProvider(Say(RIGHT), local=False))
    assert bench.ask(stream=stream) == RIGHT
    assert bench.outcomes == [("home/m", "doubtful"), ("far/m", "ok")]
    assert bench.journal.attempts[0].detail == "arithmetic: it is 84"


@pytest.mark.parametrize("stream", [False, True])
def test_what_looks_right_stays_here(stream: bool) -> None:
    """The cloud is not asked for nothing."""
    cloud = FakeProvider(Say("never"), local=False)
    bench = Bench(FakeProvider(Say(RIGHT)), cloud)
    assert (bench.ask(stream=stream), cloud.calls) == (RIGHT, [])


@pytest.mark.parametrize("stream", [False, True])
def test_better_than_none(stream: bool) -> None:
    """With the cloud failing, the answer that looks wrong is given all the same, with a warning."""
    bench = Bench(FakeProvider(Say(WRONG)), FakeProvider(errors.UnreachableError("no route"), local=False))
    assert bench.ask(stream=stream) == WRONG
    assert bench.journal.answered_by == "home/m"
    assert bench.journal.warnings == ["the answer of home/m looks wrong; nobody else had one"]


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_else_nobody_asks(stream: bool) -> None:
    """Where nobody off this machine is left, the answer is not looked at."""
    bench = Bench(FakeProvider(Say(WRONG)), None)
    assert bench.ask(stream=stream) == WRONG
    assert bench.outcomes == [("home/m", "ok")]


def test_the_cloud_is_not_doubted() -> None:
    """What the cloud answers is the answer, however it looks."""
    bench = Bench(FakeProvider(errors.OutOfMemoryError("x")), FakeProvider(Say(WRONG), local=False))
    assert bench.ask(stream=False) == WRONG


def test_structured_answers_are_judged_by_their_form() -> None:
    """JSON has its own check; the second look is for free text."""
    home = FakeProvider(Say('{"a": 1}'))
    bench = Bench(home, FakeProvider(Say("{}"), local=False), expected=Expectation(json=True))
    assert bench.ask(stream=False) == '{"a": 1}'


def test_all_failed_says_so() -> None:
    """Without any answer it is the usual error, with every cause."""
    bench = Bench(
        FakeProvider(errors.OutOfMemoryError("x")), FakeProvider(errors.AuthError("y"), local=False)
    )
    with pytest.raises(CallError, match="no model could answer"):
        bench.ask(stream=False)
