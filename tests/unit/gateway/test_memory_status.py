"""The status of what is in memory (SPEC R11)."""

import asyncio

import pytest

from coreto.errors import UnreachableError
from coreto.gateway.memory import GIB, Memory, ask_engines, memory
from coreto.gateway.status import status
from coreto.messages import Limits
from coreto.providers.base import Health
from coreto.providers.catalog import Deployment
from coreto.providers.discovery import Found
from coreto.providers.factory import Site
from coreto.providers.ollama import full_name
from coreto.residency.hosts import Host, Terms
from coreto.residency.sizes import Wanted
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan
from coreto.routing.directory import Directory
from coreto.settings.model import Settings
from coreto.testing.clock import VirtualClock
from coreto.testing.engine import FakeEngine

BRAIN, EXECUTOR = 13 * GIB, 9 * GIB
SIZES = {"qwen-brain:latest": BRAIN, "coder:14b": EXECUTOR}
UP = Found(Health(ok=True))


def deployment(name):
    provider, _, model = name.partition("/")
    return Deployment(name, provider, model, local=provider != "cloud", account=provider, endpoint=provider)


def plan(role, *chain):
    return Plan(
        role, role, tuple(Candidate(deployment(name), FakeEngine({}, VirtualClock())) for name in chain)
    )


class House:
    """An engine with a budget, and the roles that use it."""

    def __init__(self):
        self.clock = VirtualClock()
        self.engine = FakeEngine(SIZES, self.clock)
        wanted = Wanted(SIZES, {})
        terms = Terms(16 * GIB, wanted, home="qwen-brain:latest", full_name=full_name)
        self.host = Host("ollama", self.engine, terms, clock=self.clock)
        self.site = Site(
            "ollama", "ollama", local=True, provider=self.engine, limits=Limits(), engine=self.engine
        )
        plans = {
            "brain": plan("brain", "cloud/big", "ollama/qwen-brain"),
            "executor": plan("executor", "ollama/coder:14b", "ollama/qwen-brain"),
        }
        known = {c.deployment.id: c.deployment for p in plans.values() for c in p.candidates}
        # the engine's own list names models with their tags
        known["ollama/qwen-brain:latest"] = deployment("ollama/qwen-brain:latest")
        self.directory = Directory(plans, known)
        self.book = HealthBook(self.clock, lambda _: None)

    def shown(self, seen=None):
        seen = seen or memory(None, {"ollama": self.host}, 24 * GIB)
        return status(Settings(), self.directory, self.book, {"ollama": UP}, {"ollama": self.site}, seen)

    async def use(self, model, seconds=1.0):
        """Call ``model`` once, to the end."""
        call = asyncio.create_task(self.host.turn(model))
        await self.clock.advance(60.0)
        turn = await call
        await self.clock.advance(seconds)
        turn.end()
        await self.clock.advance(0.0)


def check(scenario):
    async def run():
        house = House()
        await house.host.start()
        await scenario(house)
        await house.host.close()

    asyncio.run(run())


KEYS = ("current_model", "current_role", "vram_used_gb", "vram_total_gb", "brain_loaded", "executor_loaded")


def r11(shown):
    return tuple(shown[key] for key in KEYS)


def test_status_follows_the_turns():
    """The six keys are right before anything is loaded, with the brain in memory and with the executor."""

    async def scenario(house):
        assert r11(house.shown()) == (None, None, 0.0, 16.0, False, False)
        await house.use("qwen-brain")
        assert r11(house.shown()) == ("ollama/qwen-brain", "brain", 13.0, 16.0, True, False)
        await house.use("coder:14b")
        assert r11(house.shown()) == ("ollama/coder:14b", "executor", 9.0, 16.0, False, True)

    check(scenario)


def test_status_tells_each_hosts_models_and_queue():
    """Who is in memory, loading or waited for, with sizes; and what has happened lately."""

    async def scenario(house):
        await house.use("qwen-brain")
        turn = asyncio.create_task(house.host.turn("qwen-brain"))
        waiting = asyncio.create_task(house.host.turn("coder:14b"))
        await house.clock.advance(1.0)
        (shown,) = house.shown()["residency"]
        assert (shown["provider"], shown["queue"], shown["current_model"]) == (
            "ollama",
            1,
            "qwen-brain:latest",
        )
        assert (shown["used_gb"], shown["budget_gb"], shown["home_model"]) == (
            13.0,
            16.0,
            "qwen-brain:latest",
        )
        models = {m["model"]: m for m in shown["models"]}
        assert (models["qwen-brain:latest"]["running"], models["qwen-brain:latest"]["state"]) == (1, "ready")
        assert (models["coder:14b"]["waiting"], models["coder:14b"]["state"]) == (1, "absent")
        (await turn).end()
        await house.clock.advance(5.0)
        assert {m["model"]: m["state"] for m in house.shown()["residency"][0]["models"]} == {
            "qwen-brain:latest": "absent",
            "coder:14b": "loading",
        }
        await house.clock.advance(60.0)
        (await waiting).end()
        shown = house.shown()["residency"][0]
        assert (shown["loads"], shown["switches"], shown["queue"]) == (2, 1, 0)
        assert [entry["what"] for entry in shown["recent"]] == ["loaded", "switch", "unloaded", "loaded"]
        assert "which 1 wait for" in shown["recent"][1]["detail"]

    check(scenario)


def test_status_what_is_not_known_is_none():
    """Where no engine could be asked, nothing is claimed; the card's total stays."""
    house = House()
    shown = house.shown(memory(None, {}, 24 * GIB))
    assert r11(shown) == (None, None, None, 24.0, None, None)
    assert r11(house.shown(memory({}, {}, None))) == (None, None, 0.0, None, False, False)


def test_status_of_engines_without_a_budget_is_what_they_say():
    """Engines are asked unless their models take turns; one that fails meanwhile is left out."""

    async def work():
        house = House()
        house.engine.memory = {"coder:14b": EXECUTOR}
        house.engine.windows = {"coder:14b": None}
        sites, inventory = {"ollama": house.site}, {"ollama": UP}
        assert await ask_engines(sites, inventory, {}) == {"ollama/coder:14b": EXECUTOR}
        assert await ask_engines(sites, inventory, {"ollama": house.host}) is None
        assert await ask_engines(sites, {"ollama": Found(Health(ok=False))}, {}) is None
        house.engine.errors["resident"].append(UnreachableError("down"))
        assert await ask_engines(sites, inventory, {}) is None

    asyncio.run(work())


@pytest.mark.parametrize(
    ("loaded", "holds"),
    [
        ({"ollama/qwen-brain:latest"}, True),
        ({"ollama/qwen-brain"}, True),
        ({"ollama/other"}, False),
        (None, False),
    ],
)
def test_memory_knows_a_model_by_both_names(loaded, holds):
    """An engine lists a model with its tag, which the user need not write."""
    found = Memory(None if loaded is None else frozenset(loaded))
    assert found.holds(deployment("ollama/qwen-brain")) is holds
