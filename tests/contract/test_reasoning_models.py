"""OpenAI's reasoning models, through every provider that may carry a call to one: the simulator refuses what the
real ones refuse."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from coreto.clock import SystemClock
from coreto.errors import CallError
from coreto.messages import Accumulator, Call, Chunk, Limits, Whole, text_of
from coreto.providers.catalog import Deployment
from coreto.providers.http import Endpoint
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.resilience.timeouts import Timed
from coreto.testing.simulator import Simulator, start_simulator

MODELS = ("o1", "o3-mini", "o4-mini", "gpt-5-mini", "openai/gpt-5.4")
WISHES = {"max_tokens": 9, "temperature": 0.2, "top_p": 1}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with start_simulator("openai", "--any-model") as running:
        yield running


def bare(wire: OpenAICompatible, model: str) -> Any:
    del model
    return wire


def timed(wire: OpenAICompatible, model: str) -> Any:
    del model
    return Timed(wire, SystemClock())


def fallback(wire: OpenAICompatible, model: str) -> Any:
    book = HealthBook(SystemClock(), lambda _: None)
    ward = Ward(book, SystemClock(), random.Random(0), lambda _c, _e: None)
    deployment = Deployment(f"lab/{model}", "lab", model, local=True, account="lab", endpoint="lab")
    plan = Plan("chat", "chat", (Candidate(deployment, wire),))
    return Fallback(plan, Journal(), ward)


@pytest.fixture(params=[bare, timed, fallback], ids=lambda make: make.__name__)
def make(request) -> Callable[[OpenAICompatible, str], Any]:
    return request.param


def ask(url: str, make: Callable[..., Any], model: str, *, stream: bool, **body: Any) -> list[Any]:
    """The items of a call."""
    request = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream, **body}
    call = Call("c1", request, model, stream, limits=Limits(2.0, 10.0, 10.0))

    async def work() -> list[Any]:
        wire = OpenAICompatible(Endpoint("lab", f"{url}/v1", local=True))
        try:
            async with make(wire, model).open(call) as items:
                return [item async for item in items]
        finally:
            await wire.close()

    return asyncio.run(work())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_what_they_refuse_is_not_sent(simulator, make, model, stream) -> None:
    """The call is answered, its limit holds, and what was left out is named."""
    items = ask(simulator.url, make, model, stream=stream, **WISHES)
    sent = simulator.requests("/v1/chat/completions")[-1]["body"]
    assert (sent.get("max_completion_tokens"), "max_tokens" in sent, "temperature" in sent) == (
        9,
        False,
        False,
    )
    if stream:
        heard = Accumulator()
        for item in items:
            assert isinstance(item, Chunk)
            heard.add(item.body)
        assert heard.text
    else:
        assert isinstance(items[0], Whole)
        assert text_of(items[0].body)
    assert {name for item in items for name in item.unmapped} == {"temperature"}


@pytest.mark.parametrize("stream", [False, True])
def test_other_models_get_what_was_written(simulator, make, stream) -> None:
    """Nothing is renamed or left out for a model that takes it."""
    items = ask(simulator.url, make, "gpt-4o-mini", stream=stream, **WISHES)
    sent = simulator.requests("/v1/chat/completions")[-1]["body"]
    assert WISHES.items() <= sent.items()
    assert not any(item.unmapped for item in items)


def test_the_simulator_refuses_as_the_real_server(simulator) -> None:
    """Sent as written, the same request fails: the tests above can fail."""

    async def work() -> None:
        wire = OpenAICompatible(Endpoint("lab", f"{simulator.url}/v1", local=True), verbatim=True)
        body = {"messages": [{"role": "user", "content": "hello"}], **WISHES}
        try:
            async with aclosing(wire._whole(Call("c1", body, "gpt-5-mini"))) as items:
                await anext(items)
        finally:
            await wire.close()

    with pytest.raises(CallError, match="Use 'max_completion_tokens' instead"):
        asyncio.run(work())
