"""Processes that share one limit in one database, and one that is killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from coreto.ledger.limits import Limits
from coreto.messages import NANO
from coreto.settings.model import BudgetSettings
from coreto.stores.budget_records import DEAD_MS, Move
from coreto.stores.budgets import SqlBudgetStore
from coreto.stores.database import open_database
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import ensure_schema
from coreto.stores.schema import attempts, budget_accounts, budget_leases, calls

CENT = NANO // 100
LIMITS = Limits(BudgetSettings.model_validate({"monthly_usd": 2}))
(LIMIT,) = LIMITS.named()

# Makes calls of a cent, eight at a time, until the limit is reached. A call is in the ledger before it is
# told, as the recorder's batches are but for a tenth of a second.
CHILD = """
import asyncio, sys, time
from pathlib import Path
from coreto.clock import SystemClock
from coreto.errors import BudgetError
from coreto.ledger.limits import Limits
from coreto.ledger.purse import Purse
from coreto.settings.model import BudgetSettings
from coreto.stores.budgets import SqlBudgetStore
from coreto.stores.database import open_database
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.records import AttemptRecord, CallRecord

url, folder, name, interval = sys.argv[1:]
CENT = 10_000_000
database = open_database(url, Path(folder))
ledger = SqlLedgerStore(database)

async def worker(purse, number):
    done = 0
    while True:
        try:
            reservation = await purse.obtain(user=None, role=None, run=None, worst_nusd=2 * CENT)
        except BudgetError:
            return
        await asyncio.sleep(0.005)
        done += 1
        tried = AttemptRecord("cloud/x", "ok", local=False, cost_nusd=CENT)
        record = CallRecord(f"{name}-{number}-{done}", round(time.time() * 1000), "ok", attempts=(tried,))
        await asyncio.to_thread(ledger.append, [record])
        reservation.settle(CENT)
        print("settled", flush=True)

async def main():
    limits = Limits(BudgetSettings.model_validate({"monthly_usd": 2}))
    purse = Purse(SqlBudgetStore(database), limits, SystemClock(), interval=float(interval))
    await purse.start()
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(worker(purse, number) for number in range(8)))
    await purse.close()

asyncio.run(main())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    return "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def database(url, tmp_path):
    database = open_database(url, tmp_path)
    ensure_schema(database)
    with database.write() as connection:
        for table in (attempts, calls, budget_leases, budget_accounts):
            connection.execute(table.delete())
    yield database
    database.close()


def started(url: str, folder: Path, interval: float) -> list[subprocess.Popen]:
    """Two children that have opened their purses and go on together."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(folder), name, str(interval)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    return children


def cents(database) -> int:
    """What the ledger shows."""
    return sum(row.cost_nusd for row in SqlLedgerStore(database).totals("deployment")) // CENT


def test_two_processes_share_a_limit(database, url, tmp_path):
    """Together they spend the limit, and not a cent more; afterwards nothing is leased."""
    children = started(url, tmp_path, 0.05)
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    spent = cents(database)
    (total,) = SqlBudgetStore(database).totals([LIMITS.account(LIMIT, time.time())])
    assert total.spent == spent * CENT
    assert total.leased == 0
    assert 170 <= spent <= 200


def test_one_of_them_is_killed(database, url, tmp_path):
    """What a killed process had leased is taken until its time has come; then what it had spent counts, told
    or not, and the rest can be spent by others."""
    killed, other = started(url, tmp_path, 3600)  # the killed one never tells
    for _ in range(20):
        killed.stdout.readline()
    killed.kill()
    killed.communicate(timeout=30)
    other.communicate(timeout=60)
    assert other.returncode == 0
    spent = cents(database)
    store = SqlBudgetStore(database)
    account = LIMITS.account(LIMIT, time.time())
    (before,) = store.totals([account])
    assert before.spent < spent * CENT  # it had told nothing
    assert before.spent + before.leased >= spent * CENT  # but is not trusted either
    move = Move(account, "next", LIMIT.nusd, need=LIMIT.nusd, least=1)
    (standing,) = store.exchange([move], round(time.time() * 1000) + DEAD_MS + 1)
    assert spent * CENT <= standing.spent <= (spent + 16) * CENT  # eight calls in flight at two cents
    assert standing.lease == LIMIT.nusd - standing.spent
