"""What a call came to: its trace with prices, and the event that the ledger and others hear."""

from coreto.clock import Clock
from coreto.events import CallFinished, EventBus
from coreto.ledger.prices import PriceBook
from coreto.messages import Attempt, Call, EmbedCall, Trace, Usage
from coreto.resilience.plan import Journal, Plan


class Settlement:
    """Prices attempts and tells the bus."""

    def __init__(self, prices: PriceBook, bus: EventBus, clock: Clock) -> None:
        self._prices = prices
        self._bus = bus
        self.clock = clock

    def trace(
        self,
        call: Call | EmbedCall,
        plan: Plan,
        journal: Journal,
        task: str | None = None,
        why: tuple[str, ...] = (),
    ) -> Trace:
        """The trace of ``call`` so far."""
        return Trace(
            call_id=call.id,
            deployment=journal.answered_by,
            role=plan.role,
            label=call.label,
            attempts=tuple(self._priced(attempt) for attempt in journal.attempts),
            task=task,
            unmapped=journal.unmapped,
            warnings=tuple(journal.warnings),
            dropped=plan.dropped,
            why=why,
        )

    def _priced(self, attempt: Attempt) -> Attempt:
        if attempt.local:
            return attempt  # costs nothing
        return attempt._replace(cost_nusd=self._prices.charge(attempt.deployment, attempt.usage))

    def settle(self, call: Call | EmbedCall, plan: Plan, trace: Trace, outcome: str, started: float) -> None:
        """Tell the bus that ``call``, started at monotonic second ``started``, ended with ``outcome``."""
        baseline = plan.baseline.id if plan.baseline else None
        usage = next((a.usage for a in trace.attempts if a.outcome == "ok"), None)
        nusd: int | None = None
        if baseline is not None and usage is not None:
            # the baseline's price for the same tokens, not what another provider happened to report
            nusd = self._prices.charge(baseline, usage if usage.cost_nusd is None else _unpriced(usage))
        self._bus.emit(
            CallFinished(
                call_id=call.id,
                ended_at=self.clock.time(),
                ms=(self.clock.monotonic() - started) * 1000,
                outcome=outcome,
                stream=isinstance(call, Call) and call.stream,
                trace=trace,
                user=call.user,
                run=call.run,
                baseline=baseline,
                baseline_nusd=nusd,
                traceparent=call.traceparent,
            )
        )


def _unpriced(usage: Usage) -> Usage:
    return usage._replace(cost_nusd=None)
