"""Writes finished calls to the ledger, off the hot path.

    bus ──hook──▶ queue ──every 100 ms──▶ one writer thread ──▶ store

The hook only appends. All taking from the queue and all SQL happen in the writer thread, its only
owner: ``flush`` and ``close`` ask that thread, so nothing needs a lock. A killed process loses what
came since the last flush.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from coreto.clock import Clock
from coreto.events import CallFinished, EventBus
from coreto.ledger.records import record_of
from coreto.stores.errors import RefusedError, StoreError
from coreto.stores.ledger import LedgerStore

log = logging.getLogger(__name__)

CAPACITY = 10_000
"""Calls that wait for a store that does not work; the oldest go first."""

BATCH = 500
QUIET_SECONDS = 60.0
SLOWEST_RETRY_SECONDS = 5.0


class Recorder:
    """Records every :class:`~coreto.events.CallFinished` of a bus.

    A store that fails never fails a call: its rows wait, the log says so once a minute, and what could
    not be kept is counted in :attr:`dropped`.
    """

    def __init__(
        self,
        store: LedgerStore,
        clock: Clock,
        *,
        track_costs: bool = True,
        track_latency: bool = True,
        interval: float = 0.1,
        capacity: int = CAPACITY,
    ) -> None:
        """``interval``: seconds between flushes; ``capacity``: calls that may wait."""
        self._store = store
        self._clock = clock
        self._track_costs = track_costs
        self._track_latency = track_latency
        self._interval = interval
        self._capacity = capacity
        self._queue: deque[CallFinished] = deque()
        self._overflowed = 0  # counted by the loop's thread
        self._lost = 0  # counted by the writer's thread
        self._quiet_until = -math.inf
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._detach: Callable[[], None] | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="coreto-ledger")

    @property
    def dropped(self) -> int:
        """Calls that were not recorded and never will be."""
        return self._overflowed + self._lost

    @property
    def waiting(self) -> int:
        """Calls not yet written; those of the batch being written just now are not among them."""
        return len(self._queue)

    def attach(self, bus: EventBus) -> None:
        """Start recording the calls of ``bus``, within the running loop. Once."""
        self._detach = bus.subscribe(CallFinished, self._note)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="coreto-ledger")

    async def flush(self) -> bool:
        """Write what waits. False when the store failed and something still waits; never raises."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._drain)

    async def close(self) -> None:
        """Stop listening, write what waits and end the thread. What a failing store did not take by then is
        counted as dropped."""
        if self._detach is not None:
            self._detach()
            self._detach = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            if not await self.flush():
                log.error("the ledger lost %d calls: its store does not work", len(self._queue))
                self._lost += len(self._queue)
                self._queue.clear()
        finally:
            self._writer.shutdown(wait=False)

    def _note(self, event: CallFinished) -> None:
        """The hook: on every call's path, so it only appends."""
        queue = self._queue
        if len(queue) >= self._capacity:
            self._overflowed += self._forget_oldest()
        queue.append(event)
        self._wake.set()

    async def _run(self) -> None:
        delay = self._interval
        while True:
            await self._wake.wait()
            await self._clock.sleep(delay)
            self._wake.clear()
            if await self.flush():
                delay = self._interval
            else:
                delay = min(delay * 2, max(SLOWEST_RETRY_SECONDS, self._interval))
                self._wake.set()

    def _drain(self) -> bool:
        """In the writer's thread: write until nothing waits (True) or the store fails (False)."""
        while self._queue:
            batch = self._take()
            try:
                self._write(batch)
            except StoreError as error:
                self._put_back(batch)
                self._complain(error)
                return False
            except Exception:  # boundary: whatever one batch holds, the worker goes on with the next
                self._lost += len(batch)
                log.exception("the ledger lost %d calls", len(batch))
        return True

    def _take(self) -> list[CallFinished]:
        batch: list[CallFinished] = []
        try:
            while len(batch) < BATCH:
                batch.append(self._queue.popleft())
        except IndexError:
            pass
        return batch

    def _write(self, batch: list[CallFinished]) -> None:
        """Write ``batch`` whole; if the store refuses its values, all but those it refuses."""
        try:
            self._append(batch)
        except RefusedError:
            for position, event in enumerate(batch):
                try:
                    self._append([event])
                except RefusedError as error:
                    self._lost += 1
                    self._complain(error)
                except StoreError:
                    # the caller puts back what is left; what is done is done
                    del batch[:position]
                    raise

    def _append(self, batch: list[CallFinished]) -> None:
        self._store.append(
            [
                record_of(event, track_costs=self._track_costs, track_latency=self._track_latency)
                for event in batch
            ]
        )

    def _put_back(self, batch: list[CallFinished]) -> None:
        self._queue.extendleft(reversed(batch))
        while len(self._queue) > self._capacity:
            self._lost += self._forget_oldest()

    def _forget_oldest(self) -> int:
        try:
            self._queue.popleft()
        except IndexError:  # the other thread took it first
            return 0
        return 1

    def _complain(self, error: StoreError) -> None:
        now = self._clock.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            log.error(
                "the ledger's store does not work (%s); %d calls wait, %d are lost",
                error.message,
                len(self._queue),
                self.dropped,
            )
