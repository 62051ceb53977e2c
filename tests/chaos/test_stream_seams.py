"""Where an answer of one model meets a fault or another model: what the simulators cannot say, said by fakes."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import pytest
from chaos_house import PIECES, SLACK, TEXT, Heard, ask, hear

from coreto.clock import SystemClock
from coreto.errors import (
    CallError,
    CutError,
    GarbledError,
    RateError,
    RejectedError,
    ServerFaultError,
    StalledError,
)
from coreto.events import EventBus
from coreto.gateway.gateway import Gateway
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, Chunk, Item, Limits
from coreto.providers.catalog import Deployment
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan
from coreto.resilience.timeouts import Timed
from coreto.routing.directory import Directory

ROLE = {"role": "assistant", "content": ""}
FINISH = {"finish": "stop"}
Step = dict[str, Any] | float | CallError


def words(*pieces: str) -> list[Step]:
    return [ROLE, *({"content": piece} for piece in pieces)]


class Played:
    """A provider that plays steps: a delta, ``{"finish"}``, ``{"usage"}``, a pause in seconds, an error."""

    def __init__(self, *steps: Step) -> None:
        self.steps = steps
        self.calls: list[Call] = []
        self.open_now = 0

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._play(call))

    async def _play(self, call: Call) -> AsyncGenerator[Item, None]:
        self.calls.append(call)
        self.open_now += 1
        try:
            for step in self.steps:
                if isinstance(step, CallError):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    continue
                yield Chunk(_chunk(step))
        finally:
            self.open_now -= 1


def _chunk(step: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"object": "chat.completion.chunk", "choices": []}
    if "usage" in step:
        return {**body, "usage": {"prompt_tokens": step["usage"], "completion_tokens": 3}}
    finish = step.get("finish")
    delta = {name: value for name, value in step.items() if name not in ("finish", "index")}
    return {**body, "choices": [{"index": step.get("index", 0), "delta": delta, "finish_reason": finish}]}


def play(
    *scripts: Sequence[Step], limits: Limits | None = None, plan: dict[str, Any] | None = None, **call: Any
) -> tuple[Heard, list[Played]]:
    """Ask a chain of fakes, one for each script; what the client heard, and the fakes."""
    fakes = [Played(*script) for script in scripts]

    async def main() -> Heard:
        clock, bus = SystemClock(), EventBus()
        candidates = tuple(
            Candidate(
                Deployment(f"p{i}/m", f"p{i}", "m", local=True, account=f"p{i}", endpoint=f"p{i}"),
                Timed(fake, clock),
                limits or Limits(),
            )
            for i, fake in enumerate(fakes)
        )
        plans = {"r": Plan("r", "r", candidates, **{"retries": 0, **(plan or {})})}
        health = HealthBook(clock, bus.emit)
        gateway = Gateway(Directory(plans, {}), health, PriceBook(lambda _: None), bus, clock)
        return await asyncio.wait_for(hear(gateway, ask(stream=True, **call)), 10)

    heard = asyncio.run(main())
    assert [fake.open_now for fake in fakes] == [0] * len(fakes)
    return heard, fakes


AFTER_THE_FINISH = (
    ("cut", [CutError("gone")]),
    ("stall", [5.0]),
    ("error", [ServerFaultError("late")]),
    ("garbage", [{"usage": 9}, GarbledError("late")]),
)


@pytest.mark.parametrize("failover", [None, "hold", "continue", "restart"])
@pytest.mark.parametrize(("name", "rest"), AFTER_THE_FINISH, ids=[name for name, _ in AFTER_THE_FINISH])
def test_seams_what_breaks_after_the_finish(name, rest, failover):
    """An answer whose finish has come is whole: what breaks after it costs neither an error nor a second answer."""
    limits = Limits(attempt=0.3, stall=0.2)
    steps = [*words(*PIECES), FINISH, *rest]
    heard, (_, second) = play(steps, words("Another."), limits=limits, failover=failover, restartable=True)
    assert heard.error is None
    assert heard.text == TEXT
    assert heard.finishes == ["stop"]
    assert heard.seconds < limits.stall + SLACK
    assert second.calls == []


def test_seams_a_prompt_that_was_cut_is_no_answer():
    """Usage that shows a cut prompt comes after the finish: the client gets an error instead of that finish."""
    steps = [*words("I", " agree."), FINISH, {"usage": 40}]
    heard, (_, second) = play(steps, words("No."), prompt="word " * 4000)
    assert heard.outcomes == [("p0/m", "context")]
    assert heard.text == "I agree."
    assert second.calls == []


@pytest.mark.parametrize("failover", ["continue", "restart", "hold"])
def test_seams_nothing_goes_on_from_a_cut_prompt(failover):
    """An answer to half a prompt is no beginning of an answer to all of it: started over where that is allowed."""
    steps = [*words("I", " agree."), FINISH, {"usage": 40}]
    long = [*words("I", " disagree", " entirely."), FINISH, {"usage": 5000}]
    heard, fakes = play(steps, long, prompt="word " * 4000, failover=failover, restartable=True)
    if failover == "continue":
        assert heard.outcomes == [("p0/m", "context")]
        assert fakes[1].calls == []
    else:
        assert heard.text == "I disagree entirely."
        assert heard.lost == (["I agree."] if failover == "restart" else [])


def test_seams_silence_of_empty_pieces_is_silence():
    """A server that keeps sending nothing is given its time to the first token, not for ever."""
    limits = Limits(attempt=0.3, stall=5.0)
    dribble: list[Step] = [ROLE, *([0.05, {"content": ""}] * 100), {"content": "late"}, FINISH]
    heard, _ = play(dribble, [*words("In", " time."), FINISH], limits=limits)
    assert heard.text == "In time."
    assert heard.outcomes == [("p0/m", "timeout"), ("p1/m", "ok")]
    assert heard.seconds < limits.attempt + SLACK


def test_seams_a_first_token_in_time_then_slow_ones():
    """The time to the first token bounds nothing after it: a slow answer is an answer."""
    limits = Limits(attempt=0.3, stall=5.0)
    slow: list[Step] = [ROLE, 0.1, *([{"content": "x"}, 0.1] * 5), FINISH]
    heard, _ = play(slow, limits=limits)
    assert heard.text == "xxxxx"
    assert heard.outcomes == [("p0/m", "ok")]


def test_seams_a_tool_call_is_not_lost_in_a_continuation():
    """A model that calls a tool instead of going on has not gone on; the call is neither lost nor glued on."""
    broken = [*words(*PIECES[:5]), CutError("gone")]
    calls = [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}}]
    tool = [ROLE, {"tool_calls": calls}, {"finish": "tool_calls"}]
    heard, _ = play(broken, tool, failover="continue")
    assert heard.outcomes == [("p0/m", "cut"), ("p1/m", "cut")]
    assert heard.text == "".join(PIECES[:5])
    heard, _ = play(broken, tool, [*words(*PIECES), FINISH], failover="continue")
    assert heard.text == TEXT


def test_seams_after_thoughts_alone_the_next_answer_is_whole():
    """With nothing but thoughts given, ``continue`` starts the answer: tool calls of the next model included."""
    broken = [ROLE, {"reasoning": "let me see"}, CutError("gone")]
    calls = [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}}]
    tool = [ROLE, {"tool_calls": calls}, {"finish": "tool_calls"}]
    heard, _ = play(broken, tool, failover="continue")
    assert heard.finishes == ["tool_calls"]
    assert heard.tool_calls == calls
    assert heard.outcomes == [("p0/m", "cut"), ("p1/m", "ok")]


def test_seams_our_own_question_refused_is_not_the_callers_fault():
    """A model that refuses to go on (some take no assistant message at the end) is one that failed: the next is asked."""
    broken = [*words(*PIECES[:5]), CutError("gone")]
    heard, _ = play(
        broken,
        [RejectedError("last message must be the user's")],
        [*words(*PIECES), FINISH],
        failover="continue",
    )
    assert heard.text == TEXT
    assert heard.outcomes == [("p0/m", "cut"), ("p1/m", "rejected"), ("p2/m", "ok")]


def test_seams_two_answers_at_once_are_not_continued():
    """Of a stream with two choices nobody can go on: it ends with an error."""
    steps = [ROLE, {"content": "one", "index": 0}, {"content": "two", "index": 1}, CutError("gone")]
    heard, (_, second) = play(steps, words("three"), failover="continue", options={"n": 2})
    assert heard.outcomes == [("p0/m", "cut")]
    assert second.calls == []


def test_seams_handed_over_many_times():
    """A text that passes through many broken models is the whole text, once, wherever it was cut."""
    draw = random.Random(7)
    for _ in range(40):
        cuts = sorted(draw.sample(range(1, len(PIECES)), draw.randint(2, 5)))
        scripts: list[list[Step]] = []
        begin = 0
        for cut in cuts:
            begin = 0 if draw.random() < 0.5 else begin
            scripts.append([*words(*PIECES[begin:cut]), draw.choice([CutError("x"), StalledError("y")])])
            begin = cut
        scripts.append([*words(*PIECES[draw.choice([0, begin]) :]), FINISH])
        heard, _ = play(*scripts, failover="continue")
        assert heard.text == TEXT, (cuts, heard)
        assert len(heard.outcomes) == len(scripts)


@pytest.mark.parametrize(("pause", "again"), [(0.05, True), (20.0, False)])
def test_seams_a_long_pause_is_not_waited_for_while_another_is_free(pause, again):
    """``retries`` asks the same server again after a short ``Retry-After``; a long one sends the call on at once."""
    rate = RateError("slow down", retry_after=pause)
    heard, _ = play([rate], [*words(*PIECES), FINISH], plan={"retries": 1})
    assert heard.text == TEXT
    assert heard.outcomes == [("p0/m", "rate")] * (1 + again) + [("p1/m", "ok")]
    assert heard.seconds < SLACK
