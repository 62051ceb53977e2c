"""One suite over every budgets' store: memory, SQLite, PostgreSQL."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect

from coreto.stores.budget_records import DEAD_MS, Account, Move, Standing, Total
from coreto.stores.budgets import BudgetStore, SqlBudgetStore
from coreto.stores.database import Database, open_database
from coreto.stores.errors import StoreDownError
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import ensure_schema, upgrade
from coreto.stores.records import AttemptRecord, CallRecord
from coreto.stores.schema import attempts, budget_accounts, budget_leases, calls
from coreto.testing.budget_store import MemoryBudgetStore

NOW = 1_700_000_000_000
DAY = Account("all", "", "2023-11-14", NOW - 1000, NOW + 1000)
ANA = Account("user", "ana", "2023-11-14", NOW - 1000, NOW + 1000)


class World:
    """A store with a ledger whose calls a test writes by hand."""

    def __init__(self, database: Database | None) -> None:
        self.database = database
        self.records: list[CallRecord] = []
        self._numbers = iter(range(10_000))

    def store(self, *, tracked: bool = True) -> BudgetStore:
        if self.database is None:
            return MemoryBudgetStore(self._recorded if tracked else None)
        return SqlBudgetStore(self.database, tracked=tracked)

    def call(self, nusd: int | None, at_ms: int = NOW, *, user=None, role=None, run=None) -> None:
        """Record a call with one attempt that cost ``nusd``."""
        tried = AttemptRecord("cloud/x", "ok", local=False, cost_nusd=nusd)
        name = f"c{next(self._numbers)}"
        record = CallRecord(name, at_ms, "ok", role=role, user=user, run=run, attempts=(tried,))
        self.records.append(record)
        if self.database is not None:
            SqlLedgerStore(self.database).append([record])

    def _recorded(self, account: Account) -> int:
        own = {
            "all": lambda _: "",
            "user": lambda r: r.user,
            "role": lambda r: r.role,
            "run": lambda r: r.run,
        }
        return sum(
            record.attempts[0].cost_nusd or 0
            for record in self.records
            if (own[account.who](record) or "") == account.name
            and (account.since_ms is None or account.since_ms <= record.at_ms)
            and (account.until_ms is None or record.at_ms < account.until_ms)
        )


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def world(request, tmp_path):
    """A world without any calls."""
    if request.param == "memory":
        yield World(None)
        return
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url, tmp_path)
    ensure_schema(database)
    with database.write() as connection:
        for table in (attempts, calls, budget_leases, budget_accounts):
            connection.execute(table.delete())
    yield World(database)
    database.close()


def move(account: Account = DAY, holder: str = "a", limit: int = 1000, **changes) -> Move:
    return Move(account, holder, limit, **changes)


def one(store: BudgetStore, wanted: Move, now_ms: int = NOW) -> Standing:
    (standing,) = store.exchange([wanted], now_ms)
    return standing


def test_a_lease_is_cut_from_what_is_left(world: World):
    """A process gets what it needs, and of the rest at most half."""
    store = world.store()
    assert one(store, move(need=100, least=100, spare=50)) == Standing(lease=150, spent=0, room=850)
    assert one(store, move(holder="b", need=800, least=800, spare=50)) == Standing(825, 0, 25)


def test_no_lease_below_what_is_of_use(world: World):
    """What is left is leased in part if a part helps, and not at all if it does not."""
    store = world.store()
    one(store, move(need=900))
    assert one(store, move(holder="b", need=300, least=200)) == Standing(0, 0, 100)
    assert one(store, move(holder="b", need=300, least=100)) == Standing(100, 0, 0)
    assert one(store, move(holder="c", need=1)) == Standing(0, 0, 0)


def test_spending_moves_from_the_lease_to_the_balance(world: World):
    """What was spent is no longer leased, and together they stay the same."""
    store = world.store()
    one(store, move(need=400))
    assert one(store, move(spent=150, known=150)) == Standing(lease=250, spent=150, room=600)
    assert store.totals([DAY]) == [Total(DAY, spent=150, leased=250)]


def test_told_twice_counts_once(world: World):
    """A move that is sent again after an unclear commit changes nothing, not even after the lease was
    given back."""
    store = world.store()
    one(store, move(need=400))
    for last in (move(spent=150, known=100, reserved=20), move(spent=170, known=120, keep=0)):
        assert one(store, last) == one(store, last)
    assert store.totals([DAY]) == [Total(DAY, spent=170)]


def test_what_is_given_back_is_there_for_others(world: World):
    """``keep`` returns the rest of a lease, but never what calls in flight hold."""
    store = world.store()
    one(store, move(need=1000))
    assert one(store, move(reserved=300, keep=0)) == Standing(300, 0, 700)
    assert one(store, move(holder="b", need=700)).lease == 700
    assert one(store, move(limit=100, reserved=200, keep=0)).lease == 200


def test_an_overshoot_counts_and_is_not_forgiven(world: World):
    """A call that cost more than its lease lowers what is left for all; calls in flight are covered first."""
    store = world.store()
    one(store, move(need=100))
    one(store, move(holder="b", need=200))
    assert one(store, move(spent=950, reserved=40)) == Standing(lease=0, spent=950, room=-150)
    assert one(store, move(holder="b", keep=0)) == Standing(0, 950, 50)
    assert one(store, move(spent=950, reserved=40)) == Standing(40, 950, 10)


def test_a_lowered_limit(world: World):
    """A limit below what is spent leases nothing more; what is leased stays until it is given back."""
    store = world.store()
    one(store, move(need=500, spare=0))
    assert one(store, move(limit=300, spent=100, need=10)) == Standing(lease=400, spent=100, room=-200)


def test_several_accounts_in_one_exchange(world: World):
    """Standings come in the order of the moves, each with its own limit."""
    store = world.store()
    got = store.exchange([move(ANA, limit=50, need=60), move(limit=90, need=60)], NOW)
    assert [standing.lease for standing in got] == [50, 60]
    assert store.exchange([], NOW) == []


def test_an_account_begins_with_the_ledger(world: World):
    """A limit that is set in the middle of a day counts what the day has cost so far: of its user, its role,
    its run, its window."""
    for at_ms in (NOW - 1001, NOW - 1000, NOW + 999, NOW + 1000):
        world.call(1, at_ms, user="ana", role="brain", run="r1")
    world.call(20, user="bea", role="brain")
    world.call(300, role="ui", run="r2")
    world.call(None, user="ana")
    run = Account("run", "r1", "run")
    role = replace(ANA, who="role", name="brain")
    nobody = replace(ANA, name="")
    accounts = [DAY, ANA, role, run, nobody, replace(ANA, name="eva")]
    store = world.store()
    before = [total.spent for total in store.totals(accounts)]
    spent = [standing.spent for standing in store.exchange([move(a) for a in accounts], NOW)]
    assert before == spent == [322, 2, 22, 4, 300, 0]
    world.call(5000)
    assert store.totals([DAY])[0].spent == 322  # the process that made the call will tell


def test_a_dead_lease_comes_back_less_what_the_ledger_shows(world: World):
    """Of a process that died: what it told counts, what it wrote to the ledger since counts, what it had in
    flight counts, and the rest is free again, but only after its time."""
    world.call(5)
    store = world.store()
    one(store, move(need=600))
    one(store, move(spent=100, known=100, reserved=40))
    world.call(100)
    world.call(30)  # settled and recorded, not told
    late = NOW + DEAD_MS
    assert one(store, move(holder="b", need=1), late).room == 394
    assert one(store, move(holder="b", need=50), late + 1) == Standing(51, 175, 774)
    assert one(store, move(holder="b", spent=1, known=1), late + 2).spent == 176
    world.call(1)
    world.call(2)
    again = late + 3 + DEAD_MS
    assert one(store, move(holder="c"), again).spent == 178  # of b: what it had not told, and no call twice


def test_a_dead_lease_counts_whole_without_a_ledger(world: World):
    """Where costs are not tracked nobody knows what a dead process spent: all of its lease counts."""
    store = world.store(tracked=False)
    one(store, move(need=600))
    one(store, move(spent=100, known=100))
    assert one(store, move(holder="b"), NOW + DEAD_MS + 1) == Standing(0, 600, 400)


def test_the_dead_may_return(world: World):
    """A process that was only asleep tells what it spent; nothing it had told counts twice."""
    store = world.store(tracked=False)
    one(store, move(need=600))
    one(store, move(spent=100, known=100))
    one(store, move(holder="b"), NOW + DEAD_MS + 1)
    back = move(spent=130, known=130, acked_spent=100, acked_known=100)
    assert one(store, back, NOW + DEAD_MS + 2) == Standing(0, 630, 370)


def test_a_renewed_lease_lives(world: World):
    """A lease that is renewed is never taken back."""
    store = world.store()
    one(store, move(need=600))
    for turn in range(5):
        later = NOW + turn * DEAD_MS
        one(store, move(), later)
        assert one(store, move(holder="b"), later + DEAD_MS).room == 400


def test_active_and_forgotten(world: World):
    """The accounts of a window are listed, the dearest first, until nothing has happened to them for long."""
    store = world.store()
    bea = replace(ANA, name="bea")
    store.exchange([move(ANA, spent=1), move(bea, spent=2), move(spent=3)], NOW)
    one(store, move(bea, spent=2), NOW + 50)
    assert store.active("user", ANA.period) == [bea, ANA]
    assert store.active("user", "2023-11-15") == []
    store.forget(NOW + 50)
    assert store.active("user", ANA.period) == [bea]
    assert store.totals([ANA, bea]) == [Total(ANA, 0), Total(bea, 2)]


def test_processes_at_once_never_lease_too_much(world: World):
    """Many threads that lease and spend two limits at once, in either order, end exactly at the limits."""
    store, lock = world.store(), threading.Lock()

    def work(number: int) -> int:
        """Every other thread names the two limits the other way round; the fake knows no transactions."""
        ana = 0
        for turn in range(15):
            name = f"p{number}-{turn}"
            wanted = [move(ANA, name, 200, need=7), move(DAY, name, need=7)][:: 1 if number % 2 else -1]
            with contextlib.nullcontext() if world.database else lock:
                standings = store.exchange(wanted, NOW)
            ana += standings[wanted[0].account != ANA].lease
        return ana

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(work, range(4)))
    assert sum(got) == 200
    assert [total.leased for total in store.totals([ANA, DAY])] == [200, 420]


def test_a_store_that_is_gone(tmp_path: Path):
    """A database that cannot be used says so as every store does."""
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE budget_leases")
    with pytest.raises(StoreDownError):
        SqlBudgetStore(database).exchange([move(need=1)], NOW)
    assert SqlBudgetStore(database).active("all", DAY.period) == []
    database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_the_first_release_is_upgraded(kind: str, request, tmp_path: Path):
    """A ledger without budgets gets them and keeps its calls, which count from then on."""
    url = "sqlite" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url, tmp_path)
    with database.write() as connection:
        if database.schema is not None:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {database.schema} CASCADE")
            connection.exec_driver_sql(f"CREATE SCHEMA {database.schema}")
        upgrade(connection, database.schema, "0001")
    with database.read() as connection:
        assert inspect(connection).get_table_names(schema=database.schema).count("budget_accounts") == 0
    World(database).call(7)
    ensure_schema(database)
    assert one(SqlBudgetStore(database), move(need=1)).spent == 7
    database.close()
