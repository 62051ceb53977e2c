"""`POST /api/plans`: what a crew says that it will ask for, and what the server's memory makes of it."""

import asyncio
import json
import time

import pytest

from coreto.errors import CoretoError
from coreto.gateway.remote import RemoteGateway
from coreto.hybrid import create_hybrid_commander, get_hybrid_model_manager
from coreto.owner import find_owner
from coreto.testing.simulator import start_simulator
from coreto.tools.sandbox import probe

BRAIN, CODER = "brain:7b", "coder:3b"
PLANNED = "Planeje uma tarefa complexa e depois execute o código necessário"


@pytest.fixture(scope="module")
def cards():
    """A simulated Ollama for the module; its models do not fit together."""
    models = ("--model", f"{BRAIN}=3GB:32768", "--model", f"{CODER}=2GB:32768", "--stub", "none")
    with start_simulator("ollama", *models, "--time-scale", "0") as simulator:
        yield simulator


@pytest.fixture
def card(cards):
    """The same, as at its start."""
    cards.reset()
    return cards


def toml(card) -> str:
    return f"""
[providers.ollama]
host = "{card.url}"
memory_budget = "4 GB"
[roles.brain]
chain = ["ollama/{BRAIN}"]
[roles.executor]
chain = ["ollama/{CODER}"]
"""


@pytest.fixture
def home(support, card, tmp_path):
    """A server whose models take turns."""
    with support.start_server(support.write_config(tmp_path / "home", toml(card))) as server:
        yield server


def announce(server, *steps, plan="p1", headers=None):
    """Announce (name, calls) pairs."""
    body = {"plan": plan, "steps": [{"model": name, "calls": calls} for name, calls in steps]}
    return server.call("POST", "/api/plans", body, headers)


def host(server):
    (shown,) = server.get("/api/status").json["residency"]
    return shown


def loaded(server) -> list[str]:
    return [m["model"] for m in host(server)["models"] if m["state"] == "ready"]


def until(condition, within=10.0):
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def chats(card) -> list[str]:
    """The models that were asked something; to load and to unload is not asking."""
    return [r["body"]["model"] for r in card.requests("/api/chat") if r["body"].get("messages")]


def test_plans_load_ahead(home, card) -> None:
    """What a plan begins with is brought into memory before anybody asks for it; what nobody knows is passed over."""
    got = announce(home, ("executor", 2), ("nobody-knows-this", 1), ("brain", 1))
    assert (got.status, got.json) == (200, {"announced": 3})
    until(lambda: loaded(home) == [CODER])
    assert chats(card) == []


def test_plans_switch_between_their_parts(home, card) -> None:
    """When the last call of a part is over the next part's model comes, once, by the plan and not by a request."""
    announce(home, ("brain", 1), ("executor", 2))
    run = {"x-coreto-run": "p1"}
    home.chat("brain", headers=run)
    until(lambda: loaded(home) == [CODER])
    assert chats(card) == [BRAIN]
    for _ in range(2):
        assert home.chat("executor", headers=run).status == 200
    shown = host(home)
    assert (shown["switches"], shown["loads"]) == (1, 2)
    assert f"for '{CODER}', which a plan calls next" in [h["detail"] for h in shown["recent"]]


def test_plans_that_are_over_hold_nothing(home, card) -> None:
    """No steps: it is over, and others get their models at once."""
    announce(home, ("executor", 50))
    until(lambda: loaded(home) == [CODER])
    assert announce(home).json == {"announced": 0}
    assert home.chat("brain").status == 200
    assert loaded(home) == [BRAIN]


def test_plans_that_never_come_to_pass(home) -> None:
    """Announced and forgotten: calls of others wait for the plan's models no longer than a while, then are served."""
    announce(home, ("executor", 5), plan="lost")
    until(lambda: loaded(home) == [CODER])
    assert home.chat("brain").status == 200


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "plan"),
        ({"plan": ""}, "plan"),
        ({"plan": "p" * 201}, "plan"),
        ({"plan": "p", "steps": [{"model": "brain", "calls": 0}]}, "steps.0.calls"),
        ({"plan": "p", "steps": [{"model": "brain", "calls": 1001}]}, "steps.0.calls"),
        ({"plan": "p", "steps": [{"calls": 1}]}, "steps.0.model"),
        ({"plan": "p", "steps": [{"model": "brain"}] * 101}, "steps"),
        ({"plan": "p", "stages": []}, "stages"),
        (["p"], None),
        (b"{", None),
    ],
)
def test_plans_that_are_refused(server, body, named) -> None:
    """What is not a plan is a 400 that names the field."""
    got = server.call("POST", "/api/plans", body)
    assert (got.status, got.error["param"]) == (400, named)
    assert named is None or named in got.error["message"]


def test_plans_need_a_key_and_no_turns(server, keyed) -> None:
    """With keys the announcement needs one; where no models take turns it changes nothing."""
    assert announce(keyed, ("chat", 1)).status == 401
    assert announce(keyed, ("chat", 1), headers={"Authorization": "Bearer one-key"}).status == 200
    assert announce(server, ("chat", 1)).json == {"announced": 1}


def test_plans_of_another_process(home, card) -> None:
    """The owner's gateway takes announcements of this user's other processes, and says why it does not."""

    async def main() -> None:
        owner = find_owner(home.folder / "data")
        assert owner is not None
        remote = RemoteGateway(owner)
        try:
            await remote.announce("p1", [("executor", 1)])
            await asyncio.to_thread(until, lambda: loaded(home) == [CODER])
            with pytest.raises(CoretoError, match=r"steps.0.calls"):
                await remote.announce("p1", [("executor", 0)])
        finally:
            await remote.close()

    asyncio.run(main())


def test_plans_of_a_commander_beside_the_server(home, card) -> None:
    """A commander of the same settings works by the server: its memory switches once, its status is the server's."""
    if not asyncio.run(probe()):
        pytest.skip("no sandbox holds on this machine: nothing would be run")
    steps = [{"kind": "execution", "text": text} for text in ("Um", "Dois", "Três")]
    card.script({"model": BRAIN, "content": json.dumps({"title": "Plano", "steps": steps}), "times": None})
    for number in (1, 2, 3):
        card.script({"model": CODER, "content": f"```python\nprint({number} * 11)\n```"})
    options = {"config": home.folder / "coreto.toml", "environ": {"HOME": str(home.folder)}}

    async def main():
        async with create_hybrid_commander(**options) as commander:
            reply = await commander.process_message(PLANNED, user="ana", private=True)
            return reply.result, commander.get_status()

    result, status = asyncio.run(main())
    assert [step.output for step in result.plan] == ["11\n", "22\n", "33\n"]
    assert (result.ok, str(result.label)) == (True, "private")
    assert chats(card) == [BRAIN, CODER, CODER, CODER]
    assert (host(home)["switches"], host(home)["loads"]) == (1, 2)
    assert (
        status["residency"] == [host(home)] == get_hybrid_model_manager(**options).get_status()["residency"]
    )
    assert (status["current_model"], status["current_role"]) == (f"ollama/{CODER}", "executor")
    assert (status["brain_loaded"], status["executor_loaded"]) == (False, True)
    by_name = {d["id"]: d for d in status["deployments"]}
    assert by_name[f"ollama/{CODER}"]["calls"] == 3, "the calls were not the server's"
