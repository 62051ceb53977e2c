"""A dead or hanging first candidate costs a few calls, not every call; and it comes back into use."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from chaos_house import SECOND, SHORT, Heard, House, Sims, ask, config, hear, house

from coreto.clock import SystemClock
from coreto.gateway.gateway import Gateway
from coreto.resilience.health import OPEN_FIRST, THRESHOLD, HealthBook
from coreto.resilience.plan import Plan

CALLS = 20


class Shifted(SystemClock):
    """The system's clock, of which a test can let some time pass at once."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def gateway_of(home: House, clock: Shifted, first: str) -> tuple[Gateway, HealthBook]:
    health = HealthBook(clock, home.bus.emit)
    candidates = (home.candidate(first, SHORT), home.candidate("ollama/b"))
    return home.gateway(health, r=Plan("r", "r", candidates)), health


async def ask_in_turn(gateway: Gateway, count: int, *, stream: bool) -> list[Heard]:
    return [await hear(gateway, ask(stream=stream)) for _ in range(count)]


def first_outcomes(heard: list[Heard]) -> list[str]:
    return [one.outcomes[0][1] for one in heard]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("first", "fault"),
    [
        ("dead-openai/a", None),
        ("lab/a", {"kind": "status", "status": 500}),
        ("lab/a", {"kind": "refuse"}),
        ("lab/a", {"kind": "hang"}),
        ("lab/a", {"kind": "silence"}),
        ("lab/a", {"kind": "html"}),
    ],
    ids=["refused", "500", "reset", "hang", "silence", "html"],
)
def test_breaker_spares_the_dead(
    first: str, fault: dict[str, Any] | None, stream: bool, sims: Sims, tmp_path: Path
) -> None:
    """Of twenty calls one after the other three at most pay for the first candidate, its timeout included."""
    if fault:
        sims.by_wire["openai"].add_faults(fault)

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            gateway, _ = gateway_of(home, Shifted(), first)
            heard = await ask_in_turn(gateway, CALLS, stream=stream)
            assert [one.text for one in heard] == [SECOND] * CALLS
            outcomes = first_outcomes(heard)
            assert outcomes[THRESHOLD:] == ["skipped"] * (CALLS - THRESHOLD)
            assert "skipped" not in outcomes[:THRESHOLD]
            if fault and fault["kind"] in ("hang", "silence"):
                assert sum(one.seconds >= SHORT.attempt for one in heard[:THRESHOLD]) == THRESHOLD

    asyncio.run(main())
    if fault:
        assert len(sims.by_wire["openai"].requests("/v1/chat/completions")) == THRESHOLD


def test_breaker_lets_it_back(sims: Sims, tmp_path: Path) -> None:
    """After its pause one call probes; a failed probe doubles the pause, a good one brings the candidate back."""
    sims.by_wire["openai"].add_faults({"kind": "hang", "times": THRESHOLD + 1})

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            clock = Shifted()
            gateway, _ = gateway_of(home, clock, "lab/a")
            await ask_in_turn(gateway, THRESHOLD, stream=False)
            clock.ahead += OPEN_FIRST + 1
            probe, after = await ask_in_turn(gateway, 2, stream=True)
            assert first_outcomes([probe, after]) == ["timeout", "skipped"]
            clock.ahead += OPEN_FIRST + 1
            (still,) = await ask_in_turn(gateway, 1, stream=False)
            assert first_outcomes([still]) == ["skipped"]
            clock.ahead += OPEN_FIRST + 1
            heard = await ask_in_turn(gateway, 3, stream=False)
            assert first_outcomes(heard) == ["ok"] * 3

    asyncio.run(main())


def test_breaker_one_probe_at_a_time(sims: Sims, tmp_path: Path) -> None:
    """Of many calls that come when the pause is over, one probes; the others do not wait for it."""
    sims.by_wire["openai"].add_faults({"kind": "hang"})

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            clock = Shifted()
            gateway, _ = gateway_of(home, clock, "lab/a")
            await ask_in_turn(gateway, THRESHOLD, stream=False)
            clock.ahead += OPEN_FIRST + 1
            heard = await asyncio.gather(*(hear(gateway, ask(stream=bool(i % 2))) for i in range(CALLS)))
            assert [one.text for one in heard] == [SECOND] * CALLS
            assert sorted(first_outcomes(heard)) == ["skipped"] * (CALLS - 1) + ["timeout"]

    asyncio.run(main())


def test_breaker_a_canceled_probe_is_free_again(sims: Sims, tmp_path: Path) -> None:
    """When the caller of a probe hangs up, the next call probes instead: nothing stays half open for ever."""
    sims.by_wire["openai"].add_faults({"kind": "hang", "times": THRESHOLD + 1})

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            clock = Shifted()
            gateway, _ = gateway_of(home, clock, "lab/a")
            await ask_in_turn(gateway, THRESHOLD, stream=False)
            clock.ahead += OPEN_FIRST + 1
            probe = asyncio.create_task(hear(gateway, ask(stream=True)))
            await asyncio.wait({probe}, timeout=SHORT.attempt / 3)
            probe.cancel()
            await asyncio.wait({probe})
            assert probe.cancelled()
            (heard,) = await ask_in_turn(gateway, 1, stream=True)
            assert heard.outcomes == [("lab/a", "ok")]

    asyncio.run(main())


def test_breaker_when_all_are_open_any_may_help(sims: Sims, tmp_path: Path) -> None:
    """With every breaker open, those that failed quickly are all asked before the caller gets an error."""
    for wire in ("openai", "ollama"):
        sims.by_wire[wire].add_faults({"kind": "status", "status": 500, "times": THRESHOLD})
    sims.by_wire["openai"].add_faults({"kind": "status", "status": 500})

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            health = HealthBook(home.clock, home.bus.emit)
            candidates = (home.candidate("lab/a"), home.candidate("ollama/b"))
            gateway = home.gateway(health, r=Plan("r", "r", candidates, retries=0))
            for one in await ask_in_turn(gateway, THRESHOLD, stream=False):
                assert one.error is not None
            (heard,) = await ask_in_turn(gateway, 1, stream=False)
            assert heard.text == SECOND
            assert heard.outcomes[-2:] == [("lab/a", "server_error"), ("ollama/b", "ok")]

    asyncio.run(main())


def test_breaker_a_spared_candidate_is_better_than_none(sims: Sims, tmp_path: Path) -> None:
    """When the candidates in service all fail, one that is out of service but cheap to try is tried."""
    sims.by_wire["openai"].add_faults({"kind": "status", "status": 500, "times": THRESHOLD})
    sims.by_wire["ollama"].add_faults({"kind": "status", "status": 500, "nth": THRESHOLD + 1})

    async def main() -> None:
        async with house(config(sims), tmp_path) as home:
            health = HealthBook(home.clock, home.bus.emit)
            candidates = (home.candidate("lab/b"), home.candidate("ollama/b"))
            gateway = home.gateway(health, r=Plan("r", "r", candidates, retries=0))
            await ask_in_turn(gateway, THRESHOLD, stream=False)
            (heard,) = await ask_in_turn(gateway, 1, stream=False)
            assert heard.text == SECOND
            assert heard.outcomes == [("lab/b", "skipped"), ("ollama/b", "server_error"), ("lab/b", "ok")]

    asyncio.run(main())
