"""Panels of a real gateway's models, over HTTP: slow, hung, failing, asked a hundred times, killed."""

import asyncio
import time
from contextlib import aclosing

import pytest

from coreto.clock import SystemClock
from coreto.durable import InlineDurable
from coreto.labels import Label
from coreto.owner import OwnerCard, OwnerLock
from coreto.panel import models
from coreto.panel.panel import Panel
from coreto.panel.policy import Rules
from coreto.panel.shared import Question, SharedPanel, in_place
from coreto.runs.runs import Runs, RunsSettings
from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema

NAMES = ("cpu", "memory", "storage", "network", "limits")
TOML = """
[providers.lab]
base_url = "{lab}/v1"

[providers.paid]
base_url = "{paid}/v1"
local = false
api_key = "k"
"""


@pytest.fixture
def toml(first, router):
    return TOML.format(lab=first.url, paid=router.url)


def body_of(request):
    return {"messages": [{"role": "user", "content": f"Look at {request}"}], "max_tokens": 20}


def draft_body(draft):
    said = "\n".join(f"{part.name}: {part.content}" for part in draft.answers)
    return {"messages": [{"role": "user", "content": f"Sum up:\n{said}"}], "max_tokens": 20}


def panel_of(client, rules=None, *, provider="lab", timeout=5.0, **options):
    """Five specialists, each a model of its own, and a consolidating model."""
    members = [
        models.specialist(name, client.backend, f"{provider}/{name}", body_of, timeout=timeout)
        for name in NAMES
    ]
    boss = models.consolidator(client.backend, f"{provider}/boss", draft_body)
    return Panel("panel", members, boss, rules=rules, **options)


def slow(simulator, seconds, *names):
    simulator.add_faults([{"kind": "slow", "model": name, "seconds": seconds} for name in names])


def asked(simulator):
    return [request["body"]["model"] for request in simulator.requests("*/chat/completions")]


def test_specialists_answer_in_parallel(ask, toml, first):
    """Five models of 0.4 s each and a consolidation: one after the other they would take two seconds."""
    slow(first, 0.4, *NAMES)

    async def work(c):
        begun = time.perf_counter()
        return await panel_of(c).ask(InlineDurable(), {"host": "a"}), time.perf_counter() - begun

    result, seconds = ask(toml, work)
    assert 0.4 <= seconds < 1.8
    assert (result.quality, result.included) == ("excellent", NAMES)
    assert result.content.startswith("boss answers")
    assert sorted(asked(first)) == sorted([*NAMES, "boss"])
    for part in (*result.parts, *result.consolidations):
        assert part.tokens > 0
        assert part.bytes == len(part.content.encode())
        assert part.cost_nusd == 0
        assert part.deployment == f"lab/{'boss' if part.name == 'consolidate' else part.name}"
    assert all(0.4 <= part.seconds < 1.8 for part in result.parts)


def test_one_hangs_and_one_fails(ask, toml, first):
    """The three others are consolidated while one hangs; who leaves then has the hung call ended upstream."""
    first.add_faults([{"kind": "hang", "model": "cpu"}, {"kind": "empty_answer", "model": "memory"}])
    slow(first, 0.2, "network")

    async def work(c):
        async with aclosing(panel_of(c, timeout=30.0).results(InlineDurable(), {})) as results:
            early = await anext(results)
        for _ in range(100):
            hung = [r for r in first.requests("*/chat/completions") if r["body"]["model"] == "cpu"]
            if hung[0]["hung_up"]:
                break
            await asyncio.sleep(0.02)
        return early, hung

    early, hung = ask(toml, work)
    assert (early.final, early.quality) == (False, "good")
    assert early.included == ("storage", "network", "limits")
    assert early.part_of("cpu") is None
    assert early.part_of("memory").error == "all_failed"
    assert early.seconds < 2.0
    assert [request["hung_up"] for request in hung] == [True]


def test_late_answers_are_folded_in(ask, toml, first):
    """Two late ones make one update, which has all five."""
    slow(first, 0.9, "cpu", "limits")

    async def work(c):
        async with aclosing(panel_of(c, Rules(linger=0.1)).results(InlineDurable(), {})) as results:
            return [result async for result in results]

    early, last = ask(toml, work)
    assert early.included == ("memory", "storage", "network")
    assert last.included == NAMES
    assert asked(first).count("boss") == 2


def test_a_hundred_at_once_and_once_more(ask, toml, first):
    """A hundred identical calls are six requests upstream; a repeated one is none, and takes no time."""
    slow(first, 0.2, *NAMES)

    async def work(c):
        panels = SharedPanel(in_place(panel_of(c)), SystemClock())
        question = Question({"host": "a"})
        served = await asyncio.gather(*(panels.ask(question) for _ in range(100)))
        before = len(asked(first))
        begun = time.perf_counter()
        again = await panels.ask(question)
        seconds = time.perf_counter() - begun
        await panels.close()
        return served, again, seconds, before

    served, again, seconds, before = ask(toml, work)
    assert before == len(asked(first)) == 6
    assert {one.result.content for one in served} == {again.result.content}
    assert again.cached
    assert seconds < 0.15  # one specialist alone takes longer


def test_private_panels_stay_on_this_machine(ask, toml, first, router):
    """Specialists off the machine do not see a private request: theirs is an error, those here answer. It is not their
    failure: nobody is passed by afterwards."""

    async def work(c):
        here = panel_of(c).specialists[:3]
        there = panel_of(c, provider="paid").specialists[3:]
        boss = models.consolidator(c.backend, "lab/boss", draft_body)
        panel = Panel("panel", [*here, *there], boss, rules=Rules(mode="all"))
        results = [await panel.ask(InlineDurable(), {"host": "a"}, label=Label.PRIVATE) for _ in range(4)]
        return results[-1], panel.breakers.state("network")

    result, state = ask(toml, work)
    assert state == "closed"
    assert result.included == NAMES[:3]
    assert [part.outcome for part in result.parts[3:]] == ["error", "error"]
    assert "private" in result.parts[3].message
    assert result.label is Label.PRIVATE
    assert router.requests("*/chat/completions") == []


def test_one_engine_reaches_its_quorum_early(ask, toml, first):
    """With one place the members go one after the other: `first` is over after three, and the others cost nothing."""
    slow(first, 0.15, *NAMES)

    async def work(c):
        return await panel_of(c, Rules(mode="first", linger=0.0), limit=1).ask(InlineDurable(), {})

    result = ask(toml, work)
    assert result.quality == "good"
    assert len(result.included) == 3
    assert len([part for part in result.parts if part.outcome == "cancelled"]) == 2
    assert "limits" not in asked(first)
    starts = [part.waited for part in result.parts[:3]]
    assert starts[0] < 0.1 < starts[1] < starts[2]


@pytest.mark.slow
def test_a_panel_that_is_interrupted_goes_on(ask, toml, first, tmp_path):
    """A durable run's process stops while two specialists are at work: continued, it asks these two only."""
    slow(first, 0.1, "cpu", "memory", "storage")
    first.add_faults([{"kind": "slow", "model": name, "seconds": 30.0, "times": 1} for name in NAMES[3:]])
    folder = tmp_path / "runs"
    folder.mkdir()
    database = open_database("sqlite", folder)
    ensure_schema(database)
    lock = OwnerLock(folder)
    assert lock.acquire(OwnerCard(1, "test"))

    async def life(c, runs, *, interrupt):
        observed = []
        panel = panel_of(c, Rules(mode="update", deadline=60.0), timeout=40.0, observe=observed.append)

        async def work(run, request):
            result = await panel.ask(run, request)
            return result.as_json()

        try:
            await runs.start({"panel": work})
            run_id = await runs.begin("panel", {"host": "a"}, run_id="one")
            if not interrupt:
                return await runs.result(run_id), observed
            async with asyncio.timeout(20):
                while "consolidate" not in [part.name for part in observed]:
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.3)  # until the consolidation is recorded
            return None, observed
        finally:
            await runs.close()

    async def work(c):
        settings = RunsSettings(beat=0.2, silent=30.0, signals=0.02)

        def runs():
            return Runs(database, "sqlite", folder, owner=lock, settings=settings)

        _, before = await life(c, runs(), interrupt=True)
        seen = len(asked(first))
        result, after = await life(c, runs(), interrupt=False)
        return before, after, result, asked(first)[seen:]

    before, after, result, again = ask(toml, work)
    lock.release()
    database.close()
    assert sorted(part.name for part in before) == ["consolidate", "cpu", "memory", "storage"]
    assert sorted(part.name for part in after) == ["limits", "network", "update"]
    assert sorted(again) == ["boss", "limits", "network"]
    assert (result["quality"], result["participated"]) == ("excellent", list(NAMES))
