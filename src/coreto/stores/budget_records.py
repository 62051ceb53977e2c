"""How several processes share one limit: the values of the budgets' store, and its arithmetic. Pure.

A limit's *balance* says what was spent under it. A process may spend only what it has *leased* from the
limit, and tells the store what it has spent of that. So at any time, for every limit::

    spent + leased by all ≤ limit

but for what a provider charged beyond the worst case that was reserved for a call.

A lease that is not renewed belongs to a process that is dead. What it had spent since it last told is
looked up in the ledger; if the ledger does not track costs, all of the lease counts as spent.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Who = Literal["all", "user", "role", "run"]
"""Whose spending is limited; ``all`` is everybody's together."""

DEAD_MS = 90_000
"""A lease that was not renewed for so long is taken back."""

USABLE_MS = 30_000
"""So long after its renewal a process may spend from its lease. The difference to :data:`DEAD_MS` is what
the clocks of two machines may differ, and what a transaction may take."""


@dataclass(frozen=True, slots=True)
class Account:
    """What one limit counts in one window. ``period`` is the window's name (``2026-01-31``, ``2026-01``, or
    ``run``); its ends in epoch milliseconds, half open, ``None`` for a run's. The ``name`` is empty for
    everybody's and for that of calls without a user."""

    who: Who
    name: str
    period: str
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def key(self) -> str:
        return f"{self.who}:{self.period}:{self.name}"


@dataclass(frozen=True, slots=True)
class Balance:
    """What is known to be spent, in nano-dollars; ``known`` is the part that the ledger shows too."""

    spent: int = 0
    known: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """What a process may still spend (``amount``), as of when it told. ``reserved`` is the part that calls in
    flight hold; ``spent`` and ``known`` are running sums of what this process has settled."""

    holder: str
    amount: int
    reserved: int
    spent: int
    known: int
    renewed_ms: int


@dataclass(frozen=True, slots=True)
class Move:
    """What a process tells about one account, and asks of it.

    ``holder`` names its lease: never used again once it was given back whole. ``spent`` and ``known``: its running sums; ``acked_spent`` and ``acked_known``: what of them the store has
    confirmed. ``need``: what it lacks; any part of it helps that is not below ``least``; ``spare``: what it
    would like on top. ``keep``: it gives back what exceeds this; ``None``: nothing.
    """

    account: Account
    holder: str
    limit: int
    spent: int = 0
    known: int = 0
    acked_spent: int = 0
    acked_known: int = 0
    reserved: int = 0
    need: int = 0
    least: int = 0
    spare: int = 0
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The store's answer: what the process may spend from now on, what was spent by all, and what nobody has
    leased (negative when a limit was lowered or overshot)."""

    lease: int
    spent: int
    room: int


@dataclass(frozen=True, slots=True)
class Total:
    """An account as reports show it; ``leased`` by all processes, of which ``reserved`` for calls in
    flight as of when they last told."""

    account: Account
    spent: int
    leased: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Traded:
    """An account after a move; ``lease`` is the process's own."""

    balance: Balance
    lease: Lease
    standing: Standing


def dead(leases: Iterable[Lease], holder: str, now_ms: int) -> list[Lease]:
    """The leases of processes other than ``holder`` that were not renewed in time."""
    return [one for one in leases if one.holder != holder and one.renewed_ms < now_ms - DEAD_MS]


def taken_back(balance: Balance, gone: Iterable[Lease], recorded: int | None) -> Balance:
    """``balance`` with what dead processes spent and could not tell any more.

    ``recorded``: what the ledger shows for the account, ``None`` where it does not track costs. What was in
    flight counts as spent, for nobody knows whether it was charged.
    """
    leases = list(gone)
    held = sum(one.amount for one in leases)
    if recorded is None:
        return replace(balance, spent=balance.spent + held)
    untold = max(recorded - balance.known, 0)
    in_flight = sum(one.reserved for one in leases)
    return Balance(
        spent=balance.spent + min(held, untold + in_flight), known=balance.known + min(held, untold)
    )


def traded(balance: Balance, leases: Iterable[Lease], move: Move, now_ms: int) -> Traded:
    """``move`` carried out, among the ``leases`` of the account that are not taken back.

    A move that is sent again after an unclear commit tells nothing new the second time, for which even a
    lease of nothing is kept for a while. A process whose lease was taken back meanwhile starts a new one.
    """
    own, others = None, 0
    for lease in leases:
        if lease.holder == move.holder:
            own = lease
        else:
            others += lease.amount
    told_spent, told_known = (own.spent, own.known) if own else (move.acked_spent, move.acked_known)
    spent = balance.spent + move.spent - told_spent
    known = balance.known + move.known - told_known
    amount = max((own.amount if own else 0) - (move.spent - told_spent), 0)
    if move.keep is not None:
        amount = min(amount, max(move.keep, move.reserved))
    room = move.limit - spent - others - amount
    # what calls in flight hold is covered first: it may be charged whatever we do
    grant = min(max(move.reserved - amount, 0), max(room, 0))
    grant += _granted(move, room - grant)
    amount += grant
    return Traded(
        balance=Balance(spent, known),
        lease=Lease(move.holder, amount, move.reserved, move.spent, move.known, now_ms),
        standing=Standing(amount, spent, room - grant),
    )


def _granted(move: Move, room: int) -> int:
    if move.need <= 0 or room < max(move.least, 1):
        return 0
    if move.need > room:
        return room
    # half of what is left stays for the other processes, down to the last cent
    return move.need + min(move.spare, (room - move.need) // 2)
