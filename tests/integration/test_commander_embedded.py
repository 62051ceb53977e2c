"""The commander on the embedded model: real weights, the form of what comes of it, and kills."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from coreto.client import Coreto
from coreto.crews.commander.crew import Commander
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.state import CommanderResult
from coreto.errors import CoretoError
from coreto.tools.sandbox import probe

pytestmark = pytest.mark.slow

PLANNED = "Planeje uma tarefa complexa e depois execute o código necessário"


@pytest.fixture
def embedded(tmp_path: Path, models_dir: Path) -> Iterator[dict[str, Any]]:
    """A Coreto with the embedded model alone; no child is left when it ends."""
    if not asyncio.run(probe()):
        pytest.skip("no sandbox holds on this machine: nothing would be run")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    config = tmp_path / "coreto.toml"
    config.write_text(f'discovery = false\ndata_dir = "{tmp_path / "data"}"\nmodels_dir = "{models_dir}"\n')
    yield {"config": config, "environ": {"OLLAMA_HOST": "http://127.0.0.1:9"}, "settings": {"offline": True}}
    assert [c for c in psutil.Process().children(recursive=True) if c.pid not in before] == []


def short(coreto: Coreto, code_tokens: int = 64) -> Commander:
    """A commander that does not let the small model talk."""
    settings = CommanderSettings(plan_tokens=120, code_tokens=code_tokens, most_rounds=1, most_steps=2)
    return Commander(coreto.backend, settings=settings)


def test_commander_embedded_model(embedded: dict[str, Any]) -> None:
    """A real model plans and writes: whatever comes of it is told by its kind, and nothing is made up."""

    async def main() -> list[CommanderResult]:
        async with Coreto(**embedded) as coreto:
            return [
                await short(coreto).result(text) for text in (PLANNED, "Run Python code that prints 2 + 2")
            ]

    for result in asyncio.run(main()):
        assert {use.deployment for use in result.models} == {"embedded/smollm2"}
        assert result.cost_usd == 0
        assert result.plan
        for step in result.plan:
            assert step.status in {"done", "unchecked", "failed", "skipped"}
            assert (step.exit_code is None) == (step.rounds == 0)
            assert (step.status == "done") <= (step.kind == "conversation" or step.exit_code == 0)
            assert (step.output == "") or step.output.strip() in result.text
        assert result.ok == (not any(step.status in {"failed", "skipped"} for step in result.plan))


def engines() -> list[psutil.Process]:
    """The processes of the embedded engine."""
    found = psutil.Process().children(recursive=True)
    return [c for c in found if any("embedded_child" in part for part in c.cmdline())]


async def kill_engines(times: int) -> int:
    """SIGKILL to ``times`` engine processes, one after the other, each in the midst of an answer; how many it were."""
    seen: set[int] = set()
    while len(seen) < times:
        with contextlib.suppress(psutil.NoSuchProcess):
            for engine in engines():
                if engine.pid not in seen and engine.cpu_times().user > 1:  # it has read the prompt by then
                    engine.send_signal(signal.SIGKILL)
                    seen.add(engine.pid)
        await asyncio.sleep(0.02)
    return len(seen)


def test_commander_embedded_child_killed(embedded: dict[str, Any]) -> None:
    """SIGKILL to the engine in mid-answer is mended by a new process; killed each time, it is one error in one line."""
    embedded["settings"] |= {"roles.executor.chain": ["embedded/smollm2"]}

    async def main() -> None:
        async with Coreto(**embedded) as coreto:
            killing = asyncio.create_task(kill_engines(1))
            result = await short(coreto, code_tokens=120).result("Run Python code that plays chess")
            assert await killing == 1
            assert [use.deployment for use in result.models] == ["embedded/smollm2"]
            killing = asyncio.create_task(kill_engines(100))
            with pytest.raises(CoretoError) as raised:
                await coreto.commander().result("Run Python code that plays chess")
            killing.cancel()
            assert "embedded/smollm2: cut" in raised.value.message
            assert "\n" not in raised.value.message

    asyncio.run(main())
