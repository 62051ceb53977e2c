"""llama.cpp's router as a local engine, against its simulator."""

import asyncio
import json
import os
import struct
from collections.abc import Iterator

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import (
    AuthError,
    CallError,
    ContextError,
    MissingModelError,
    OutOfMemoryError,
    OverloadedError,
    RejectedError,
    Scope,
    ServerFaultError,
    TimedOutError,
    UnsupportedError,
)
from coreto.messages import Accumulator, Call, EmbedCall, Whole, text_of
from coreto.providers.http import Endpoint
from coreto.providers.llamacpp import LlamaCppRouter, classify
from coreto.providers.llamacpp_models import AUTO_SLOTS, Listed, find, read_list
from coreto.testing.clock import VirtualClock
from coreto.testing.simulator import Simulator, start_simulator

#: Real seconds a gigabyte that loads in the simulator, when a test wants to find it loading.
SLOW = ("--time-scale", "10")
MODELS = ("--model", "small=1 GB:2048", "--model", "middle=2 GB", "--model", "large=4 GB")

#: As b10434 lists one that has failed, and one that runs (without what is not read).
REAL = {
    "data": [
        {
            "id": "broken",
            "aliases": [],
            "status": {
                "value": "unloaded",
                "args": [
                    "/bin/llama-server",
                    "--port",
                    "0",
                    "--ctx-size",
                    "512",
                    "--model",
                    "/m/broken.gguf",
                ],
                "preset": "[broken]\nctx-size = 512\nmodel = /m/broken.gguf\n\n",
                "exit_code": 1,
                "failed": True,
            },
            "source": "models_dir",
        },
        {
            "id": "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M",
            "aliases": ["gemma"],
            "status": {"value": "loaded", "args": ["/bin/llama-server", "--mmproj", "/m/mmproj.gguf"]},
            "meta": {"n_ctx": 4096, "n_ctx_train": 131072, "n_params": 4, "size": 2489893888},
        },
    ],
    "object": "list",
}


class TestListing:
    """What is read of the router's list."""

    def test_as_it_is(self) -> None:
        """States, exit codes, windows and files come from where the router puts them."""
        broken, gemma = read_list(REAL)
        assert (broken.state, broken.exit_code, broken.context) == ("unloaded", 1, 512)
        assert broken.files == ("/m/broken.gguf",)
        assert (gemma.state, gemma.exit_code, gemma.context) == ("loaded", None, 4096)
        assert (gemma.weights, gemma.slots) == (2489893888, AUTO_SLOTS)
        assert gemma.files == ()  # a projector alone says nothing

    @pytest.mark.parametrize(
        ("arguments", "window", "total", "context", "slots"),
        [
            ((), None, None, None, 4),
            ((), 4096, 4096, 4096, 4),  # all share it
            (("--ctx-size", "8192"), None, 8192, 8192, 4),
            (("--ctx-size", "8192", "--parallel", "2"), None, 8192, 4096, 2),  # each has its part
            (("--parallel", "2"), 4096, 8192, 4096, 2),
            (("--ctx-size", "8192", "--parallel", "2", "--kv-unified"), None, 8192, 8192, 2),
            (("-c", "512", "-np", "1"), None, 512, 512, 1),
            (("--ctx-size", "512", "-c", "1024"), None, 1024, 1024, 4),  # the last one counts
            (("--ctx-size", "0", "--parallel", "-1"), None, None, None, 4),  # the server decides
            (("--ctx-size", "many", "--parallel"), None, None, None, 4),
            (("--ctx-size", "9" * 5000), None, None, None, 4),
            (("--ctx-size", "²"), None, None, None, 4),
        ],
    )
    def test_arguments(self, arguments, window, total, context, slots) -> None:
        """Tokens and slots are those that the process is started with, or says that it has."""
        listed = Listed("x", arguments=arguments, window=window)
        assert (listed.total, listed.context, listed.slots) == (total, context, slots)

    def test_files(self) -> None:
        """The model's file comes first, and what is loaded beside it after."""
        arguments = ("--mmproj", "/m/p.gguf", "-m", "/m/x.gguf", "--model-draft", "/m/d.gguf")
        assert Listed("x", arguments=arguments).files == ("/m/x.gguf", "/m/p.gguf", "/m/d.gguf")
        assert Listed("x", path="/m/y.gguf").files == ("/m/y.gguf",)

    def test_a_name_comes_before_an_alias(self) -> None:
        """A model that is called so is found before one that may also be called so."""
        listed = (Listed("a", aliases=("b",)), Listed("b"))
        assert find(listed, "b") is listed[1]
        assert find(listed, "c") is None

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["data", "id", "status", "value", "args", "aliases", "meta", "size", "n_ctx", "path"]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=20,
        ).map(lambda value: value if isinstance(value, dict) else {"data": value})
    )
    def test_anything(self, body) -> None:
        """Whatever a server answers, it is read or left out."""
        for listed in read_list(body):
            assert isinstance(listed.name, str)
            assert listed.slots >= 1
            assert listed.context is None or isinstance(listed.context, int)
            assert listed.total is None or isinstance(listed.total, int)
            assert all(isinstance(path, str) for path in listed.files)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "model 'x' not found", MissingModelError),
        (400, "model is not found", MissingModelError),
        (500, "model name=x is not found", MissingModelError),
        (400, "model is not loaded", OverloadedError),
        (400, "model name=x is not running", OverloadedError),
        (500, "model limit reached, try again later", OverloadedError),
        (503, "Loading model", OverloadedError),
        (500, "model name=x failed to load", OutOfMemoryError),
        (400, "model name is missing from the request", RejectedError),
        (400, "the request exceeds the available context size, try increasing it", ContextError),
        (401, "Invalid API Key", AuthError),
        (500, "[json.exception.parse_error.101] parse error", ServerFaultError),
    ],
)
def test_errors(status, message, kind) -> None:
    """What the router and its processes say when they do not answer, as the class that it is."""
    body = orjson.dumps({"error": {"code": status, "message": message, "type": "some_error"}})
    error = classify(status, body, {}, 0.0)
    assert type(error) is kind
    assert (error.status, error.message) == (status, message)


def test_a_proxys_words_are_no_json() -> None:
    """When a process dies under a call, the router answers in plain words."""
    error = classify(500, b"proxy error: Could not establish connection", {}, 0.0)
    assert type(error) is ServerFaultError
    assert "proxy error" in error.message


@pytest.fixture(scope="module")
def _fast() -> Iterator[Simulator]:
    with start_simulator("llamacpp", "--time-scale", "0", *MODELS) as simulator:
        yield simulator


@pytest.fixture
def sim(_fast: Simulator) -> Simulator:
    """A router whose models are there at once."""
    _fast.reset()
    return _fast


@pytest.fixture(scope="module")
def _slow() -> Iterator[Simulator]:
    with start_simulator("llamacpp", *SLOW, *MODELS, "--models-max", "2") as simulator:
        yield simulator


@pytest.fixture
def slow(_slow: Simulator) -> Simulator:
    """A router whose models load for many seconds."""
    _slow.reset()
    return _slow


def run(sim, work, *, path="/v1", **more):
    """``await work(router)`` with a router that is closed in the end; its clock skips what it sleeps."""

    async def main():
        router = LlamaCppRouter(
            Endpoint("lab", sim.url + path, local=True, **more), clock=VirtualClock(skipping=True)
        )
        try:
            return await work(router)
        finally:
            await router.close()

    return asyncio.run(main())


async def names(router) -> list[str]:
    return [resident.name for resident in await router.resident()]


async def until(holds) -> None:
    while not holds():
        await asyncio.sleep(0.002)


async def fails(work, kind, match=None) -> CallError:
    with pytest.raises(kind, match=match) as caught:
        await work
    assert type(caught.value) is kind
    return caught.value


def chat(model: str, *, stream: bool = False) -> Call:
    return Call("c1", {"messages": [{"role": "user", "content": "Say hello."}]}, model, stream)


class TestCalls:
    """It answers as any OpenAI-compatible server."""

    @pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
    def test_chat(self, sim, path) -> None:
        """Whole and streamed, whichever way its address is written."""

        async def work(router):
            async with router.open(chat("small")) as items:
                (whole,) = [item async for item in items]
            heard = Accumulator()
            async with router.open(chat("small", stream=True)) as items:
                async for chunk in items:
                    heard.add(chunk.body)
            return whole, heard.text

        whole, streamed = run(sim, work, path=path)
        assert isinstance(whole, Whole)
        assert text_of(whole.body) == streamed

    def test_embeddings(self, sim) -> None:
        """Embeddings are OpenAI's too."""
        sim.set_models(add=[{"name": "nomic-embed", "size": "1 GB"}])
        call = EmbedCall("e1", {"input": ["a", "b"]}, "nomic-embed")
        body = run(sim, lambda router: router.embed(call))
        assert len(body["data"]) == 2

    def test_models(self, sim) -> None:
        """All that it lists; their size once they are loaded."""

        async def work(router):
            await router.load("small")
            return await router.models()

        sizes = {info.name: (info.size, info.context) for info in run(sim, work)}
        assert sizes == {"small": (10**9, 512), "middle": (None, 1024), "large": (None, 1024)}

    def test_health(self, sim) -> None:
        """It tells its build and how much is loaded, and loads nothing for it."""
        health = run(sim, lambda router: router.health())
        assert (health.ok, health.detail, health.version) == (True, "0 of 3 models loaded", "b10434-sim")
        assert sim.state()["loads"] == 0

    def test_bad_health(self) -> None:
        """A wrong key and a server that is not there are named."""
        with start_simulator("llamacpp", "--api-key", "k") as sim:
            health = run(sim, lambda router: router.health(), api_key="wrong")
            assert (health.ok, health.code) == (False, "auth")
            assert run(sim, lambda router: router.health(), api_key="k").ok
        gone = run(sim, lambda router: router.health())
        assert (gone.ok, gone.code) == (False, "unreachable")

    def test_autoload_off(self) -> None:
        """A model that is there but not loaded is not taken for a missing one."""
        with start_simulator("llamacpp", "--time-scale", "0", "--no-models-autoload", *MODELS) as sim:

            async def work(router):
                await fails(router.whole(chat("small")), OverloadedError, "not loaded")
                await fails(router.whole(chat("none")), MissingModelError)
                await router.load("small")
                return await router.whole(chat("small"))

            assert text_of(run(sim, work).body)


class TestLoading:
    """Models come and go as asked."""

    def test_aliases(self, sim) -> None:
        """A model is listed by the name that it was loaded by."""
        sim.set_models(add=[{"name": "long", "size": "1 GB", "aliases": ["short"]}])

        async def work(router):
            await router.load("short")
            by_alias = await names(router)
            await router.unload("short")
            nobody = await names(router)
            await router.load("long")
            return by_alias, nobody, await names(router)

        assert run(sim, work) == (["short"], [], ["long"])

    def test_context_is_the_routers(self, sim) -> None:
        """The window asked for is not given; the one that is there is told."""

        async def work(router):
            await router.load("small", context=1024)
            (resident,) = await router.resident()
            return resident

        resident = run(sim, work)
        assert (resident.context, resident.size) == (512, 0)  # a quarter of its 2048

    def test_wakes(self, sim) -> None:
        """A sleeping model is not resident; loading wakes it."""

        async def work(router):
            await router.load("small")
            sim.put_to_sleep("small")
            asleep = await names(router)
            await router.load("small")
            return asleep, await names(router)

        assert run(sim, work) == ([], ["small"])

    def test_a_sleeping_one_leaves(self, sim) -> None:
        """Unloading one that sleeps ends its process."""

        async def work(router):
            await router.load("small")
            sim.put_to_sleep("small")
            await router.unload("small")

        run(sim, work)
        assert sim.state()["states"]["small"] == "unloaded"

    def test_unload_waits(self, slow) -> None:
        """It returns when the process has ended, not when it was told to; one that does not end is given up."""
        slow.set_models(add=[{"name": "tiny", "size": 1000}])

        async def work(router):
            await router.load("tiny")
            error = await fails(router.unload("tiny"), TimedOutError, "still loaded 30 s after")
            return error, router._clock.slept

        _, slept = run(slow, work)  # its five seconds are more than the skipping clock waits in earnest
        assert sum(slept) >= 30

    def test_unload_ends_a_load(self, slow) -> None:
        """What is unloaded while it loads is killed; whoever loads it is told."""

        async def work(router):
            load = asyncio.create_task(router.load("large"))
            await until(lambda: slow.state()["states"]["large"] == "loading")
            await router.unload("large")
            error = await fails(load, ServerFaultError, "unloaded while it was loading")
            return error, await names(router)

        error, left = run(slow, work)
        assert (error.scope, left) == (Scope.MODEL, [])
        assert slow.state()["states"]["large"] == "unloaded"

    def test_a_restart_ends_a_load(self, slow) -> None:
        """So it is when the router is restarted meanwhile: nothing has failed."""

        async def work(router):
            load = asyncio.create_task(router.load("large"))
            await until(lambda: slow.state()["states"]["large"] == "loading")
            slow.restart_engine()
            return await fails(load, ServerFaultError, "unloaded while it was loading")

        run(slow, work)

    def test_load_waits_for_an_unload(self, sim) -> None:
        """One that is leaving is listed as loaded: it is not taken for it."""

        async def work(router):
            await router.load("small")
            leaving = asyncio.create_task(router.unload("small"))
            await asyncio.sleep(0)
            await router.load("small")
            await leaving
            return await names(router)

        assert run(sim, work) == ["small"]
        assert sim.state()["loads"] == 2

    def test_no_place(self, slow) -> None:
        """As many as may be are loading: the next one is refused for now."""

        async def work(router):
            loads = [asyncio.create_task(router.load(name)) for name in ("middle", "large")]
            await until(lambda: [*slow.state()["states"].values()].count("loading") == 2)
            error = await fails(router.load("small"), OverloadedError, "model limit reached")
            for load in loads:
                load.cancel()
            await asyncio.wait(loads)
            return error

        run(slow, work)

    def test_not_a_router(self) -> None:
        """A llama.cpp server with one model answers calls, and cannot load or unload."""

        async def answer(request):
            if request.path in ("/models", "/v1/models"):
                return web.json_response({"object": "list", "data": [{"id": "only", "meta": {"size": 5}}]})
            if request.path == "/props":
                return web.json_response({"total_slots": 1, "model_path": "/m/only.gguf", "build_info": "b1"})
            said = {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}
            return web.json_response(said, status=404)

        async def main():
            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", answer)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            router = LlamaCppRouter(Endpoint("lab", f"http://{host}:{port}", local=True))
            try:
                await fails(router.load("only"), UnsupportedError, "not in router mode")
                await fails(router.unload("only"), UnsupportedError, "not in router mode")
                await fails(router.load("other"), MissingModelError)
                return await router.health(), await router.resident()
            finally:
                await router.close()
                await runner.cleanup()

        health, resident = asyncio.run(main())
        assert (health.ok, health.detail) == (True, "1 models, not in router mode")
        assert resident == ()


class TestFailedLoads:
    """The router says that a load has failed, not why."""

    def test_alone(self, sim) -> None:
        """With nothing else in memory, more room would not help."""
        sim.fail_loads("small", exit_code=3)
        error = run(sim, lambda router: fails(router.load("small"), ServerFaultError, "exit code 3"))
        assert error.scope is Scope.MODEL

    def test_among_others(self, sim) -> None:
        """With others in memory, too little of it is the likeliest reason."""
        sim.fail_loads("small")

        async def work(router):
            await router.load("middle")
            await fails(router.load("small"), OutOfMemoryError, "'small'")
            await router.load("small")  # an old failure is not taken for a new one
            return await names(router)

        assert run(sim, work) == ["middle", "small"]

    def test_called(self, sim) -> None:
        """A call that loads its model fails as out of memory."""
        sim.fail_loads("small")
        run(sim, lambda router: fails(router.whole(chat("small")), OutOfMemoryError))

    def test_that_wakes(self, sim) -> None:
        """One that cannot be woken has failed as well."""

        async def work(router):
            await router.load("small")
            sim.put_to_sleep("small")
            sim.fail_loads("small")
            return await fails(router.load("small"), ServerFaultError, "exit code 1")

        run(sim, work)
        assert sim.state()["states"]["small"] == "unloaded"


def write_gguf(path, *, elements: int = 256, length: int = 0) -> str:
    """A model file of one tensor of ``elements`` 32-bit numbers, made for ``length`` tokens."""
    name, longest = b"general.architecture", b"llama.context_length"
    keys = struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, 5) + b"llama"
    keys += struct.pack("<Q", len(longest)) + longest + struct.pack("<II", 4, length)
    tensor = struct.pack("<Q", 1) + b"t" + struct.pack("<IQIQ", 1, elements, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + keys + tensor
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(4 * elements))
    return str(path)


class TestDescribe:
    """What its memory can be worked out from."""

    def test_from_its_file(self, sim, tmp_path) -> None:
        """The header of the file that it would be loaded from, before it is."""
        path = write_gguf(tmp_path / "x.gguf")
        sim.set_models(
            add=[{"name": "x", "size": 9, "context": 512, "slots": 2, "path": path, "aliases": ["y"]}]
        )
        for name in ("x", "y"):
            described = run(sim, lambda router, name=name: router.describe(name))
            assert described.metadata["general.architecture"] == "llama"
            assert (described.weights, described.context, described.slots) == (1024, 256, 2)
        assert sim.state()["loads"] == 0

    def test_with_its_projector(self, sim, tmp_path) -> None:
        """Files that are loaded beside it count, if they can be read."""
        first, second = write_gguf(tmp_path / "x.gguf"), write_gguf(tmp_path / "p.gguf", elements=512)
        listed = [
            {"id": name, "status": {"value": "unloaded", "args": ["--model", first, "--mmproj", other]}}
            for name, other in (("x", second), ("y", "/nowhere.gguf"))
        ]
        sim.add_faults({"kind": "status", "path": "/models", "status": 200, "body": {"data": listed}})
        assert run(sim, lambda router: router.describe("x")).weights == 1024 + 2048
        assert run(sim, lambda router: router.describe("y")).weights == 1024

    def test_without_a_file(self, sim) -> None:
        """Nothing is known of one that is elsewhere until it is loaded, then its weights."""

        async def work(router):
            before = await router.describe("small")
            await router.load("small")
            return before, await router.describe("small")

        before, after = run(sim, work)
        assert before is None
        assert (dict(after.metadata), after.weights, after.context, after.slots) == ({}, 10**9, 512, 4)

    def test_without_a_limit(self, sim, tmp_path) -> None:
        """Where nobody has said how many tokens are kept, they are as many as the model was made for."""
        listed = [{"id": "x", "status": {"value": "unloaded", "args": ["--model", str(tmp_path / "x.gguf")]}}]
        sim.add_faults({"kind": "status", "path": "/models", "status": 200, "body": {"data": listed}})
        for length, context in ((8192, 2048), (0, None)):
            write_gguf(tmp_path / "x.gguf", length=length)
            described = run(sim, lambda router: router.describe("x"))
            assert (described.context, described.slots) == (context, 4)

    def test_its_process_knows_its_file(self, sim, tmp_path) -> None:
        """Models of a cache are listed without a file; once they run, their process tells it."""
        path = write_gguf(tmp_path / "x.gguf")
        listed = {"data": [{"id": "x", "status": {"value": "loaded", "args": ["--hf-repo", "a/b"]}}]}
        sim.add_faults(
            [
                {"kind": "status", "path": "/models", "status": 200, "body": listed},
                {"kind": "status", "path": "/props", "status": 200, "body": {"model_path": path}},
            ]
        )
        assert run(sim, lambda router: router.describe("x")).weights == 1024
        (asked,) = sim.requests(path="/props")
        assert asked["query"] == {"model": "x", "autoload": "false"}

    @pytest.mark.parametrize("content", [b"GGUF", b"", b"no model"])
    def test_a_broken_file(self, sim, tmp_path, content) -> None:
        """A file that is no model tells nothing."""
        (tmp_path / "x.gguf").write_bytes(content)
        sim.set_models(add=[{"name": "x", "size": 9, "path": str(tmp_path / "x.gguf")}])
        assert run(sim, lambda router: router.describe("x")) is None

    def test_only_regular_files(self, sim, tmp_path) -> None:
        """A pipe is not read, nor a path that depends on where one stands."""
        os.mkfifo(tmp_path / "x.gguf")
        sim.set_models(
            add=[
                {"name": "x", "size": 9, "path": str(tmp_path / "x.gguf")},
                {"name": "y", "size": 9, "path": "pyproject.toml"},
            ]
        )
        assert run(sim, lambda router: router.describe("x")) is None
        assert run(sim, lambda router: router.describe("y")) is None

    def test_only_of_this_machine(self, tmp_path) -> None:
        """The files of a router that is elsewhere are not looked for here."""
        path = write_gguf(tmp_path / "x.gguf")
        with start_simulator("llamacpp", "--host", "0.0.0.0") as sim:
            sim.set_models(add=[{"name": "x", "size": 9, "path": path}])
            assert "0.0.0.0" in sim.url  # reaches this machine, but is no address of it
            assert run(sim, lambda router: router.describe("x")) is None

    def test_unknown(self, sim) -> None:
        """A model that is not there is missing."""
        run(sim, lambda router: fails(router.describe("none"), MissingModelError))


def test_nothing_of_a_prompt_in_commands(sim) -> None:
    """Loading and unloading send the model's name and nothing else."""

    async def work(router):
        await router.load("small")
        await router.unload("small")

    run(sim, work)
    sent = [request["body"] for request in sim.requests(path="/models/*")]
    assert json.dumps(sent) == json.dumps([{"model": "small"}] * 2)
