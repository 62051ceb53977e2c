"""What durability costs: time a step, a run and a signal, in place, on SQLite and on PostgreSQL.

Each step gives back a small JSON object and does nothing else, so its whole time is overhead. ``step``: steps one after
the other in one run; ``at once``: as many steps of runs that go on at the same time, by the wall clock; ``run``: from
beginning a run of one step to its result; ``signal``: from sending it to the run that waits; ``event``: an emitted one;
``launch``: the engine's start on an existing database; ``idle``: share of a core that a launched engine takes without
runs; ``memory``: what the engine adds to the process.

Run: ``python benchmarks/runs.py [--steps N] [--postgres URL] [--json]``. PostgreSQL is measured if a URL is given; its
schemas ``coreto`` and ``dbos`` are used.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil

from coreto.durable import Durable, InlineDurable
from coreto.events import CrewEvent
from coreto.messages import Json
from coreto.owner import OwnerCard, OwnerLock
from coreto.runs.durable import Workflow
from coreto.runs.runs import Runs
from coreto.stores.database import Database, open_database
from coreto.stores.migrate import ensure_schema

AT_ONCE = 8
IDLE = 5.0


@dataclass(frozen=True)
class Figures:
    """Milliseconds, but for ``idle_percent`` and ``memory_mb``. Medians and 95th percentiles."""

    where: str
    step: float
    step_p95: float
    step_cpu: float
    at_once: float
    event: float
    run: float | None = None
    signal: float | None = None
    launch: float | None = None
    idle_percent: float | None = None
    memory_mb: float | None = None


async def steps(run: Durable, request: Json) -> Json:
    """``n`` steps; the milliseconds of each."""
    times: list[float] = []
    cpu = time.process_time()
    for n in range(request["n"]):
        begun = time.perf_counter()
        await run.step(f"step-{n}", partial(_give, n))
        times.append((time.perf_counter() - begun) * 1000)
    return {"times": times, "cpu": (time.process_time() - cpu) * 1000 / max(request["n"], 1)}


async def events(run: Durable, request: Json) -> Json:
    """``n`` events; the milliseconds of one."""
    begun = time.perf_counter()
    for n in range(request["n"]):
        await run.emit(CrewEvent("status", f"event {n}").as_json())
    return {"ms": (time.perf_counter() - begun) * 1000 / request["n"]}


async def signalled(run: Durable, _: Json) -> Json:
    """The milliseconds from sending a signal to having it."""
    payload = await run.wait_signal("go")
    return {"ms": (time.time() - (payload or {})["at"]) * 1000}


async def _give(n: int) -> Json:
    return {"n": n, "text": "a small result"}


WORKFLOWS: dict[str, Workflow] = {"steps": steps, "events": events, "signalled": signalled}


def _figures(where: str, one: Json, wall: float, count: int, event: float) -> Figures:
    ordered = sorted(one["times"])
    return Figures(
        where,
        step=statistics.median(ordered),
        step_p95=ordered[int(len(ordered) * 0.95)],
        step_cpu=one["cpu"],
        at_once=wall * 1000 / count,
        event=event,
    )


async def in_place(count: int) -> Figures:
    one = await steps(InlineDurable(), {"n": count})
    begun = time.perf_counter()
    await asyncio.gather(*(steps(InlineDurable(), {"n": count // AT_ONCE}) for _ in range(AT_ONCE)))
    wall = time.perf_counter() - begun
    return _figures("inline", one, wall, count, (await events(InlineDurable(), {"n": count}))["ms"])


async def durable(where: str, url: str, folder: Path, count: int) -> Figures:
    database = open_database(url, folder)
    ensure_schema(database)
    lock = OwnerLock(folder)
    lock.acquire(OwnerCard(1, "benchmark"))
    process = psutil.Process()

    async def result(runs: Runs, workflow: str, request: Json) -> Json:
        return await runs.result(await runs.begin(workflow, request, user="benchmark"))

    before = process.memory_info().rss
    runs, _ = await _launched(database, url, folder, lock)
    memory = (process.memory_info().rss - before) / 2**20
    await runs.close()  # the first time has made the tables
    runs, launch = await _launched(database, url, folder, lock)
    one = await result(runs, "steps", {"n": count})
    begun = time.perf_counter()
    await asyncio.gather(*(result(runs, "steps", {"n": count // AT_ONCE}) for _ in range(AT_ONCE)))
    wall = time.perf_counter() - begun
    figures = _figures(where, one, wall, count, (await result(runs, "events", {"n": count}))["ms"])
    whole: list[float] = []
    for _ in range(20):
        begun = time.perf_counter()
        await result(runs, "steps", {"n": 1})
        whole.append((time.perf_counter() - begun) * 1000)
    sent: list[float] = []
    for _ in range(20):
        run_id = await runs.begin("signalled", {}, user="benchmark")
        while not (await runs.log.record(run_id)).waiting_for:
            await asyncio.sleep(0.01)
        await runs.signal(run_id, "go", {"at": time.time()})
        sent.append((await runs.result(run_id))["ms"])
    cpu = sum(process.cpu_times()[:2])
    await asyncio.sleep(IDLE)
    idle = (sum(process.cpu_times()[:2]) - cpu) / IDLE * 100
    await runs.erase_user("benchmark")
    await runs.close()
    lock.release()
    database.close()
    more = {"run": statistics.median(whole), "signal": statistics.median(sent), "launch": launch}
    return Figures(**{**asdict(figures), **more, "idle_percent": idle, "memory_mb": memory})


async def _launched(database: Database, url: str, folder: Path, lock: OwnerLock) -> tuple[Runs, float]:
    """Runs whose engine is at work, and the milliseconds that its launch took."""
    runs = Runs(database, url, folder, owner=lock)
    await runs.start(WORKFLOWS)
    begun = time.perf_counter()
    await runs.launch()
    return runs, (time.perf_counter() - begun) * 1000


async def measure(count: int, postgres: str | None) -> list[Figures]:
    found = [await in_place(count)]
    with tempfile.TemporaryDirectory() as folder:
        found.append(await durable("sqlite", "sqlite", Path(folder), count))
    if postgres:
        with tempfile.TemporaryDirectory() as folder:
            found.append(await durable("postgresql", postgres, Path(folder), count))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--postgres")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.steps, options.postgres))
    if options.json:
        json.dump([asdict(one) for one in found], sys.stdout, indent=2)
        return
    names = [name for name in asdict(found[0]) if name != "where"]
    print(f"{'ms':<14}" + "".join(f"{one.where:>12}" for one in found))
    for name in names:
        values = [asdict(one)[name] for one in found]
        print(f"{name:<14}" + "".join(f"{'-' if v is None else f'{v:.3f}':>12}" for v in values))


if __name__ == "__main__":
    main()
