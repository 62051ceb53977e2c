"""Runs whose process is killed, at every step boundary and within steps: the same result, and no finished step again."""

import asyncio
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coreto.messages import Json
from coreto.runs.client import RunsClient
from coreto.runs.errors import RunOverError
from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema
from coreto.stores.runs import SqlRunStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")

HERE = Path(__file__).parent
APPROVED = {"approved": True, "by": "ana"}


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL database of this session's own."""
    spec = importlib.util.spec_from_file_location(
        "coreto_test_postgres", HERE.parent / "support" / "postgres.py"
    )
    support = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(support)
    with support.postgres_url() as url:
        yield url


class House:
    """The process that forks children, and where one test's children live."""

    def __init__(self, process: Any, url: str, folder: Path) -> None:
        self.process = process
        self.url = url
        self.folder = folder
        self.alive: set[int] = set()
        folder.mkdir(exist_ok=True)

    def at(self, name: str) -> "House":
        """The same in another folder."""
        return House(self.process, self.url, self.folder / name)

    def _ask(self, **order: object) -> Json:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the house has fallen"
        return json.loads(line)

    def spawn(self, **order: object) -> int:
        """Fork a child."""
        pid = self._ask(do="spawn", url=self.url, folder=str(self.folder), **order)["pid"]
        self.alive.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        """How a child ended: 0, or the negative number of the signal."""
        status = self._ask(do="wait", pid=pid)["status"]
        self.alive.discard(pid)
        return status

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self.wait(pid) == -signal.SIGKILL

    def answer(self, pid: int) -> Json:
        return json.loads((self.folder / f"answer-{pid}").read_text())

    def live(self, **order: object) -> tuple[int, int]:
        """A child's whole life: its pid and how it ended."""
        pid = self.spawn(**order)
        return pid, self.wait(pid)

    def ready(self, pid: int) -> None:
        """Wait until a child has begun its runs."""
        self.until((self.folder / f"ready-{pid}").exists)

    def until(self, happened: Any, within: float = 30.0) -> None:
        end = time.monotonic() + within
        while not happened():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.01)

    def marks(self, pid: int | None = None) -> list[str]:
        """What the children did, in order; of one of them."""
        lines = [line.split(" ", 1) for line in (self.folder / "marks").read_text().splitlines()]
        return [what for who, what in lines if pid is None or int(who) == pid]

    def events(self, run_id: str) -> list[Any]:
        database = open_database(self.url, self.folder)
        try:
            return SqlRunStore(database).events(run_id, limit=10_000)
        finally:
            database.close()


@pytest.fixture(scope="session")
def process() -> Iterator[Any]:
    with subprocess.Popen(
        [sys.executable, str(HERE / "run_house.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()
        process.wait(30)


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request, process, tmp_path) -> Iterator[House]:
    yield from _house(request, process, tmp_path, request.param)


@pytest.fixture
def sqlite_house(request, process, tmp_path) -> Iterator[House]:
    yield from _house(request, process, tmp_path, "sqlite")


@pytest.fixture
def postgres_house(request, process, tmp_path) -> Iterator[House]:
    yield from _house(request, process, tmp_path, "postgresql")


def _house(request: Any, process: Any, folder: Path, kind: str) -> Iterator[House]:
    house = House(process, "sqlite" if kind == "sqlite" else request.getfixturevalue("postgres_url"), folder)
    database = open_database(house.url, house.folder)
    ensure_schema(database)  # the children need not agree about it
    database.close()
    yield house
    for pid in tuple(house.alive):
        house.kill(pid)


# --- one process after the other

MIXED = ("mixed", {"more": 2})
COMMANDER = ("commander", {"text": "Plan a complex task and then run the code it needs"})
#: Moments in a life: those of the mixed workflow, and of the commander's.
ONE_BY_ONE = {"mixed": 33, "commander": 47}


def order_of(kind: tuple[str, Json], run_id: str, **changes: Any) -> Json:
    workflow, request = kind
    return {"begin": [(workflow, request, run_id)], "wait": [run_id], "approve": True, **changes}


def baseline(house: House, kind: tuple[str, Json], run_id: str) -> tuple[Json, int]:
    """The result without a kill, and the number of moments."""
    pid, status = house.live(**order_of(kind, run_id))
    assert status == 0
    found = house.answer(pid)
    return found["results"][0], found["count"]


def judge(house: House, run_id: str, lives: list[int], wanted: Json) -> None:
    """The result is the wanted one; nothing that was kept was done again; nothing was done again but what a kill
    interrupted; the log has no gap, and all of the answer once after the last time that its step began."""
    [result] = house.answer(lives[-1])["results"]
    assert renamed(result, run_id) == renamed(wanted, wanted.get("run", run_id))
    kept: set[str] = set()
    for pid in lives:
        marks = house.marks(pid)
        begun = [mark[6:] for mark in marks if mark.startswith("begin ")]
        assert not kept & set(begun), "a finished step was done again"
        assert all(n == 1 for n in Counter(begun).values())
        kept |= {mark[5:] for mark in marks if mark.startswith("kept ")}
    events = house.events(run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "complete"
    last: dict[str, list[str]] = {}
    for event in events:
        said = last.setdefault(event.step or event.once or "", [])
        if event.params.get("restart"):
            said.clear()
        elif event.type in {"content", "complete"}:
            said.append(event.type + event.content)
    assert all(len(said) == len(set(said)) for said in last.values())
    assert sum(said.count("complete") for said in last.values()) == 1


def renamed(result: Json, run_id: str) -> Json:
    return json.loads(json.dumps(result).replace(run_id, "RUN"))


def killed_once(house: House, kind: tuple[str, Json], wanted: Json, at: int) -> None:
    run_id = f"{kind[0]}-at-{at}-{os.urandom(3).hex()}"
    house = house.at(f"at-{at}")
    first, status = house.live(**order_of(kind, run_id, kill=at, seed=at))
    lives = [first]
    if status != 0:
        assert status == -signal.SIGKILL
        second, status = house.live(**order_of(kind, run_id, seed=at + 1000))
        lives.append(second)
    assert status == 0
    judge(house, run_id, lives, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [MIXED, COMMANDER], ids=["mixed", "commander"])
def test_killed_at_some_moments(house: House, kind) -> None:
    """Killed once, before, within or after a step, a run comes to the same result."""
    wanted, count = baseline(house, kind, f"{kind[0]}-whole-{os.urandom(3).hex()}")
    assert count >= ONE_BY_ONE[kind[0]] - 3
    for at in sorted(random.Random(7).sample(range(1, count), 3)):
        killed_once(house, kind, wanted, at)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", [MIXED, COMMANDER], ids=["mixed", "commander"])
def test_killed_at_every_moment(house: House, kind) -> None:
    """As above, at every single moment of its life."""
    wanted, count = baseline(house, kind, f"{kind[0]}-whole-{os.urandom(3).hex()}")
    for at in range(1, count + 1):
        killed_once(house, kind, wanted, at)


def killed_often(house: House, kind: tuple[str, Json], seed: int) -> None:
    """Killed again and again, at moments soon after its start."""
    chance = random.Random(seed)
    wanted, count = baseline(house, kind, f"{kind[0]}-whole-{os.urandom(3).hex()}")
    run_id = f"{kind[0]}-often-{os.urandom(3).hex()}"
    house = house.at(f"often-{seed}")
    lives: list[int] = []
    for life in range(40):
        at = chance.randint(1, max(count // 3, 2))
        pid, status = house.live(**order_of(kind, run_id, kill=at if life < 39 else None, seed=seed + life))
        lives.append(pid)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    judge(house, run_id, lives, wanted)


@pytest.mark.slow
def test_killed_again_and_again(sqlite_house: House) -> None:
    """A run whose process dies many times comes to its end."""
    killed_often(sqlite_house, MIXED, seed=3)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", [MIXED, COMMANDER], ids=["mixed", "commander"])
def test_killed_again_and_again_soak(house: House, kind) -> None:
    """As above, on both databases, for both workflows, with many seeds."""
    for seed in range(5):
        killed_often(house, kind, seed)


# --- several processes at once


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, pytest.param(12, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_another_worker_goes_on(postgres_house: House, count: int) -> None:
    """Of two workers on one PostgreSQL, one is killed: the other one finishes its runs, and does nothing of them that
    was finished."""
    house = postgres_house
    wanted, _ = baseline(house.at("whole"), MIXED, f"mixed-whole-{os.urandom(3).hex()}")
    run_ids = [f"mixed-{i}-{os.urandom(3).hex()}" for i in range(count)]
    first = house.spawn(begin=[(*MIXED, one) for one in run_ids], wait=run_ids, slow=0.05)
    house.ready(first)
    second = house.spawn(begin=[], wait=run_ids, approve="later")
    house.ready(second)
    house.until(lambda: "kept plan" in house.marks(first))
    house.kill(first)
    (house.folder / "approve").touch()
    assert house.wait(second) == 0
    assert house.answer(second)["results"] == [wanted] * count
    begun = Counter(mark for mark in house.marks() if mark.startswith("begin "))
    assert begun["begin last-1"] == count
    for run_id in run_ids:
        events = house.events(run_id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events].count("complete") == 1


@pytest.mark.slow
def test_a_worker_that_was_only_asleep(postgres_house: House) -> None:
    """A worker that stands still so long that another one finishes its runs does no harm when it wakes: it records
    nothing, and is not heard."""
    house = postgres_house
    wanted, _ = baseline(house.at("whole"), MIXED, f"mixed-whole-{os.urandom(3).hex()}")
    run_ids = [f"asleep-{i}-{os.urandom(3).hex()}" for i in range(3)]
    first = house.spawn(begin=[(*MIXED, one) for one in run_ids], wait=run_ids, slow=0.3)
    house.ready(first)
    second = house.spawn(begin=[], wait=run_ids, approve=True)
    house.ready(second)
    house.until(lambda: house.marks(first).count("kept plan") >= 2)
    os.kill(first, signal.SIGSTOP)
    assert house.wait(second) == 0
    before = {run_id: house.events(run_id) for run_id in run_ids}
    os.kill(first, signal.SIGCONT)
    assert house.wait(first) == 0
    for pid in (first, second):
        assert house.answer(pid)["results"] == [wanted] * 3
    for run_id in run_ids:
        assert house.events(run_id) == before[run_id]
        assert before[run_id][-1].type == "complete"


@pytest.mark.slow
def test_two_servers_cannot_share_a_file(sqlite_house: House) -> None:
    """On SQLite a second process that would execute runs is refused in one clear line, and works once the first is gone."""
    house = sqlite_house
    first = house.spawn(begin=[(*MIXED, "mine")], wait=["mine"])
    house.ready(first)
    second, status = house.live(begin=[(*MIXED, "theirs")], wait=["theirs"], approve=True)
    assert status == 0
    refused = house.answer(second)
    assert refused["error"] == "runs_elsewhere"
    assert f"the process {first} at http://127.0.0.1:9" in refused["message"]
    assert "database.url" in refused["message"]
    house.kill(first)
    third, status = house.live(begin=[(*MIXED, "theirs")], wait=["mine", "theirs"], approve=True)
    assert status == 0
    assert len(house.answer(third)["results"]) == 2


@pytest.mark.slow
def test_from_another_process(house: House) -> None:
    """A process that executes nothing lists a run, shows it, signals it, cancels another one; and follows what they
    say."""
    tag = os.urandom(3).hex()
    run_id, other = f"mixed-{tag}", f"other-{tag}"
    worker = house.spawn(begin=[(*MIXED, run_id), (*MIXED, other)], wait=[run_id])
    house.ready(worker)

    async def main() -> None:
        database = open_database(house.url, house.folder)
        client = RunsClient(database, house.url, house.folder)
        try:
            for one in (run_id, other):
                while not (await client.log.record(one)).waiting_for:
                    await asyncio.sleep(0.02)
            assert {run_id, other} <= {record.run_id for record in await client.list()}
            shown = (await client.show(run_id)).as_json()
            assert (shown["status"], shown["waiting_for"]) == ("running", "approval")
            assert [step["name"] for step in shown["steps"]] == [
                "plan", "a", "b", "c", "bad", "branches/left+right",
            ]  # fmt: skip
            await client.cancel(other)
            following = asyncio.ensure_future(_all(client, run_id))
            await client.signal(run_id, "approval", APPROVED)
            result = await client.result(run_id)
            assert result["approval"] == APPROVED
            events = await following
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert events[-1].event.type == "complete"
            with pytest.raises(RunOverError):
                await client.signal(run_id, "approval", APPROVED)
            assert (await client.log.record(other)).status == "cancelled"
        finally:
            await client.close()
            database.close()

    async def _all(client: RunsClient, run_id: str) -> list[Any]:
        return [event async for event in client.events(run_id)]

    asyncio.run(main())
    assert house.wait(worker) == 0
