"""Private requests through a real server, under every fault: nothing of them is found where others could see it."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from leak_house import (
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
