"""A ledger in memory, with faults on demand."""

from collections.abc import Sequence
from datetime import UTC, tzinfo

from coreto.stores.errors import StoreError
from coreto.stores.records import (
    SAMPLE,
    AttemptRecord,
    By,
    CallRecord,
    LastError,
    Latency,
    Totals,
    day_of,
    latencies,
    merged,
)


class MemoryLedgerStore:
    """Behaves as ``SqlLedgerStore`` and forgets at its end.

    While ``fault`` is set, every method raises it. ``refused`` holds call ids that ``append`` raises
    ``refusal`` for. ``batches`` counts the appends that succeeded.
    """

    def __init__(self) -> None:
        self.fault: StoreError | None = None
        self.refusal: StoreError | None = None
        self.refused: set[str] = set()
        self.batches = 0
        self._calls: dict[str, CallRecord] = {}

    def append(self, batch: Sequence[CallRecord]) -> None:
        self._check()
        if self.refusal is not None and any(call.call_id in self.refused for call in batch):
            raise self.refusal
        for call in batch:
            self._calls.setdefault(call.call_id, call)
        self.batches += bool(batch)

    def totals(
        self, by: By, since_ms: int | None = None, until_ms: int | None = None, tz: tzinfo = UTC
    ) -> list[Totals]:
        self._check()
        rows: list[Totals] = []
        for call in self._newest(since_ms, until_ms):
            rows.append(_of_call(call, _key(call, None, by, tz)))
            rows += [_of_attempt(one, _key(call, one, by, tz)) for one in call.attempts]
        return merged(rows)

    def recent(
        self, limit: int, *, role: str | None = None, user: str | None = None, run: str | None = None
    ) -> list[CallRecord]:
        self._check()
        wanted = ((role, "role"), (user, "user"), (run, "run"))
        found = [
            call
            for call in self._newest()
            if all(value is None or getattr(call, name) == value for value, name in wanted)
        ]
        return found[:limit]

    def last_errors(self, since_ms: int | None = None) -> list[LastError]:
        self._check()
        found: dict[str, LastError] = {}
        for call, one in self._attempts(since_ms):
            if one.failed and one.deployment not in found:
                found[one.deployment] = LastError(one.deployment, one.outcome, one.detail, call.at_ms)
        return sorted(found.values(), key=lambda error: error.deployment)

    def latency(self, since_ms: int | None = None) -> list[Latency]:
        self._check()
        seen: dict[str, int] = {}
        samples: list[tuple[str, float, float | None]] = []
        for _, one in self._attempts(since_ms):
            if one.outcome == "ok" and one.ms is not None:
                seen[one.deployment] = seen.get(one.deployment, 0) + 1
                if seen[one.deployment] <= SAMPLE:
                    samples.append((one.deployment, one.ms, one.ttft_ms))
        return latencies(samples)

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _newest(self, since_ms: int | None = None, until_ms: int | None = None) -> list[CallRecord]:
        found = [
            call
            for call in self._calls.values()
            if (since_ms is None or call.at_ms >= since_ms) and (until_ms is None or call.at_ms < until_ms)
        ]
        return sorted(found, key=lambda call: (call.at_ms, call.call_id), reverse=True)

    def _attempts(self, since_ms: int | None) -> list[tuple[CallRecord, AttemptRecord]]:
        return [(call, one) for call in self._newest(since_ms) for one in reversed(call.attempts)]


def _key(call: CallRecord, attempt: AttemptRecord | None, by: By, tz: tzinfo) -> str | None:
    if by == "day":
        return day_of(call.at_ms, tz)
    if by in {"deployment", "outcome"}:
        return getattr(attempt or call, by)
    return getattr(call, by)


def _of_call(call: CallRecord, key: str | None) -> Totals:
    one = Totals(key=key, calls=1, cached_calls=int(call.cached), failed_calls=int(call.outcome != "ok"))
    if call.cost_nusd is None or call.baseline_nusd is None:
        return one
    return merged(
        [one, Totals(key=key, compared=1, compared_nusd=call.cost_nusd, baseline_nusd=call.baseline_nusd)]
    )[0]


def _of_attempt(attempt: AttemptRecord, key: str | None) -> Totals:
    return Totals(
        key=key,
        attempts=int(attempt.tried),
        failed_attempts=int(attempt.failed),
        skipped=int(not attempt.tried),
        unpriced=int(attempt.tried and attempt.cost_nusd is None),
        prompt_tokens=attempt.prompt_tokens or 0,
        completion_tokens=attempt.completion_tokens or 0,
        cached_tokens=attempt.cached_tokens or 0,
        cost_nusd=attempt.cost_nusd or 0,
    )
