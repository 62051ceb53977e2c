"""What is refused before anything is kept, and what the room costs who does not use it."""

import asyncio
import subprocess
import sys

import pytest

from coreto.errors import MissingExtraError
from coreto.labels import Label
from coreto.owner import OwnerCard, OwnerLock
from coreto.runs.errors import PrivateRunError, RunError, RunsElsewhereError
from coreto.runs.runs import Runs
from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema


@pytest.fixture
def database(tmp_path):
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    yield database
    database.close()


async def work(run, request):
    return request


def test_private_runs_stay_on_this_machine(database, tmp_path) -> None:
    """With a database elsewhere a run is refused that is private, or whose request is found to be."""

    async def main():
        runs = Runs(
            database,
            "postgresql://db.example.org/coreto",
            tmp_path,
            owner=OwnerLock(tmp_path),
            sensitivity=lambda request: Label.PRIVATE if "CPF" in str(request) else Label.PUBLIC,
        )
        runs._workflows = {"work": work}
        with pytest.raises(PrivateRunError, match="off this machine"):
            await runs.begin("work", {}, label=Label.PRIVATE)
        with pytest.raises(PrivateRunError):
            await runs.begin("work", {"text": "meu CPF"}, label=Label.PUBLIC)
        assert await runs.list() == []
        await runs.close()

    asyncio.run(main())


def test_who_does_not_own_the_directory_executes_nothing(database, tmp_path) -> None:
    """The refusal names the owner; a start beside it is no error."""
    owner, other = OwnerLock(tmp_path), OwnerLock(tmp_path)
    assert owner.acquire(OwnerCard(4711, "x", url="http://127.0.0.1:8080"))

    async def main():
        runs = Runs(database, "sqlite", tmp_path, owner=other)
        await runs.start({"work": work})
        with pytest.raises(RunsElsewhereError, match=r"process 4711 at http://127\.0\.0\.1:8080"):
            await runs.begin("work", {})
        assert not runs.launched
        await runs.close()
        with pytest.raises(RunError, match="closed"):
            await runs.begin("work", {})

    asyncio.run(main())
    owner.release()


def test_without_the_extra(database, tmp_path, monkeypatch) -> None:
    """One line names the extra; the start, which every server makes, goes well."""
    for name in ("coreto.runs.engine", "coreto.runs.records"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "dbos", None)
    lock = OwnerLock(tmp_path)
    assert lock.acquire(OwnerCard(1, "x"))

    async def main():
        runs = Runs(database, "sqlite", tmp_path, owner=lock)
        await runs.start({"work": work})
        with pytest.raises(MissingExtraError, match=r"durable runs needs the extra `crews`"):
            await runs.begin("work", {})
        await runs.close()

    asyncio.run(main())
    lock.release()


def test_the_engine_is_loaded_by_the_first_run() -> None:
    """Importing the room does not import the engine."""
    code = "import sys, coreto.runs.runs, coreto.runs.client; sys.exit('dbos' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
