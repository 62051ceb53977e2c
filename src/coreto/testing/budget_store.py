"""The budgets' store in memory, with faults on demand."""

from collections.abc import Callable, Sequence

from coreto.stores.budget_records import (
    Account,
    Balance,
    Lease,
    Move,
    Standing,
    Total,
    Who,
    dead,
    taken_back,
    traded,
)
from coreto.stores.errors import StoreError


def _nothing(_: Account) -> int:
    return 0


class MemoryBudgetStore:
    """Behaves as ``SqlBudgetStore`` and forgets at its end.

    ``recorded``: what the ledger shows for an account; ``None``: it does not track costs. While ``fault``
    is set, every method raises it; with ``unclear`` an exchange is carried out first, as when the
    connection breaks at the commit. ``exchanges`` counts those that were carried out.
    """

    def __init__(self, recorded: Callable[[Account], int] | None = _nothing) -> None:
        self.fault: StoreError | None = None
        self.unclear = False
        self.exchanges = 0
        self.balances: dict[str, Balance] = {}
        self.leases: dict[str, dict[str, Lease]] = {}
        self._recorded = recorded
        self._accounts: dict[str, Account] = {}
        self._touched: dict[str, int] = {}

    def exchange(self, moves: Sequence[Move], now_ms: int) -> list[Standing]:
        if not self.unclear:
            self._check()
        standings = [self._one(move, now_ms) for move in moves]
        self.exchanges += 1
        self._check()
        return standings

    def totals(self, accounts: Sequence[Account]) -> list[Total]:
        self._check()
        return [self._total(account) for account in accounts]

    def active(self, who: Who, period: str) -> list[Account]:
        self._check()
        found = [one for one in self._accounts.values() if (one.who, one.period) == (who, period)]
        return sorted(found, key=lambda one: (-self.balances[one.key].spent, one.key))

    def forget(self, before_ms: int) -> None:
        self._check()
        for key in [key for key, touched in self._touched.items() if touched < before_ms]:
            for table in (self._accounts, self._touched, self.balances, self.leases):
                del table[key]

    def _one(self, move: Move, now_ms: int) -> Standing:
        key = move.account.key
        if key not in self.balances:
            recorded = self._recorded(move.account) if self._recorded else 0
            self._accounts[key] = move.account
            self.balances[key], self.leases[key] = Balance(recorded, recorded), {}
        leases = self.leases[key]
        gone = dead(leases.values(), move.holder, now_ms)
        for one in gone:
            del leases[one.holder]
        recorded = self._recorded(move.account) if self._recorded else None
        result = traded(taken_back(self.balances[key], gone, recorded), leases.values(), move, now_ms)
        self.balances[key], leases[move.holder] = result.balance, result.lease
        self._touched[key] = now_ms
        return result.standing

    def _total(self, account: Account) -> Total:
        balance = self.balances.get(account.key)
        if balance is None:
            return Total(account, self._recorded(account) if self._recorded else 0)
        leases = self.leases[account.key].values()
        return Total(
            account, balance.spent, sum(one.amount for one in leases), sum(one.reserved for one in leases)
        )

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
