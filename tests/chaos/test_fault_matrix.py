"""Every fault on every wire under every policy: a whole right answer, or one explicit error in time."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos_faults import AFTER, BY_NAME, FAULTS, SLOW, Fault
from chaos_house import (
    CLOUD_MODELS,
    LONG,
    PIECES,
    PROVIDER,
    SECOND,
    SHORT,
    SLACK,
    TEXT,
    WIRES,
    Heard,
    House,
    Sims,
    ask,
    config,
    goon,
    hear,
    house,
)

from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Plan

#: Who stands behind whom: another wire each time, so that nothing is shared.
NEXT = {"openai": "ollama", "openrouter": "openai", "ollama": "openrouter", "cloud": "openai"}
OVERNEXT = {"openai": "openrouter", "openrouter": "ollama", "ollama": "openai", "cloud": "ollama"}


@dataclass(frozen=True)
class Policy:
    """A policy with the models behind the first one, and what the client shall get of a stream that dies
    midway: a text, or an error (``None``). ``lost``: a restart was announced before it."""

    name: str
    behind: tuple[str, ...]
    midway: str | None
    failover: str | None = None
    restartable: bool = False
    lost: bool = False
    #: what it shall get when the fault came before the first token, or of a whole answer
    early: str = SECOND


POLICIES = (
    Policy("none", ("b",), None),
    Policy("hold", ("b",), SECOND, "hold"),
    Policy("restart", ("b",), SECOND, "restart", restartable=True, lost=True),
    Policy("restart-undeclared", ("b",), None, "restart"),
    Policy("continue-restated", ("restate",), TEXT, "continue", early=TEXT),
    Policy("continue-exact", (goon(AFTER),), TEXT, "continue", early=TEXT),
    Policy("continue-another-answer", ("other",), None, "continue", early=TEXT),
    Policy("continue-third", ("other", "third"), TEXT, "continue", early=TEXT),
)


@dataclass(frozen=True)
class Cell:
    fault: Fault
    wire: str
    policy: Policy
    stream: bool

    def __str__(self) -> str:
        return f"{self.fault.name}/{self.wire}/{self.policy.name}/{'stream' if self.stream else 'whole'}"

    @property
    def chain(self) -> list[str]:
        models = dict(zip((NEXT[self.wire], OVERNEXT[self.wire]), self.policy.behind, strict=False))
        first = CLOUD_MODELS[0] if self.wire == "cloud" else "a"
        provider = f"dead-{self.wire}" if self.fault.name == "refused" else PROVIDER[self.wire]
        return [f"{provider}/{first}", *(f"{PROVIDER[wire]}/{model}" for wire, model in models.items())]


def cells(fault: Fault, wire: str) -> list[Cell]:
    """All cells of a fault on a wire. Policies are about streams; whole answers get two of them."""
    return [Cell(fault, wire, policy, stream=True) for policy in POLICIES] + [
        Cell(fault, wire, policy, stream=False) for policy in (POLICIES[0], POLICIES[4])
    ]


async def run(home: House, cell: Cell) -> tuple[Heard, HealthBook]:
    limits = [SHORT if cell.fault.name in SLOW else LONG, LONG, LONG]
    candidates = [home.candidate(name, time) for name, time in zip(cell.chain, limits, strict=False)]
    health = HealthBook(home.clock, home.bus.emit)
    gateway = home.gateway(health, r=Plan("r", "r", tuple(candidates), retries=0))
    policy = cell.policy
    call = ask(stream=cell.stream, failover=policy.failover, restartable=policy.restartable)
    return await hear(gateway, call), health


def judge(cell: Cell, heard: Heard, health: HealthBook) -> None:
    """The oracle. See the module's first line."""
    chain, policy, fault = cell.chain, cell.policy, cell.fault
    assert heard.seconds < SHORT.attempt + SLACK
    assert heard.outcomes[0] == (chain[0], fault.outcome(cell.wire, stream=cell.stream))
    midway = fault.strikes_midway(stream=cell.stream)
    expected = policy.midway if midway else policy.early
    if expected is None:
        assert heard.error is not None, f"a silent end: {heard.text!r}"
        assert heard.text == "".join(PIECES[:AFTER]), "the error does not follow what was right"
        assert heard.lost == []
    else:
        assert heard.error is None, repr(heard.error)
        assert heard.text == expected
        assert heard.finishes == ["stop"]
        assert heard.lost == (["".join(PIECES[:AFTER])] if midway and policy.lost else [])
        assert heard.trace.deployment == heard.outcomes[-1][0] == chain[len(heard.outcomes) - 1]
    cooling = {key.partition(":")[0] for key in health.cooling()}
    assert cooling == ({fault.cools} if fault.cools else set())


def check(sims: Sims, folder: Path, some: list[Cell]) -> None:
    """Run ``some`` cells of one fault and wire one after the other."""
    fault, wire = some[0].fault, some[0].wire
    if fault.rule:
        model = CLOUD_MODELS[0] if wire == "cloud" else "a"
        sims.by_wire[wire].add_faults({**fault.rule, "model": model})

    async def main() -> None:
        async with house(config(sims), folder) as home:
            for cell in some:
                heard, health = await run(home, cell)
                try:
                    judge(cell, heard, health)
                except AssertionError as error:
                    raise AssertionError(f"{cell}: {error}\n{heard}") from error
            assert len(home.finished) == len(some), "not every call was settled once"

    asyncio.run(main())


@pytest.mark.soak
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_matrix(fault: Fault, wire: str, sims: Sims, tmp_path: Path) -> None:
    """Every policy survives this fault on this wire."""
    check(sims, tmp_path, cells(fault, wire))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_matrix_sample(fault: Fault, wire: str, sims: Sims, tmp_path: Path) -> None:
    """Three policies, drawn by the names of fault and wire, survive this fault on this wire."""
    draw = random.Random(f"{fault.name}/{wire}")
    check(sims, tmp_path, draw.sample(cells(fault, wire), 3))


DOWN = ("500", "refused", "hang", "html", "cut", "eof", "error-mid", "stall", "broken-line")


def both_down(fault: Fault, wire: str) -> list[Cell]:
    """Cells whose second candidate has the same fault as the first, and no third one."""
    policies = [policy for policy in POLICIES if len(policy.behind) == 1 and "another" not in policy.name]
    return [Cell(fault, wire, policy, stream=stream) for policy in policies for stream in (True, False)]


def judge_down(cell: Cell, chain: list[str], heard: Heard) -> None:
    """One explicit error in time, with both attempts in its trace, after nothing but what was right."""
    assert heard.error is not None, f"an answer from nobody: {heard.text!r}"
    assert heard.seconds < 2 * SHORT.attempt + SLACK
    outcome = cell.fault.outcome(cell.wire, stream=cell.stream)
    midway, policy = cell.fault.strikes_midway(stream=cell.stream), cell.policy
    tried = heard.outcomes
    assert tried[0] == (chain[0], outcome)
    if midway and policy.midway is None:
        assert len(tried) == 1
    else:
        assert [name for name, _ in tried] == chain
        assert "ok" not in [outcome for _, outcome in tried]
    if midway and policy.failover == "continue":
        assert TEXT.startswith(heard.text)
        assert heard.text.startswith("".join(PIECES[:AFTER]))
    else:
        texts = [*heard.lost, heard.text]
        began = midway and policy.failover != "hold"
        assert texts[0] == ("".join(PIECES[:AFTER]) if began else "")
        assert all(SECOND.startswith(text) for text in texts[1:])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", DOWN)
def test_matrix_both_down(name: str, wire: str, sims: Sims, tmp_path: Path) -> None:
    """With every candidate broken in the same way the client gets one explicit error, whatever the policy."""
    fault = BY_NAME[name]
    for sim in sims.by_wire.values():
        if fault.rule:
            sim.add_faults(fault.rule)
    some = both_down(fault, wire)
    if name in SLOW:
        some = random.Random(f"{name}/{wire}").sample(some, 3)

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            for cell in some:
                chain = cell.chain
                if name == "refused":
                    chain = [chain[0], f"dead-{NEXT[wire]}/b"]
                limits = SHORT if name in SLOW else LONG
                plan = Plan("r", "r", tuple(home.candidate(n, limits) for n in chain), retries=0)
                policy = cell.policy
                call = ask(stream=cell.stream, failover=policy.failover, restartable=policy.restartable)
                heard = await hear(home.gateway(r=plan), call)
                try:
                    judge_down(cell, chain, heard)
                except AssertionError as error:
                    raise AssertionError(f"{cell}: {error}\n{heard}") from error

    asyncio.run(main())


def test_matrix_deadline_of_the_call(sims: Sims, tmp_path: Path) -> None:
    """A call's own deadline ends it although every attempt would be given more time, streamed or whole."""
    for sim in sims.by_wire.values():
        sim.add_faults([{"kind": "hang", "stream": False}, {"kind": "stall", "stream": True, "chunks": 4}])

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            names = ("lab/a", "ollama/b", "openrouter/third")
            plan = Plan("r", "r", tuple(home.candidate(name) for name in names))
            for failover in (None, "hold", "continue", "restart"):
                for stream in (True, False):
                    gateway = home.gateway(deadline=0.4, r=plan)
                    heard = await hear(gateway, ask(stream=stream, failover=failover, restartable=True))
                    assert heard.error is not None
                    assert 0.3 < heard.seconds < 0.4 + SLACK
                    assert len(heard.outcomes) == 1, "nobody is asked once the time is over"

    asyncio.run(main())
