"""What was spent under each limit, and which process has leased how much of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    RowMapping,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from coreto.stores.budget_records import (
    Account,
    Balance,
    Lease,
    Move,
    Standing,
    Total,
    Traded,
    Who,
    dead,
    taken_back,
    traded,
)
from coreto.stores.database import Database
from coreto.stores.schema import attempts, budget_accounts, budget_leases, calls

_LONGEST_LIST = 500
"""Accounts that :meth:`BudgetStore.active` tells at most: the dearest."""


class BudgetStore(Protocol):
    """Keeps balances and leases. Synchronous: used from a writer's thread and the command line.

    Amounts are nano-dollars, times epoch milliseconds. An account that is met for the first time begins
    with what the ledger shows for it. Methods raise :class:`~coreto.stores.errors.StoreError`.
    """

    def exchange(self, moves: Sequence[Move], now_ms: int) -> list[Standing]:
        """Carry out all ``moves`` (of different accounts) or, on an error, none; their standings in the
        same order. Leases of the dead are taken back first."""
        ...

    def totals(self, accounts: Sequence[Account]) -> list[Total]:
        """How those accounts stand, in the same order."""
        ...

    def active(self, who: Who, period: str) -> list[Account]:
        """The accounts of a window that something was spent or leased in, the dearest first."""
        ...

    def forget(self, before_ms: int) -> None:
        """Remove the accounts that nothing happened to since ``before_ms``."""
        ...


class SqlBudgetStore:
    """Budgets in SQLite or PostgreSQL. The schema must be there (``ensure_schema``)."""

    __slots__ = ("_add_accounts", "_database", "_put_leases", "_tracked")

    def __init__(self, database: Database, *, tracked: bool = True) -> None:
        """``tracked``: the ledger records costs."""
        insert = sqlite.insert if database.kind == "sqlite" else postgresql.insert
        self._database = database
        self._tracked = tracked
        self._add_accounts = insert(budget_accounts).on_conflict_do_nothing()
        put = insert(budget_leases)
        told = ("amount_nusd", "reserved_nusd", "spent_nusd", "known_nusd", "renewed_ms")
        self._put_leases = put.on_conflict_do_update(
            index_elements=["account", "holder"], set_={name: put.excluded[name] for name in told}
        )

    def exchange(self, moves: Sequence[Move], now_ms: int) -> list[Standing]:
        if not moves:
            return []
        # always in the same order, so that two processes never wait for each other
        ordered = sorted({move.account.key: move for move in moves}.items())
        keys = [key for key, _ in ordered]
        assert len(keys) == len(moves), "one move per account"
        standings: dict[str, Standing] = {}
        changes = _Changes()
        with self._database.write() as connection:
            self._open(connection, [move.account for _, move in ordered], now_ms)
            balances = _locked(connection, keys)
            leases = _leases(connection, keys)
            for key, move in ordered:
                gone = dead(leases[key], move.holder, now_ms)
                balance = self._without(connection, move.account, balances[key], gone)
                result = traded(balance, [one for one in leases[key] if one not in gone], move, now_ms)
                standings[key] = result.standing
                changes.add(key, result, gone)
            changes.write(connection, self._put_leases)
        return [standings[move.account.key] for move in moves]

    def totals(self, accounts: Sequence[Account]) -> list[Total]:
        keys = [account.key for account in accounts]
        with self._database.read() as connection:
            rows = connection.execute(select(budget_accounts).where(budget_accounts.c.account.in_(keys)))
            spent = {row["account"]: int(row["spent_nusd"]) for row in rows.mappings()}
            leases = _leases(connection, keys)
            return [
                Total(
                    account,
                    spent[account.key] if account.key in spent else self._recorded(connection, account),
                    sum(one.amount for one in leases[account.key]),
                    sum(one.reserved for one in leases[account.key]),
                )
                for account in accounts
            ]

    def active(self, who: Who, period: str) -> list[Account]:
        a = budget_accounts.c
        wanted = (
            select(budget_accounts)
            .where(a.who == who, a.period == period)
            .order_by(a.spent_nusd.desc(), a.account)
            .limit(_LONGEST_LIST)
        )
        with self._database.read() as connection:
            return [
                Account(cast("Who", row["who"]), row["name"], row["period"], row["since_ms"], row["until_ms"])
                for row in connection.execute(wanted).mappings()
            ]

    def forget(self, before_ms: int) -> None:
        with self._database.write() as connection:
            connection.execute(delete(budget_accounts).where(budget_accounts.c.touched_ms < before_ms))

    def _open(self, connection: Connection, accounts: Iterable[Account], now_ms: int) -> None:
        """Make the accounts that do not exist yet."""
        wanted = {account.key: account for account in accounts}
        column = budget_accounts.c.account
        known = set(connection.execute(select(column).where(column.in_(wanted))).scalars())
        fresh = [account for key, account in wanted.items() if key not in known]
        for account in fresh:
            recorded = self._recorded(connection, account)
            row = {
                "account": account.key,
                "who": account.who,
                "name": account.name,
                "period": account.period,
                "since_ms": account.since_ms,
                "until_ms": account.until_ms,
                "spent_nusd": recorded,
                "known_nusd": recorded,
                "touched_ms": now_ms,
            }
            connection.execute(self._add_accounts, row)

    def _recorded(self, connection: Connection, account: Account) -> int:
        """What the ledger shows for ``account``."""
        wanted = select(func.coalesce(func.sum(attempts.c.cost_nusd), 0)).where(*_of(account))
        if account.who == "run":  # the index on runs is the calls'
            wanted = wanted.select_from(attempts.join(calls, calls.c.call_id == attempts.c.call_id))
        return int(connection.execute(wanted).scalar_one())

    def _without(
        self, connection: Connection, account: Account, balance: Balance, gone: Sequence[Lease]
    ) -> Balance:
        """``balance`` once the leases of the dead are taken back."""
        if not any(one.amount for one in gone):
            return balance
        return taken_back(balance, gone, self._recorded(connection, account) if self._tracked else None)


class _Changes:
    """The rows that an exchange leaves behind."""

    def __init__(self) -> None:
        self._accounts: list[dict[str, Any]] = []
        self._leases: list[dict[str, Any]] = []
        self._removed: list[dict[str, Any]] = []

    def add(self, key: str, result: Traded, gone: Iterable[Lease]) -> None:
        balance, lease = result.balance, result.lease
        now_ms = lease.renewed_ms
        self._accounts.append(
            {"key": key, "spent_nusd": balance.spent, "known_nusd": balance.known, "touched_ms": now_ms}
        )
        self._leases.append(
            {
                "account": key,
                "holder": lease.holder,
                "amount_nusd": lease.amount,
                "reserved_nusd": lease.reserved,
                "spent_nusd": lease.spent,
                "known_nusd": lease.known,
                "renewed_ms": now_ms,
            }
        )
        self._removed += [{"key": key, "gone": one.holder} for one in gone]

    def write(self, connection: Connection, put_leases: Executable) -> None:
        a, leased = budget_accounts.c, budget_leases.c
        connection.execute(update(budget_accounts).where(a.account == bindparam("key")), self._accounts)
        connection.execute(put_leases, self._leases)
        if self._removed:
            of_the_dead = (leased.account == bindparam("key")) & (leased.holder == bindparam("gone"))
            connection.execute(delete(budget_leases).where(of_the_dead), self._removed)


def _locked(connection: Connection, keys: Sequence[str]) -> Mapping[str, Balance]:
    """The balances, which nobody else changes until the end of the transaction."""
    column = budget_accounts.c.account
    wanted = select(budget_accounts).where(column.in_(keys)).order_by(column).with_for_update()
    return {
        row["account"]: Balance(int(row["spent_nusd"]), int(row["known_nusd"]))
        for row in connection.execute(wanted).mappings()
    }


def _leases(connection: Connection, keys: Sequence[str]) -> Mapping[str, list[Lease]]:
    found: dict[str, list[Lease]] = {key: [] for key in keys}
    wanted = select(budget_leases).where(budget_leases.c.account.in_(keys))
    for row in connection.execute(wanted).mappings():
        found[row["account"]].append(_lease(row))
    return found


def _lease(row: RowMapping) -> Lease:
    return Lease(
        holder=row["holder"],
        amount=int(row["amount_nusd"]),
        reserved=int(row["reserved_nusd"]),
        spent=int(row["spent_nusd"]),
        known=int(row["known_nusd"]),
        renewed_ms=int(row["renewed_ms"]),
    )


def _of(account: Account) -> list[ColumnElement[bool]]:
    """Which attempts count for ``account``."""
    conditions: list[ColumnElement[bool]] = []
    if account.since_ms is not None:
        conditions.append(attempts.c.at_ms >= account.since_ms)
    if account.until_ms is not None:
        conditions.append(attempts.c.at_ms < account.until_ms)
    if account.who == "user":
        user = attempts.c.user_id
        conditions.append(user == account.name if account.name else or_(user.is_(None), user == ""))
    elif account.who == "role":
        conditions.append(attempts.c.role == account.name)
    elif account.who == "run":
        conditions.append(calls.c.run_id == account.name)
    return conditions
