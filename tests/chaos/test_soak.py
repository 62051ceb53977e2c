"""Twenty thousand requests through a real server, one in five with a fault: none fails, nothing grows."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil
import pytest
from chaos_house import PROMPT, TEXT, Sims, config

from coreto.simulators.answers import sentence

#: Flaky models: many, so that a breaker that opens takes only a few of the faults away.
SLOTS = 100
#: Nothing among them takes a whole account out of service.
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "refuse"},
    {"kind": "hang"},
    {"kind": "html"},
    {"kind": "error_object"},
    {"kind": "cut", "chunks": 4},
    {"kind": "eof_without_finish", "chunks": 3},
    {"kind": "error_mid_stream", "chunks": 5},
    {"kind": "stall", "chunks": 2},
    {"kind": "broken_line", "chunks": 6},
    {"kind": "malformed_json"},
)
#: More than one in five, because open breakers take some away.
SHARE = 0.25
AT_ONCE = 40
WARM = 2_000
#: Bytes that the server may grow by after it has warmed up: caches that fill, the allocator's fragments.
GROWTH = 12 * 2**20


def fault_rules() -> list[dict[str, Any]]:
    """Rules that together strike a share of ``SHARE`` of the requests to flaky models, each kind alike."""
    each = SHARE / len(FAULTS)
    # A rule only sees what the rules before it let through.
    return [{**fault, "model": "m*", "probability": each / (1 - i * each)} for i, fault in enumerate(FAULTS)]


def soak_config(sims: Sims) -> str:
    """A role for each slot and policy: two flaky candidates, a healthy last one."""
    toml = config(sims)
    for name in ("lab", "ollama"):
        toml = toml.replace(
            f"[providers.{name}]\n", f"[providers.{name}]\ntimeout = 1.5\nstall_timeout = 1.0\n"
        )
    for slot in range(SLOTS):
        for policy in ("hold", "continue", "restart"):
            chain = [f"lab/m{slot}-0", f"ollama/m{slot}-1", "openrouter/healthy"]
            toml += f'[roles.{policy}{slot}]\nchain = {chain}\nstream_failover = "{policy}"\n'
    return toml


@dataclass
class Tally:
    """What came of all requests."""

    asked: int = 0
    wrong: list[str] = field(default_factory=list[str])
    attempts: Counter[str] = field(default_factory=Counter[str])
    answered_by: Counter[str] = field(default_factory=Counter[str])


async def one(session: aiohttp.ClientSession, url: str, number: int, tally: Tally) -> None:
    draw = random.Random(number)
    policy, stream = draw.choice(("hold", "continue", "restart")), draw.random() < 0.5
    prompt = PROMPT if policy == "continue" else f"what now, number {number}?"
    body = {"model": f"{policy}{draw.randrange(SLOTS)}", "messages": [{"role": "user", "content": prompt}]}
    headers = {"x-coreto-accept-restart": "1"}
    async with session.post(url, json={**body, "stream": stream}, headers=headers) as response:
        raw = await response.read()
    tally.asked += 1
    text, trace = (_streamed if stream and response.status == 200 else _whole)(raw)
    if response.status != 200 or trace is None:
        tally.wrong.append(f"{number}: {response.status} {raw[-500:]!r}")
        return
    model = str(trace["deployment"]).partition("/")[2]
    expected = TEXT if policy == "continue" else sentence(model, prompt)
    if text != expected:
        tally.wrong.append(f"{number}: {text!r} instead of {expected!r}")
    tally.attempts.update(attempt["outcome"] for attempt in trace["attempts"])
    tally.answered_by[str(trace["deployment"]).partition("/")[0]] += 1


def _whole(raw: bytes) -> tuple[str, dict[str, Any] | None]:
    body = json.loads(raw)
    if "choices" not in body:
        return "", None
    return body["choices"][0]["message"]["content"], body["coreto"]


def _streamed(raw: bytes) -> tuple[str, dict[str, Any] | None]:
    """Text and trace of a stream; no trace unless it ended as a stream should."""
    datas = [line.removeprefix(b"data: ") for line in raw.split(b"\n\n") if line]
    if not datas or datas[-1] != b"[DONE]":
        return "", None
    text, trace, finishes = "", None, 0
    for event in map(json.loads, datas[:-1]):
        shown = event.get("coreto") or {}
        if "error" in event:
            return text, None
        if shown.get("event") == "restart":
            text = ""
            continue
        trace = shown or trace
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
            finishes += choice.get("finish_reason") is not None
    return text, trace if finishes == 1 else None


async def many(url: str, numbers: range, tally: Tally) -> None:
    """Make all requests, ``AT_ONCE`` at a time, over connections that end with them."""
    waiting: Iterator[int] = iter(numbers)

    async def worker() -> None:
        for number in waiting:
            await one(session, url, number, tally)

    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def connected(process: psutil.Process) -> int:
    """The server's open connections, to its clients and to upstreams."""
    return sum(c.status == psutil.CONN_ESTABLISHED for c in process.net_connections("tcp"))


def soak(count: int, warm: int, sims: Sims, server: Any) -> tuple[Tally, int, int]:
    """``count`` requests after ``warm`` ones; the tally, the server's growth in bytes and its connections."""
    url = f"{server.url}/v1/chat/completions"
    process = psutil.Process(server.process.pid)
    for sim in (sims.by_wire["openai"], sims.by_wire["ollama"]):
        sim.add_faults(fault_rules())
    tally = Tally()
    asyncio.run(many(url, range(warm), tally))
    before = process.memory_info().rss
    asyncio.run(many(url, range(warm, warm + count), tally))
    growth = process.memory_info().rss - before
    return tally, growth, connected(process)


def judge(tally: Tally, count: int) -> None:
    assert not tally.wrong, f"{len(tally.wrong)} of {tally.asked} are wrong, the first: {tally.wrong[:3]}"
    assert tally.asked == count
    struck = sum(number for outcome, number in tally.attempts.items() if outcome not in ("ok", "skipped"))
    assert struck > 0.2 * count, f"too few faults to mean anything: {tally.attempts}"


@pytest.fixture
def server(sims: Sims, server_process: Any, tmp_path: Any) -> Iterator[Any]:
    """A server of the test's own."""
    with server_process.start_server(server_process.write_config(tmp_path, soak_config(sims))) as running:
        yield running


def test_soak_sample(sims: Sims, server: Any) -> None:
    """Some hundred requests, one in five with a fault, are all answered rightly."""
    tally, _, _ = soak(500, 100, sims, server)
    judge(tally, 600)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_soak(sims: Sims, server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Of twenty thousand requests with faults none fails; memory stays flat, and no connection is left open."""
    count = 20_000
    tally, growth, connections = soak(count, WARM, sims, server)
    grown = f"{growth / 2**20:.1f} MiB"
    with capsys.disabled():
        sys.stdout.write(
            f"\nsoak: {tally.asked} asked, {dict(tally.attempts)}, grown {grown}, {connections} open\n"
        )
    judge(tally, count + WARM)
    assert growth < GROWTH, f"the server grew by {grown}"
    assert sims.idle() == {}
    assert connections <= 3 * AT_ONCE, "more connections than requests at once to each upstream"
