"""One suite over every provider: what `open`, `models`, `health` and `close` promise."""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from coreto.clock import SystemClock
from coreto.errors import CallError, CoretoError, PrivacyError
from coreto.events import EventBus
from coreto.gateway.gateway import Gateway
from coreto.labels import Label
from coreto.ledger.prices import PriceBook
from coreto.messages import Accumulator, Call, Chunk, Limits, Trace, Whole, finish_of, text_of, usage_of
from coreto.providers.base import Health
from coreto.providers.catalog import Deployment
from coreto.providers.embedded import EmbeddedEngine
from coreto.providers.http import Endpoint
from coreto.providers.llamacpp import LlamaCppRouter
from coreto.providers.ollama import Ollama, OllamaCloud, OllamaCloudByDaemon
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.providers.openrouter import OpenRouter
from coreto.providers.rules import Rules
from coreto.providers.weights import GgufModel
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.resilience.timeouts import Timed
from coreto.routing.directory import Directory
from coreto.testing.provider import FakeProvider, Say
from coreto.testing.simulator import Simulator, start_simulator

FLAVOURS = ("openai", "openrouter", "llamacpp", "vllm")


@dataclass
class Subject:
    """A provider under test. ``sim`` serves it, ``fake`` is at its bottom, where there is one; ``http``
    gives the aiohttp session of its connections. ``remote``: it is off the machine."""

    provider: Any
    model: str
    role: str | None = None
    sim: Simulator | None = None
    fake: FakeProvider | None = None
    http: Callable[[], Any] = lambda: None
    remote: bool = False
    lists_models: bool = True
    #: a :class:`Fallback` serves one call
    fresh: Callable[[], Any] | None = None


class Simulators:
    """The simulators of the session, started when first needed."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Simulator] = {}

    def get(self, name: str) -> Simulator:
        if name not in self._running:
            more = ("--flavour", name, "--any-model") if name in FLAVOURS else ("--time-scale", "0")
            cloud = ("--cloud", "--api-key", "k") if name == "cloud" else ()
            kind = "openai" if name in FLAVOURS else "llamacpp" if name == "llamacpp" else "ollama"
            self._running[name] = self._stack.enter_context(start_simulator(kind, *more, *cloud))
        simulator = self._running[name]
        simulator.reset()
        return simulator


@pytest.fixture(scope="session")
def simulators() -> Iterator[Simulators]:
    with ExitStack() as stack:
        yield Simulators(stack)


def http_of(provider: Any) -> Callable[[], Any]:
    return lambda: provider._http


def openai_compatible(sims: Simulators, flavour: str, *, local: bool = True) -> Subject:
    sim = sims.get(flavour)
    base = f"{sim.url}/api/v1" if flavour == "openrouter" else f"{sim.url}/v1"
    kind = OpenRouter if flavour == "openrouter" else OpenAICompatible
    provider = kind(Endpoint(flavour, base, local=local, api_key="k"))
    return Subject(provider, "sim/x", sim=sim, http=http_of(provider), remote=not local)


def ollama(sims: Simulators) -> Subject:
    sim = sims.get("ollama")
    provider = Ollama(Endpoint("ollama", sim.url, local=True))
    return Subject(provider, "mistral:7b", sim=sim, http=http_of(provider))


def llamacpp(sims: Simulators) -> Subject:
    sim = sims.get("llamacpp")
    provider = LlamaCppRouter(Endpoint("llamacpp", sim.url, local=True))
    model = asyncio.run(_first_model(LlamaCppRouter(Endpoint("llamacpp", sim.url, local=True))))
    return Subject(provider, model, sim=sim, http=http_of(provider))


async def _first_model(provider: LlamaCppRouter) -> str:
    try:
        return (await provider.models())[0].name
    finally:
        await provider.close()


def ollama_cloud(sims: Simulators) -> Subject:
    sim = sims.get("cloud")
    provider = OllamaCloud(Endpoint("ollama-cloud", sim.url, local=False, api_key="k"))
    return Subject(provider, "gpt-oss:20b", sim=sim, http=http_of(provider), remote=True)


def ollama_daemon(sims: Simulators) -> Subject:
    sim = sims.get("ollama")
    provider = OllamaCloudByDaemon(Endpoint("ollama-cloud", sim.url, local=False))
    return Subject(provider, "gpt-oss:120b", sim=sim, http=http_of(provider), remote=True)


def ollama_stub(sims: Simulators) -> Subject:
    return replace(ollama(sims), model="gpt-oss:120b-cloud", remote=True)


def by_web(subject: Subject) -> Subject:
    """The same by the client for TLS and proxies."""
    subject.provider._http._plain = None
    return subject


def timed(subject: Subject) -> Subject:
    return replace(subject, provider=Timed(subject.provider, SystemClock()))


def fake(*script: Any, local: bool = True) -> Subject:
    provider = FakeProvider(*script, local=local)
    return Subject(provider, "fake", fake=provider, remote=not local)


def rules() -> Subject:
    return Subject(Rules({"chat": lambda _: "by the rules"}), "rules", role="chat", lists_models=False)


def ward() -> Ward:
    book = HealthBook(SystemClock(), lambda _: None)
    return Ward(book, SystemClock(), random.Random(0), lambda _c, _e: None)


def plan_of(subject: Subject) -> Plan:
    here = Deployment("p/m", "p", subject.model, local=not subject.remote, account="p", endpoint="p")
    candidate = Candidate(here, subject.provider, Limits(attempt=10.0))
    return Plan("chat", "chat", (candidate,), retries=0)


def fallback(subject: Subject) -> Subject:
    plan, shared = plan_of(subject), ward()
    return replace(subject, fresh=lambda: Fallback(plan, Journal(), shared))


def gateway(subject: Subject) -> Subject:
    plan, clock = plan_of(subject), SystemClock()
    directory = Directory({"chat": plan}, {"p/m": plan.candidates[0].deployment})
    bus = EventBus()
    made = Gateway(directory, HealthBook(clock, bus.emit), PriceBook(lambda _: None), bus, clock)
    return replace(subject, provider=made, model="chat")


MAKERS: dict[str, Callable[[Simulators], Subject]] = {
    "fake": lambda _: fake(),
    "fake-remote": lambda _: fake(local=False),
    "rules": lambda _: rules(),
    **{flavour: (lambda s, f=flavour: openai_compatible(s, f)) for flavour in FLAVOURS},
    "openai-web": lambda s: by_web(openai_compatible(s, "openai")),
    "openrouter-web": lambda s: by_web(openai_compatible(s, "openrouter")),
    "ollama-web": lambda s: by_web(ollama(s)),
    "openai-remote": lambda s: openai_compatible(s, "openai", local=False),
    "ollama": ollama,
    "llamacpp": llamacpp,
    "ollama-cloud": ollama_cloud,
    "ollama-daemon": ollama_daemon,
    "ollama-stub": ollama_stub,
    "timed-fake": lambda _: timed(fake()),
    "timed-openai": lambda s: timed(openai_compatible(s, "openai")),
    "timed-ollama": lambda s: timed(ollama(s)),
    "fallback-fake": lambda _: fallback(fake()),
    "fallback-openai": lambda s: fallback(timed(openai_compatible(s, "openai"))),
    "gateway-fake": lambda _: gateway(fake()),
    "gateway-ollama": lambda s: gateway(timed(ollama(s))),
}
SERVED = [name for name in MAKERS if not any(part in name for part in ("fake", "rules"))]
REMOTE = ["fake-remote", "openai-remote", "ollama-cloud", "ollama-daemon", "ollama-stub"]


@pytest.fixture(params=MAKERS)
def subject(request: pytest.FixtureRequest, simulators: Simulators) -> Subject:
    return MAKERS[request.param](simulators)


@pytest.fixture(params=SERVED)
def served(request: pytest.FixtureRequest, simulators: Simulators) -> Subject:
    """A provider that a simulator serves."""
    return MAKERS[request.param](simulators)


def call(subject: Subject, *, stream: bool = False, label: Label = Label.INTERNAL, **body: Any) -> Call:
    body = {"model": subject.model, "messages": [{"role": "user", "content": "Say hello."}], **body}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    limits = Limits(connect=2.0, attempt=10.0, stall=10.0)
    return Call("c1", body, subject.model, stream, subject.role, label, limits)


def opener(subject: Subject) -> Any:
    return subject.fresh() if subject.fresh else subject.provider


async def items_of(subject: Subject, request: Call) -> list[Any]:
    async with opener(subject).open(request) as items:
        return [item async for item in items]


async def eventually(holds: Callable[[], bool], within: float = 3.0) -> bool:
    end = time.monotonic() + within
    while not holds() and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return holds()


def connections(subject: Subject) -> int:
    """Connections that are in use: taken from the pool and not given back."""
    http = subject.http()
    return 0 if http is None else http.in_use


async def assert_nothing_left(subject: Subject, tasks: set[asyncio.Task[Any]]) -> None:
    assert connections(subject) == 0
    if subject.fake is not None:
        assert subject.fake.leaks == 0
    assert await eventually(lambda: asyncio.all_tasks() <= tasks | {asyncio.current_task()})


def run(subject: Subject, work: Callable[[], Any]) -> Any:
    async def main() -> Any:
        try:
            return await work()
        finally:
            await subject.provider.close()
            if (http := subject.http()) is not None:  # a gateway leaves its providers to the application
                await http.close()
            await asyncio.sleep(0)

    return asyncio.run(main())


def without_trace(items: list[Any], subject: Subject) -> list[Any]:
    if isinstance(subject.provider, Gateway):
        assert isinstance(items[-1], Trace)
        return items[:-1]
    return items


def assert_whole(items: list[Any]) -> None:
    (whole,) = items
    assert isinstance(whole, Whole)
    body = whole.body
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert text_of(body)
    assert finish_of(body) in ("stop", "length")
    assert usage_of(body) is not None


def assert_stream(items: list[Any]) -> None:
    heard = Accumulator()
    finishes = 0
    for item in items:
        assert isinstance(item, Chunk)
        assert item.body["object"] == "chat.completion.chunk"
        heard.add(item.body)
        choices = item.body["choices"]
        finishes += bool(choices and choices[0].get("finish_reason"))
        if choices and choices[0]["delta"].get("content"):
            assert finishes == 0, "text after the finish"
    assert finishes == 1
    assert heard.text
    assert heard.usage is not None


def test_provider_whole(subject):
    """A non-stream call gives exactly one whole answer of OpenAI's shape, with its usage."""

    async def work():
        tasks = asyncio.all_tasks()
        items = await items_of(subject, call(subject))
        await assert_nothing_left(subject, tasks)
        return items

    assert_whole(without_trace(run(subject, work), subject))


def test_provider_stream(subject):
    """A stream gives chunks, its text, one finish and its usage."""

    async def work():
        tasks = asyncio.all_tasks()
        items = await items_of(subject, call(subject, stream=True))
        await assert_nothing_left(subject, tasks)
        return items

    assert_stream(without_trace(run(subject, work), subject))


def test_provider_many_at_once(subject):
    """Calls at the same time do not mix."""

    async def work():
        requests = [call(subject, stream=bool(i % 2)) for i in range(8)]
        return await asyncio.gather(*(items_of(subject, request) for request in requests))

    for number, items in enumerate(run(subject, work)):
        (assert_stream if number % 2 else assert_whole)(without_trace(items, subject))


def test_provider_close_is_idempotent(subject):
    """Closing twice, before and after use, is harmless."""

    async def work():
        await items_of(subject, call(subject))
        for _ in range(2):
            await subject.provider.close()

    run(subject, work)


def test_provider_models_and_health(subject):
    """A provider lists its models and says that it is well."""

    async def work():
        return await subject.provider.models(), await subject.provider.health()

    models, health = run(subject, work)
    assert isinstance(health, Health)
    assert health.ok
    assert health.detail
    assert isinstance(models, tuple)
    assert bool(models) is subject.lists_models
    assert all(model.name for model in models)


SICK = ("status", "html", "empty_body", "malformed_json", "refuse", "cut", "silence")


@pytest.mark.parametrize("kind", SICK)
def test_provider_health_never_raises(kind, served):
    """However badly its server behaves, a provider says that it is not well, and raises nothing."""
    served.sim.add_faults({"kind": kind, "path": "*", "status": 500, "seconds": 0.05})

    async def work():
        return await served.provider.health()

    health = run(served, work)
    if isinstance(served.provider, Gateway):
        assert health.ok
    else:
        assert not health.ok
        assert health.code
        assert health.detail


def test_provider_health_of_a_dead_server():
    """A server that is gone is down; its models cannot be listed, and that is a ``CallError``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"

    async def work(provider):
        try:
            health = await provider.health()
            with pytest.raises(CallError):
                await provider.models()
            return health
        finally:
            await provider.close()

    for kind in (OpenAICompatible, Ollama, OllamaCloud, OllamaCloudByDaemon):
        health = asyncio.run(work(kind(Endpoint("x", url, local=True))))
        assert (health.ok, health.code) == (False, "unreachable")


FAULTS = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 404},
    {"kind": "status", "status": 302},
    {"kind": "refuse"},
    {"kind": "html"},
    {"kind": "empty_body"},
    {"kind": "error_object"},
    {"kind": "malformed_json"},
    {"kind": "error_first_event"},
    {"kind": "cut"},
    {"kind": "eof_without_finish"},
    {"kind": "error_mid_stream"},
    {"kind": "broken_line"},
    {"kind": "hang", "seconds": 0.02},
    {"kind": "stall", "seconds": 0.02},
)


FAULTY = ("openai", "openrouter", "llamacpp", "ollama", "ollama-cloud", "gateway-ollama")
CASES = [
    pytest.param(name, stream, fault, id=f"{name}-{stream}-{fault['kind']}{fault.get('status', '')}")
    for name in FAULTY
    for stream in (False, True)
    for fault in FAULTS
]


@pytest.mark.parametrize(("name", "stream", "fault"), CASES)
def test_provider_failures_are_call_errors(name, stream, fault, simulators):
    """Every fault of a server is a ``CallError``, never a false finish, and leaves nothing behind."""
    served = MAKERS[name](simulators)
    served.sim.add_faults(fault)

    async def work():
        tasks = asyncio.all_tasks()
        seen = []
        with pytest.raises(CallError) as caught:
            async with opener(served).open(call(served, stream=stream)) as items:
                seen = [item async for item in items]
        await assert_nothing_left(served, tasks)
        assert caught.value.message
        assert not any(isinstance(item, Trace | Whole) for item in seen)

    run(served, work)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_provider_leaving_early(chunks, served):
    """Whoever leaves a stream in its middle hangs up on the server and frees the connection at once."""
    served.sim.add_faults({"kind": "stall", "chunks": 3})
    paths = "*/chat*"

    async def work():
        tasks = asyncio.all_tasks()
        async with opener(served).open(call(served, stream=True)) as items:
            for _ in range(chunks):
                await anext(items)
        await assert_nothing_left(served, tasks)
        if chunks:
            gone = await eventually(lambda: all(r["hung_up"] for r in served.sim.requests(paths)))
            assert gone
            assert len(served.sim.requests(paths)) == 1

    run(served, work)


@pytest.mark.parametrize("kind", ["hang", "silence", "stall"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_provider_canceled_while_waiting(stream, kind, served):
    """A caller that is cancelled while the server is silent hangs up and leaves nothing behind."""
    served.sim.add_faults({"kind": kind, "chunks": 1})

    async def work():
        tasks = asyncio.all_tasks()
        task = asyncio.create_task(items_of(served, call(served, stream=stream)))
        assert await eventually(lambda: served.sim.state()["active"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await assert_nothing_left(served, tasks)
        assert await eventually(lambda: served.sim.state()["active"] == 0)
        assert served.sim.requests("*/chat*")[0]["hung_up"]

    run(served, work)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_provider_canceled_at_every_await(stream, subject):
    """Cancelled after any number of steps, a call leaves no socket, no task and nothing open."""

    async def work():
        tasks = asyncio.all_tasks()
        finished = 0
        for steps in range(400):
            task = asyncio.create_task(items_of(subject, call(subject, stream=stream)))
            for _ in range(steps):
                await asyncio.sleep(0)
                if task.done():
                    break
            if task.done():
                finished += 1
                if finished == 3:
                    break
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await assert_nothing_left(subject, tasks)
            if subject.sim is not None and steps > 60:
                break  # steps of the loop no longer line up with the network's
        await items_of(subject, call(subject, stream=stream))
        await assert_nothing_left(subject, tasks)

    run(subject, work)


@pytest.mark.parametrize("milliseconds", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("name", ["openai", "ollama", "timed-openai", "fallback-openai", "gateway-ollama"])
def test_provider_canceled_at_any_time(name, milliseconds, simulators):
    """Cancelled at any moment of a slow stream, a call frees its connection before it returns."""
    served = MAKERS[name](simulators)
    served.sim.add_faults({"kind": "slow", "seconds": 0.004, "per_chunk": 0.004})

    async def work():
        tasks = asyncio.all_tasks()
        task = asyncio.create_task(items_of(served, call(served, stream=True)))
        await asyncio.sleep(milliseconds / 1000)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await assert_nothing_left(served, tasks)
        assert await eventually(lambda: served.sim.state()["active"] == 0)

    run(served, work)


@pytest.mark.parametrize("name", REMOTE)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_provider_private_never_leaves(name, stream, simulators):
    """Private data is refused by a provider that is off the machine, and nothing is sent."""
    remote = MAKERS[name](simulators)

    async def work():
        with pytest.raises(PrivacyError):
            await items_of(remote, call(remote, stream=stream, label=Label.PRIVATE))

    run(remote, work)
    if remote.sim is not None:
        assert remote.sim.requests("*/chat*") == []
    if remote.fake is not None:
        assert remote.fake.calls == []
        assert remote.fake.leaks == 0


@pytest.mark.parametrize("name", ["openai", "ollama", "fake", "rules", "fallback-openai", "gateway-ollama"])
def test_provider_private_at_home(name, simulators):
    """Private data is welcome where it does not leave the machine."""
    near = MAKERS[name](simulators)

    async def work():
        return await items_of(near, call(near, label=Label.PRIVATE))

    assert_whole(without_trace(run(near, work), near))


@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_provider_reuses_connections(name, simulators):
    """Answers and streams that were read to their end give their connection back to the pool."""
    served = MAKERS[name](simulators)

    async def work():
        seen = set()
        for number in range(6):
            await items_of(served, call(served, stream=bool(number % 2)))
            (idle,) = served.http()._plain._idle
            seen.add(id(idle))
        return seen

    assert len(run(served, work)) == 1


def test_provider_rules_that_do_not_cover():
    """A request that no rule covers is a ``CallError``."""
    subject = replace(rules(), role="unknown")

    async def work():
        for stream in (False, True):
            with pytest.raises(CallError):
                await items_of(subject, call(subject, stream=stream))

    run(subject, work)


def test_provider_fake_finds_leaks():
    """The fake itself counts what was opened and not closed."""
    provider = FakeProvider(Say(pieces=("a", "b")))
    subject = Subject(provider, "fake")

    async def work():
        manager = provider.open(call(subject, stream=True))
        items = await manager.__aenter__()
        await anext(items)
        assert provider.leaks == 1
        await manager.__aexit__(None, None, None)
        assert provider.leaks == 0

    asyncio.run(work())


def test_provider_embedded(weights):
    """The embedded engine keeps the same promises, with real weights: shape is asserted, never text."""

    async def work():
        engine = EmbeddedEngine({"smollm2": GgufModel("smollm2", weights, 2048)})
        subject = Subject(engine, "smollm2")
        try:
            assert [model.name for model in await engine.models()] == ["smollm2"]
            assert (await engine.health()).ok
            assert_whole(await items_of(subject, call(subject, max_tokens=8)))
            for _ in range(3):  # llama.cpp closes the connection after each, unasked
                assert_stream(await items_of(subject, call(subject, stream=True, max_tokens=8)))
                assert_whole(await items_of(subject, call(subject, max_tokens=4)))
            async with engine.open(call(subject, stream=True, max_tokens=500)) as items:
                await anext(items)
            assert_whole(await items_of(subject, call(subject, max_tokens=4, label=Label.PRIVATE)))
            with pytest.raises(CoretoError):
                await items_of(subject, call(subject)._replace(model="nobody"))
        finally:
            await engine.close()
            await engine.close()

    asyncio.run(work())


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_provider_embedded_canceled_at_any_time(stream, weights):
    """Cancelled at any moment, the embedded engine answers the next call."""

    async def work():
        engine = EmbeddedEngine({"smollm2": GgufModel("smollm2", weights, 2048)})
        subject = Subject(engine, "smollm2")
        try:
            for seconds in (0.0, 0.001, 0.01, 0.05, 0.3):
                task = asyncio.create_task(items_of(subject, call(subject, stream=stream, max_tokens=400)))
                await asyncio.sleep(seconds)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert_whole(await items_of(subject, call(subject, max_tokens=4)))
        finally:
            await engine.close()

    asyncio.run(work())
