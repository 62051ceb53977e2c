"""Random chains, faults, policies and hang-ups. A failure prints its schedule; ``CHAOS_SEED=n`` runs it again alone."""

import asyncio
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from chaos_faults import BY_NAME, FAULTS, MIDWAY, SLOW
from chaos_house import (
    CLOUD_MODELS,
    LONG,
    PIECES,
    PROMPT,
    PROVIDER,
    SHORT,
    SLACK,
    TEXT,
    Heard,
    House,
    Sims,
    ask,
    config,
    hear,
    house,
)

from coreto.messages import Limits
from coreto.resilience.output import Expectation
from coreto.resilience.plan import Plan
from coreto.simulators.answers import sentence

#: Schedules that run at the same time, each with models of its own.
SLOTS = 20
FORMS = {"json": ("JSON please", '{"age": 7}'), "label": ("label please", "script")}


@dataclass(frozen=True)
class Step:
    """One candidate. ``at``: pieces before a fault midway; ``times``: how often it strikes (``None``: always)."""

    wire: str
    model: str
    fault: str | None = None
    at: int = 0
    times: int | None = None

    @property
    def name(self) -> str:
        provider = f"dead-{self.wire}" if self.fault == "refused" else PROVIDER[self.wire]
        return f"{provider}/{self.model}"

    @property
    def rule(self) -> dict[str, Any] | None:
        if self.fault is None or self.fault == "refused":
            return None
        return {**BY_NAME[self.fault].rule, "model": self.model, "chunks": self.at, "times": self.times}


@dataclass(frozen=True)
class Schedule:
    seed: int
    steps: tuple[Step, ...]
    stream: bool
    failover: str | None
    restartable: bool
    form: str | None
    retries: int
    #: the client hangs up after so many items, or so many seconds
    leave: int | None = None
    cancel: float | None = None

    @property
    def prompt(self) -> str:
        if self.form:
            return FORMS[self.form][0]
        return PROMPT if self.failover == "continue" else f"what now, number {self.seed}?"

    def text_of(self, deployment: str) -> str:
        """What ``deployment`` says when nothing goes wrong."""
        if self.form:
            return FORMS[self.form][1]
        if self.failover == "continue":
            return TEXT
        model = next(step.model for step in self.steps if step.name == deployment)
        return sentence(model, self.prompt)

    def limits(self, step: Step) -> Limits:
        """The times that the candidate of ``step`` is given."""
        if step.fault == "stall" and step.at and self.stream:
            return replace(LONG, stall=SHORT.stall)  # what comes before the silence may take its time
        return SHORT if step.fault in SLOW else LONG

    @property
    def held(self) -> bool:
        return self.failover == "hold" or self.form is not None

    def answered(self) -> bool:
        """Whether somebody must answer: the oracle's own, much simpler model of the fallback."""
        refused: set[str] = set()
        for step in self.steps:
            provider = step.name.partition("/")[0]
            if provider in refused:
                continue
            if step.fault is None:
                return True
            if step.fault == "401":
                refused.add(provider)
            begun = self.stream and step.fault in MIDWAY and step.at > 0 and not self.held
            if begun and self.failover is None:
                return False
            if begun and self.failover == "restart" and not self.restartable:
                return False
        return False


def schedule(seed: int) -> Schedule:
    """The schedule of ``seed``."""
    draw = random.Random(seed)
    slot = seed % SLOTS
    wires = ["openai", "openrouter", "ollama"] + (["cloud"] if slot < len(CLOUD_MODELS) else [])
    steps: list[Step] = []
    for place in range(draw.randint(1, 4)):
        wire = draw.choice(wires)
        if wire == "cloud":
            wires.remove("cloud")
        model = CLOUD_MODELS[slot] if wire == "cloud" else f"m{slot}-{place}"
        fault = draw.choice(FAULTS).name if draw.random() < 0.65 else None
        times = 1 if draw.random() < 0.15 else None
        steps.append(Step(wire, model, fault, draw.choice([0, 1, 2, 3, 5, 8, 13, 21, 34, 60]), times))
    failover = draw.choice([None, "hold", "continue", "restart"])
    leaving = draw.random()
    return Schedule(
        seed,
        tuple(steps),
        stream=draw.random() < 0.7,
        failover=failover,
        restartable=draw.random() < 0.6,
        form=draw.choice(["json", "label"]) if failover != "continue" and draw.random() < 0.2 else None,
        retries=draw.choice([0, 0, 0, 1]),
        leave=draw.randint(0, 12) if leaving < 0.1 else None,
        cancel=draw.uniform(0, 0.2) if 0.1 <= leaving < 0.25 else None,
    )


async def run(home: House, plan: Schedule) -> Heard | None:
    """What the client heard; ``None`` when it hung up."""
    candidates = tuple(home.candidate(step.name, plan.limits(step)) for step in plan.steps)
    labels = ("script", "visual", "audio") if plan.form == "label" else ()
    role = Plan("r", "r", candidates, retries=plan.retries, expected=Expectation(labels=labels))
    options = {"response_format": {"type": "json_object"}} if plan.form == "json" else {}
    call = ask(
        stream=plan.stream,
        prompt=plan.prompt,
        options=options,
        failover=plan.failover,
        restartable=plan.restartable,
    )
    # A pause of 20 s (429-retry-after) is beyond the deadline, so it is never waited for.
    task = asyncio.create_task(hear(home.gateway(deadline=15.0, r=role), call, leave=plan.leave))
    if plan.cancel is not None:
        await asyncio.wait({task}, timeout=plan.cancel)
        task.cancel()
    try:
        heard = await task
    except asyncio.CancelledError:
        heard = None
    assert [e.call_id for e in home.finished].count(call.id) == 1, "not settled exactly once"
    gone = heard is None or (heard.trace is None and heard.error is None)
    return None if gone else heard


def judge(plan: Schedule, heard: Heard) -> None:
    """A whole right answer, or one explicit error in time, and an answer wherever there is one to be had."""
    longest = (SHORT.attempt + 1.0) * len(plan.steps)
    assert heard.seconds < (plan.retries + 1) * longest + 2 * SLACK
    if heard.error is None:
        assert heard.trace is not None
        assert heard.text == plan.text_of(heard.trace.deployment)
        assert heard.finishes == ["stop"]
        assert plan.answered() or any(step.times for step in plan.steps), "nobody was there to answer"
        assert not heard.lost or (plan.failover == "restart" and plan.restartable)
    else:
        assert not plan.answered(), f"somebody could have answered: {heard.error!r}"
        if plan.held or not plan.stream:
            assert heard.text == ""
        elif plan.failover == "continue":
            assert TEXT.startswith(heard.text)
        else:
            texts = [plan.text_of(step.name) for step in plan.steps]
            assert all(any(t.startswith(part) for t in texts) for part in [*heard.lost, heard.text])
    if plan.failover == "continue" and plan.stream:
        assert heard.lost == []
        assert "".join(PIECES) == TEXT


def check(seeds: Iterable[int], sims: Sims, folder: Path) -> None:
    """Run the schedules of ``seeds`` (one a slot) at the same time."""
    plans = [schedule(seed) for seed in seeds]
    for wire, sim in sims.by_wire.items():
        rules = [step.rule for plan in plans for step in plan.steps if step.wire == wire and step.rule]
        sim.add_faults(rules)

    async def main() -> list[tuple[Schedule, BaseException | None]]:
        async with house(config(sims), folder) as home:
            return await asyncio.gather(*(one(home, plan) for plan in plans))

    async def one(home: House, plan: Schedule) -> tuple[Schedule, BaseException | None]:
        heard: Heard | None = None
        try:
            heard = await run(home, plan)
            if heard is not None:
                judge(plan, heard)
        except Exception as error:  # noqa: BLE001 - every schedule is reported, with its seed
            error.add_note(f"{heard}")
            return plan, error
        return plan, None

    failed = [(plan, error) for plan, error in asyncio.run(main()) if error is not None]
    for sim in sims.by_wire.values():
        sim.clear_faults()
    report = "\n\n".join(
        f"CHAOS_SEED={plan.seed}\n{plan}\n{error!r}\n{error.__notes__}" for plan, error in failed
    )
    assert not failed, f"{len(failed)} of {len(plans)} schedules failed\n{report}"
    assert sims.idle() == {}, f"requests left open by one of {[plan.seed for plan in plans]}"


def batches(count: int) -> list[range]:
    """``count`` seeds in batches of one a slot; the one seed of ``CHAOS_SEED`` where it is set."""
    chosen = os.environ.get("CHAOS_SEED")
    if chosen is not None:
        return [range(int(chosen), int(chosen) + 1)]
    return [range(start, start + SLOTS) for start in range(0, count, SLOTS)]


@pytest.mark.parametrize("seeds", batches(40), ids=str)
def test_random_sample(seeds: range, sims: Sims, tmp_path: Path) -> None:
    """Random schedules end in a whole right answer or one explicit error, and leave nothing behind."""
    check(seeds, sims, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seeds", batches(2400), ids=str)
def test_random_schedules(seeds: range, sims: Sims, tmp_path: Path) -> None:
    """Two thousand random schedules and more hold what the sample holds."""
    check(seeds, sims, tmp_path)


@pytest.mark.parametrize("name", ["500", "cut", "refused", "hang", "429"])
def test_random_200_failovers_at_once(name: str, sims: Sims, tmp_path: Path) -> None:
    """Two hundred calls whose first server fails at the same moment are all answered by the second."""
    fault = BY_NAME[name]
    if fault.rule:
        sims.by_wire["openai"].add_faults({**fault.rule, "model": "a"})

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            first = home.candidate(
                "dead-openai/a" if name == "refused" else "lab/a", SHORT if name == "hang" else LONG
            )
            role = Plan("r", "r", (first, home.candidate("ollama/restate")))
            gateway = home.gateway(r=role)
            calls = [ask(stream=bool(i % 2), failover="continue") for i in range(200)]
            for heard in await asyncio.gather(*(hear(gateway, call) for call in calls)):
                assert heard.error is None
                assert heard.text == TEXT
                assert heard.trace.deployment == "ollama/restate"
                assert heard.outcomes[0][1] in (fault.whole, fault.stream, "skipped")
            assert len(home.finished) == 200

    asyncio.run(main())
