"""The cache around a call: what is served, shared, kept and forgotten."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from coreto.cache.answers import Answer, packed
from coreto.cache.cached import Cached
from coreto.cache.keys import Scope, request_key
from coreto.cache.levels import TwoLevelStore
from coreto.cache.memory import MemoryStore
from coreto.cache.shelf import Terms, is_stopgap
from coreto.cache.sqlite import SqliteStore
from coreto.cache.store import Entry
from coreto.errors import CutError, RateError, TimedOutError
from coreto.labels import Label
from coreto.messages import Attempt, Call, Chunk, Restart, Trace, Whole, text_of
from coreto.testing.clock import VirtualClock
from coreto.testing.provider import FakeProvider, Say

BODY = {"model": "brain", "messages": [{"role": "user", "content": "hi"}]}
CALL = Call("c1", BODY, "brain", user="ana")
STREAM = CALL._replace(stream=True)
TERMS = Terms(ttl=100.0, tags=("prompt:greeting",))
OK = Attempt("ollama/a", "ok", cost_nusd=500)


class Bench:
    """A cache in front of a scripted provider that says who answered, as the gateway does."""

    def __init__(self, *script, store=None, clock=None, attempts=(OK,), label=None, max_buffer=None):
        self.clock = clock or VirtualClock()
        self.provider = FakeProvider(*script, clock=self.clock)
        self.served = []
        options = {} if max_buffer is None else {"max_buffer": max_buffer}
        self.cached = Cached(
            store or MemoryStore(self.clock), self.clock, on_served=self.served.append, **options
        )
        self.attempts = attempts
        self.label = label

    @asynccontextmanager
    async def inner(self, call):
        async with self.provider.open(call) as items:
            yield self._traced(items, call)

    async def _traced(self, items, call):
        async for item in items:
            yield item
        yield Trace(
            call.id,
            self.attempts[-1].deployment,
            "brain",
            call.label if self.label is None else self.label,
            attempts=self.attempts,
        )

    async def ask(self, call=CALL, terms=TERMS):
        items = []
        async with self.cached.open(call, terms, self.inner) as answer:
            async for item in answer:
                items.append(item)
        return items

    async def text(self, call=CALL, terms=TERMS):
        *said, trace = await self.ask(call, terms)
        assert isinstance(trace, Trace)
        return text_of_items(said), trace

    @property
    def asked(self):
        return len(self.provider.calls)


def text_of_items(items):
    parts = []
    for item in items:
        if isinstance(item, Whole):
            parts.append(text_of(item.body))
        else:
            assert isinstance(item, Chunk)
            parts += [c["delta"].get("content") or "" for c in item.body["choices"]]
    return "".join(parts)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


def run(test, *script, **options):
    async def whole():
        bench = Bench(*script, **options)
        try:
            await test(bench)
        finally:
            await bench.cached.close()
        assert bench.provider.leaks == 0

    asyncio.run(whole())


def test_the_second_call_is_a_hit():
    """An equal call is answered without the provider, with a trace of its own that cost nothing."""

    async def check(bench):
        first = await bench.ask()
        bench.clock.move(99.0)
        second = await bench.ask(CALL._replace(id="c2"))
        assert bench.asked == 1
        assert second[0].body == first[0].body
        assert first[1].attempts == (OK,)
        assert second[1] == Trace("c2", "ollama/a", "brain", Label.INTERNAL, cached=True)
        assert second[1].cost_nusd == 0
        assert [(one.call.id, one.outcome, one.trace.cached) for one in bench.served] == [("c2", "ok", True)]
        stats = (await bench.cached.stats()).as_json()
        assert (stats["hits"], stats["misses"], stats["stored"], stats["entries"]) == (1, 1, 1, 1)
        assert stats["hit_ratio"] == 0.5

    run(check)


def test_answers_expire():
    """After its seconds an answer is asked for anew."""

    async def check(bench):
        assert (await bench.text())[0] == "one"
        bench.clock.move(100.0)
        assert (await bench.text())[0] == "two"

    run(check, Say("one"), Say("two"))


def test_no_time_to_live_means_no_cache():
    """With a TTL of 0 every call goes upstream, nothing is shared or kept."""

    async def check(bench):
        off = Terms(ttl=0.0)
        await asyncio.gather(bench.ask(terms=off), bench.ask(terms=off))
        assert bench.asked == 2
        stats = await bench.cached.stats()
        assert (stats.calls.bypassed, stats.store.entries) == (2, 0)
        assert bench.served == []

    run(check)


def test_what_is_not_json_is_passed_by():
    """A body without a key is asked as if there were no cache."""

    async def check(bench):
        odd = CALL._replace(body={**BODY, "x": object()})
        await bench.ask(odd)
        await bench.ask(odd)
        assert bench.asked == 2

    run(check)


def test_refresh_asks_anew_and_keeps_that():
    """A refresh goes upstream although there is an answer; later calls get the new one."""

    async def check(bench):
        await bench.ask()
        assert (await bench.text(terms=TERMS._replace(refresh=True)))[0] == "two"
        assert (await bench.text())[0] == "two"

    run(check, Say("one"), Say("two"))


def test_streams_and_wholes_share_an_answer():
    """A stored answer is replayed to both: same text, finish and, where asked for, usage."""

    async def check(bench):
        usage = STREAM._replace(body={**BODY, "stream_options": {"include_usage": True}})
        text, _ = await bench.text()
        plain, with_usage = await bench.ask(STREAM), await bench.ask(usage)
        assert text_of_items(plain[:-1]) == text_of_items(with_usage[:-1]) == text
        assert not any("usage" in item.body for item in plain[:-1])
        assert with_usage[-2].body["usage"]["total_tokens"] == 12
        assert plain[-2].body["choices"][0]["finish_reason"] == "stop"
        assert bench.asked == 1

    run(check)


def test_a_finished_stream_is_kept_for_wholes():
    """What came as a stream serves a non-stream call: text, finish, usage, id."""

    async def check(bench):
        chunks = await bench.ask(STREAM)
        whole, trace = await bench.ask()
        assert text_of(whole.body) == text_of_items(chunks[:-1]) == "hello from a fake"
        assert whole.body["object"] == "chat.completion"
        assert whole.body["id"] == chunks[0].body["id"]
        assert whole.body["usage"]["total_tokens"] == 12
        assert trace.cached
        assert bench.asked == 1

    run(check)


@pytest.mark.parametrize("call", [CALL, STREAM])
@pytest.mark.parametrize(
    "say",
    [
        Say("cut", finish="length"),
        Say("bad", finish="content_filter"),
        Say(""),
        Say(
            "", tool_calls=({"id": "1", "function": {"name": "pay", "arguments": "{}"}},), finish="tool_calls"
        ),
    ],
)
def test_doubtful_answers_are_given_but_not_kept(call, say):
    """Cut, filtered, empty and acting answers reach their caller and nobody else."""

    async def check(bench):
        await bench.ask(call)
        await bench.ask(call)
        assert bench.asked == 2
        stats = await bench.cached.stats()
        assert (stats.calls.unstorable, stats.store.entries) == (2, 0)

    run(check, say)


def test_tool_calls_are_kept_where_the_role_says_so():
    """With permission in its terms an answer that calls tools is a hit the next time."""

    async def check(bench):
        terms = TERMS._replace(tool_calls=True)
        first = await bench.ask(STREAM, terms)
        second = await bench.ask(CALL, terms)
        assert bench.asked == 1
        calls = second[0].body["choices"][0]["message"]["tool_calls"]
        assert calls == [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
        assert len(first) > 1

    calls = ({"id": "1", "function": {"name": "f", "arguments": "{}"}},)
    run(check, Say("", tool_calls=calls, finish="tool_calls"))


@pytest.mark.parametrize("call", [CALL, STREAM])
def test_errors_are_not_kept(call):
    """A failed call leaves nothing; the next one asks again."""

    async def check(bench):
        with pytest.raises(RateError):
            await bench.ask(call)
        with pytest.raises(CutError):
            await bench.ask(call)
        assert (await bench.cached.stats()).calls.stored == 0
        assert (await bench.text(call))[0] == "fine"
        assert bench.asked == 3

    run(check, RateError("wait"), Say("half an answer", error=CutError("cut"), after=2), Say("fine"))


def test_a_stream_that_was_left_is_not_kept():
    """Who leaves a stream midway ends it upstream, and half an answer is not kept."""

    async def check(bench):
        async with bench.cached.open(STREAM, TERMS, bench.inner) as items:
            async for _ in items:
                break
        assert bench.provider.leaks == 0, "the upstream call outlived its context"
        assert (await bench.cached.stats()).store.entries == 0
        await bench.ask(STREAM)
        assert bench.asked == 2

    run(check, Say("a b c d", pause=5.0), Say("a"))


def test_answers_more_private_than_their_call_are_not_kept():
    """An answer whose label is stricter than the call's is not kept under the call's key."""

    async def check(bench):
        await bench.ask()
        await bench.ask()
        assert bench.asked == 2

    run(check, label=Label.PRIVATE)


def test_private_answers_are_each_users_own():
    """Two users with the same private question both ask; each has a hit of their own."""

    async def check(bench):
        ana, bob = (CALL._replace(user=user, label=Label.PRIVATE) for user in ("ana", "bob"))
        assert (await bench.text(ana))[0] == "for ana"
        assert (await bench.text(bob))[0] == "for bob"
        assert (await bench.text(ana))[0] == "for ana"
        assert (await bench.text(bob))[0] == "for bob"
        assert bench.asked == 2

    run(check, Say("for ana"), Say("for bob"))


def test_a_hundred_identical_calls_are_one_upstream_call():
    """A hundred at once, streams and wholes mixed, ask once; one trace has the cost, 99 are cached."""

    async def check(bench):
        calls = [(CALL if i % 2 else STREAM)._replace(id=f"c{i}") for i in range(100)]
        asking = [asyncio.create_task(bench.text(call)) for call in calls]
        await turns()
        await bench.clock.advance(10.0)
        answers = await asyncio.gather(*asking)
        assert bench.asked == 1
        assert {text for text, _ in answers} == {"shared"}
        assert [trace.call_id for _, trace in answers] == [call.id for call in calls]
        assert sum(trace.cost_nusd for _, trace in answers) == OK.cost_nusd
        assert sum(trace.cached for _, trace in answers) == len(bench.served) == 99
        stats = await bench.cached.stats()
        assert (stats.calls.misses, stats.calls.coalesced) == (1, 99)

    run(check, Say("shared", delay=5.0))


def test_a_look_into_a_slow_store_is_shared_too(tmp_path):
    """A hundred at once that only the second level can answer ask neither upstream nor a hundred times."""
    clock = VirtualClock()
    path = tmp_path / "cache.db"

    async def fill(bench):
        await bench.ask()

    async def check(bench):
        answers = await asyncio.gather(*(bench.text(CALL._replace(id=f"c{i}")) for i in range(100)))
        assert bench.asked == 0
        assert {text for text, _ in answers} == {"kept"}
        assert all(trace.cached for _, trace in answers)
        stats = await bench.cached.stats()
        assert (stats.calls.hits, stats.calls.coalesced, stats.calls.misses) == (1, 99, 0)
        assert len(bench.served) == 100

    def store():
        return TwoLevelStore(MemoryStore(clock), SqliteStore(path, clock), clock)

    run(fill, Say("kept"), store=store(), clock=clock)
    run(check, Say("never"), store=store(), clock=clock)


def test_streams_are_shared_live():
    """A follower gets each chunk when the leader does, not at the end, and the same ones."""

    async def check(bench):
        heard = [[], []]

        async def follow(into):
            async with bench.cached.open(STREAM, TERMS, bench.inner) as items:
                async for item in items:
                    into.append(item)

        tasks = [asyncio.create_task(follow(into)) for into in heard]
        await bench.clock.advance(2.0)
        assert text_of_items(heard[0]) == text_of_items(heard[1]) == "a b"
        await bench.clock.advance(60.0)
        await asyncio.gather(*tasks)
        assert heard[0][:-1] == heard[1][:-1]
        assert bench.asked == 1

    run(check, Say("a b c d", pause=1.0))


def test_a_canceled_leader_leaves_the_answer_to_the_others():
    """The leader's cancellation does not reach upstream while somebody waits; the answer is kept."""

    async def check(bench):
        leader = asyncio.create_task(bench.ask())
        await turns()
        follower = asyncio.create_task(bench.text(CALL._replace(id="c2")))
        await turns()
        leader.cancel()
        await asyncio.wait([leader])
        assert leader.cancelled()
        assert bench.provider.leaks == 1
        await bench.clock.advance(5.0)
        text, trace = await follower
        assert (text, trace.call_id, trace.cached) == ("late", "c2", True)
        await bench.ask()
        assert bench.asked == 1

    run(check, Say("late", delay=5.0))


def test_when_all_are_gone_the_upstream_call_is_ended():
    """The last cancellation closes the upstream call before it is through; followers are told of."""

    async def check(bench):
        asking = [asyncio.create_task(bench.ask(CALL._replace(id=f"c{i}"))) for i in range(3)]
        await turns()
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        assert bench.provider.leaks == 0
        assert [(one.call.id, one.outcome) for one in bench.served] == [
            ("c1", "canceled"),
            ("c2", "canceled"),
        ]
        assert (await bench.cached.stats()).store.entries == 0

    run(check, Say("never", delay=5.0))


def test_an_error_is_shared_by_those_who_waited():
    """One failed upstream call fails its followers alike, and the next call asks again."""

    async def check(bench):
        answers = await asyncio.gather(*(bench.ask() for _ in range(10)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [RateError] * 10
        assert len({id(answer) for answer in answers}) == 10
        assert bench.asked == 1
        assert [one.outcome for one in bench.served] == ["rate"] * 9
        assert (await bench.text())[0] == "fine"

    run(check, RateError("wait"), Say("fine"))


def test_a_follower_keeps_its_own_deadline():
    """A follower whose time is over leaves with a timeout; the leader gets its answer."""

    async def check(bench):
        leader = asyncio.create_task(bench.text())
        await turns()
        late = CALL._replace(id="c2", deadline=bench.clock.monotonic() - 1.0)
        with pytest.raises(TimedOutError):
            await bench.ask(late)
        await bench.clock.advance(5.0)
        assert (await leader)[0] == "slow"

    run(check, Say("slow", delay=5.0))


def test_a_refresh_does_not_join_an_older_call():
    """Who asks anew gets an answer begun later, which is the one that stays, whoever ends first."""

    async def check(bench):
        older = asyncio.create_task(bench.text())
        await turns()
        newer = asyncio.create_task(bench.text(terms=TERMS._replace(refresh=True)))
        await turns()
        joined = asyncio.create_task(bench.text())
        await bench.clock.advance(10.0)
        assert [(await task)[0] for task in (older, newer, joined)] == ["old", "new", "new"]
        assert (await bench.text())[0] == "new"
        assert bench.asked == 2

    run(check, Say("old", delay=5.0), Say("new", delay=1.0))


@pytest.mark.parametrize(
    "tag", ["prompt:greeting", "role:brain", "deployment:ollama/a", "user:ana", "user:a*", "*"]
)
def test_invalidation_by_tag_and_pattern(tag):
    """An answer goes by the tags of its role, deployment, user and prompt, alone or by a glob."""

    async def check(bench):
        await bench.ask()
        assert await bench.cached.invalidate_pattern("role:other") == 0
        forget = bench.cached.invalidate_pattern if "*" in tag else bench.cached.invalidate_tag
        assert await forget(tag) == 1
        assert (await bench.text())[0] == "two"

    run(check, Say("one"), Say("two"))


@pytest.mark.parametrize("tag", ["prompt:greeting", "deployment:ollama/a"])
def test_invalidation_reaches_what_is_under_way(tag):
    """An answer that was begun before its tag was invalidated is given, not kept."""

    async def check(bench):
        asking = asyncio.create_task(bench.text())
        await turns()
        await bench.cached.invalidate_tag(tag)
        await bench.clock.advance(5.0)
        assert (await asking)[0] == "old"
        await turns()
        assert (await bench.text())[0] == "new"

    run(check, Say("old", delay=5.0), Say("new"))


def test_invalidation_reaches_what_is_being_written():
    """An answer that a slow store keeps just after its tag was invalidated is taken out again."""

    class Slow(MemoryStore):
        def __init__(self, clock):
            super().__init__(clock)
            self.gate = asyncio.Event()

        async def put(self, entry):
            await self.gate.wait()
            return self.keep(entry)

    clock = VirtualClock()
    store = Slow(clock)

    async def check(bench):
        assert (await bench.text())[0] == "old"
        await bench.cached.invalidate_tag("prompt:greeting")
        store.gate.set()
        await turns()
        assert (await bench.text())[0] == "new"

    run(check, Say("old"), Say("new"), store=store, clock=clock)


def test_a_call_after_an_invalidation_does_not_join_one_from_before():
    """Who asks after the invalidation gets an answer begun after it."""

    async def check(bench):
        older = asyncio.create_task(bench.text())
        await turns()
        await bench.cached.invalidate_tag("prompt:greeting")
        newer = asyncio.create_task(bench.text())
        await bench.clock.advance(10.0)
        assert ((await older)[0], (await newer)[0]) == ("old", "new")

    run(check, Say("old", delay=5.0), Say("new"))


def test_a_followers_tags_count():
    """An answer that two calls shared goes by the tags of either."""

    async def check(bench):
        other = TERMS._replace(tags=("prompt:other",))
        both = [asyncio.create_task(bench.ask(terms=terms)) for terms in (TERMS, other)]
        await turns()
        await bench.clock.advance(5.0)
        await asyncio.gather(*both)
        await turns()
        assert await bench.cached.invalidate_tag("prompt:other") == 1

    run(check, Say("x", delay=5.0))


FAILED = Attempt("ollama/a", "timeout")
SECOND = Attempt("ollama/b", "ok")


@pytest.mark.parametrize(
    ("attempts", "stopgap"),
    [
        ((OK,), False),
        ((Attempt("ollama/a", "cut"), OK), False),
        ((FAILED, SECOND), True),
        ((Attempt("ollama/a", "rate"), SECOND), True),
        ((Attempt("ollama/a", "skipped", detail="quota: used up"), SECOND), True),
        ((Attempt("ollama/a", "retired"), SECOND), False),
        ((Attempt("ollama/a", "skipped", detail="auth: wrong key"), SECOND), False),
        ((FAILED, Attempt("rules", "ok")), True),
    ],
)
def test_a_substitutes_answer_is_kept_for_less(attempts, stopgap):
    """After a passing failure of a better candidate an answer lives a minute; else its full time."""

    async def check(bench):
        await bench.ask()
        bench.clock.move(59.0)
        await bench.ask()
        bench.clock.move(1.0)
        await bench.ask()
        assert bench.asked == (2 if stopgap else 1)

    assert is_stopgap(Trace("c", attempts[-1].deployment, None, Label.PUBLIC, attempts=attempts)) is stopgap
    run(check, attempts=attempts)


def test_a_damaged_entry_is_asked_for_anew(caplog):
    """An entry that cannot be read is dropped, logged, and replaced by a new answer."""

    async def check(bench):
        now = bench.clock.time()
        key = request_key(CALL, Scope())
        good = packed(Answer({"choices": []}, None, Trace("c", None, None, Label.INTERNAL)))
        await bench.cached._shelf.store.put(Entry(key, good[:-3], (), Label.INTERNAL, now, now + 50))
        assert (await bench.text())[0] == "anew"
        await turns()
        assert (await bench.text())[1].cached
        assert bench.asked == 1

    run(check, Say("anew"))
    assert "damaged" in caplog.text


def test_a_restart_within_a_stream_is_passed_on_and_not_glued():
    """After a restart only what follows is the answer, for the whole and for the store; callers with other
    wishes about broken streams do not share the call."""

    class Restarting(Bench):
        async def _traced(self, items, call):
            yield Chunk({"choices": [{"index": 0, "delta": {"content": "lost "}}]})
            yield Restart("cut", "ollama/b")
            async for item in super()._traced(items, call):
                yield item

    async def check():
        bench = Restarting(Say("good", delay=1.0))
        restartable = STREAM._replace(restartable=True)
        calls = (restartable, restartable._replace(stream=False), STREAM)
        asking = [asyncio.create_task(bench.ask(call)) for call in calls]
        await turns()
        await bench.clock.advance(5.0)
        streamed, whole, _ = await asyncio.gather(*asking)
        assert isinstance(streamed[1], Restart)
        assert text_of_items(whole[:-1]) == "good"
        assert bench.asked == 2
        assert (await bench.text())[0] == "good"
        await bench.cached.close()

    asyncio.run(check())


def test_no_task_is_left_behind():
    """After hits, misses, errors and cancellations only the test's own task is there."""

    async def check(bench):
        await bench.ask()
        await bench.ask(STREAM)
        with pytest.raises(RateError):
            await bench.ask(terms=TERMS._replace(refresh=True))
        gone = asyncio.create_task(bench.ask(terms=TERMS._replace(refresh=True)))
        await turns()
        gone.cancel()
        await asyncio.wait([gone])
        await turns()
        assert len(asyncio.all_tasks()) == 1
        assert bench.cached._flights.all() == ()

    run(check, Say("a"), RateError("x"), Say("b", delay=9.0))


def test_a_hit_in_memory_is_cheap():
    """A hit of a 2 kB request, its key included, costs less than 60 µs of CPU."""

    async def check(bench):
        body = {**BODY, "messages": [{"role": "user", "content": "x" * 2000}]}
        call = CALL._replace(body=body)
        await bench.ask(call)
        await turns()

        async def hit():
            async with bench.cached.open(call, TERMS, bench.inner) as items:
                async for _ in items:
                    pass

        best = min([await _cpu(hit, 200) for _ in range(5)])
        assert best < 60e-6
        assert bench.asked == 1

    run(check)


async def _cpu(work, times):
    started = time.process_time()
    for _ in range(times):
        await work()
    return (time.process_time() - started) / times
