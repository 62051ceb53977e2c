"""Reserves what calls may cost, so that no limit is exceeded, by however many processes.

    call ──reserve──▶ pots (memory) ◀──exchange, every second or when something lacks──▶ store
    call ──settle───▶

All state belongs to the event loop's thread; the store is used in a thread of its own, by one exchange at a
time. A process that cannot reach the store spends what it has leased, for half a minute; then nothing is
reserved any more until the store is back.
"""

import asyncio
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

from coreto.clock import Clock
from coreto.errors import BudgetError
from coreto.ledger.budget_report import BudgetReport, budget_report, usd
from coreto.ledger.limits import Limit, Limits, moment
from coreto.ledger.pots import Pot, Reservation
from coreto.stores.budgets import BudgetStore
from coreto.stores.errors import StoreError

log = logging.getLogger(__name__)
T = TypeVar("T")
Given = TypeVarTuple("Given")

PATIENCE_SECONDS = 2.0
"""How long a call waits for the store."""

FRESH_SECONDS = 1.0
"""An answer of the store, that there is nothing left or that it does not work, is believed for so long."""

QUIET_SECONDS = 60.0
TRIES = 3
"""So often a call asks the store; others may take in between what it was given."""

MOST_CALLERS = 1024
KEEP_SECONDS = 40 * 86_400.0
"""Accounts are forgotten when nothing happened to them for so long: longer than a month."""


class Purse:
    """What may be spent now. :meth:`start` it within the running loop, end it with :meth:`close`."""

    def __init__(self, store: BudgetStore, limits: Limits, clock: Clock, *, interval: float = 1.0) -> None:
        """``interval``: seconds between two exchanges with the store while calls are made."""
        self.limits = limits
        self._store = store
        self._clock = clock
        self._interval = interval
        self._name = secrets.token_hex(8)
        self._count = 0
        self._pots: dict[str, Pot] = {}
        # the pots of a (user, role, run), as long as none of their windows ends
        self._callers: dict[tuple[str | None, str | None, str | None], tuple[Pot, ...]] = {}
        self._callers_from = self._callers_until = -math.inf
        self._last: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._problem: str | None = None
        self._problem_at = self._quiet_until = -math.inf
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="coreto-budgets")

    async def start(self) -> None:
        """Read how the configured limits stand, and keep the store informed from now on. A store that does
        not work is logged, not raised."""
        now = self._clock.time()
        for limit in self.limits.named():
            self._pot(limit, now)
        if self.limits.any:
            await self._answered()
            try:
                await self._in_thread(self._store.forget, round((now - KEEP_SECONDS) * 1000))
            except StoreError as error:
                self._complain(error)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="coreto-budgets")

    def limits_changed(self) -> None:
        """Look the limits of each caller up again."""
        self._callers.clear()

    async def close(self) -> None:
        """Tell what was spent, give back what was not, end the thread. What calls still in flight have
        reserved counts as spent in the end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for pot in self._pots.values():
            pot.used_at = -math.inf
        await asyncio.wait([self._exchange()])
        self._writer.shutdown(wait=False)

    def reserve(self, *, user: str | None, role: str | None, run: str | None, worst_nusd: int) -> Reservation:
        """Reserve ``worst_nusd`` of what this process has leased, without waiting; 0 always succeeds.

        Raises :class:`~coreto.errors.BudgetError`, also when the store would lease more.
        """
        now = self._clock.time()
        pots = self._of(user, role, run, now)
        if worst_nusd > 0:
            for pot in pots:
                if not pot.has(worst_nusd, now):
                    raise self._refusal(pots, worst_nusd, now)
        return self._reserved(pots, worst_nusd, now)

    async def obtain(
        self, *, user: str | None, role: str | None, run: str | None, worst_nusd: int
    ) -> Reservation:
        """As :meth:`reserve`, but ask the store for more first where that is needed."""
        asked = 0
        while True:
            now = self._clock.time()
            pots = self._of(user, role, run, now)
            lacking = [pot for pot in pots if worst_nusd > 0 and not pot.has(worst_nusd, now)]
            if not lacking:
                return self._reserved(pots, worst_nusd, now)
            if asked == TRIES or self._is_hopeless(lacking, worst_nusd, now):
                raise self._refusal(lacking, worst_nusd, now)
            for pot in lacking:
                pot.want(worst_nusd, now)
            await self._answered()
            asked += 1

    def reached(self, *, user: str | None, role: str | None, run: str | None) -> str | None:
        """The limit that leaves no room for a call that costs anything, as far as it is known here."""
        now = self._clock.time()
        pots = self._of(user, role, run, now)
        lacking = [pot for pot in pots if not pot.has(1, now)]
        return (
            self._refusal(lacking, 1, now).message if lacking and self._is_hopeless(lacking, 1, now) else None
        )

    async def report(self) -> BudgetReport:
        """How all limits stand."""
        await self._answered(everything=True)
        now = self._clock.time()
        try:
            return await self._in_thread(budget_report, self.limits, self._store, now)
        except StoreError as error:
            return BudgetReport.of(self.limits, (), now, problem=error.message)

    def _of(self, user: str | None, role: str | None, run: str | None, now: float) -> tuple[Pot, ...]:
        """The pots of a call; found once for each caller, until a window ends."""
        if not self._callers_from <= now < self._callers_until or len(self._callers) >= MOST_CALLERS:
            self._callers.clear()
            self._callers_from, self._callers_until = now, math.inf
        found = self._callers.get((user, role, run))
        if found is None:
            found = tuple(self._pot(limit, now) for limit in self.limits.applying(user, role, run))
            self._callers[user, role, run] = found
            for pot in found:
                self._callers_until = min(self._callers_until, pot.ends)
        return found

    def _pot(self, limit: Limit, now: float) -> Pot:
        account = self.limits.account(limit, now)
        pot = self._pots.get(account.key)
        if pot is None:
            self._count += 1
            pot = self._pots[account.key] = Pot(limit, account, f"{self._name}.{self._count}", now)
            self._wake.set()
        pot.limit = limit  # a key may have been made anew with another
        return pot

    def _reserved(self, pots: Sequence[Pot], nusd: int, now: float) -> Reservation:
        for pot in pots:
            pot.used_at = now
        return Reservation(pots, nusd)

    def _is_hopeless(self, lacking: Sequence[Pot], nusd: int, now: float) -> bool:
        """Whether asking the store will not help."""
        if self._problem is not None and now - self._problem_at < FRESH_SECONDS:
            return True
        return any(pot.is_empty_for(nusd) and pot.is_fresh(nusd, now) for pot in lacking)

    def _refusal(self, pots: Sequence[Pot], nusd: int, now: float) -> BudgetError:
        lacking = [pot for pot in pots if not pot.has(nusd, now)]
        empty = [pot for pot in lacking if pot.is_empty_for(nusd)]
        if not empty:
            why = self._problem or "more must be leased from its store first"
            return BudgetError(f"nothing can be reserved under the {lacking[0].limit.title}: {why}")
        pot = max(empty, key=lambda one: one.ends)
        until = None if pot.ends == math.inf else pot.ends
        again = (
            "" if until is None else f"; it begins anew at {moment(pot.account.until_ms, self.limits.zone)}"
        )
        return BudgetError(
            f"the {pot.limit.title}, {usd(pot.limit.nusd)}, leaves no room: {usd(pot.spent_by_all)} is spent,"
            f" {usd(pot.reserved)} reserved for calls in flight, and this call may cost {usd(nusd)}{again}",
            until=until,
        )

    async def _answered(self, *, everything: bool = False) -> None:
        """Wait until the store has answered to the present state, or shown that it will not."""
        if everything:
            for pot in self._pots.values():
                pot.renew_at = -math.inf
        done, _ = await asyncio.wait([self._exchange()], timeout=PATIENCE_SECONDS)
        if not done:
            self._problem, self._problem_at = "its store does not answer", self._clock.time()
        for task in done:
            task.result()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await self._clock.sleep(self._interval)
            await asyncio.wait([self._exchange()])
            if not self._pots:
                self._wake.clear()

    def _exchange(self) -> asyncio.Task[None]:
        """An exchange that has not looked at the pots yet."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._after(self._last))
        return self._next

    async def _after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._last, self._next = self._next, None
        await self._trade()

    async def _trade(self) -> None:
        now = self._clock.time()
        due = [pot for pot in self._pots.values() if pot.is_due(now)]
        moves = [pot.move(now) for pot in due]
        if not moves:
            return
        try:
            standings = await self._in_thread(self._store.exchange, moves, round(now * 1000))
        except StoreError as error:
            self._complain(error)
            return
        self._problem = None
        for pot, move, standing in zip(due, moves, standings, strict=True):
            pot.told(move, standing, now)
            if pot.is_done(now):
                del self._pots[pot.account.key]
                self._callers.clear()

    async def _in_thread(self, work: Callable[[Unpack[Given]], T], *given: *Given) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *given)

    def _complain(self, error: StoreError) -> None:
        now = self._clock.time()
        self._problem, self._problem_at = error.message, now
        if not 0 <= self._quiet_until - now <= QUIET_SECONDS:
            self._quiet_until = now + QUIET_SECONDS
            log.error("the budgets' store does not work: %s", error.message)
