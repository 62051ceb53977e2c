"""Two big models in one small memory: whole calls against Ollama's simulator, on a clock that runs fifty times faster.

The simulator's seconds and ours are scaled alike, so that a load of 13 s takes 0.26 s. The simulator has its own account
of its memory, which is looked at all the time.
"""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from coreto.app import App
from coreto.client import Coreto
from coreto.errors import CallError, ExhaustedError, OutOfMemoryError
from coreto.labels import Label
from coreto.messages import Call, EmbedCall, Trace, Whole, new_call_id
from coreto.testing.simulator import Simulator, start_simulator

SCALE = 0.02
BUDGET = 16 * 10**9
MODELS = ("brain:32b=13 GB", "executor:14b=9 GB", "tiny:1b=1 GB", "wide-embed:1b=9 GB")
BRAIN, EXECUTOR, TINY, EMBED = (f"ollama/{text.partition('=')[0]}" for text in MODELS)
#: What models answer where it matters how long that takes: 80 tokens, which are two seconds.
LONG = " ".join(["word"] * 80)


class FastClock:
    """A :class:`~coreto.clock.Clock` whose seconds are ``SCALE`` real ones."""

    def __init__(self) -> None:
        self._start, self._epoch = time.monotonic(), time.time()

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) / SCALE

    def time(self) -> float:
        return self._epoch + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) * SCALE)


def _simulator(*more: str) -> Iterator[Simulator]:
    models = [part for text in MODELS for part in ("--model", text)]
    room = ("--max-queue", "1000", "--load-gbps", "1", "--time-scale", str(SCALE), "--max-loaded", "9")
    with start_simulator("ollama", *models, *room, *more) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def _gpu() -> Iterator[Simulator]:
    yield from _simulator("--memory", "16 GB")


@pytest.fixture(scope="module")
def _large() -> Iterator[Simulator]:
    yield from _simulator("--memory", "64 GB")


@pytest.fixture
def gpu(_gpu) -> Simulator:
    """A machine with as much memory as the budget."""
    _gpu.reset()
    return _gpu


@pytest.fixture
def large(_large) -> Simulator:
    """A machine with four times the budget: it would load everything side by side."""
    _large.reset()
    return _large


@pytest.fixture
def start(tmp_path):
    """Starts a Coreto of a TOML text on the fast clock; at the end nothing is held."""

    @asynccontextmanager
    async def started(toml: str) -> AsyncIterator[Coreto]:
        file = tmp_path / "coreto.toml"
        head = f'discovery = false\ndata_dir = "{tmp_path / "data"}"\nmodels_dir = "{tmp_path / "models"}"\n'
        file.write_text(head + toml)
        client = Coreto(config=file)
        app = App(client.loaded, clock=FastClock())
        try:
            await app.start()
            client._backend = app
            yield client
            await asyncio.sleep(0.01)
            assert held(app) == (0, 0)
        finally:
            await app.close()

    return started


def held(app: App) -> tuple[int, int]:
    """Turns and places that are taken or waited for."""
    turns = sum(m.running + m.waiting for host in app.hosts.values() for m in host.status().models)
    places = sum(p.taken + p.waiting for p in app.gateway._ward._places.values())
    return turns, places


def config(
    sim: Simulator, more: str = "", *, provider: str = f"memory_budget = {BUDGET}", top: str = ""
) -> str:
    return f"""
request_timeout = 100000
{top}
[providers.ollama]
host = "{sim.url}"
{provider}
[roles.brain]
chain = ["{BRAIN}"]
[roles.executor]
chain = ["{EXECUTOR}"]
{more}
"""


def outcomes(trace: Trace) -> list[tuple[str, str]]:
    return [(attempt.deployment, attempt.outcome) for attempt in trace.attempts]


@dataclass
class Account:
    """What the engine's memory held whenever it was looked at: its own account, and its list of models."""

    used: list[int] = field(default_factory=list)
    listed: list[int] = field(default_factory=list)
    loads: int = 0


@asynccontextmanager
async def watched(sim: Simulator) -> AsyncIterator[Account]:
    """Look at the engine's memory all the time."""
    seen = Account()
    before = sim.state()["loads"]

    async def look() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{sim.url}/_sim/state") as answer:
                    seen.used.append(sum(r["size"] for r in (await answer.json())["runners"]))
                async with session.get(f"{sim.url}/api/ps") as answer:
                    seen.listed.append(sum(m["size"] for m in (await answer.json())["models"]))
                await asyncio.sleep(0.005)

    task = asyncio.create_task(look())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})
        seen.loads = sim.state()["loads"] - before


# --- the alternating trace


@dataclass
class Served:
    """One request in the clock's seconds. ``started`` is when its answer must have begun."""

    number: int
    model: str
    arrived: float
    started: float = 0.0
    ended: float = 0.0


@dataclass
class Arm:
    """What came of the whole load one way of running it."""

    served: list[Served]
    account: Account

    @property
    def drain(self) -> float:
        return max(s.ended for s in self.served) - min(s.arrived for s in self.served)

    @property
    def swaps(self) -> int:
        return self.account.loads - 1

    def behind(self) -> float:
        """The longest that a request spent while the engine worked for another model's later ones."""
        order = sorted(self.served, key=lambda s: s.started)
        spans: list[tuple[float, float, str, int]] = []
        for before, after in zip([None, *order], [*order, None], strict=True):
            if before is not None:
                spans.append((before.started, before.ended, before.model, before.number))
            if before is not None and after is not None and before.model != after.model:  # a switch
                waiting = [s.number for s in order if s.model == after.model and s.started >= after.started]
                spans.append((before.ended, after.started, after.model, min(waiting)))
        return max(
            sum(
                max(0.0, min(end, s.started) - max(begin, s.arrived))
                for begin, end, model, number in spans
                if model != s.model and number > s.number
            )
            for s in self.served
        )


async def run_load(client: Coreto, sim: Simulator, count: int) -> Arm:
    """``count`` requests at once, brain and executor in turn."""
    clock = client.backend.clock
    service = 80 / 40.0  # tokens at the simulator's speed

    async def one(number: int) -> Served:
        role = ("brain", "executor")[number % 2]
        served = Served(number, role, clock.monotonic())
        answer = await client.chat(f"hi {number}", role=role)
        assert answer.text == LONG
        assert outcomes(answer.trace)[-1] == ((BRAIN, EXECUTOR)[number % 2], "ok")
        served.ended = clock.monotonic()
        served.started = served.ended - service
        return served

    for host in client.backend.hosts.values():
        while math.inf in (host.predicted_wait("brain:32b"), host.predicted_wait("executor:14b")):
            await clock.sleep(0.1)  # the look-up that began with the start; another call would do the same
    async with watched(sim) as account:
        served = await asyncio.gather(*(one(number) for number in range(count)))
    return Arm(list(served), account)


def compare(start, sim: Simulator, count: int, max_wait: float) -> dict[str, Arm]:
    """The same load by turns, strictly in order, and as Ollama itself does it."""
    arms: dict[str, Arm] = {}
    for name, provider in (
        ("turns", f"memory_budget = {BUDGET}"),
        ("in order", "max_connections = 1"),
        ("ollama", "max_connections = 1000"),
    ):
        sim.reset()
        sim.script({"content": LONG, "times": None})

        async def work(provider=provider) -> Arm:
            toml = config(sim, f"[residency]\nmax_wait = {max_wait}\n", provider=provider)
            async with start(toml) as client:
                return await run_load(client, sim, count)

        arms[name] = asyncio.run(work())
    return arms


def judge(arms: dict[str, Arm], count: int, max_wait: float) -> None:
    ours, fifo = arms["turns"], arms["in order"]
    assert len(ours.served) == len(fifo.served) == count
    assert max(ours.account.used) <= BUDGET
    assert max(ours.account.listed) <= BUDGET
    assert len(ours.account.used) > count / 4, "hardly looked at"
    assert fifo.swaps == count - 1
    assert ours.swaps <= fifo.swaps / 2
    assert ours.drain <= 0.6 * fifo.drain
    # 2 x the loads of who waits may be more than the rule's; what runs is not interrupted; and this machine stutters
    bound = max(max_wait, 2 * 15.0)
    assert ours.behind() <= bound + 2.0 + 10.0


def shown(arms: dict[str, Arm]) -> str:
    return "; ".join(
        f"{name}: {arm.swaps} swaps, {arm.drain:.0f} s, behind {arm.behind():.0f} s"
        for name, arm in arms.items()
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_residency_of_a_mixed_load(start, gpu):
    """Turns need at most half of the switches of strict order and six tenths of its time; the budget is never
    exceeded, and nobody waits behind later requests for longer than the bound."""
    arms = compare(start, gpu, 40, 20.0)
    judge(arms, 40, 20.0)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_residency_of_two_hundred(start, gpu, capsys):
    """The same with two hundred requests and the default bound."""
    arms = compare(start, gpu, 200, 60.0)
    with capsys.disabled():
        sys.stdout.write(f"\nresidency: {shown(arms)}\n")
    judge(arms, 200, 60.0)
    assert arms["ollama"].behind() > 2 * arms["turns"].behind()


@pytest.mark.slow
def test_residency_budget_is_ours(start, large):
    """On a machine that would load everything side by side, the sum stays within the budget all the same: chats,
    streams and embeddings of four models take turns."""

    async def work():
        async with start(config(large, provider=f"memory_budget = {BUDGET}\nparallel = 1")) as client:
            async with watched(large) as account:

                async def chat(model):
                    return (await client.chat("hi", model=model)).deployment

                async def stream(model):
                    async with client.stream("hi", model=model) as pieces:
                        text = "".join([piece async for piece in pieces])
                        assert text
                        return pieces.answer.deployment

                async def embed():
                    assert len((await client.embed("hi", model=EMBED))[0]) > 1
                    return EMBED

                jobs = [
                    *(chat(m) for m in (BRAIN, EXECUTOR, TINY) * 3),
                    *(stream(m) for m in (EXECUTOR, BRAIN, TINY) * 2),
                    *(embed() for _ in range(4)),
                ]
                found = await asyncio.gather(*jobs)
            assert sorted(found) == sorted([*(BRAIN, EXECUTOR, TINY) * 5, *[EMBED] * 4])
            assert max(account.used) <= BUDGET
            assert account.loads <= 8
            assert client.backend.hosts["ollama"].status().switches >= 2

    asyncio.run(work())


# --- spilling


@pytest.fixture(scope="module")
def _lab() -> Iterator[Simulator]:
    with start_simulator("openai", "--any-model") as simulator:
        yield simulator


@pytest.fixture
def lab(_lab) -> Simulator:
    """A cloud."""
    _lab.reset()
    return _lab


def hybrid(gpu: Simulator, lab: Simulator, *, spill_after: float = 1.0, top: str = "", role: str = "") -> str:
    """The executor's chain goes on in the cloud; the first call of a model always waits for its load."""
    more = f"""
[residency]
spill_after = {spill_after}
[providers.lab]
kind = "openai"
base_url = "{lab.url}/v1"
local = false
[models."lab/x"]
input_price = 1
output_price = 1
[roles.work]
chain = ["{EXECUTOR}", "lab/x"]
{role}
"""
    return config(gpu, more, top=top)


FAR, NEAR = ("lab/x", "ok"), (EXECUTOR, "ok")
SPILLED = (EXECUTOR, "skipped")


@pytest.mark.parametrize("stream", [False, True])
def test_residency_spills_to_the_cloud(start, gpu, lab, stream):
    """What would wait for its load is answered by the cloud, and the trace says why."""

    async def work():
        async with start(hybrid(gpu, lab)) as client:
            if stream:
                async with client.stream("hi", role="work") as pieces:
                    assert [piece async for piece in pieces]
                answer = pieces.answer
            else:
                answer = await client.chat("hi", role="work")
            assert outcomes(answer.trace) == [SPILLED, FAR]
            assert answer.trace.attempts[0].detail.startswith("spilled: 'executor:14b' would take ")

    asyncio.run(work())
    assert gpu.requests("/api/chat") == []


@pytest.mark.parametrize(
    ("how", "options", "expected"),
    [
        ({}, {"private": True}, [NEAR]),
        ({}, {"prefer": "local"}, [NEAR]),
        ({"role": "local_only = true"}, {}, [NEAR]),
        ({"role": 'prefer = "local"'}, {}, [NEAR]),
        ({"role": "fallback = false"}, {}, [NEAR]),
        ({"top": "fallback_enabled = false"}, {}, [NEAR]),
        ({"top": "offline = true"}, {}, [NEAR]),
        ({"spill_after": 60.0}, {}, [NEAR]),
        ({"role": "[budgets]\ndaily_usd = 0.0"}, {}, [NEAR]),
    ],
)
def test_residency_waits_where_it_may_not_spill(start, gpu, lab, how, options, expected):
    """Private, local by wish or by rule, without fallback, offline, with a short wait, without money: the local
    model is waited for, and the cloud gets nothing."""

    async def work():
        async with start(hybrid(gpu, lab, **how)) as client:
            answer = await client.chat("hi", role="work", **options)
            assert [o for o in outcomes(answer.trace) if o[1] != "skipped"] == expected

    asyncio.run(work())
    assert lab.requests("*chat*") == []


@pytest.mark.parametrize("stream", [False, True])
def test_residency_a_cloud_that_fails_after_the_spill(start, gpu, lab, stream):
    """The local model is waited for after all."""
    lab.add_faults({"kind": "status", "status": 500})

    async def work():
        async with start(hybrid(gpu, lab)) as client:
            if stream:
                async with client.stream("hi", role="work") as pieces:
                    assert [piece async for piece in pieces]
                trace = pieces.answer.trace
            else:
                trace = (await client.chat("hi", role="work")).trace
            assert outcomes(trace) == [SPILLED, ("lab/x", "server_error"), NEAR]

    asyncio.run(work())


# --- failures


@pytest.mark.slow
def test_residency_of_a_model_that_does_not_fit(start, gpu, lab):
    """Out of memory on load: everybody else leaves, it is tried again, then the next candidate answers; the one
    that worked before still does, and the health book knows what failed."""
    gpu.set_models(add=[{"name": "odd:1b", "size": "2 GB", "surprise": 30 * 10**9}])
    more = f'[providers.lab]\nkind = "openai"\nbase_url = "{lab.url}/v1"\nlocal = false\n'
    more += '[roles.odd]\nchain = ["ollama/odd:1b", "lab/x"]\n'

    async def work():
        async with start(config(gpu, more)) as client:
            await client.chat("hi", role="brain")
            answer = await client.chat("hi", role="odd")
            assert outcomes(answer.trace) == [("ollama/odd:1b", "out_of_memory"), FAR]
            assert (await client.chat("hi", role="brain")).deployment == BRAIN
            seen = {d["id"]: d for d in (await client.status())["deployments"]}
            assert seen["ollama/odd:1b"]["last_error_code"] == "out_of_memory"
            with pytest.raises(CallError) as caught:
                await client.chat("hi", model="ollama/odd:1b")
            assert caught.value.http_status in (502, 503, 507)

    asyncio.run(work())


def test_residency_of_a_model_declared_too_large(start, gpu):
    """A declared size above the budget is refused with the figures; the others work."""
    more = f'[models."{EXECUTOR}"]\nmemory = "40 GB"\n'

    async def work():
        async with start(config(gpu, more)) as client:
            with pytest.raises(ExhaustedError, match=r"'executor:14b' needs 40\.0 GB of 14\.9 GB") as caught:
                await client.chat("hi", role="executor")
            assert isinstance(caught.value.causes[0], OutOfMemoryError)
            assert (await client.chat("hi", role="brain")).deployment == BRAIN

    asyncio.run(work())


@pytest.mark.slow
def test_residency_of_a_missing_model_and_a_dead_engine(start, lab, gpu):
    """A model that is not there, and an engine that is gone, send the call on."""

    async def work():
        with start_simulator("ollama", "--model", "brain:32b=13 GB", "--time-scale", str(SCALE)) as mortal:
            more = f"""
[providers.lab]
kind = "openai"
base_url = "{lab.url}/v1"
local = false
[roles.lost]
chain = ["ollama/lost:1b", "lab/x"]
[roles.there]
chain = ["{BRAIN}", "lab/x"]
"""
            async with start(config(mortal, more)) as client:
                lost = await client.chat("hi", role="lost")
                assert outcomes(lost.trace) == [("ollama/lost:1b", "model_missing"), FAR]
                assert (await client.chat("hi", role="there")).deployment == BRAIN
                await asyncio.to_thread(mortal.stop, kill=True)
                there = await client.chat("hi", role="there")
                assert there.deployment == "lab/x"
                assert outcomes(there.trace)[0][1] in ("unreachable", "cut")

    asyncio.run(work())


@pytest.mark.slow
def test_residency_of_an_engine_that_restarts(start, gpu):
    """Behind our back: calls go on being answered, and the status is right within the look interval."""

    async def work():
        async with start(config(gpu)) as client:
            await client.chat("hi", role="brain")
            await asyncio.to_thread(gpu.restart_engine)
            await client.backend.clock.sleep(10.0)
            status = await client.status()
            assert (status["brain_loaded"], status["vram_used_gb"]) == (False, 0.0)
            for role, deployment in (("brain", BRAIN), ("executor", EXECUTOR)) * 2:
                await asyncio.to_thread(gpu.restart_engine)  # and nobody looks before the call
                assert (await client.chat("hi", role=role)).deployment == deployment

    asyncio.run(work())


# --- what goes over the wire


def test_residency_never_changes_a_loaded_window(start, gpu):
    """Whatever windows roles and callers ask for, every request carries that of the load: nothing is loaded twice."""
    more = f"""
[roles.short]
chain = ["{BRAIN}"]
context = 1024
[roles.long]
chain = ["{BRAIN}"]
context = 4000
[roles.vectors]
chain = ["{EMBED}"]
context = 2048
"""

    async def work():
        async with start(config(gpu, more)) as client:
            for role in ("short", "long", "brain", "short"):
                await client.chat("hi", role=role)
            await client.chat(
                "hi", model=BRAIN, options={"num_ctx": 512, "num_gpu": 1, "top_k": 5}, keep_alive=0
            )
            assert gpu.state()["loads"] == 1
            for _ in range(2):
                await client.embed("hi", model=EMBED)
            assert gpu.state()["loads"] == 2
            await client.chat("hi", model=TINY, options={"num_ctx": 512})
            await client.chat("hi", model=TINY)
            assert gpu.state()["loads"] == 3

    asyncio.run(work())
    asked = [r["body"] for path in ("/api/chat", "/api/embed") for r in gpu.requests(path)]
    working = [body for body in asked if body.get("keep_alive") != 0]
    windows = {(body["model"], body.get("options", {}).get("num_ctx")) for body in working}
    assert windows == {("brain:32b", 4000), ("wide-embed:1b", 2048), ("tiny:1b", None)}
    assert {body["options"].get("top_k") for body in asked if "top_k" in body.get("options", {})} == {5}


# --- several engines


def test_residency_of_a_pool(start, gpu, large):
    """Two engines with the same model: calls one by one stay at the first, a burst spreads over both."""
    more = f"""
[providers.second]
kind = "ollama"
host = "{large.url}"
memory_budget = {BUDGET}
[roles.pool]
chain = ["{TINY}", "second/tiny:1b"]
"""
    for sim in (gpu, large):
        sim.script({"content": LONG, "times": None})

    async def work():
        async with start(config(gpu, more)) as client:
            for _ in range(4):
                assert (await client.chat("hi", role="pool")).deployment == TINY
            assert large.state()["loads"] == 0
            answers = await asyncio.gather(*(client.chat(f"hi {i}", role="pool") for i in range(16)))
            by = [answer.deployment for answer in answers]
            assert 4 <= by.count("second/tiny:1b") <= 12, by
            assert (gpu.state()["loads"], large.state()["loads"]) == (1, 1)

    asyncio.run(work())


# --- status and plans


def test_residency_status_follows_the_turns(start, gpu):
    """The keys of R11 while the brain, then the executor is in memory."""
    keys = ("current_model", "current_role", "brain_loaded", "executor_loaded")

    async def work():
        async with start(config(gpu)) as client:
            status = await client.status()
            assert (status["vram_used_gb"], status["brain_loaded"]) == (0.0, False)
            assert status["vram_total_gb"] == round(BUDGET / 2**30, 3)
            await client.chat("hi", role="brain")
            status = await client.status()
            assert tuple(status[key] for key in keys) == (BRAIN, "brain", True, False)
            assert 12 < status["vram_used_gb"] < 14.9
            await client.chat("hi", role="executor")
            status = await client.status()
            assert tuple(status[key] for key in keys) == (EXECUTOR, "executor", False, True)
            assert status["residency"][0]["switches"] == 1
            assert status["residency"][0]["recent"][-1]["what"] == "loaded"

    asyncio.run(work())


@pytest.mark.slow
def test_residency_keeps_what_a_plan_announced(start, gpu):
    """Between two calls of a plan its brain stays, though an executor call waits; then that one's turn comes. A plan
    that is over holds nothing."""
    gpu.script({"content": LONG, "times": None})

    def call(role, run=None):
        return Call(new_call_id(), {"messages": [{"role": "user", "content": "hi"}]}, role, run=run)

    async def answered(app, asked):
        async with app.open(asked) as items:
            return [item async for item in items if isinstance(item, Whole)]

    async def work():
        async with start(config(gpu)) as client:
            app = client.backend
            await app.announce("p", [("brain", 2), ("nobody", 1), ("executor", 3)])
            await answered(app, call("brain", "p"))
            other = asyncio.create_task(answered(app, call("executor")))
            await app.clock.sleep(4.0)
            assert not other.done()
            await answered(app, call("brain", "p"))
            assert gpu.state()["loads"] == 1
            await other
            assert gpu.state()["loads"] == 2
            await app.announce("p", [])
            await app.announce("q", [("executor", 2)])
            await answered(app, call("executor", "q"))
            await app.announce("q", [])
            began = app.clock.monotonic()
            await answered(app, call("brain"))
            assert app.clock.monotonic() - began < 26.0  # 14 s of load, 2 s of answer, and no holding

    asyncio.run(work())


def test_residency_of_embeddings_that_fail(start, gpu):
    """An embeddings call whose model cannot be loaded has an attempt in its trace, and the health book knows."""
    gpu.set_models(
        add=[{"name": "odd-embed:1b", "size": "2 GB", "surprise": 30 * 10**9, "capabilities": ["embedding"]}]
    )

    async def work():
        async with start(config(gpu)) as client:
            asked = EmbedCall(new_call_id(), {"input": "hi"}, "ollama/odd-embed:1b", Label.INTERNAL)
            with pytest.raises(OutOfMemoryError) as caught:
                await client.backend.embed(asked)
            assert outcomes(caught.value.trace) == [("ollama/odd-embed:1b", "out_of_memory")]
            assert client.backend.health.records["ollama/odd-embed:1b"].failures == 1

    asyncio.run(work())
