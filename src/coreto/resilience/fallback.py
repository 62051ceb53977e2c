"""Asks one candidate after the other until one answers."""

import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from types import TracebackType

from coreto.clock import Clock
from coreto.errors import (
    BudgetError,
    CallError,
    ContextError,
    CoretoError,
    ExhaustedError,
    InvalidOutputError,
    MissingModelError,
    RejectedError,
    RetiredError,
    TimedOutError,
)
from coreto.ledger.budgets import Budgets
from coreto.ledger.pots import Reservation
from coreto.messages import Attempt, Call, Item, Restart, Usage, estimate_tokens, prompt_text
from coreto.providers.base import Items
from coreto.resilience import attempt
from coreto.resilience.attempt import Seen
from coreto.resilience.continuation import continued
from coreto.resilience.health import Block, HealthBook
from coreto.resilience.history import portable
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.resilience.repair import repaired
from coreto.resilience.retry import wait_before

DEFAULT_RETRIES = 2
#: Seconds worth waiting for a candidate that is cooling down when there is no other.
WORTH_WAITING = 5.0
#: An estimate of tokens this much above a window surely does not fit; below it, the server decides.
SURELY = 0.7


@dataclass(frozen=True, slots=True)
class Ward:
    """What all calls share. ``successor`` gives the candidate that replaces a model that is gone;
    ``budgets`` admits attempts that cost money, where spending is limited."""

    health: HealthBook
    clock: Clock
    rng: random.Random
    successor: Callable[[Candidate, CallError], Candidate | None]
    budgets: Budgets | None = None


class Fallback:
    """A plan's candidates as one provider of one call.

    Every candidate ends in exactly one of:

    1. passed by: its breaker is open, it is cooling down, or the prompt surely does not fit its window;
    2. asked, and answered: done;
    3. asked, and the request itself, as the caller wrote it, was found wrong: relayed, nobody else is asked;
    4. asked, its answer not what was asked for: shown what is wrong, once;
    5. asked, failed in passing: waited for, and asked again while retries and time are left;
    6. asked, found retired or missing: its successor takes its place;
    7. asked, and failed: the next one is asked. If the caller has seen a part of the answer, only where it
       can go on from that part, or the client agreed to forget it.

    When nobody is left, those that were passed by although they are cheap to try get their chance; when all
    were passed by, also one that is back within seconds.
    """

    def __init__(self, plan: Plan, journal: Journal, ward: Ward) -> None:
        self._plan = plan
        self._journal = journal
        self.ward = ward
        self._causes: list[CoretoError] = []
        self._policy = plan.failover

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._run(call))

    async def _run(self, call: Call) -> Items:
        self._policy = call.failover or self._plan.failover
        waiting = deque(self._plan.candidates if self._plan.fallback else self._plan.candidates[:1])
        blocked: list[tuple[Candidate, Block]] = []
        while waiting:
            candidate = waiting.popleft()
            if self._passed_by(candidate, call, blocked):  # 1
                if blocked and blocked[-1][0] is candidate:
                    self._replace(candidate, _gone(blocked[-1][1]), waiting)
                continue
            async with aclosing(self._ask(candidate, call, last=not self._any_free(waiting))) as items:
                async for item in items:
                    yield item
            if self._journal.answered_by:  # 2
                return
            self._replace(candidate, self._causes[-1], waiting)  # 6
        cheap = [candidate for candidate, block in blocked if block.soft]
        spared = cheap or await self._soonest(blocked, call)
        for candidate in spared:
            async with aclosing(self._ask(candidate, call, last=candidate is spared[-1])) as items:
                async for item in items:
                    yield item
            if self._journal.answered_by:
                return
        raise self._exhausted(blocked)

    async def _ask(self, candidate: Candidate, call: Call, *, last: bool) -> Items:
        """Ask ``candidate``, again while that makes sense. Ends without an answer when it failed for good."""
        retries = self._plan.retries if self._plan.retries is not None else DEFAULT_RETRIES if last else 0
        asked = self._asked(candidate, call)
        may_repair = self._plan.expected.constrained
        answer: Item | None = None
        done = 0
        while True:
            if asked.deadline <= self.ward.clock.monotonic():
                self._causes.append(TimedOutError("the call's deadline has passed"))
                return
            try:
                reservation = await self._admitted(candidate, asked)
                with _Try(self, candidate, asked, reservation) as seen:
                    if asked.stream:
                        async with aclosing(self._stream(candidate, asked, seen)) as items:
                            async for item in items:
                                yield item
                    else:
                        answer = await attempt.whole(candidate, asked, self._plan.expected, seen)
                if answer is not None:
                    yield answer
            except CallError as error:
                if self._is_final(error, asked, call):  # 3, 7
                    raise
                if may_repair and isinstance(error, InvalidOutputError):  # 4
                    may_repair = False
                    mended = repaired(asked, error)
                    if mended is not None:
                        asked = mended
                        continue
                done += 1
                if done > retries or not await self._waited(error, done, call, last=last):
                    return
                asked = self._asked(candidate, call)  # 5
            else:
                self._journal.answered_by = candidate.deployment.id
                return

    def _is_final(self, error: CallError, asked: Call, call: Call) -> bool:
        """Whether nobody else may be asked after ``error``."""
        if isinstance(error, RejectedError) and _turns(asked) == _turns(call):  # not about what we added
            return True
        self._causes.append(error)
        if isinstance(error, BudgetError) and self._refuses:
            return True
        return self._journal.committed and not self._may_go_on(call, error)

    async def _waited(self, error: CallError, retry: int, call: Call, *, last: bool) -> bool:
        """Wait before a retry; ``False``: there is none. A long pause is worth it for the ``last`` only."""
        if not last and (error.retry_after or 0.0) > WORTH_WAITING:
            return False
        left = call.deadline - self.ward.clock.monotonic()
        wait = wait_before(error, retry, left, self.ward.rng)
        if wait is not None:
            await self.ward.clock.sleep(wait)
        return wait is not None

    def _asked(self, candidate: Candidate, call: Call) -> Call:
        """``call`` as ``candidate`` shall get it."""
        asked = replace(
            call, model=candidate.deployment.model, limits=candidate.limits, context=candidate.window
        )
        if self._causes:
            asked = portable(asked)
        labels = self._plan.expected.labels
        if labels and candidate.constrains and "response_format" not in call.body:
            form = {"name": "label", "schema": {"type": "string", "enum": list(labels)}}
            asked = replace(
                asked, body={**asked.body, "response_format": {"type": "json_schema", "json_schema": form}}
            )
        if self._policy == "continue" and self._journal.given.parts:
            asked = continued(asked, self._journal.given.text, prefill=candidate.prefill)
        return asked

    def _may_go_on(self, call: Call, error: CallError) -> bool:
        """Whether another model may take over a stream that the caller has seen a part of. What was answered
        to a prompt that was cut can be started over, but not gone on with."""
        if self._policy == "restart":
            return call.restartable
        text_only = not self._journal.given.has_tool_calls and call.body.get("n") in (None, 1)
        return self._policy == "continue" and text_only and not isinstance(error, ContextError)

    @property
    def _refuses(self) -> bool:
        return self.ward.budgets is not None and self.ward.budgets.refuses

    async def _admitted(self, candidate: Candidate, call: Call) -> Reservation | None:
        """Reserve what the attempt may cost. Raises :class:`BudgetError`."""
        if self.ward.budgets is None or candidate.deployment.local:
            return None
        try:
            return await self.ward.budgets.admit(call, candidate.deployment)
        except BudgetError as error:
            self._skip(candidate, f"budget: {error.message}", until=error.until)
            raise

    async def _stream(self, candidate: Candidate, call: Call, seen: Seen) -> Items:
        """The chunks that the caller may see, by the policy in force."""
        expected, given = self._plan.expected, self._journal.given
        chunks = attempt.stream(candidate, call, seen, self.ward.clock)
        if expected.constrained or self._policy == "hold":
            chunks = attempt.held(chunks, seen, expected)
        elif self._policy == "continue" and given.parts:
            chunks = attempt.stitched(chunks, given.text)
        restarting = self._policy == "restart" and self._journal.committed
        remember = self._policy == "continue"
        async with aclosing(chunks):
            async for chunk in chunks:
                if restarting:
                    restarting = False
                    yield Restart(str(self._causes[-1]), candidate.deployment.id)
                self._journal.committed = True
                if remember:
                    given.add(chunk.body)
                yield chunk

    def _passed_by(self, candidate: Candidate, call: Call, blocked: list[tuple[Candidate, Block]]) -> bool:
        block = self.ward.health.block(candidate.deployment)
        if block is not None:
            blocked.append((candidate, block))
            self._skip(candidate, f"{block.code}: {block.reason}", block)
            return True
        window = candidate.window or candidate.deployment.context
        if window is None or len(call.body.get("messages") or ()) == 0:
            return False
        text = prompt_text(call.body)
        if len(text) < window:  # fewer characters than tokens allowed: no need to count
            return False
        tokens = estimate_tokens(text)
        if tokens * SURELY <= window:
            return False
        problem = f"context: a prompt of about {tokens} tokens does not fit a window of {window}"
        self._causes.append(ContextError(problem))
        self._skip(candidate, problem)
        return True

    def note(
        self, candidate: Candidate, seen: Seen, outcome: str, seconds: float, error: CallError | None = None
    ) -> None:
        """Take down what one try of ``seconds`` came to, and settle what it cost."""
        deployment = candidate.deployment
        if seen.reservation is not None and self.ward.budgets is not None:
            self.ward.budgets.settle(seen.reservation, deployment, seen.usage, outcome)
        if outcome == "ok":
            self._journal.unmapped = seen.unmapped
        self._journal.attempts.append(
            Attempt(
                deployment=deployment.id,
                outcome=outcome,
                ms=seconds * 1000,
                ttft_ms=None if seen.first is None else (seen.first - seen.started) * 1000,
                usage=seen.usage or Usage(),
                local=deployment.local,
                detail=error.message if error else None,
                scope=error.scope.value if error else None,
                until=error.until if error else None,
            )
        )

    def _skip(
        self, candidate: Candidate, detail: str, block: Block | None = None, *, until: float | None = None
    ) -> None:
        deployment = candidate.deployment
        self._journal.attempts.append(
            Attempt(
                deployment=deployment.id,
                outcome="skipped",
                local=deployment.local,
                detail=detail,
                scope=block.key.partition(":")[0] if block else None,
                until=block.until if block else until,
            )
        )

    def _any_free(self, candidates: Iterable[Candidate]) -> bool:
        return any(self.ward.health.block(c.deployment) is None for c in candidates)

    def _replace(self, candidate: Candidate, error: CoretoError | None, waiting: deque[Candidate]) -> None:
        """Put the successor of a model that is gone in its place, unless it has a place already. It is never
        farther away than the model that it replaces."""
        if not isinstance(error, RetiredError | MissingModelError):
            return
        heir = self.ward.successor(candidate, error)
        if heir is None or heir.deployment.local < candidate.deployment.local:
            return
        name = heir.deployment.id
        if all(c.deployment.id != name for c in waiting) and all(
            a.deployment != name for a in self._journal.attempts
        ):
            self._journal.warnings.append(f"{candidate.deployment.id} is gone; {name} takes its place")
            waiting.appendleft(heir)

    async def _soonest(self, blocked: list[tuple[Candidate, Block]], call: Call) -> list[Candidate]:
        """With everybody passed by: who is back soonest, waited for; nobody where that takes too long."""
        if self._causes or not blocked:
            return []
        candidate, block = min(blocked, key=lambda pair: pair[1].until)
        wait = block.until - self.ward.clock.time()
        if wait > min(WORTH_WAITING, call.deadline - self.ward.clock.monotonic()):
            return []
        await self.ward.clock.sleep(wait)
        return [candidate]

    def _exhausted(self, blocked: list[tuple[Candidate, Block]]) -> ExhaustedError:
        tried = "; ".join(f"{a.deployment}: {a.outcome} ({a.detail})" for a in self._journal.attempts)
        dropped = "; ".join(f"{name}: {why}" for name, why in self._plan.dropped)
        what = "; ".join(part for part in (tried, dropped) if part) or "no deployment is configured"
        error = ExhaustedError(f"no model could answer {self._plan.name!r}. {what}", causes=self._causes)
        if blocked and not self._causes:
            error.http_status = 503
            error.retry_after = max(min(b.until for _, b in blocked) - self.ward.clock.time(), 0.0)
        return error


def _turns(call: Call) -> int:
    return len(call.body.get("messages") or ())


def _gone(block: Block) -> CallError | None:
    """The error that took a model out of service because it is gone; ``None`` for any other reason."""
    if block.code == MissingModelError.code:
        return MissingModelError(block.reason)
    if block.code != RetiredError.code:
        return None
    error = RetiredError(block.reason)
    error.successors = block.successors
    return error


class _Try:
    """One try at a candidate, recorded in journal and health whatever comes of it."""

    __slots__ = ("_call", "_candidate", "_fallback", "_seen", "_ward")

    def __init__(
        self, fallback: Fallback, candidate: Candidate, call: Call, reservation: Reservation | None
    ) -> None:
        self._fallback = fallback
        self._ward = fallback.ward
        self._candidate = candidate
        self._call = call
        self._seen = Seen(started=self._ward.clock.monotonic(), reservation=reservation)

    def __enter__(self) -> Seen:
        self._ward.health.starting(self._candidate.deployment)
        return self._seen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        health, deployment = self._ward.health, self._candidate.deployment
        seconds = self._ward.clock.monotonic() - self._seen.started
        failure: CallError | None = None
        if error is None:
            outcome = "ok"
            health.succeeded(deployment, seconds * 1000)
        elif isinstance(error, CallError):
            outcome, failure = error.code, error
            health.failed(deployment, error, seconds, self._call.label)
        else:
            outcome = error.code if isinstance(error, CoretoError) else "canceled"
            health.abandoned(deployment, seconds)
        self._fallback.note(self._candidate, self._seen, outcome, seconds, failure)
