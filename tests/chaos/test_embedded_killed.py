"""The embedded engine's process killed in the midst of an answer, under every policy."""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from chaos_house import SECOND, Sims, ask, config, house

from coreto.errors import CallError
from coreto.gateway.gateway import Gateway
from coreto.messages import Call, Chunk, Restart, Trace
from coreto.providers.embedded import EmbeddedEngine
from coreto.resilience.history import delta_of
from coreto.resilience.plan import Plan

pytestmark = pytest.mark.slow

POLICIES: tuple[tuple[str | None, bool], ...] = (
    (None, False),
    ("hold", False),
    ("restart", True),
    ("restart", False),
    ("continue", False),
)


@dataclass
class Killed:
    """What came of a call whose engine was killed; ``None`` among the pieces is a restart."""

    pieces: list[str | None] = field(default_factory=list[str | None])
    error: CallError | None = None
    trace: Trace | None = None


@pytest.mark.parametrize(("failover", "restartable"), POLICIES, ids=str)
def test_embedded_killed_midway(
    failover: str | None, restartable: bool, models_dir: Path, sims: Sims, tmp_path: Path
) -> None:
    """A kill -9 in mid-answer is a stream that was cut: the policy decides, and the next call finds a new process."""
    head = f'models_dir = "{models_dir}"\n[providers.embedded]\nkind = "embedded"\n'

    async def main() -> None:
        async with house(head + config(sims), tmp_path, models_dir) as home:
            candidates = (home.candidate("embedded/smollm2"), home.candidate("lab/b"))
            gateway = home.gateway(r=Plan("r", "r", candidates, retries=0))
            engine = home.sites["embedded"].provider
            assert isinstance(engine, EmbeddedEngine)
            options = {"max_tokens": 1500, "ignore_eos": True}
            call = ask(stream=True, failover=failover, restartable=restartable, options=options)
            await engine.load("smollm2")
            out = await _killed(gateway, call, engine)
            heard, error, trace = out.pieces, out.error, out.trace
            assert trace is not None
            visible = failover != "hold"
            outcomes = [(a.deployment, a.outcome) for a in trace.attempts]
            assert outcomes[0] == ("embedded/smollm2", "cut")
            text = "".join(piece for piece in heard if piece is not None)
            if failover is None or (failover == "restart" and not restartable):
                assert error is not None
                assert text
                assert len(outcomes) == 1
            else:
                assert error is None
                assert outcomes[1] == ("lab/b", "ok")
                assert (None in heard) == (failover == "restart")
                last = heard[heard.index(None) + 1 :] if None in heard else heard
                assert "".join(piece or "" for piece in last).endswith(SECOND)
                assert (text != SECOND) == visible
            quick = ask(stream=False, role="embedded/smollm2", options={"max_tokens": 3})
            async with home.gateway().open(quick) as items:
                assert len([item async for item in items]) == 2

    asyncio.run(main())


async def _killed(gateway: Gateway, call: Call, engine: EmbeddedEngine) -> "Killed":
    """Make ``call`` and kill the engine's process once its answer is under way."""
    killer = asyncio.create_task(_kill_when_busy(engine))
    out = Killed()
    try:
        async with gateway.open(call) as items:
            async for item in items:
                if isinstance(item, Restart):
                    out.pieces.append(None)
                elif isinstance(item, Chunk):
                    out.pieces.append(delta_of(item.body).get("content") or "")
                elif isinstance(item, Trace):
                    out.trace = item
    except CallError as error:
        out.error, out.trace = error, error.trace
    await killer
    return out


async def _kill_when_busy(engine: EmbeddedEngine) -> None:
    """SIGKILL to the engine's process, which is ours, some tokens into an answer."""
    process = engine._slots["smollm2"].process
    assert process is not None
    used = psutil.Process(process.pid)
    before = used.cpu_times().user
    while (
        used.cpu_times().user < before + 0.5
    ):  # reading the prompt takes less; the answer would take many times that
        await asyncio.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
