"""The simulated llama.cpp router over real HTTP: lists, loads, queues, sleep, failures."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from coreto.testing.simulator import Simulator, SimulatorError, start_simulator

CHAT = "/v1/chat/completions"
MODELS = ("--model", "small=1 GB:2048", "--model", "middle=2 GB", "--model", "large=4 GB")


@contextmanager
def started(*arguments: str) -> Iterator[Simulator]:
    with start_simulator("llamacpp", "--time-scale", "0.01", *MODELS, *arguments) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def _router() -> Iterator[Simulator]:
    with started("--models-max", "2") as simulator:
        yield simulator


@pytest.fixture
def router(_router: Simulator) -> Simulator:
    """Two may run at a time; a gigabyte loads in 5 ms."""
    _router.reset()
    return _router


@pytest.fixture(scope="module")
def slow() -> Iterator[Simulator]:
    """Loads take 5 s a gigabyte: what loads is still loading when the test looks."""
    with start_simulator("llamacpp", "--time-scale", "10", *MODELS, "--models-max", "1") as simulator:
        yield simulator


def entries(call, sim: Simulator) -> dict:
    return {entry["id"]: entry for entry in call(sim.url + "/models").json["data"]}


def status(call, sim: Simulator, name: str) -> dict:
    found = entries(call, sim)[name]["status"]
    return {key: found[key] for key in ("value", "failed", "exit_code") if key in found}


def wait_for(call, sim: Simulator, name: str, value: str) -> dict:
    """The model's status when it is ``value``; every request takes longer than what is waited for."""
    for _ in range(500):
        if (seen := status(call, sim, name))["value"] == value:
            return seen
    raise AssertionError(f"{name} did not become {value}: {seen}")


def load(call, sim: Simulator, name: str) -> None:
    assert call(sim.url + "/models/load", {"model": name}).json == {"success": True}
    wait_for(call, sim, name, "loaded")


def error(got) -> tuple[int, str]:
    return got.status, got.json["error"]["message"]


class TestRoutes:
    """What each route says."""

    def test_list(self, router, call) -> None:
        """A model has aliases, the state with its process's arguments, and what a loaded one tells of itself."""
        assert set(entries(call, router)) == {"small", "middle", "large"}
        load(call, router, "small")
        listed = entries(call, router)
        assert "meta" not in listed["middle"]
        small = listed["small"]
        assert (small["meta"]["size"], small["meta"]["n_ctx_train"]) == (10**9, 2048)
        arguments = small["status"]["args"]
        assert arguments[arguments.index("--ctx-size") + 1] == "2048"
        assert call(router.url + "/v1/models").json["data"] == list(listed.values())

    def test_signed(self, router, call) -> None:
        """The server says that it is llama.cpp, by which clients know how it treats connections."""
        assert call(router.url + "/health").headers["Server"] == "llama.cpp"

    def test_props(self, router, call) -> None:
        """The router's own; a model's are those of its process, and not asked of one that does not run."""
        own = call(router.url + "/props").json
        assert (own["role"], own["max_instances"], own["models_autoload"]) == ("router", 2, True)
        asked = router.url + "/props?model=small&autoload="
        assert error(call(asked + "false")) == (400, "model is not loaded")
        assert call(asked + "true").json["total_slots"] == 4

    @pytest.mark.parametrize(
        ("path", "body", "said"),
        [
            ("/models/load", {"model": "none"}, (404, "File Not Found")),
            ("/models/unload", {"model": "none"}, (400, "model is not found")),
            ("/models/unload", {"model": "small"}, (400, "model is not running")),
            (CHAT, {"model": "none"}, (400, "model 'none' not found")),
            (CHAT, {}, (400, "model name is missing from the request")),
            (CHAT + "?autoload=false", {"model": "small"}, (400, "model is not loaded")),
            ("/nothing", {}, (404, "File Not Found")),
        ],
    )
    def test_refusals(self, router, call, path, body, said) -> None:
        """The words of the router, which are not those of OpenAI; a 404's are always the same."""
        assert error(call(router.url + path, body)) == said

    def test_bad_json(self, router, call) -> None:
        """JSON that cannot be read is the server's fault, it says."""
        assert error(call(router.url + CHAT, b"{"))[0] == 500

    def test_names_with_slashes(self, router, call) -> None:
        """Names as Hugging Face has them work in bodies and queries."""
        name = "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M"
        router.set_models(add=[{"name": name, "size": "1 GB"}])
        load(call, router, name)
        got = call(f"{router.url}/props?model={quote(name, safe='')}").json
        assert got["model_alias"] == name

    def test_key(self, call) -> None:
        """Everything but health wants the key."""
        with started("--api-key", "k") as sim:
            assert call(sim.url + "/health").status == 200
            assert call(sim.url + "/models").status == 401
            assert call(sim.url + "/models/load", {"model": "small"}).status == 401
            wrong = call(sim.url + CHAT, {"model": "small"}, headers={"Authorization": "Bearer x"})
            assert error(wrong) == (401, "Invalid API Key")
            assert call(sim.url + "/models", headers={"Authorization": "Bearer k"}).status == 200


class TestLife:
    """Models come and go."""

    def test_load_and_unload(self, router, call) -> None:
        """Both answer before they are done; twice is refused, or harmless."""
        load(call, router, "small")
        assert error(call(router.url + "/models/load", {"model": "small"})) == (
            400,
            "model is already running",
        )
        assert call(router.url + "/models/unload", {"model": "small"}).json == {"success": True}
        assert wait_for(call, router, "small", "unloaded") == {"value": "unloaded"}
        assert router.state()["memory_used"] == 0

    @pytest.mark.parametrize("stream", [False, True])
    def test_chat_loads(self, router, call, chat, stream) -> None:
        """A call loads its model, and its answer is OpenAI's."""
        got = call(router.url + CHAT, chat("small", stream))
        assert router.state()["states"]["small"] == "loaded"
        if stream:
            assert got.events[-1] == "[DONE]"
            assert got.events[0]["model"] == "small"
        else:
            assert got.json["choices"][0]["finish_reason"] == "stop"
            assert got.json["usage"]["total_tokens"] > 0

    def test_alias(self, router, call, chat) -> None:
        """A model answers to its aliases, by its own name."""
        router.set_models(add=[{"name": "long-name", "size": "1 GB", "aliases": ["short"]}])
        assert call(router.url + CHAT, chat("short")).json["model"] == "long-name"

    def test_least_recently_used_leaves(self, router, call, chat) -> None:
        """With no place left the model that was used longest ago goes."""
        for name in ("small", "middle", "small", "large"):
            assert call(router.url + CHAT, chat(name)).status == 200
        assert router.state()["states"] == {"small": "loaded", "middle": "unloaded", "large": "loaded"}
        assert router.state()["evictions"] == 1

    def test_busy_ones_stay(self, call, fetch, chat) -> None:
        """A call waits for a place while nobody is idle; a load asked for outright is refused."""
        with started("--models-max", "1", "--chunks", "20", "--chunk-delay", "0.02") as sim:

            async def both():
                busy = asyncio.create_task(fetch(sim.url + CHAT, chat("small", True)))
                while sim.state()["requests"]["small"] == 0:
                    await asyncio.sleep(0)
                waits = asyncio.create_task(fetch(sim.url + CHAT, chat("middle")))
                refused = await fetch(sim.url + "/models/load", {"model": "large"})
                return await busy, await waits, refused

            busy, waited, refused = asyncio.run(both())
            assert busy.events[-1] == "[DONE]"
            assert waited.status == 200
            assert error(refused) == (500, "model limit reached, try again later")
            assert sim.state()["states"]["middle"] == "loaded"

    def test_who_gives_up_leaves_nothing(self, slow, call, chat) -> None:
        """A call that hangs up while it waits for a place takes nobody's."""
        slow.reset()
        call(slow.url + "/models/load", {"model": "small"})
        assert call(slow.url + CHAT, chat("middle"), timeout=0.2).error == "TimeoutError"
        assert slow.state()["states"] == {"small": "loading", "middle": "unloaded", "large": "unloaded"}
        assert slow.state()["requests"] == {"small": 0, "middle": 0, "large": 0}

    def test_unload_kills_what_loads(self, slow, call) -> None:
        """A model told to go while it loads counts as failed."""
        slow.reset()
        call(slow.url + "/models/load", {"model": "small"})
        assert status(call, slow, "small") == {"value": "loading"}
        call(slow.url + "/models/unload", {"model": "small"})
        assert wait_for(call, slow, "small", "unloaded") == {
            "value": "unloaded",
            "failed": True,
            "exit_code": 1,
        }

    def test_a_loading_model_refuses_calls_that_may_not_load(self, slow, call, chat) -> None:
        """Its process listens already, and says so."""
        slow.reset()
        call(slow.url + "/models/load", {"model": "small"})
        assert error(call(slow.url + CHAT + "?autoload=false", chat("small"))) == (503, "Loading model")

    @pytest.mark.parametrize("stream", [False, True])
    def test_unload_cuts_calls(self, call, fetch, chat, stream) -> None:
        """A call whose model is told to go hears no more of it, and in the end the router's own words."""
        with started("--latency", "30") as sim:

            async def both():
                cut = asyncio.create_task(fetch(sim.url + CHAT, chat("small", stream)))
                while sim.state()["requests"]["small"] == 0:
                    await asyncio.sleep(0)
                await fetch(sim.url + "/models/unload", {"model": "small"})
                return await cut

            got = asyncio.run(both())
            assert got.error == ""
            assert got.body.endswith(b"proxy error: Failed to read connection")
            assert got.status == (200 if stream else 500)
            assert b"[DONE]" not in got.body
            assert status(call, sim, "small") == {"value": "unloaded", "failed": True, "exit_code": 1}

    def test_sleep(self, router, call, chat) -> None:
        """One that sleeps has given its memory back, is still listed with its figures, and wakes for any request."""
        load(call, router, "small")
        router.put_to_sleep("small")
        assert router.state()["memory_used"] == 0
        assert status(call, router, "small") == {"value": "sleeping"}
        assert call(router.url + "/props?model=small").json["is_sleeping"] is True
        assert error(call(router.url + "/models/load", {"model": "small"}))[0] == 400
        assert call(router.url + "/tokenize", {"model": "small", "content": "hello"}).status == 200
        assert status(call, router, "small") == {"value": "loaded"}
        with pytest.raises(SimulatorError):
            router.put_to_sleep("large")

    def test_restart(self, router, call) -> None:
        """After a restart nothing runs."""
        load(call, router, "small")
        router.restart_engine()
        assert status(call, router, "small") == {"value": "unloaded"}


class TestFailures:
    """What goes wrong."""

    def test_load_fails_on_demand(self, router, call, chat) -> None:
        """The load asked for ends unloaded with its exit code, the call with an error; then all is well again."""
        router.fail_loads("small", times=2, exit_code=3)
        call(router.url + "/models/load", {"model": "small"})
        ended = {"value": "unloaded", "failed": True, "exit_code": 3}
        assert wait_for(call, router, "small", "unloaded") == ended
        assert error(call(router.url + CHAT, chat("small"))) == (500, "model name=small failed to load")
        assert call(router.url + CHAT, chat("small")).status == 200
        assert router.state()["failures"] == 2

    def test_waking_fails(self, router, call, chat) -> None:
        """A process that cannot load its model again dies under the request that woke it."""
        load(call, router, "small")
        router.put_to_sleep("small")
        router.fail_loads("small")
        got = call(router.url + CHAT, chat("small"))
        assert (got.status, got.body) == (500, b"proxy error: Failed to read connection")
        assert status(call, router, "small") == {"value": "unloaded", "failed": True, "exit_code": 1}
        assert call(router.url + CHAT, chat("small")).status == 200

    def test_nobody_looks_at_the_memory(self, call, chat) -> None:
        """What does not fit fails when it is loaded, and does as soon as others have left."""
        with started("--memory", "5 GB") as sim:
            load(call, sim, "middle")
            assert error(call(sim.url + CHAT, chat("large"))) == (500, "model name=large failed to load")
            call(sim.url + "/models/unload", {"model": "middle"})
            wait_for(call, sim, "middle", "unloaded")
            assert call(sim.url + CHAT, chat("large")).status == 200

    def test_autoload_off(self, call, chat) -> None:
        """Then calls load nothing, unless they ask for it."""
        with started("--no-models-autoload") as sim:
            assert error(call(sim.url + CHAT, chat("small"))) == (400, "model is not loaded")
            assert call(sim.url + CHAT + "?autoload=true", chat("small")).status == 200

    def test_faults(self, router, call, chat) -> None:
        """The common faults strike calls, and other routes when named."""
        router.add_faults([{"kind": "status", "error": "llamacpp.model_limit", "times": 1}])
        router.add_faults([{"kind": "html", "path": "/models", "times": 1}])
        assert error(call(router.url + CHAT, chat("small")))[0] == 500
        assert call(router.url + CHAT, chat("small")).status == 200
        assert call(router.url + "/models").body.startswith(b"<!DOCTYPE")

    def test_embeddings(self, router, call) -> None:
        """Models made for it embed, others do not."""
        router.set_models(add=[{"name": "nomic-embed", "size": "1 GB"}])
        got = call(router.url + "/v1/embeddings", {"model": "nomic-embed", "input": "hi"})
        assert len(got.json["data"][0]["embedding"]) > 0
        assert call(router.url + "/v1/embeddings", {"model": "small", "input": "hi"}).status == 501


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "small"], "'small' is not NAME=SIZE"),
        (["--model", "small=1 GB:many"], "the context must be a number"),
        (["--memory", "lots"], "'lots' is not a size"),
    ],
)
def test_bad_arguments(arguments, said) -> None:
    """Bad arguments end with 2 and a line that says why."""
    command = [sys.executable, "-m", "coreto.simulators", "llamacpp", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert said in done.stderr
