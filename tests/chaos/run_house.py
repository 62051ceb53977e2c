"""Processes that execute durable runs and are killed: forked from one that has imported everything and has no threads.

``python run_house.py`` reads commands, one JSON object a line, and answers each with one:
``{"do": "spawn", …}`` forks a child and gives its ``pid``; ``{"do": "wait", "pid": …}`` its status once it has ended.

A child writes what it does into ``marks`` in its folder, a line each: ``begin STEP`` and ``end STEP`` around a step's
work, ``kept STEP`` when its result was recorded. It counts those moments and kills itself at the one it is told.
"""

import asyncio
import json
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from coreto.clock import SystemClock
from coreto.crews.commander.crew import Commander
from coreto.crews.commander.stage import Request
from coreto.durable import Durable
from coreto.errors import CoretoError, TimedOutError
from coreto.events import CrewEvent
from coreto.messages import Call, Json
from coreto.owner import OwnerCard, OwnerLock
from coreto.runs import engine, records  # noqa: F401 - everything is imported before the first fork
from coreto.runs.durable import RunDurable, branches
from coreto.runs.runs import Runs, RunsSettings
from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema
from coreto.testing.clock import VirtualClock
from coreto.testing.models import ScriptedModels
from coreto.testing.sandbox import TrustingSandbox
from coreto.tools.sandbox import run_python

T = TypeVar("T")

SETTINGS = RunsSettings(beat=0.1, silent=1.2, signals=0.02)
PAYLOAD = {"approved": True, "by": "ana"}
BOTH = "Plan a complex task and then run the code it needs"


class Life:
    """One process: where it is, and when it dies. ``count``: moments so far."""

    def __init__(self, order: Json) -> None:
        self.folder = Path(order["folder"])
        self.kill_at = order.get("kill")
        self.random = random.Random(order.get("seed", 0))
        self.slow = order.get("slow", 0.004)
        self.count = 0
        self._marks = os.open(self.folder / "marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def mark(self, what: str) -> None:
        """Write it down, and perhaps die."""
        os.write(self._marks, f"{os.getpid()} {what}\n".encode())
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def pause(self) -> None:
        await asyncio.sleep(self.random.uniform(0, self.slow))


class Marked:
    """A run whose steps are written down; ``path`` before their names."""

    def __init__(self, run: RunDurable, life: Life, path: str = "") -> None:
        self.run = run
        self.life = life
        self.path = path

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        done = False

        async def marked() -> T:
            nonlocal done
            done = True
            self.life.mark(f"begin {self.path}{name}")
            await self.life.pause()
            result = await work()
            self.life.mark(f"end {self.path}{name}")
            return result

        try:
            result = await self.run.step(name, marked)
        except CoretoError:
            self._kept(name, done=done)
            raise
        self._kept(name, done=done)
        return result

    def _kept(self, name: str, *, done: bool) -> None:
        if done:
            self.life.mark(f"kept {self.path}{name}")

    async def wait_signal(self, name: str, *, within: float | None = None) -> Json | None:
        return await self.run.wait_signal(name, within=within)

    async def emit(self, event: Json) -> None:
        await self.run.emit(event)


# --- workflows


async def leaf(life: Life, run: Durable, request: Json) -> Json:
    """Two steps."""
    assert isinstance(run, RunDurable)
    marked = Marked(run, life, f"{request['name']}/")
    said = [await marked.step(n, partial(say, run, f"{request['name']} {n}")) for n in ("x", "y")]
    return {"said": said}


async def say(run: Durable, text: str) -> str:
    await run.emit(CrewEvent("content", text).as_json())
    return text


async def mixed(life: Life, run: Durable, request: Json) -> Json:
    """All that a workflow can do: steps in a row and at once, a failure that is dealt with, branches, a signal."""
    assert isinstance(run, RunDurable)
    marked = Marked(run, life)
    first = await marked.step("plan", partial(say, run, "plan"))
    at_once = await asyncio.gather(*(marked.step(n, partial(say, run, n)) for n in ("a", "b", "c")))
    try:
        await marked.step("bad", partial(fail, "no answer"))
    except TimedOutError as error:
        handled = error.message
    parts = await branches(run, {n: (life.leaf, {"name": n}) for n in ("left", "right")})  # type: ignore[attr-defined]
    assert not any(isinstance(part, CoretoError) for part in parts.values())
    approval = await marked.wait_signal("approval")
    last = [await marked.step(f"last-{n}", partial(say, run, f"last {n}")) for n in range(request["more"])]
    return {
        "first": first,
        "at_once": at_once,
        "handled": handled,
        "parts": parts,
        "approval": approval,
        "last": last,
    }


async def fail(message: str) -> None:
    raise TimedOutError(message)


async def commander(life: Life, run: Durable, request: Json) -> Json:
    """The commander over scripted models: a plan, code that fails and is mended, files, words."""
    assert isinstance(run, RunDurable)

    def block(code: str) -> str:
        return f"```python\n{code}\n```"

    def executor(call: Call) -> Any:
        life.mark(f"call executor {run.run_id}")
        asked = call.body["messages"][-1]["content"]
        if "1/0" in asked:
            return block("open('a.txt', 'w').write('7')")
        return block("print(open('a.txt').read())" if "a.txt" in asked else "print(1/0)")

    def brain(call: Call) -> Any:
        life.mark(f"call brain {run.run_id}")
        steps = [("code", "write a file"), ("execution", "read it"), ("conversation", "tell")]
        if "steps" in str(call.body):
            return json.dumps({"title": "A plan", "steps": [{"kind": k, "text": t} for k, t in steps]})
        return "Seven."

    def said(answer: Callable[[Call], Any]) -> Callable[[Call], Any]:
        return lambda call: Say(answer(call))

    from coreto.testing.provider import Say

    models = ScriptedModels(
        {"brain": [said(brain)], "executor": [said(executor)]}, clock=VirtualClock(skipping=True)
    )
    marked = Marked(run, life)
    crew = Commander(
        models,
        sandbox=partial(run_python, sandbox=TrustingSandbox()),
        durable=lambda _: marked,
        clock=VirtualClock(skipping=True),
    )
    result = await crew.perform(Request(request["text"], run.run_id, "ana"), run.tell)
    return result.as_json()


# --- lives


@contextmanager
def opened(life: Life, url: str) -> Iterator[Runs]:
    database = open_database(url, life.folder)
    ensure_schema(database)
    lock = OwnerLock(life.folder)
    lock.acquire(OwnerCard(os.getpid(), "test", url="http://127.0.0.1:9"))
    yield Runs(database, url, life.folder, owner=lock, settings=SETTINGS)


async def live(life: Life, order: Json) -> Any:
    """What the order says: runs are begun (``begin``: workflow, request, id), signalled when they wait if ``approve``,
    and waited for (``wait``: ids)."""
    life.leaf = leaf_of = partial(leaf, life)  # type: ignore[attr-defined]
    workflows = {"mixed": partial(mixed, life), "leaf": leaf_of, "commander": partial(commander, life)}
    with opened(life, order["url"]) as runs:
        await runs.start(workflows)
        for workflow, request, run_id in order.get("begin", ()):
            await runs.begin(workflow, request, run_id=run_id, user="ana")
        (life.folder / f"ready-{os.getpid()}").touch()
        approving = asyncio.ensure_future(approve(runs, life.folder, order)) if order.get("approve") else None
        try:
            return [await runs.result(run_id) for run_id in order.get("wait", ())]
        finally:
            if approving is not None:
                approving.cancel()
            if order.get("close"):
                await runs.close()


async def approve(runs: Runs, folder: Path, order: Json) -> None:
    clock = SystemClock()
    while order["approve"] == "later" and not (folder / "approve").exists():
        await clock.sleep(0.02)
    while True:
        for run_id in order["wait"]:
            record = await runs.log.record(run_id)
            if record.waiting_for == "approval":
                await runs.signal(run_id, "approval", PAYLOAD, key=f"{run_id}/approval")
        await clock.sleep(0.02)


def child(order: Json) -> None:
    life = Life(order)
    answer: Json
    try:
        answer = {"results": asyncio.run(live(life, order)), "count": life.count}
    except CoretoError as error:
        answer = {"error": error.code, "message": error.message}
    (life.folder / f"answer-{os.getpid()}").write_text(json.dumps(answer))


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "spawn":
            assert threading.active_count() == 1
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    child(order)
                    status = 0
                except BaseException:  # noqa: BLE001 - whatever it is: a child never returns to its parent's loop
                    traceback.print_exc()
                finally:
                    os._exit(status)
            answer = {"pid": pid}
        else:
            _, status = os.waitpid(order["pid"], 0)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
