"""One suite over every `Durable`: in place, and durable runs on SQLite and PostgreSQL; and what only durable runs do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from coreto.clock import SystemClock
from coreto.durable import Durable, InlineDurable
from coreto.errors import CoretoError, InvalidRequestError, TimedOutError
from coreto.events import CrewEvent
from coreto.messages import Json
from coreto.owner import OwnerCard, OwnerLock
from coreto.runs.durable import RunDurable, Workflow, branches
from coreto.runs.errors import (
    RunCancelledError,
    RunConflictError,
    RunError,
    RunFailedError,
    RunOverError,
    StepError,
    UnknownRunError,
    UnknownWorkflowError,
)
from coreto.runs.runs import Runs, RunsSettings
from coreto.stores.database import Database, open_database
from coreto.stores.migrate import ensure_schema
from coreto.stores.runs import RunFilter
from coreto.stores.schema import run_workers, runs

SETTINGS = RunsSettings(beat=0.2, silent=30.0, signals=0.02)


class House:
    """A place for runs that outlives the `Runs` which are opened in it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.database: Database = open_database(url, folder)
        ensure_schema(self.database)
        with self.database.write() as connection:
            connection.execute(runs.delete())
            connection.execute(run_workers.delete())
        self.lock = OwnerLock(folder)
        assert self.lock.acquire(OwnerCard(1, "test"))

    @asynccontextmanager
    async def open(self, workflows: dict[str, Workflow], **changes: object) -> AsyncIterator[Runs]:
        opened = Runs(
            self.database, self.url, self.folder, owner=self.lock, **{"settings": SETTINGS, **changes}
        )
        try:
            await opened.start(workflows)
            yield opened
        finally:
            await opened.close()

    def close(self) -> None:
        self.lock.release()
        self.database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request, tmp_path):
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    house = House(url, tmp_path)
    yield house
    house.close()


# --- every Durable

Perform = Callable[..., Awaitable[tuple[Json, list[Json]]]]


@pytest.fixture(params=["inline", "sqlite", "postgresql"])
def perform(request, tmp_path):
    """Does a workflow with some signals sent ahead: its result and the events it emitted."""
    if request.param == "inline":
        yield _perform_inline
        return
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    house = House(url, tmp_path)
    yield partial(_perform_durably, house)
    house.close()


async def _perform_inline(work: Workflow, *signals: tuple[str, Json], later: bool = False, **_: object):
    run = InlineDurable()
    if later:
        task = asyncio.ensure_future(work(run, {"n": 1}))
        await asyncio.sleep(0)
    for name, payload in signals:
        run.signal(name, payload)
    return (await task if later else await work(run, {"n": 1})), run.events


async def _perform_durably(
    house: House,
    work: Workflow,
    *signals: tuple[str, Json],
    later: bool = False,
    others: tuple[Workflow, ...] = (),
):
    started = asyncio.Event()

    async def gated(run: Durable, request: Json) -> Json:
        if not later:
            await started.wait()
        return await work(run, request)

    named = {f"other-{i}": other for i, other in enumerate(others)}
    async with house.open({"work": gated, **named}) as opened:
        run_id = await opened.begin("work", {"n": 1})
        for name, payload in signals:
            if later:
                await waiting(opened, run_id, name)
            await opened.signal(run_id, name, payload)
        started.set()
        result = await opened.result(run_id)
        events = [e.event.as_json() async for e in opened.events(run_id) if not e.delta]
    return result, events[:-1]  # without `complete`, which ends every durable run


async def waiting(opened: Runs, run_id: str, name: str) -> None:
    while (await opened.log.record(run_id)).waiting_for != name:
        await asyncio.sleep(0.01)


def test_a_step_is_done_once(perform):
    """Under one name work is done once; asked for again, the first result is there."""
    done: list[int] = []

    async def count() -> int:
        done.append(1)
        return len(done)

    async def work(run: Durable, request: Json) -> Json:
        return {"first": await run.step("count", count), "again": await run.step("count", count), **request}

    result, _ = asyncio.run(perform(work))
    assert result == {"first": 1, "again": 1, "n": 1}
    assert done == [1]


def test_results_are_json(perform):
    """All of JSON comes back as it was, text of any language and odd characters included."""
    value = {"a": [1, 2.5, None, True, "ção 🎺 \x00"], "b": {"c": {}}, "": ""}

    async def work(run: Durable, _: Json) -> Json:
        async def give() -> Json:
            return value

        return await run.step("give", give)

    result, _ = asyncio.run(perform(work))
    assert result == value


def test_a_failed_step_raises_its_error(perform):
    """An error of ours is of its class and has its message; the run may go on after it."""

    async def work(run: Durable, _: Json) -> Json:
        async def fail() -> Json:
            raise TimedOutError("no answer in 2 s")

        async def give() -> str:
            return "fallback"

        try:
            await run.step("ask", fail)
        except TimedOutError as error:
            return {"error": error.message, "code": error.code, "then": await run.step("other", give)}
        raise AssertionError

    result, _ = asyncio.run(perform(work))
    assert result == {"error": "no answer in 2 s", "code": "timeout", "then": "fallback"}


@pytest.mark.parametrize("later", [False, True])
def test_signals_are_waited_for(perform, later):
    """A signal arrives whether it is sent before or while it is waited for, each by its name, in order."""

    async def work(run: Durable, _: Json) -> Json:
        first = await run.wait_signal("go")
        other = await run.wait_signal("stop", within=60)
        return {"first": first, "other": other, "second": await run.wait_signal("go")}

    signals = [("go", {"n": 1}), ("stop", {"s": "é"}), ("go", {"n": 2})]
    result, _ = asyncio.run(perform(work, *signals, later=later))
    assert result == {"first": {"n": 1}, "other": {"s": "é"}, "second": {"n": 2}}


def test_a_wait_expires(perform):
    """After its time a wait gives nothing, and at once when there is no time."""

    async def work(run: Durable, _: Json) -> Json:
        return {
            "a": await run.wait_signal("never", within=0.02),
            "b": await run.wait_signal("never", within=0),
        }

    result, _ = asyncio.run(perform(work))
    assert result == {"a": None, "b": None}


def test_events_are_logged_in_order(perform):
    """What is emitted, in steps and between them, is in the log in its order."""

    async def work(run: Durable, _: Json) -> Json:
        await run.emit(CrewEvent("agent_switch", agent="script").as_json())

        async def say() -> None:
            await run.emit(CrewEvent("status", "writing", params={"n": [1]}).as_json())
            await run.emit(CrewEvent("content", "Olá", tool="pen").as_json())

        await run.step("say", say)
        await run.emit(CrewEvent("status", "written").as_json())
        return {}

    _, events = asyncio.run(perform(work))
    assert [(e["type"], e["content"]) for e in events] == [
        ("agent_switch", ""),
        ("status", "writing"),
        ("content", "Olá"),
        ("status", "written"),
    ]
    assert events[1]["params"] == {"n": [1]}
    assert (events[0]["agent"], events[2]["tool"]) == ("script", "pen")


def test_parallel_steps(perform):
    """Steps that are begun at the same time give each its own result, whoever is first."""

    async def work(run: Durable, _: Json) -> Json:
        async def late(name: str, seconds: float) -> str:
            await asyncio.sleep(seconds)
            return name

        found = await asyncio.gather(
            *(run.step(name, partial(late, name, s)) for name, s in (("a", 0.03), ("b", 0.01), ("c", 0.02)))
        )
        return {"found": found}

    result, _ = asyncio.run(perform(work))
    assert result == {"found": ["a", "b", "c"]}


async def _branch(run: Durable, request: Json) -> Json:
    async def double() -> int:
        if request["n"] < 0:
            raise TimedOutError("too late")
        return request["n"] * 2

    first = await run.step("double", double)

    async def tell() -> None:
        await run.emit(CrewEvent("status", f"doubled {request['n']}").as_json())

    await run.step("tell", tell)
    return {"doubled": first}


def test_branches(perform):
    """Branches have steps of the same names; each gives its result or its error, and speaks in the run's log."""

    async def work(run: Durable, _: Json) -> Json:
        works = {"a": (_branch, {"n": 1}), "b": (_branch, {"n": -1}), "c": (_branch, {"n": 3})}
        found = await branches(run, works)
        return {name: str(one) if isinstance(one, CoretoError) else one for name, one in found.items()}

    result, events = asyncio.run(perform(work, others=(_branch,)))
    assert result == {"a": {"doubled": 2}, "b": "too late", "c": {"doubled": 6}}
    assert sorted(e["content"] for e in events) == ["doubled 1", "doubled 3"]


# --- durable runs


async def _give(value: object) -> object:
    return value


def test_what_is_no_json_fails_the_step(house):
    """A step that returns what JSON cannot hold fails, and says so, the run with it."""

    async def work(run: Durable, _: Json) -> Json:
        return {"x": await run.step("give", partial(_give, object()))}

    async def main() -> None:
        async with house.open({"work": work}) as opened:
            with pytest.raises(RunFailedError, match="not a JSON value") as caught:
                await opened.result(await opened.begin("work", {}))
            assert caught.value.reason == "step_failed"

    asyncio.run(main())


def test_the_same_id_is_the_same_run(house):
    """Begun again under its id, a run is not begun again; another request under the id is refused."""
    count = 0

    async def work(run: Durable, request: Json) -> Json:
        nonlocal count
        count += 1
        return request

    async def main() -> None:
        async with house.open({"work": work, "other": work}) as opened:
            ids = await asyncio.gather(
                *(opened.begin("work", {"b": 1, "a": 2}, run_id="k-1", user="ana") for _ in range(5))
            )
            assert set(ids) == {"k-1"}
            assert await opened.result("k-1") == {"a": 2, "b": 1}
            assert await opened.begin("work", {"a": 2, "b": 1}, run_id="k-1", user="ana") == "k-1"
            for name, request, user in (
                ("work", {"a": 3}, "ana"),
                ("work", {"a": 2, "b": 1}, "eva"),
                ("other", {"a": 2, "b": 1}, "ana"),
            ):
                with pytest.raises(RunConflictError):
                    await opened.begin(name, request, run_id="k-1", user=user)
            assert count == 1
            for bad in ("", "a b", "x::y", "é" * 300, "\x00"):
                with pytest.raises(InvalidRequestError):
                    await opened.begin("work", {}, run_id=bad)
            with pytest.raises(UnknownWorkflowError, match="'work', 'other'"):
                await opened.begin("wrok", {})

    asyncio.run(main())


def test_closing_leaves_runs_pending(house):
    """A run that is closed in the middle of a step goes on with the next start, from its last finished step; a step
    that is done again says that it starts over."""
    done: list[str] = []
    reached, closing = asyncio.Event(), True

    async def work(run: Durable, _: Json) -> Json:
        async def do(name: str) -> str:
            done.append(name)
            await run.emit(CrewEvent("status", name).as_json())
            if name == "two" and closing:
                reached.set()
                await asyncio.Event().wait()
            return name

        await run.emit(CrewEvent("status", "begun").as_json())
        return {"said": [await run.step(name, partial(do, name)) for name in ("one", "two", "three")]}

    async def main() -> list:
        nonlocal closing
        async with house.open({"work": work}) as opened:
            run_id = await opened.begin("work", {})
            await reached.wait()
            with pytest.raises(RunError, match="is not executed here"):
                opened.durable("another")
            assert opened.durable(run_id).run_id == run_id
        closing = False
        async with house.open({"work": work}, settings=RunsSettings(beat=0.1, silent=0.0)) as opened:
            assert opened.launched
            assert await opened.result(run_id) == {"said": ["one", "two", "three"]}
            record = await opened.log.record(run_id)
            assert (record.status, record.attempts) == ("done", 2)
            return [e async for e in opened.events(run_id)]

    events = asyncio.run(main())
    assert done == ["one", "two", "two", "three"]
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [e.event.content for e in events[:3]] == ["begun", "one", "two"]
    assert events[3].event.params == {"restart": True, "step": "two", "attempt": 2}
    assert [e.event.content for e in events[4:6]] == ["two", "three"]
    assert events[-1].event.type == "complete"


def test_a_failed_run_is_retried_from_its_last_finished_step(house):
    """What was done stays done; the step that failed is done again, as often as it takes."""
    done: list[str] = []
    down = True

    async def work(run: Durable, _: Json) -> Json:
        async def do(name: str) -> str:
            done.append(name)
            if name == "two" and down:
                raise TimedOutError("the service is down")
            return name

        with pytest.raises(StepError, match="ValueError: handled"):
            await run.step("tried", partial(_fail, ValueError("handled")))
        return {"said": [await run.step(name, partial(do, name)) for name in ("one", "two", "three")]}

    async def main() -> None:
        nonlocal down
        async with house.open({"work": work}) as opened:
            run_id = await opened.begin("work", {})
            for _ in range(2):
                with pytest.raises(RunFailedError, match="the service is down") as caught:
                    await opened.result(run_id)
                assert caught.value.reason == "timeout"
                await opened.retry(run_id)
            with pytest.raises(RunFailedError):
                await opened.result(run_id)
            down = False
            await opened.retry(run_id)
            assert await opened.result(run_id) == {"said": ["one", "two", "three"]}
            with pytest.raises(RunOverError):
                await opened.retry(run_id)
            assert done == ["one", "two", "two", "two", "two", "three"]
            await opened.retry(run_id, step="two")
            await opened.result(run_id)
            assert done[-2:] == ["two", "three"]
            with pytest.raises(RunError, match="no step 'four'"):
                await opened.retry(run_id, step="four")
            view = await opened.show(run_id)
            assert [(s.name, s.failed) for s in view.steps] == [
                ("tried", True),
                ("one", False),
                ("two", False),
                ("three", False),
            ]
            assert view.as_json()["status"] == "done"

    async def _fail(error: Exception) -> None:
        raise error

    asyncio.run(main())


def test_failed_branches_are_retried_with_their_run(house):
    """A run that failed by a branch goes on with that branch; the others are not done again."""
    done: list[str] = []
    down = True

    async def part(run: Durable, request: Json) -> Json:
        async def do() -> str:
            done.append(request["name"])
            if request["name"] == "audio" and down:
                raise TimedOutError("no voice")
            return request["name"]

        return {"made": await run.step("do", do)}

    async def work(run: Durable, _: Json) -> Json:
        found = await branches(run, {n: (part, {"name": n}) for n in ("audio", "visual")})
        for one in found.values():
            if isinstance(one, CoretoError):
                raise one
        return found

    async def main() -> None:
        nonlocal down
        async with house.open({"work": work, "part": part}) as opened:
            run_id = await opened.begin("work", {}, user="ana")
            with pytest.raises(RunFailedError, match="no voice"):
                await opened.result(run_id)
            down = False
            await opened.retry(run_id)
            assert await opened.result(run_id) == {"audio": {"made": "audio"}, "visual": {"made": "visual"}}
            assert sorted(done) == ["audio", "audio", "visual"]
            assert [one.run_id for one in await opened.list()] == [run_id]
            assert {one.user for one in await opened.list(RunFilter(branches=True))} == {"ana"}
            assert [b.run_id for b in (await opened.show(run_id)).branches] == [
                f"{run_id}::audio",
                f"{run_id}::visual",
            ]

    asyncio.run(main())


def test_a_cancelled_run_ends_and_may_be_resumed(house):
    """A cancelled run and its branches stop in the middle of a step; resumed, they go on where they were."""
    done: list[str] = []
    hold, reached = asyncio.Event(), asyncio.Event()

    async def part(run: Durable, _: Json) -> Json:
        async def do(name: str) -> str:
            done.append(name)
            if name == "two":
                reached.set()
                await hold.wait()
            return name

        return {"said": [await run.step(name, partial(do, name)) for name in ("one", "two")]}

    async def work(run: Durable, _: Json) -> Json:
        return (await branches(run, {"p": (part, {})}))["p"]

    async def main() -> None:
        async with house.open({"work": work, "part": part}) as opened:
            run_id = await opened.begin("work", {})
            await reached.wait()
            await opened.cancel(run_id)
            await opened.cancel(run_id)
            with pytest.raises(RunCancelledError):
                await opened.result(run_id)
            events = [e async for e in opened.events(run_id)]
            assert (events[-1].event.type, events[-1].event.params["code"]) == ("error", "cancelled")
            with pytest.raises(RunOverError):
                await opened.signal(run_id, "go", {})
            assert not opened._executions
            hold.set()
            await opened.resume(run_id)
            assert await opened.result(run_id) == {"said": ["one", "two"]}
            assert done == ["one", "two", "two"]
            with pytest.raises(RunOverError):
                await opened.resume(run_id)
            with pytest.raises(RunOverError):
                await opened.cancel(run_id)
            with pytest.raises(UnknownRunError):
                await opened.cancel("nobody")

    asyncio.run(main())


def test_who_reconnects_misses_nothing(house):
    """A listener that comes back with the last number, however often, has every event once and in order; who listens
    to the end hears the deltas between them."""
    pieces = [f"p{i}" for i in range(6)]

    async def work(run: Durable, _: Json) -> Json:
        async def write(n: int) -> str:
            assert isinstance(run, RunDurable)
            await run.emit(CrewEvent("status", f"writing {n}").as_json())
            for piece in pieces:
                await run.tell(CrewEvent("content", piece))
                await asyncio.sleep(0)
            await run.tell(CrewEvent("status", "not a delta"))
            await run.emit(CrewEvent("content", "".join(pieces)).as_json())
            return "".join(pieces)

        await run.wait_signal("go")
        for n in range(8):
            await run.step(f"write-{n}", partial(write, n))
        return {}

    async def main() -> None:
        async with house.open({"work": work}) as opened:
            run_id = await opened.begin("work", {})
            listening = asyncio.ensure_future(_all(opened, run_id))
            leaving = asyncio.ensure_future(_leaving(opened, run_id))
            await asyncio.sleep(0.05)
            await opened.signal(run_id, "go", {})
            heard, caught = await asyncio.gather(listening, leaving)
            numbered = [e for e in heard if not e.delta]
            assert [e.seq for e in numbered] == list(range(1, 18))
            assert [e.as_json() for e in caught] == [e.as_json() for e in numbered]
            deltas = [e.event.content for e in heard if e.delta]
            assert deltas == pieces * 8
            assert [e.event.content for e in heard][:9] == [
                "writing 0",
                *pieces,
                "".join(pieces),
                "writing 1",
            ]
            assert [e.seq async for e in opened.events(run_id, after=16)] == [17]
            with pytest.raises(UnknownRunError):
                await anext(opened.events("nobody"))

    async def _all(opened: Runs, run_id: str) -> list:
        return [e async for e in opened.events(run_id)]

    async def _leaving(opened: Runs, run_id: str) -> list:
        caught: list = []
        while not caught or caught[-1].event.type != "complete":
            events = opened.events(run_id, after=caught[-1].seq if caught else 0)
            async for event in events:
                if not event.delta:
                    caught.append(event)
                    if len(caught) % 2:
                        break
            await events.aclose()
        return caught

    asyncio.run(main())


def test_a_users_runs_are_erased(house):
    """All runs of a user go, ended or not, with their branches, events and the engine's records; nobody else's do."""
    reached = asyncio.Event()

    async def part(run: Durable, _: Json) -> Json:
        return {"x": await run.step("give", partial(_give, "secret"))}

    async def work(run: Durable, request: Json) -> Json:
        await branches(run, {"p": (part, {})})
        if request.get("wait"):
            reached.set()
            await run.wait_signal("go")
        return request

    async def main() -> None:
        async with house.open({"work": work, "part": part}) as opened:
            kept = await opened.begin("work", {}, user="eva")
            gone = await opened.begin("work", {"a": "secret"}, user="ana")
            going = await opened.begin("work", {"wait": True}, user="ana")
            await asyncio.gather(opened.result(kept), opened.result(gone), reached.wait())
            assert await opened.erase_user("ana") == 2
            assert [one.run_id for one in await opened.list(RunFilter(branches=True))] == [f"{kept}::p", kept]
            ids = [gone, going, f"{gone}::p", f"{going}::p"]
            assert await asyncio.to_thread(opened.records.executions, ids) == {}
            assert await asyncio.to_thread(opened.records.steps, gone) == []
            with pytest.raises(UnknownRunError):
                await opened.show(gone)

    asyncio.run(main())


def test_old_runs_are_forgotten(house):
    """Runs go a while after their end, by the clock; those that have not ended stay."""

    class Later(SystemClock):
        ahead = 0.0

        def time(self) -> float:
            return super().time() + self.ahead

    async def work(run: Durable, request: Json) -> Json:
        if request.get("wait"):
            await run.wait_signal("go")
        return {}

    async def main() -> None:
        clock = Later()
        async with house.open({"work": work}, clock=clock) as opened:
            old = await opened.begin("work", {})
            going = await opened.begin("work", {"wait": True})
            await opened.result(old)
            assert await opened.retain(30 * 86_400) == 0
            clock.ahead = 31 * 86_400
            assert await opened.retain(30 * 86_400) == 1
            assert [one.run_id for one in await opened.list()] == [going]

    asyncio.run(main())


def test_lists(house):
    """Runs are found by status, workflow, user, and by what they wait for."""

    async def work(run: Durable, request: Json) -> Json:
        if request.get("fail"):
            raise TimedOutError("late")
        if request.get("wait"):
            await run.wait_signal("approval")
        return {}

    async def main() -> None:
        async with house.open({"work": work, "also": work}) as opened:
            assert await opened.list() == []
            done = await opened.begin("also", {}, user="ana")
            failed = await opened.begin("work", {"fail": True})
            going = await opened.begin("work", {"wait": True})
            await opened.result(done)
            with pytest.raises(RunFailedError):
                await opened.result(failed)
            await waiting(opened, going, "approval")

            async def ids(**which: object) -> list[str]:
                return [one.run_id for one in await opened.list(RunFilter(**which))]

            assert set(await ids()) == {done, failed, going}
            assert await ids(status=("done", "failed"), workflow="also") == [done]
            assert await ids(status=("failed",)) == [failed]
            assert await ids(user="ana") == [done]
            assert await ids(waiting_for="approval") == [going]
            assert await ids(before_ms=0) == []
            assert len(await ids(limit=2)) == 2

    asyncio.run(main())
