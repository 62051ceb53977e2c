"""The gateway over fakes: traces, prices, events, embeddings."""

import asyncio

import pytest

from coreto import errors
from coreto.errors import ExhaustedError, InvalidRequestError, UnknownModelError, UnsupportedError
from coreto.events import CallFinished, EventBus
from coreto.gateway.gateway import Gateway
from coreto.labels import Label
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, Chunk, EmbedCall, Trace, Usage, Whole
from coreto.providers.catalog import Deployment
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan
from coreto.routing.directory import Directory
from coreto.testing.clock import VirtualClock
from coreto.testing.provider import FakeProvider, Say


class Bench:
    """A gateway with a far and a near deployment behind the role ``chat``."""

    def __init__(self, far, near, **plan):
        self.far, self.near = far, near
        self.clock = far._clock = near._clock = VirtualClock(skipping=True)
        self.bus = EventBus()
        self.finished = []
        self.bus.subscribe(CallFinished, self.finished.append)
        cloud = Deployment("far/m", "far", "m", local=False, account="far", endpoint="far")
        home = Deployment("near/m", "near", "m", local=True, account="near", endpoint="near")
        candidates = (Candidate(cloud, far, embedder=far), Candidate(home, near, embedder=near))
        self.plan = Plan("chat", "chat", candidates, baseline=cloud, **plan)
        directory = Directory({"chat": self.plan}, {"far/m": cloud, "near/m": home})
        book = HealthBook(self.clock, lambda _: None)
        self.gateway = Gateway(directory, book, PriceBook(lambda _: None), self.bus, self.clock)

    def call(self, **more):
        body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], **more.pop("body", {})}
        return Call("c1", body, more.pop("name", "chat"), **more)

    def run(self, call):
        async def work():
            async with self.gateway.open(call) as items:
                return [item async for item in items]

        return asyncio.run(work())


def test_gateway_ends_with_a_trace_and_tells_the_bus():
    """The last item is the trace; the same one goes to the bus, once, with the outcome and what it took."""
    bench = Bench(FakeProvider(Say(delay=2, error=errors.ServerFaultError("x"))), FakeProvider(Say(delay=3)))
    whole, trace = bench.run(bench.call(user="ana", run="r1"))
    assert isinstance(whole, Whole)
    assert isinstance(trace, Trace)
    (event,) = bench.finished
    assert event.trace is trace
    assert (event.outcome, event.user, event.run, event.stream) == ("ok", "ana", "r1", False)
    assert event.ms == pytest.approx(5000)
    assert [a.ms for a in trace.attempts] == pytest.approx([2000, 3000])
    assert (trace.deployment, trace.role, trace.label) == ("near/m", "chat", Label.INTERNAL)


def test_gateway_costs():
    """At home an attempt costs nothing; off the machine without a known price its cost is unknown."""
    unpriced = Bench(FakeProvider(Say(usage=Usage(10, 5))), FakeProvider())
    _, trace = unpriced.run(unpriced.call())
    assert trace.cost_nusd is None
    bench = Bench(FakeProvider(errors.AuthError("x")), FakeProvider())
    _, trace = bench.run(bench.call())
    assert trace.attempts[1].cost_nusd == 0


def test_gateway_stream_time_to_first_token():
    """A stream's trace knows when its first token came."""
    bench = Bench(FakeProvider(Say("a b c", delay=1.0, pause=0.5)), FakeProvider())
    items = bench.run(bench.call(stream=True))
    assert all(isinstance(item, Chunk) for item in items[:-1])
    assert items[-1].attempts[0].ttft_ms == pytest.approx(1500)


@pytest.mark.parametrize("wanted", [True, False])
def test_gateway_usage_chunks_are_for_those_who_ask(wanted):
    """A chunk of usage alone reaches only callers that asked for it; the trace has it in any case."""

    class Apart(FakeProvider):
        async def _play(self, call):
            async for item in super()._play(call):
                usage = item.body.pop("usage", None)
                yield item
                if usage:
                    yield Chunk({**item.body, "choices": [], "usage": usage})

    bench = Bench(Apart(Say("a b")), FakeProvider())
    body = {"stream_options": {"include_usage": True}} if wanted else {}
    items = bench.run(bench.call(stream=True, body=body))
    assert any(not item.body["choices"] for item in items[:-1]) is wanted
    assert items[-1].attempts[0].usage.prompt == 7


def test_gateway_failures_carry_the_trace():
    """An error that leaves the gateway has the trace, and the bus knows its code."""
    bench = Bench(FakeProvider(errors.QuotaError("x")), FakeProvider(errors.OutOfMemoryError("y")))
    with pytest.raises(ExhaustedError) as caught:
        bench.run(bench.call())
    assert [a.outcome for a in caught.value.trace.attempts] == ["quota", "out_of_memory"]
    assert [event.outcome for event in bench.finished] == ["all_failed"]


def test_gateway_a_caller_that_leaves_is_recorded():
    """A stream left in its middle closes its provider and counts as cancelled, with what it used."""
    bench = Bench(FakeProvider(Say("one two three four")), FakeProvider())

    async def work():
        async with bench.gateway.open(bench.call(stream=True)) as items:
            for _ in range(3):
                await anext(items)

    asyncio.run(work())
    assert bench.far.leaks == 0
    (event,) = bench.finished
    assert event.outcome == "canceled"
    assert [a.outcome for a in event.trace.attempts] == ["canceled"]
    assert event.trace.attempts[0].usage.completion > 0


def test_gateway_private_calls_skip_the_cloud():
    """A private call never opens a provider off the machine."""
    bench = Bench(FakeProvider(local=False), FakeProvider())
    _, trace = bench.run(bench.call(label=Label.PRIVATE))
    assert bench.far.opens == 0
    assert trace.dropped == (("far/m", "private data stays on this machine"),)


def test_gateway_bad_requests():
    """An unknown name and a bad schema are refused before anybody is asked."""
    bench = Bench(FakeProvider(), FakeProvider())
    with pytest.raises(UnknownModelError):
        bench.run(bench.call(name="nobody"))
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "wrong"}}}
    with pytest.raises(InvalidRequestError):
        bench.run(bench.call(body={"response_format": form}))
    assert bench.far.opens == bench.near.opens == 0


def test_gateway_embeddings_have_no_fallback():
    """Embeddings come from the first that has them; when it fails, no other model takes over."""
    bench = Bench(FakeProvider(), FakeProvider())
    call = EmbedCall("e", {"model": "chat", "input": ["a", "bcd"]}, "chat")
    body, trace = asyncio.run(bench.gateway.embed(call))
    assert [row["embedding"] for row in body["data"]] == [[1.0], [3.0]]
    assert (trace.deployment, trace.task) == ("far/m", "embeddings")
    private = EmbedCall("e", {"model": "chat", "input": "a"}, "chat", Label.PRIVATE)
    assert asyncio.run(bench.gateway.embed(private))[1].deployment == "near/m"
    bare = Bench(FakeProvider(), FakeProvider())
    bare.gateway.directory = Directory({"chat": Plan("chat", "chat", ())}, {})
    with pytest.raises(UnsupportedError):
        asyncio.run(bare.gateway.embed(call))
