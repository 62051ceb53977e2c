"""Labels, redaction, events, durable steps, messages: the kernel's pure parts."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto import errors
from coreto.durable import InlineDurable
from coreto.errors import CallError, CoretoError
from coreto.events import EventBus, HealthChanged, Warned
from coreto.labels import Label, combine, permit
from coreto.messages import Attempt, Trace, Usage, estimate_tokens, prompt_text, usage_of
from coreto.redaction import brief, redact
from coreto.testing.clock import VirtualClock

_LABELS = st.sampled_from(list(Label))
_WORDS = st.from_regex(r"[A-Za-z0-9]{10,30}", fullmatch=True)


@given(st.lists(_LABELS))
def test_kernel_labels_combine_to_the_strictest(labels):
    """Combining takes the strictest, in any order; of nothing it is public."""
    assert combine(*labels) == combine(*reversed(labels)) == max([Label.PUBLIC, *labels])


@given(_LABELS, st.booleans())
def test_kernel_only_private_data_is_kept_at_home(label, local):
    """Everything may stay; only private data may not leave."""
    assert permit(label, sink_is_local=local) is (local or label is not Label.PRIVATE)


def test_kernel_labels_have_names():
    """Names are read in any case, and a wrong one names the right ones."""
    assert all(Label.parse(f" {str(label).upper()} ") is label for label in Label)
    with pytest.raises(ValueError, match="public, internal, private"):
        Label.parse("secret")


SHAPES = (
    "sk-{}",
    "sk-or-v1-{}",
    "sk-proj-{}",
    "Authorization: Bearer {}",
    "authorization=bearer {}",
    "Basic {}",
    '{{"api_key": "{}"}}',
    "{{'apiKey': '{}'}}",
    "api-key={}",
    "OPENROUTER_API_KEY={}",
    "OLLAMA_CLOUD_API_KEY: {}",
    "x-api-key: {}",
    "access_token={}&x=1",
    "password={}",
    "https://user:{}@example.org/x",
    "redis://:{}@example.org:6379/0",
    "postgresql://u:{}@db/x",
    "https://ollama.com/api/chat?ts={}",
    "https://example.org/v1?key={}",
    "https://example.org/v1?a=b&key={}&c=d",
)


@given(_WORDS, st.sampled_from(SHAPES), st.text(max_size=20), st.text(max_size=20))
def test_kernel_keys_never_survive_redaction(secret, shape, before, after):
    """A key in any of the shapes met in errors and logs is gone, whatever stands around it."""
    assert secret not in redact(f"{before} {shape.format(secret)} {after.replace(secret, '')}")


@given(st.text(st.characters(codec="ascii", categories=["L", "Z"]), max_size=60))
def test_kernel_plain_words_stay(text):
    """Words that hold no key stay as they are."""
    if not any(word in text.lower() for word in ("bearer", "basic")):
        assert redact(text) == text


@given(st.text(max_size=400), st.integers(10, 50))
def test_kernel_brief_is_one_short_line(text, limit):
    """A brief is one line of at most that length."""
    line = brief(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_kernel_events_reach_their_subscribers(caplog):
    """Each event reaches each subscriber of its type; one that fails harms nobody; one may leave at any time."""
    bus = EventBus()
    seen = []
    leave = {}

    def once(event):
        seen.append(("once", event.message))
        leave["once"]()

    def broken(_):
        raise RuntimeError("mine")

    bus.subscribe(Warned, broken)
    leave["once"] = bus.subscribe(Warned, once)
    bus.subscribe(Warned, lambda event: seen.append(("always", event.message)))
    with caplog.at_level(logging.ERROR):
        bus.emit(Warned("a"))
        bus.emit(Warned("b"))
        bus.emit(HealthChanged("k", "open", "r"))
    assert seen == [("once", "a"), ("always", "a"), ("always", "b")]
    assert "mine" in caplog.text


def test_kernel_durable_inline():
    """A step is done once by its name, its failure is not remembered; signals wait for their waiter."""

    async def work():
        durable = InlineDurable()
        done = []

        async def step():
            done.append(1)
            if len(done) == 1:
                raise ValueError("first")
            return {"n": len(done)}

        with pytest.raises(ValueError, match="first"):
            await durable.step("a", step)
        assert await durable.step("a", step) == await durable.step("a", step) == {"n": 2}
        durable.signal("go", {"x": 1})
        assert await durable.wait_signal("go") == {"x": 1}
        assert await durable.wait_signal("go", within=0.001) is None
        waiting = asyncio.create_task(durable.wait_signal("late"))
        await asyncio.sleep(0)
        durable.signal("late", {"y": 2})
        assert await waiting == {"y": 2}
        await durable.emit({"type": "status"})
        return durable.events

    assert asyncio.run(work()) == [{"type": "status"}]


def test_kernel_virtual_clock():
    """Sleepers wake in the order they are due, each at its own time; what they sleep then counts too."""

    async def work():
        clock = VirtualClock(epoch=100.0)
        woken = []

        async def sleeper(name, seconds, again=0.0):
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))
            if again:
                await clock.sleep(again)
                woken.append((name, clock.monotonic()))

        tasks = [
            asyncio.create_task(sleeper(*args)) for args in (("c", 3), ("a", 1, 1.5), ("b", 2), ("z", 99))
        ]
        await clock.advance(4)
        assert clock.sleepers == 1
        tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert clock.sleepers == 0
        assert clock.time() == 104.0
        return woken

    assert asyncio.run(work()) == [("a", 1), ("b", 2), ("a", 2.5), ("c", 3)]


def _errors(kind=CoretoError):
    for sub in kind.__subclasses__():
        yield sub
        yield from _errors(sub)


def test_kernel_errors_have_codes_of_their_own():
    """No two errors share a code; the tree at the top of the module names them all; each says what it is."""
    kinds = [kind for kind in _errors() if kind.__module__ == "coreto.errors"]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes))
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)
    assert all(
        str(kind("")) for kind in kinds if issubclass(kind, CallError) and kind is not errors.ExhaustedError
    )


@pytest.mark.parametrize(
    ("statuses", "whole"), [((), 502), ((429, 429), 429), ((429, 500), 503), ((504,), 504)]
)
def test_kernel_exhausted_status(statuses, whole):
    """When all failed alike the caller gets that status, else 503."""
    causes = []
    for status in statuses:
        causes.append(CallError("x"))
        causes[-1].http_status = status
    assert errors.ExhaustedError("x", causes=causes).http_status == whole


_ATTEMPTS = st.builds(
    Attempt,
    deployment=st.sampled_from(["a/b", "c/d"]),
    outcome=st.sampled_from(["ok", "rate", "skipped"]),
    ms=st.integers(0, 10**6).map(lambda n: n / 100),
    usage=st.builds(Usage, prompt=st.integers(0, 10**6), completion=st.integers(0, 10**6)),
    cost_nusd=st.just(0),
    ttft_ms=st.none() | st.integers(0, 10**6).map(lambda n: n / 100),
    local=st.just(True),
    scope=st.none() | st.sampled_from(["model", "account"]),
    detail=st.none() | st.text(min_size=1, max_size=9),
    until=st.none() | st.integers(1, 2**31).map(float),
)


@given(st.lists(_ATTEMPTS, max_size=3), _LABELS, st.none() | st.just("a/b"), st.booleans())
def test_kernel_traces_survive_the_wire(attempts, label, deployment, cached):
    """A trace read back from what was shown is shown alike."""
    trace = Trace(
        "id", deployment, "chat", label, tuple(attempts), None, cached, ("n",), ("w",), (("x", "y"),)
    )
    shown = trace.as_json()
    assert Trace.from_json(shown).as_json() == shown


def test_kernel_costs_are_exact_or_unknown():
    """A sum with an unknown price is unknown; nano-dollars add up exactly."""
    known, unknown = (Attempt("a/b", "ok", local=False, cost_nusd=cost) for cost in (1, None))
    assert Trace("i", None, None, Label.PUBLIC, (known,) * 3).cost_nusd == 3
    assert Trace("i", None, None, Label.PUBLIC, (known, unknown)).cost_nusd is None
    assert Trace("i", None, None, Label.PUBLIC, ()).cost_nusd == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "cost", "prompt_tokens_details"]), _JSON
    )
)
def test_kernel_usage_of_anything(reported):
    """Whatever a server reports as usage, counts are numbers that are not negative."""
    usage = usage_of({"usage": reported})
    assert usage is None or min(usage.prompt, usage.completion, usage.cached) >= 0
    assert usage is None or usage.cost_nusd is None or usage.cost_nusd >= 0


@given(st.lists(st.text(max_size=20), max_size=4))
def test_kernel_prompt_text(texts):
    """All text of a request is seen, whether it comes as a string or in parts."""
    plain = [{"role": "user", "content": text} for text in texts]
    parts = [{"role": "user", "content": [{"type": "text", "text": text}]} for text in texts]
    assert prompt_text({"messages": plain}) == prompt_text({"messages": parts}) == "\n".join(texts)
    assert estimate_tokens("\n".join(texts)) * 4 >= len("\n".join(texts))
