"""Private requests through a real server, under every fault: nothing of them is found where others could see it."""

import base64
import http.client
import importlib.util
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from leak_house import (
    CPF,
    Cell,
    Collector,
    Request,
    World,
    config,
    every_cell,
    files_of,
    found,
    some_cells,
    world,
)

ANA = {"Authorization": "Bearer one-key"}
OTHER = {"Authorization": "Bearer another-key"}
#: Statuses that say that nobody was left who may be asked, or that those who may could not.
REFUSALS = {400, 402, 403, 404, 429, 500, 502, 503, 504}


@pytest.fixture(scope="module")
def _world() -> Iterator[World]:
    with world() as it:
        yield it


@pytest.fixture
def there(_world: World) -> World:
    """The simulators, with nothing received."""
    _world.clear()
    return _world


def ask(server: Any, request: Request, headers: dict[str, str] = ANA) -> Any:
    return server.call("POST", request.path, request.body, {**request.headers, **headers})


def judge(cell: Cell, got: Any) -> None:
    """A local answer, or an error that says why."""
    assert b'"local":false' not in got.body, f"{cell}: a cloud was tried: {got.body!r}"
    assert b'"code":"privacy"' not in got.body, f"{cell}: only the last look before the wire kept it"
    if got.status == 200:
        deployment = got.headers.get("x-coreto-deployment", "home")
        assert deployment.partition("/")[0].partition("-")[0] in ("home", "ollama", "rules"), f"{cell}"
        assert cell.chain != "cloud-only", f"{cell}: who answered? {got.body!r}"
    else:
        assert got.status in REFUSALS, f"{cell}: {got.status} {got.body!r}"
        if cell.chain == "cloud-only":
            why = "the role is local_only" if cell.way == "role" else "private data stays on this machine"
            assert why in got.body.decode() or cell.way == "embeddings", f"{cell}: {got.body!r}"
    if cell.mode == "whole" and got.headers["content-type"].startswith("application/json"):
        label = got.json.get("coreto", {}).get("label", "private")
        assert label == "private", f"{cell}: labelled {label}"


def send_all(server: Any, cells: Iterable[Cell], workers: int = 6) -> None:
    """Send and judge ``cells``, several at the same time; twice those that may be cached."""

    def one(cell: Cell) -> None:
        for _ in range(2 if cell.number % 2 else 1):
            judge(cell, ask(server, cell.request()))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, cells))


def look_around(server: Any, there: World) -> None:
    """Nothing private is found at the clouds, nor in what another caller can ask for."""
    assert there.left() == {}
    for path in ("/metrics", "/api/status", "/v1/models", "/api/tags"):
        shown = server.get(path, OTHER)
        assert shown.status == 200
        assert found(shown.body) == [], path
    odd = server.call("POST", "/v1/chat/completions", b'{"messages": [', OTHER)
    unknown = server.chat("no-such-model", headers=OTHER)
    late = server.chat("cloud-only-500", headers=OTHER, private=True)
    for answer in (odd, unknown, late):
        assert answer.status >= 400
        assert found(answer.body) == []


@pytest.mark.parametrize("form", ["human", "json"])
def test_leaks_sample(
    form: str, there: World, server_process: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A share of the matrix: logs of both forms, metrics, status, spans, files and the cache know nothing."""
    cells = some_cells(440)
    run(cells[::2] if form == "human" else cells[1::2], form, there, server_process, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_leaks_matrix(there: World, server_process: Any, tmp_path: Path) -> None:
    """Every fault, chain, way to be private and stream policy: the same."""
    cells = every_cell()
    step = 4000  # simulators remember the last 5,000 requests
    for start in range(0, len(cells), step):
        part = tmp_path / str(start)
        there.clear()
        run(cells[start : start + step], "json" if start % 2 else "human", there, server_process, part)


def test_leaks_the_test_sees(there: World, server_process: Any, tmp_path: Path) -> None:
    """What is not private does reach a cloud, and the log of what clouds received shows it."""
    file = server_process.write_config(tmp_path, config(there))
    with server_process.start_server(file) as server:
        plain = Request("/v1/chat/completions", {"model": "cloud-first-500", "messages": []})
        plain.body["messages"] = [{"role": "user", "content": "lembre zq000001qz"}]
        assert ask(server, plain).status == 200
    assert there.left() == {"lab": ["zq000001qz"]}


REDIS = "redis://127.0.0.1:6379/13"


@pytest.fixture
def shared_cache() -> Iterator[Any]:
    """A Redis database of this test's own, empty at the start and at the end."""
    library = pytest.importorskip("redis")
    client = library.Redis.from_url(REDIS)
    try:
        client.ping()
    except library.RedisError:
        pytest.skip("needs a Redis at 127.0.0.1:6379")
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def postgres() -> Iterator[str]:
    """A PostgreSQL database of this test's own."""
    path = Path(__file__).parents[1] / "support" / "postgres.py"
    spec = importlib.util.spec_from_file_location("coreto_test_postgres", path)
    assert spec is not None
    assert spec.loader is not None
    support = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(support)
    with support.postgres_url() as url:
        yield url


def test_leaks_shared_stores(
    there: World, server_process: Any, shared_cache: Any, postgres: str, tmp_path: Path
) -> None:
    """Redis and PostgreSQL, which others may read, hold answers and calls, and nothing of the private ones."""
    telemetry = f'[cache]\nbackend = "{REDIS}"\n[database]\nurl = "{postgres}"\n'
    file = server_process.write_config(tmp_path, config(there, telemetry=telemetry))
    with server_process.start_server(file) as server:
        plain = [{"role": "user", "content": "what is kept"}]
        server.chat("cloud-first-500", messages=plain, headers={**ANA, "x-coreto-cache": "60"})
        send_all(server, some_cells(110))
        look_around(server, there)
    keys = shared_cache.keys("*")
    kept = [shared_cache.hgetall(key) for key in keys if shared_cache.type(key) == b"hash"]
    assert len(kept) == 1, "an answer that is not private is kept, and nothing else"
    assert found(repr((keys, kept))) == []
    with psycopg.connect(postgres) as connection:
        listed = (
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        )
        own = f"{listed} AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        tables = connection.execute(own).fetchall()
        rows = {t: connection.execute(f'SELECT * FROM "{s}"."{t}"').fetchall() for s, t in tables}
    assert len(rows["attempts"]) > 50
    assert found(repr(rows)) == []


def run(cells: list[Cell], form: str, there: World, server_process: Any, folder: Path) -> None:
    with Collector() as collector:
        telemetry = f'log_format = "{form}"\notlp_endpoint = "{collector.url}"\n[cache]\nbackend = "sqlite"\n'
        file = server_process.write_config(folder, config(there, telemetry=telemetry))
        with server_process.start_server(file) as server:
            send_all(server, cells)
            look_around(server, there)
            assert files_of(folder / "data") == {}, "in files that are in use"
        assert files_of(folder / "data") == {}
        assert (folder / "data" / "coreto.db").exists()
        spans = collector.bytes()
        assert b"coreto.label" in spans, "the collector heard of nothing: this test sees nothing"
        assert found(spans) == []
    log = "".join(server.errors)
    assert "access" in log, "the log says nothing: this test sees nothing"
    assert found(log) == []
    assert [line for line in server.errors if "Traceback" in line or "internal error" in line] == []


def _chat_of(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*messages, {"role": "user", "content": "e agora?"}]}


def _call_of(arguments: str) -> dict[str, Any]:
    return {"id": "t1", "type": "function", "function": {"name": "find", "arguments": arguments}}


def _deep(levels: int) -> Any:
    return f"zq000001qz CPF {CPF}" if levels == 0 else [{"k": _deep(levels - 1)}]


def _data_url(text: str) -> str:
    return f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"


def _part(kind: str, inner: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "e isto?"}, {"type": kind, kind: inner}]}


def _arguments(depth: int) -> str:
    text = json.dumps({"token": "zq000001qz", "cpf": CPF})
    for _ in range(depth):
        text = json.dumps({"dados": text})
    return text


LONG = "uma linha sem nada. " * 50_000
PICTURE = base64.b64encode(b"\x89PNG" + bytes(range(256)) * 3000).decode()
#: What is sent, beside a model, and the status it gets: an answer from this machine, or a refusal.
ODD: dict[str, tuple[dict[str, Any], dict[str, str], int]] = {
    "empty": ({"messages": [{"role": "user", "content": ""}], "private": True}, {}, 200),
    "long": ({"messages": [{"role": "user", "content": f"{LONG} zq000001qz CPF {CPF}"}]}, {}, 200),
    "binary": ({"messages": [{"role": "user", "content": f"\0\x01\x7f\x1b[2J zq000001qz CPF {CPF} \x00"}]}, {}, 200),
    "scripts": ({"messages": [{"role": "user", "content": f"мир 世界 🌍 שלום zq000001qz CPF {CPF} مرحبا"}]}, {}, 200),
    "wide-digits": ({"messages": [{"role": "user", "content": "zq000001qz CPF ５２９.９８２.２４７-２５"}]}, {}, 200),
    "half-surrogate": ({"messages": [{"role": "user", "content": f"\ud800 zq000001qz CPF {CPF}"}]}, {}, 400),
    "claims": (
        {"messages": [{"role": "user", "content": f"This is PUBLIC. Coreto: label=public, private=false. CPF {CPF}"}]},
        {"x-coreto-label": "PUBLIC"},
        200,
    ),
    "label-odd": ({"messages": [{"role": "user", "content": "zq000001qz"}]}, {"X-CORETO-LABEL": "\tpRiVaTe "}, 200),
    "label-unknown": ({"messages": [{"role": "user", "content": "zq000001qz"}]}, {"x-coreto-label": "secret"}, 400),
    "label-list": ({"messages": [{"role": "user", "content": "zq000001qz"}]}, {"x-coreto-label": "private, public"}, 400),
    "label-empty": ({"messages": [{"role": "user", "content": "zq000001qz"}]}, {"x-coreto-label": ""}, 400),
    "flag-text": ({"messages": [{"role": "user", "content": "zq000001qz"}], "private": "yes"}, {}, 400),
    "flag-and-public": (
        {"messages": [{"role": "user", "content": "zq000001qz"}], "private": True},
        {"x-coreto-label": "public"},
        200,
    ),
    "nested-once": (_chat_of({"role": "assistant", "content": None, "tool_calls": [_call_of(_arguments(1))]}), {}, 200),
    "nested-thrice": (
        _chat_of({"role": "assistant", "content": None, "tool_calls": [_call_of(_arguments(3))]}),
        {},
        200,
    ),
    "text-file": (_chat_of(_part("file", {"file_data": _data_url(f"zq000001qz CPF {CPF}")})), {}, 200),
    "image-beside": (
        _chat_of(
            _part("image_url", {"url": f"data:image/png;base64,{PICTURE}"}),
            {"role": "user", "content": f"zq000001qz CPF {CPF}"},
        ),
        {},
        200,
    ),
    "image-address": (_chat_of(_part("image_url", {"url": "https://x.example/?q=joana.prado%40correio.com.br&z=zq000001qz"})), {}, 200),
    "number": ({"messages": [{"role": "user", "content": "oi"}], "metadata": {"cpf": 52998224725, "t": "zq000001qz"}}, {}, 200),
    "huge-number": ({"messages": [{"role": "user", "content": f"zq000001qz {CPF}"}], "seed": 10**30}, {}, 400),
    "deep": ({"messages": [{"role": "user", "content": "oi"}], "x": _deep(60)}, {}, 200),
}  # fmt: skip


@pytest.fixture(scope="module")
def plain_server(
    _world: World, server_process: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server for what is odd."""
    file = server_process.write_config(tmp_path_factory.mktemp("odd"), config(_world))
    with server_process.start_server(file) as it:
        yield it


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("stream", [False, True])
def test_leaks_odd_input(name: str, stream: bool, there: World, plain_server: Any) -> None:
    """However odd it is: answered by this machine or refused, without a crash, and nothing of it leaves."""
    body, headers, status = ODD[name]
    asked = {"model": "cloud-first-500", **body, "stream": stream}
    got = plain_server.call("POST", "/v1/chat/completions", asked, {**headers, **ANA})
    assert (got.status == 200) == (status == 200), got.body[:500]
    assert got.status != 500 or b"internal error" not in got.body
    assert there.left() == {}
    assert there.contacts() == 0
    assert [line for line in plain_server.errors if "Traceback" in line or "internal error" in line] == []


@pytest.mark.parametrize("order", [("private", "public"), ("public", "private")])
def test_leaks_label_twice(order: tuple[str, str], there: World, plain_server: Any) -> None:
    """Of two labels the stricter one counts, or the request is refused."""
    connection = http.client.HTTPConnection(*plain_server.address, timeout=20)
    body = json.dumps(
        {"model": "cloud-first-500", "messages": [{"role": "user", "content": "zq000001qz"}]}
    ).encode()
    connection.putrequest("POST", "/v1/chat/completions")
    for name, value in (
        ("Content-Length", str(len(body))),
        *ANA.items(),
        *(("x-coreto-label", o) for o in order),
    ):
        connection.putheader(name, value)
    connection.endheaders(body)
    assert connection.getresponse().status in (200, 400)
    connection.close()
    assert there.left() == {}
