"""Many calls at once through servers that fail in every way: each ends, none ends wrongly, nothing is left."""

import asyncio
import contextlib
import random
from collections.abc import Iterator

import pytest

from coreto.client import Coreto
from coreto.errors import CallError
from coreto.messages import Chunk, Trace, finish_of
from coreto.testing.simulator import Simulator, start_simulator

KINDS = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "headers": {"Retry-After": "0.05"}},
    {"kind": "refuse"},
    {"kind": "html"},
    {"kind": "empty_body"},
    {"kind": "error_object"},
    {"kind": "empty_choices"},
    {"kind": "empty_answer"},
    {"kind": "malformed_json"},
    {"kind": "error_first_event"},
    {"kind": "cut"},
    {"kind": "eof_without_finish"},
    {"kind": "error_mid_stream"},
    {"kind": "broken_line"},
    {"kind": "hang", "seconds": 0.1},
    {"kind": "stall", "seconds": 0.1},
    {"kind": "slow", "seconds": 0.01, "per_chunk": 0.002},
)
CONFIG = """
discovery = false
data_dir = "{folder}/data"
models_dir = "{folder}/models"
request_timeout = 5
[providers.one]
base_url = "{one}/v1"
timeout = 0.5
stall_timeout = 0.3
[providers.two]
kind = "openrouter"
base_url = "{two}/api/v1"
api_key = "k"
timeout = 0.5
stall_timeout = 0.3
[providers.ollama]
host = "{three}"
timeout = 0.5
stall_timeout = 0.3
[roles.chat]
chain = ["one/a", "ollama/mistral:7b", "two/b"]
"""


@pytest.fixture(scope="module")
def trio() -> Iterator[tuple[Simulator, Simulator, Simulator]]:
    """Two OpenAI-compatible servers and an Ollama."""
    with (
        start_simulator("openai", "--any-model", "--seed", "1") as one,
        start_simulator("openai", "--flavour", "openrouter", "--any-model", "--seed", "2") as two,
        start_simulator("ollama", "--time-scale", "0", "--seed", "3") as three,
    ):
        yield one, two, three


async def whole(client, number):
    answer = await client.chat(f"number {number}", role="chat")
    assert answer.text
    assert finish_of(answer.body) in ("stop", "length")
    return answer.trace


async def streamed(client, number):
    """Text from the trace's deployment only, and one finish at its end."""
    finishes, text, trace, model = 0, "", None, set()
    async with client.stream(f"number {number}", role="chat") as stream:
        async for item in stream._chunks:
            if isinstance(item, Trace):
                trace = item
                continue
            assert isinstance(item, Chunk)
            choices = item.body.get("choices") or [{}]
            piece = (choices[0].get("delta") or {}).get("content")
            if piece:
                assert not finishes
                text += piece
                model.add(item.body.get("model"))
            finishes += bool(choices[0].get("finish_reason"))
    assert text
    assert finishes == 1
    assert len(model) == 1, "two answers glued together"
    assert text.count(" answers ") == 1
    return trace


@pytest.mark.parametrize("seed", range(4))
def test_chaos_every_call_ends_rightly(seed, trio, tmp_path, monkeypatch):
    """Under random faults, hang-ups and cancellations every call ends in a full answer or a ``CallError`` with
    its attempts; afterwards no connection is in use, no probe is left, and a good day is good at once."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(seed)
    for simulator in trio:
        simulator.reset()
        rules = [{**draw.choice(KINDS), "probability": 0.12, "chunks": draw.randint(0, 4)} for _ in range(6)]
        simulator.add_faults(rules)
    urls = dict(zip(("one", "two", "three"), (s.url for s in trio), strict=True))
    (tmp_path / "coreto.toml").write_text(CONFIG.format(folder=tmp_path, **urls))
    counts = {"ok": 0, "failed": 0, "left": 0}

    async def one_call(client, number):
        work = (streamed if number % 2 else whole)(client, number)
        try:
            if draw.random() < 0.15:
                async with asyncio.timeout(draw.random() * 0.02):
                    trace = await work
            else:
                trace = await work
        except TimeoutError:
            counts["left"] += 1
            return
        except CallError as error:
            counts["failed"] += 1
            trace = error.trace
        assert trace is not None
        assert trace.attempts
        if trace.deployment is None:
            return
        counts["ok"] += 1
        assert trace.attempts[-1].outcome == "ok"
        assert trace.attempts[-1].deployment == trace.deployment

    async def main():
        async with Coreto(config=tmp_path / "coreto.toml") as client:
            for batch in range(6):
                await asyncio.gather(*(one_call(client, batch * 12 + i) for i in range(12)))
            app = client.backend
            for name in urls:
                http = app.sites["ollama" if name == "three" else name].provider._http
                assert not http.in_use
            assert not any(b.probing for b in app.health._breakers.values())
            for simulator in trio:
                simulator.clear_faults()
            app.health._breakers.clear()
            app.health._cool.clear()
            for number in (1000, 1001):
                trace = await (streamed if number % 2 else whole)(client, number)
                assert trace.deployment == "one/a"
        leftover = asyncio.all_tasks() - {asyncio.current_task()}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*leftover, return_exceptions=True)
        assert not [task for task in leftover if not task.done()]

    asyncio.run(main())
    assert counts["ok"] > 30
    assert sum(counts.values()) == 72
