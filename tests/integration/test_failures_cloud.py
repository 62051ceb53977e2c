"""Ollama Cloud without allowance, retired models, offline, privacy: who is asked, and who is never asked."""

import datetime as dt
from typing import Any

import pytest

from coreto.errors import CoretoError, ExhaustedError


def hybrid(cloud: str, local: str, more: str = "", top: str = "") -> str:
    return f"""
{top}
[providers.ollama-cloud]
host = "{cloud}"
api_key = "cloud-key"
[providers.ollama]
host = "{local}"
[roles.plan]
chain = ["ollama-cloud/gpt-oss:120b", "ollama-cloud/gpt-oss:20b", "ollama/mistral:7b"]
{more}
"""


def outcomes(trace: Any) -> list[tuple[str, str]]:
    return [(attempt.deployment, attempt.outcome) for attempt in trace.attempts]


def asked(simulator: Any) -> list[str]:
    """The models that a simulator was asked to generate with."""
    return [entry["body"]["model"] for entry in simulator.requests("/api/chat")]


BIG, SMALL, LOCAL = "ollama-cloud/gpt-oss:120b", "ollama-cloud/gpt-oss:20b", "ollama/mistral:7b"


@pytest.mark.parametrize("window", ["session", "weekly", "monthly"])
def test_failures_cloud_quota_is_the_accounts(window, ask, cloud, ollama):
    """Out of allowance, no other model of that account is asked, now or later; status says until when."""
    cloud.set_usage(**{window: 1.0})

    async def work(c):
        answers = [await c.chat(f"hi {i}", role="plan") for i in range(2)]
        return answers, await c.status(), c.backend.clock.time()

    (now, later), state, time = ask(hybrid(cloud.url, ollama.url), work)
    assert outcomes(now.trace) == [(BIG, "quota"), (SMALL, "skipped"), (LOCAL, "ok")]
    assert outcomes(later.trace) == [(BIG, "skipped"), (SMALL, "skipped"), (LOCAL, "ok")]
    assert asked(cloud) == ["gpt-oss:120b"]
    (cooling,) = state["cooling"]
    assert (cooling["key"], cooling["code"]) == ("account:ollama-cloud", "quota")
    until = cooling["until"]
    match window:
        case "session":
            assert until % 18_000 == 0
            assert time < until <= time + 18_000
        case "weekly":
            moment = dt.datetime.fromtimestamp(until, dt.UTC)
            assert (moment.weekday(), moment.hour, moment.minute, moment.second) == (0, 0, 0, 0)
            assert time < until <= time + 7 * 86_400
        case _:
            assert time < until <= time + 900
    assert now.trace.attempts[0].until in (until, None)
    blocked = {entry["id"]: entry["blocked"] for entry in state["deployments"]}
    assert blocked[BIG]["until"] == blocked[SMALL]["until"] == until
    assert blocked[LOCAL] is None
    assert state["cloud_available"] is False
    assert state["local_available"] is True


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("ollama.extra_usage_402", "billing"),
        ("ollama.subscription_403", "entitlement"),
        ("ollama.retired_404", "model_missing"),
        ("ollama.overloaded_503", "overloaded"),
        ("ollama.too_many_requests_429", "rate"),
        ("ollama.internal_500", "server_error"),
    ],
)
def test_failures_cloud_model_scope(error, outcome, ask, cloud, ollama):
    """When one model is the cause, the account's next model is asked."""
    cloud.add_faults({"kind": "status", "error": error, "model": "gpt-oss:120b"})

    async def work(c):
        return await c.chat("hi", role="plan"), set(c.backend.health.cooling())

    answer, cooling = ask(hybrid(cloud.url, ollama.url), work)
    assert outcomes(answer.trace) == [(BIG, outcome), (SMALL, "ok")]
    assert asked(cloud) == ["gpt-oss:120b", "gpt-oss:20b"]
    assert asked(ollama) == []
    assert cooling <= {f"model:{BIG}"}


def test_failures_cloud_wrong_key(ask, cloud, ollama):
    """A wrong key is the account's: one request, no other model tried, and the key is in no message."""
    toml = hybrid(cloud.url, ollama.url).replace("cloud-key", "wrong-key-1234567890")

    async def work(c):
        return await c.chat("hi", role="plan"), await c.status()

    answer, state = ask(toml, work)
    assert outcomes(answer.trace) == [(BIG, "auth"), (SMALL, "skipped"), (LOCAL, "ok")]
    assert asked(cloud) == ["gpt-oss:120b"]
    assert "wrong-key" not in str(state) + str(answer.trace.as_json())


def test_failures_cloud_by_the_daemon(ask, ollama):
    """Without a key the signed-in daemon passes the call on, and its account's end is understood too."""
    ollama.set_usage(session=1.0)
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[roles.plan]
chain = ["ollama-cloud/gpt-oss:120b", "ollama/qwen3.5:397b-cloud", "ollama/mistral:7b"]
"""

    async def work(c):
        limited = await c.chat("hi", role="plan")
        return limited, c.backend.health.cooling()

    limited, cooling = ask(toml, work)
    assert outcomes(limited.trace) == [
        ("ollama-cloud/gpt-oss:120b", "quota"),
        ("ollama/qwen3.5:397b-cloud", "skipped"),
        (LOCAL, "ok"),
    ]
    assert asked(ollama) == ["gpt-oss:120b-cloud", "mistral:7b"]
    assert set(cooling) == {"account:ollama-cloud"}


def test_failures_cloud_disabled_or_unreachable_behind_the_daemon(ask, ollama):
    """A daemon whose cloud is switched off is asked once for all its cloud models."""
    ollama.add_faults({"kind": "status", "error": "ollama.cloud_disabled_403", "model": "*cloud"})
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[roles.plan]
chain = ["ollama-cloud/gpt-oss:120b", "ollama-cloud/gpt-oss:20b", "ollama/mistral:7b"]
"""

    async def work(c):
        return await c.chat("hi", role="plan")

    assert outcomes(ask(toml, work).trace) == [(BIG, "entitlement"), (SMALL, "skipped"), (LOCAL, "ok")]


def test_failures_cloud_unreachable_leaks_no_url(ask, ollama):
    """The daemon's 502 carries a signed URL; the trace does not."""
    ollama.add_faults({"kind": "status", "error": "ollama.cloud_unreachable_502", "model": "*cloud"})
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[roles.plan]
chain = ["ollama-cloud/gpt-oss:120b", "ollama/mistral:7b"]
"""

    async def work(c):
        return await c.chat("hi", role="plan")

    trace = ask(toml, work).trace
    assert outcomes(trace) == [(BIG, "unreachable"), (LOCAL, "ok")]
    assert "ts=" not in trace.attempts[0].detail
    assert "443" not in trace.attempts[0].detail


def test_failures_cloud_retired_at_wiring(ask, cloud, ollama):
    """Retired names are replaced before anything is asked, with a warning for each."""
    more = '[roles.old]\nchain = ["ollama-cloud/qwen3-coder:480b", "ollama-cloud/deepseek-v3.1:671b"]\n'

    async def work(c):
        return await c.chat("hi", role="old"), await c.status()

    answer, state = ask(hybrid(cloud.url, ollama.url, more), work)
    assert outcomes(answer.trace) == [("ollama-cloud/qwen3.5:397b", "ok")]
    assert asked(cloud) == ["qwen3.5:397b"]
    assert any("qwen3-coder:480b" in line and "qwen3.5:397b" in line for line in state["warnings"])
    assert any("deepseek-v4-flash" in line for line in state["warnings"])


def test_failures_cloud_retired_by_its_own_name(ask, cloud, ollama):
    """A retired model asked for by its own name is answered by its successor, and the trace says so."""

    async def work(c):
        return await c.chat("hi", model="ollama-cloud/qwen3-coder:480b")

    answer = ask(hybrid(cloud.url, ollama.url), work)
    assert answer.deployment == "ollama-cloud/qwen3.5:397b"
    assert "takes its place" in str(answer.trace.warnings)


def test_failures_cloud_declared_successor(ask, cloud, ollama):
    """A model that disappears in the middle of a run is replaced by its declared successor, call after call."""
    more = """
[models."ollama-cloud/gpt-oss:120b"]
successor = "glm-4.7"
[roles.solo]
chain = ["ollama-cloud/gpt-oss:120b"]
"""

    async def work(c):
        before = await c.chat("hi", role="solo")
        cloud.add_faults({"kind": "status", "error": "ollama.retired_404", "model": "gpt-oss:120b"})
        after = [await c.chat(f"hi {i}", role="solo") for i in range(3)]
        return before, after

    before, after = ask(hybrid(cloud.url, ollama.url, more), work)
    assert before.deployment == BIG
    assert outcomes(after[0].trace) == [(BIG, "model_missing"), ("ollama-cloud/glm-4.7", "ok")]
    assert [outcomes(answer.trace) for answer in after[1:]] == [
        [(BIG, "skipped"), ("ollama-cloud/glm-4.7", "ok")]
    ] * 2
    assert all("glm-4.7" in answer.trace.warnings[0] for answer in after)


def test_failures_successors_that_name_each_other(ask, cloud, ollama):
    """Two dead models that name each other as successors end in an error, not in a circle."""
    more = """
[models."ollama-cloud/one:1b"]
successor = "two:1b"
[models."ollama-cloud/two:1b"]
successor = "one:1b"
[roles.circle]
chain = ["ollama-cloud/one:1b"]
"""

    async def work(c):
        for _ in range(2):
            with pytest.raises(ExhaustedError):
                await c.chat("hi", role="circle")

    ask(hybrid(cloud.url, ollama.url, more), work)
    assert asked(cloud) == ["one:1b", "two:1b"]


def test_failures_offline_never_contacts_the_cloud(ask, cloud, ollama, router):
    """Offline, no cloud server sees a single request: not for roles, not by name, not by a stub."""
    more = f"""
[providers.router]
kind = "openrouter"
base_url = "{router.url}/api/v1"
api_key = "router-key"
[roles.far]
chain = ["router/openai/gpt-4o-mini"]
"""

    async def work(c):
        answer = await c.chat("hi", role="plan")
        for name in (BIG, "router/openai/gpt-4o-mini", "far", "ollama/gpt-oss:120b-cloud"):
            with pytest.raises(CoretoError, match="offline"):
                await c.chat("hi", model=name)
        with pytest.raises(CoretoError, match="offline"):
            await c.embed("hi", model="router/openai/gpt-4o-mini")
        await c.backend.refresh(everything=True)
        return answer, await c.status()

    answer, state = ask(hybrid(cloud.url, ollama.url, more, "offline = true"), work)
    assert answer.deployment == LOCAL
    assert cloud.requests() == []
    assert router.requests() == []
    assert asked(ollama) == ["mistral:7b"]
    assert state["offline"] is True
    assert state["cloud_available"] is False


def test_failures_offline_by_environment(ask, cloud, ollama, monkeypatch):
    """``CORETO_OFFLINE`` is the same switch."""
    monkeypatch.setenv("CORETO_OFFLINE", "true")

    async def work(c):
        return await c.chat("hi", role="plan")

    assert ask(hybrid(cloud.url, ollama.url), work).deployment == LOCAL
    assert cloud.requests() == []


def test_failures_private_stays_here(ask, cloud, ollama):
    """A private call goes to local models only; with none left it fails rather than leave the machine."""

    async def work(c):
        answer = await c.chat("my secret", role="plan", private=True)
        ollama.add_faults({"kind": "status", "status": 500})
        with pytest.raises(ExhaustedError) as caught:
            await c.chat("my secret", role="plan", private=True)
        with pytest.raises(CoretoError, match="stays on this machine"):
            await c.chat("my secret", model=BIG, private=True)
        with pytest.raises(CoretoError, match="stays on this machine"):
            await c.chat("my secret", model="ollama/gpt-oss:120b-cloud", private=True)
        return answer, caught.value

    answer, error = ask(hybrid(cloud.url, ollama.url), work)
    assert answer.deployment == LOCAL
    assert str(answer.trace.label) == "private"
    assert [name for name, _ in answer.trace.dropped] == [BIG, SMALL]
    assert "stays on this machine" in error.message
    assert asked(cloud) == []
    assert not any("cloud" in model for model in asked(ollama))


def test_failures_private_and_a_stub_without_a_telling_name(ask, ollama):
    """A local name behind which the daemon hides a cloud model is no place for private data."""
    ollama.set_models(add=[{"name": "mine:latest", "size": 384, "remote": "gpt-oss:120b"}])

    async def work(c):
        for name in ("ollama/mine", "ollama/mine:latest"):
            with pytest.raises(CoretoError, match=r"stays (on this machine|here)"):
                await c.chat("my secret", model=name, private=True)

    ask(f'[providers.ollama]\nhost = "{ollama.url}"\n', work)
    assert asked(ollama) == []


def test_failures_private_successor_stays_here(ask, ollama):
    """The successor of a local model may not be a cloud model behind the same daemon."""
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[models."ollama/gone:7b"]
successor = "gpt-oss:120b-cloud"
[roles.near]
chain = ["ollama/gone:7b"]
local_only = true
"""

    async def work(c):
        with pytest.raises(ExhaustedError):
            await c.chat("hi", role="near")
        with pytest.raises(ExhaustedError):
            await c.chat("hi", role="near", private=True)

    ask(toml, work)
    assert asked(ollama) == ["gone:7b"]


def test_failures_local_only_role(ask, cloud, ollama):
    """A ``local_only`` role never uses the cloud, and says why."""
    more = '[roles.home]\nchain = ["ollama-cloud/gpt-oss:120b", "ollama/mistral:7b"]\nlocal_only = true\n'

    async def work(c):
        return await c.chat("hi", role="home"), await c.status()

    answer, state = ask(hybrid(cloud.url, ollama.url, more), work)
    assert answer.deployment == LOCAL
    assert cloud.requests() == []
    assert state["roles"]["home"]["dropped"] == [{"deployment": BIG, "reason": "the role is local_only"}]


def test_failures_role_settings_reach_the_wire(ask, cloud, ollama):
    """Temperature and length are the role's where the caller gives none; the window is always the role's."""
    more = """
[roles.cool]
chain = ["ollama/mistral:7b"]
temperature = 0.25
max_tokens = 33
context = 2048
[roles.far]
chain = ["ollama-cloud/gpt-oss:20b"]
context = 2048
"""

    async def work(c):
        await c.chat("hi", role="cool")
        await c.chat("hi", role="cool", temperature=1.5, max_tokens=7, options={"num_ctx": 99, "top_k": 3})
        await c.chat("hi", role="cool", max_completion_tokens=8)
        await c.chat("hi", role="far")

    ask(hybrid(cloud.url, ollama.url, more), work)
    sent = [entry["body"]["options"] for entry in ollama.requests("/api/chat")]
    assert sent == [
        {"temperature": 0.25, "num_predict": 33, "num_ctx": 2048},
        {"temperature": 1.5, "num_predict": 7, "num_ctx": 2048, "top_k": 3},
        {"temperature": 0.25, "num_predict": 8, "num_ctx": 2048},
    ]
    assert "options" not in cloud.requests("/api/chat")[0]["body"]


def test_failures_same_window_never_reloads(ask, ollama):
    """Calls of one role with differing options load the model once."""
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[roles.cool]
chain = ["ollama/mistral:7b"]
context = 2048
"""

    async def work(c):
        for number in range(4):
            await c.chat(
                f"hi {number}", role="cool", temperature=number / 4, options={"num_ctx": 100 + number}
            )

    ask(toml, work)
    assert ollama.state()["loads"] == 1
