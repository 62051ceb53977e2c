"""What this process may spend of each limit, and the reservations in it. In memory, without waiting.

A :class:`Pot` holds a lease from the store (``stores/budget_records.py``). Calls reserve their worst case in
it and settle what they did cost; :meth:`Pot.move` says what to tell the store, :meth:`Pot.told` takes its
answer. Between the two, calls go on reserving and settling.
"""

import math
from collections.abc import Sequence

from coreto.ledger.limits import Limit
from coreto.stores.budget_records import USABLE_MS, Account, Move, Standing

SLICES = 16
"""A lease is about this part of its limit, or what the waiting calls need if that is more."""

RENEW_SECONDS = 10.0
IDLE_SECONDS = 20.0
"""A pot that nobody uses for so long gives its lease back."""

SHRINK_SECONDS = 10.0
"""A lease that turned out much too large is given back in part, once nothing was lacking for so long."""

FRESH_SECONDS = 1.0
"""The store's word that nothing is left is believed for so long."""

LARGEST = 10**15
"""A million dollars: what a call can cost at most, so that sums stay within a database's 64 bits."""


class Pot:
    """One limit in one window. Amounts in nano-dollars, times in epoch seconds.

    ``lease``: what may be spent, as of when ``acked_spent`` was settled. ``open``: reservations that were
    neither settled nor released.
    """

    __slots__ = (
        "_acked_known",
        "_acked_spent",
        "_lease",
        "_told_at",
        "_told_reserved",
        "account",
        "ends",
        "holder",
        "known",
        "lacked_at",
        "least",
        "limit",
        "open",
        "renew_at",
        "reserved",
        "room",
        "spent",
        "total",
        "usable_until",
        "used_at",
        "wanted",
    )

    def __init__(self, limit: Limit, account: Account, holder: str, now: float) -> None:
        """``holder``: a name for the lease that nobody else uses, nor a later pot."""
        self.limit = limit
        self.account = account
        self.holder = holder
        self.ends = math.inf if account.until_ms is None else account.until_ms / 1000
        self.spent = self.known = self.reserved = self.open = 0
        self.wanted = self.least = 0
        self.usable_until = self.renew_at = self.lacked_at = -math.inf
        self.used_at = now
        #: what was spent by all processes, and what nobody has leased, when the store last answered
        self.total = 0
        self.room: int | None = None
        self._told_at = -math.inf
        self._lease = self._acked_spent = self._acked_known = self._told_reserved = 0

    @property
    def free(self) -> int:
        """What may still be reserved; negative after a call that cost more than it had reserved."""
        return self._lease - (self.spent - self._acked_spent) - self.reserved

    def has(self, nusd: int, now: float) -> bool:
        """Whether ``nusd`` can be reserved now."""
        return self.free >= nusd and now < self.usable_until

    @property
    def untold(self) -> bool:
        """Whether the store does not know the present state."""
        return self.spent != self._acked_spent or self.reserved != self._told_reserved

    @property
    def spent_by_all(self) -> int:
        """What all processes have spent, as far as this one knows."""
        return self.total + self.spent - self._acked_spent

    def want(self, nusd: int, now: float) -> None:
        """Have the next move ask for ``nusd`` more than what is reserved."""
        self.least = min(self.least, nusd) if self.wanted else nusd
        self.wanted += nusd
        self.used_at = now

    def is_due(self, now: float) -> bool:
        """Whether the store must hear from this pot."""
        return bool(self.wanted) or self.untold or now >= self.renew_at or self.is_idle(now)

    def is_idle(self, now: float) -> bool:
        """Whether nobody uses it any more."""
        return not self.open and (now >= self.ends or now - self.used_at >= IDLE_SECONDS)

    def is_done(self, now: float) -> bool:
        """Whether the store knows all of it and nothing is leased any more."""
        return self.is_idle(now) and not self.wanted and not self.untold and self.free == 0

    def is_empty_for(self, nusd: int) -> bool:
        """Whether there is not that much left, as far as is known."""
        return self.limit.nusd < nusd or (self.room is not None and self.free + self.room < nusd)

    def is_fresh(self, nusd: int, now: float) -> bool:
        """Whether it is known that ``nusd`` cannot be had, or not, without asking the store again."""
        return self.limit.nusd < nusd or now - self._told_at < FRESH_SECONDS

    def move(self, now: float) -> Move:
        """What to tell the store, and to ask of it, now. What is given back cannot be spent any more, and
        what was wanted counts as asked for."""
        slice_nusd = max(self.limit.nusd // SLICES, 1)
        unacked = self.spent - self._acked_spent
        need = max(self.wanted - max(self.free, 0), 0)
        if need:
            self.lacked_at = now
        keep: int | None = None
        if not self.wanted and self.is_idle(now):
            keep = self.reserved
        elif self.free > 2 * slice_nusd and now - self.lacked_at >= SHRINK_SECONDS and not self.wanted:
            keep = self.reserved + slice_nusd
        if keep is not None:
            self._lease = min(self._lease, keep + unacked)
        move = Move(
            self.account,
            self.holder,
            self.limit.nusd,
            spent=self.spent,
            known=self.known,
            acked_spent=self._acked_spent,
            acked_known=self._acked_known,
            reserved=self.reserved,
            need=need,
            least=max(self.least - max(self.free, 0), 0),
            spare=slice_nusd,
            keep=keep,
        )
        self.wanted = self.least = 0
        return move

    def told(self, move: Move, standing: Standing, sent_at: float) -> None:
        """The store's answer to ``move``, which was made at ``sent_at``."""
        self._lease = standing.lease
        self._acked_spent, self._acked_known = move.spent, move.known
        self._told_reserved = move.reserved
        self.total, self.room, self._told_at = standing.spent, standing.room, sent_at
        self.usable_until = sent_at + USABLE_MS / 1000
        self.renew_at = sent_at + RENEW_SECONDS


class Reservation:
    """What one attempt may cost, held in every pot that it concerns. End it by :meth:`settle` or
    :meth:`release`; whatever is called after that does nothing."""

    __slots__ = ("_open", "_pots", "nusd")

    def __init__(self, pots: Sequence[Pot], nusd: int) -> None:
        self.nusd = nusd
        self._pots = pots
        self._open = True
        for pot in pots:
            pot.reserved += nusd
            pot.open += 1

    def settle(self, actual_nusd: int | None) -> None:
        """Count what the attempt cost; ``None`` = not known: all that was reserved counts."""
        if not self._open:
            return
        self._open = False
        known = 0 if actual_nusd is None else min(max(actual_nusd, 0), LARGEST)
        spent = self.nusd if actual_nusd is None else known
        for pot in self._pots:
            pot.reserved -= self.nusd
            pot.open -= 1
            pot.spent += spent
            pot.known += known

    def release(self) -> None:
        """The attempt cost nothing."""
        self.settle(0)
