"""One suite over every engine whose models are loaded into this machine's memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from coreto.errors import CallError, MissingModelError
from coreto.messages import Call, text_of
from coreto.providers.base import Described, LocalEngine
from coreto.providers.embedded import EmbeddedEngine
from coreto.providers.http import Endpoint
from coreto.providers.llamacpp import LlamaCppRouter
from coreto.providers.ollama import Ollama
from coreto.providers.weights import GgufModel
from coreto.testing.simulator import Simulator, start_simulator

#: Loads take some 40 ms in the simulators.
PACE = ("--time-scale", "0.02")


@dataclass(frozen=True)
class Subject:
    """How to make an engine; two of its models, both of which fit (one, where it has only one); whether a load has
    begun."""

    make: Callable[[], LocalEngine]
    models: tuple[str, ...]
    began: Callable[[LocalEngine], bool]


@pytest.fixture(scope="session")
def ollama() -> Iterator[Simulator]:
    with start_simulator("ollama", *PACE) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def llamacpp() -> Iterator[Simulator]:
    with start_simulator("llamacpp", *PACE) as simulator:
        yield simulator


def of_ollama(request: pytest.FixtureRequest) -> Subject:
    sim = request.getfixturevalue("ollama")
    sim.reset()
    return Subject(
        lambda: Ollama(Endpoint("ollama", sim.url, local=True)),
        ("mistral:7b", "phi3:mini"),
        lambda _: any(runner["phase"] == "loading" for runner in sim.state()["runners"]),
    )


def of_llamacpp(request: pytest.FixtureRequest) -> Subject:
    sim = request.getfixturevalue("llamacpp")
    sim.reset()
    return Subject(
        lambda: LlamaCppRouter(Endpoint("llamacpp", sim.url, local=True)),
        ("qwen2.5-7b-instruct", "smollm2-135m"),
        lambda _: "loading" in sim.state()["states"].values(),
    )


def of_embedded(request: pytest.FixtureRequest) -> Subject:
    weights = request.getfixturevalue("weights")
    return Subject(
        lambda: EmbeddedEngine({"smollm2": GgufModel("smollm2", weights, 512)}),
        ("smollm2",),
        lambda engine: engine._slots["smollm2"].starting is not None,
    )


@pytest.fixture(
    params=[
        pytest.param(of_ollama, id="ollama"),
        pytest.param(of_llamacpp, id="llamacpp"),
        pytest.param(of_embedded, id="embedded", marks=pytest.mark.slow),
    ]
)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param(request)


@asynccontextmanager
async def running(subject: Subject) -> AsyncIterator[LocalEngine]:
    engine = subject.make()
    try:
        yield engine
    finally:
        await engine.close()


async def names(engine: LocalEngine) -> set[str]:
    return {resident.name for resident in await engine.resident()}


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.002)


async def ended(task: "asyncio.Task[None]") -> None:
    """Wait for a load that may fail because its model was sent away meanwhile."""
    with contextlib.suppress(CallError, asyncio.CancelledError):
        await task


def test_load_and_unload(subject):
    """A loaded model is resident until it is unloaded, and no longer; others are not touched."""

    async def work():
        async with running(subject) as engine:
            assert await names(engine) == set()
            for model in subject.models:
                await engine.load(model)
            assert await names(engine) == set(subject.models)
            for number, model in enumerate(subject.models, 1):
                await engine.unload(model)
                assert await names(engine) == set(subject.models[number:])

    asyncio.run(work())


def test_a_loaded_model_answers(subject):
    """A call finds the model where a load has put it, and another load finds it there too."""

    async def work():
        async with running(subject) as engine:
            model = subject.models[0]
            await engine.load(model)
            body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
            async with engine.open(Call("c1", body, model)) as items:
                (whole,) = [item async for item in items]
            await engine.load(model)
            assert text_of(whole.body)
            assert await names(engine) == {model}

    asyncio.run(work())


def test_unload_of_what_is_not_loaded(subject):
    """Unloading twice, or what never was there in memory, is no error."""

    async def work():
        async with running(subject) as engine:
            model = subject.models[0]
            await engine.unload(model)
            await engine.load(model)
            await engine.unload(model)
            await engine.unload(model)
            assert await names(engine) == set()

    asyncio.run(work())


@pytest.mark.parametrize("act", ["load", "unload", "describe"])
def test_unknown_model(subject, act):
    """A model that the engine does not have is named as missing, whatever is asked of it."""

    async def work():
        async with running(subject) as engine:
            with pytest.raises(MissingModelError, match="nothing-like-it"):
                await getattr(engine, act)("nothing-like-it")
            assert await names(engine) == set()

    asyncio.run(work())


def test_loads_at_once(subject):
    """Two loads of one model are one; both return when it is there."""

    async def work():
        async with running(subject) as engine:
            model = subject.models[0]
            await asyncio.gather(engine.load(model), engine.load(model))
            assert await names(engine) == {model}

    asyncio.run(work())


def test_canceled_load(subject):
    """Giving up a load breaks nothing: it can be loaded again, and is unloaded as ever."""

    async def work():
        async with running(subject) as engine:
            model = subject.models[0]
            load = asyncio.create_task(engine.load(model))
            await until(lambda: subject.began(engine))
            load.cancel()
            with pytest.raises(asyncio.CancelledError):
                await load
            await engine.load(model)
            assert await names(engine) == {model}
            await engine.unload(model)
            assert await names(engine) == set()

    asyncio.run(work())


def test_unload_during_a_load(subject):
    """The model is gone in the end; the load may end well or badly, but it ends. Then all is as before."""

    async def work():
        async with running(subject) as engine:
            model = subject.models[0]
            load = asyncio.create_task(engine.load(model))
            await until(lambda: subject.began(engine))
            await engine.unload(model)
            await ended(load)
            assert await names(engine) == set()
            await engine.load(model)
            assert await names(engine) == {model}

    asyncio.run(work())


def test_unload_after_a_canceled_load(subject):
    """What a load that was given up has brought, or brings yet, an unload takes away."""

    async def work():
        async with running(subject) as engine:
            model = subject.models[0]
            load = asyncio.create_task(engine.load(model))
            await until(lambda: subject.began(engine))
            load.cancel()
            await ended(load)
            await engine.unload(model)
            assert await names(engine) == set()

    asyncio.run(work())


def test_load_during_an_unload(subject):
    """A load that comes while the model leaves brings it back."""

    async def work():
        async with running(subject) as engine:
            model = subject.models[0]
            await engine.load(model)
            leaving = asyncio.create_task(engine.unload(model))
            await asyncio.sleep(0)
            await engine.load(model)
            await leaving
            assert await names(engine) == {model}

    asyncio.run(work())


def test_listed_names_are_names(subject):
    """What is listed as resident can be loaded and unloaded by the name it is listed by."""

    async def work():
        async with running(subject) as engine:
            for model in subject.models:
                await engine.load(model)
            for name in await names(engine):
                await engine.load(name)
            assert await names(engine) == set(subject.models)
            for name in await names(engine):
                await engine.unload(name)
            assert await names(engine) == set()

    asyncio.run(work())


def test_describing_loads_nothing(subject):
    """What a model is can be asked at any time, and costs no memory; its figures make sense where they are told."""

    async def work():
        async with running(subject) as engine:
            for model in subject.models:
                described = await engine.describe(model)
                assert described is None or isinstance(described, Described)
                assert described is None or (described.weights > 0 and described.slots > 0)
            assert await names(engine) == set()

    asyncio.run(work())


def test_closed_twice(subject):
    """Closing an engine with a model in it works, twice too."""

    async def work():
        async with running(subject) as engine:
            await engine.load(subject.models[0])
            await engine.close()

    asyncio.run(work())
