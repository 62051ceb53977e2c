"""What is left of an allowance, asked of the simulated accounts over HTTP; the pages for it may fail in any way."""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from coreto.providers.http import Endpoint
from coreto.providers.ollama import OllamaCloud
from coreto.providers.openrouter import OpenRouter
from coreto.testing.simulator import Simulator, start_simulator

USAGE, KEY = "/api/usage", "/api/v1/key"


@pytest.fixture(scope="module")
def simulators() -> Iterator[dict[str, Simulator]]:
    with ExitStack() as stack:
        yield {
            "cloud": stack.enter_context(
                start_simulator("ollama", "--time-scale", "0", "--cloud", "--api-key", "k")
            ),
            "openrouter": stack.enter_context(
                start_simulator("openai", "--flavour", "openrouter", "--credit", "20", "--api-key", "k")
            ),
        }


@pytest.fixture
def cloud(simulators):
    simulators["cloud"].reset()
    return simulators["cloud"]


@pytest.fixture
def openrouter(simulators):
    simulators["openrouter"].reset()
    return simulators["openrouter"]


def health_of(provider):
    async def ask():
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(provider.close)
            return await provider.health()

    return asyncio.run(ask())


def cloud_health(sim, key="k"):
    return health_of(OllamaCloud(Endpoint("ollama-cloud", sim.url, local=False, api_key=key)))


def router_health(sim, key="k"):
    return health_of(OpenRouter(Endpoint("openrouter", f"{sim.url}/api/v1", local=False, api_key=key)))


@pytest.mark.parametrize(
    ("shares", "left"),
    [
        ({"session": 0.9, "weekly": 0.25}, 0.1),
        ({"session": 0.1, "weekly": 0.75}, 0.25),
        ({"session": None, "weekly": None, "monthly": 0.5}, 0.5),
        ({"session": None, "weekly": None}, None),
    ],
)
def test_headroom_of_ollama_cloud(cloud, shares, left):
    """The scarcest of the account's limits is what is left; without limits it is not known."""
    cloud.set_usage(**shares)
    health = cloud_health(cloud)
    assert health.ok
    assert health.headroom == (left if left is None else pytest.approx(left))


@pytest.mark.parametrize("window", ["session", "weekly", "monthly"])
def test_headroom_nothing_left(cloud, window):
    """A limit that is used up leaves nothing, and the account is not well."""
    cloud.set_usage(**{window: 1.0})
    health = cloud_health(cloud)
    assert (health.ok, health.code, health.headroom) == (False, "quota", 0.0)


@pytest.mark.parametrize(("used", "left"), [(0.0, 1.0), (0.85, 0.15), (1.0, 0.0), (1.5, 0.0), (None, None)])
def test_headroom_of_openrouter(openrouter, used, left):
    """The key's limit is what is left; a key without a limit says nothing. The server is well all the same."""
    openrouter.set_usage(credit=used)
    health = router_health(openrouter)
    assert health.ok
    assert health.headroom == (left if left is None else pytest.approx(left))


FAULTS = [
    {"kind": "status", "status": 404},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 429},
    {"kind": "html"},
    {"kind": "empty_body"},
    {"kind": "malformed_json"},
    {"kind": "refuse"},
    {"kind": "cut"},
]


@pytest.mark.parametrize(
    "fault", FAULTS, ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}".strip()
)
def test_headroom_page_may_fail(cloud, openrouter, fault):
    """However the page fails, the server is well and what is left is not known."""
    cloud.add_faults({**fault, "path": USAGE})
    openrouter.add_faults({**fault, "path": KEY})
    for health in (cloud_health(cloud), router_health(openrouter)):
        assert health.ok
        assert health.detail
        assert health.headroom is None


def test_headroom_of_a_wrong_key(cloud, openrouter):
    """A wrong key is told by Ollama Cloud; of OpenRouter, whose models anyone may list, nothing is known."""
    assert cloud_health(cloud, "other").code == "auth"
    health = router_health(openrouter, "other")
    assert (health.ok, health.headroom) == (True, None)


def test_headroom_where_it_stands_on_the_wire(cloud, openrouter):
    """The simulators answer as the services are known to: shares by window, and a key's limit in dollars."""
    cloud.set_usage(session=0.046, weekly=None)
    body = get(f"{cloud.url}{USAGE}")
    assert body["limits"] == {"session": {"usage": 0.046, "models": []}}
    assert set(body["activity"]) == {"cost", "period", "models"}
    openrouter.set_usage(credit=0.25)
    data = get(f"{openrouter.url}{KEY}")["data"]
    assert (data["limit"], data["limit_remaining"], data["usage"]) == (20.0, 15.0, 5.0)
    assert {"limit_reset", "usage_daily", "usage_weekly", "usage_monthly", "is_free_tier"} <= set(data)
    openrouter.reset()
    assert get(f"{openrouter.url}{KEY}")["data"]["limit_remaining"] == 20.0


@pytest.mark.parametrize("body", [b"[]", b'{"credit": "x"}', b'{"credit": true}', b"{}"])
def test_headroom_control_refuses_nonsense(openrouter, body):
    """A share that is no number gets a 400 that says what to give."""
    request = urllib.request.Request(f"{openrouter.url}/_sim/usage", body, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request):
        pass
    assert refused.value.code == 400
    assert b"used share" in refused.value.read()
    refused.value.close()


def get(url):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer k"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)
