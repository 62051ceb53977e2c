"""Asks one candidate after the other until one answers."""

import math
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from coreto.clock import Clock
from coreto.errors import (
    BudgetError,
    CallError,
    ContextError,
    CoretoError,
    DoubtfulError,
    ExhaustedError,
    InvalidOutputError,
    MissingModelError,
    QueueFullError,
    RejectedError,
    RetiredError,
    TimedOutError,
)
from coreto.ledger.budgets import Budgets
from coreto.ledger.pots import Reservation
from coreto.messages import Attempt, Call, Chunk, Item, Restart, Usage, Whole, estimate_tokens, prompt_text
from coreto.places import Places
from coreto.providers.base import Items
from coreto.residency.hosts import Host
from coreto.residency.runtime import SpilledError, Turn
from coreto.resilience import attempt, hosting
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
    #: seconds of waiting for memory from which a model off this machine is asked instead
    spill_after: float = 30.0
    _places: dict[str, Places] = field(default_factory=dict[str, Places])

    def places(self, candidate: Candidate) -> Places:
        """Those of the candidate's provider."""
        places = self._places.get(candidate.deployment.provider)
        if places is None:
            places = self._places[candidate.deployment.provider] = Places(candidate.at_once)
        return places


class Fallback:
    """A plan's candidates as one provider of one call.

    Every candidate ends in exactly one of:

    1. passed by: its breaker is open, it is cooling down, or the prompt surely does not fit its window;
    2. asked, and answered: done;
    3. asked, and the request itself, as the caller wrote it, was found wrong: relayed, nobody else is asked;
    4. asked, its answer not what was asked for: shown what is wrong, once;
    5. asked, failed in passing: waited for, and asked again while retries and time are left;
    6. asked, found retired or missing: its successor takes its place;
    7. asked, answered, and the answer looks wrong (only where the role escalates): kept for when nobody else
       has one, and the next one is asked;
    8. not in memory for too long to come: one off this machine is asked in its place, and it again after that one;
    9. asked, and failed: the next one is asked. If the caller has seen a part of the answer, only where it
       can go on from that part, or the client agreed to forget it.

    When nobody is left, those that were passed by although they are cheap to try get their chance; when all
    were passed by, also one that is back within seconds.
    """

    def __init__(self, plan: Plan, journal: Journal, ward: Ward) -> None:
        self.plan = plan
        self.journal = journal
        self.ward = ward
        self._causes: list[CoretoError] = []
        self._policy = plan.failover
        self._waiting: deque[Candidate] = deque()
        self._blocked: list[tuple[Candidate, Block]] = []
        #: of those that were passed by, who gets a chance all the same
        self._spared: deque[Candidate] | None = None
        self._has_spilled = False
        self._doubtful: tuple[Candidate, tuple[Chunk | Whole, ...]] | None = None

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._items(call))

    async def whole(self, call: Call) -> Whole:
        """A non-stream call's answer, without the detour over a stream of one."""
        self._begin(call)
        while (candidate := await self._next(call)) is not None:
            tries = _Tries(self, candidate, call)
            while tries.going:
                try:
                    with await tries.begin() as seen:
                        answer = await attempt.whole(
                            candidate, tries.asked, self.plan.expected, seen, tries.doubt
                        )
                except CallError as error:
                    await tries.failed(error)
                else:
                    self.journal.answered_by = candidate.deployment.id
                    return answer
            self._replace(candidate, self._causes[-1])  # 6
        (answer,) = self._second_best()
        assert isinstance(answer, Whole)
        return answer

    async def _items(self, call: Call) -> Items:
        if not call.stream:
            yield await self.whole(call)
            return
        self._begin(call)
        journal = self.journal
        remember = self._policy == "continue"
        while (candidate := await self._next(call)) is not None:
            tries = _Tries(self, candidate, call)
            while tries.going:
                restarting = self._policy == "restart" and journal.committed
                try:
                    with await tries.begin() as seen:
                        chunks = self._chunks(candidate, tries.asked, seen, tries.doubt)
                        async with aclosing(chunks):
                            async for chunk in chunks:
                                if restarting:
                                    restarting = False
                                    yield Restart(str(self._causes[-1]), candidate.deployment.id)
                                journal.committed = True
                                if remember:
                                    journal.given.add(chunk.body)
                                yield chunk
                except CallError as error:
                    await tries.failed(error)
                else:
                    journal.answered_by = candidate.deployment.id
                    return
            self._replace(candidate, self._causes[-1])  # 6
        for chunk in self._second_best():
            yield chunk

    def _second_best(self) -> tuple[Chunk | Whole, ...]:
        """An answer that somebody gave and that looks wrong: better than none. Raises
        :class:`ExhaustedError` when there is none either."""
        if self._doubtful is None or self.journal.committed:
            raise self._exhausted()
        candidate, items = self._doubtful
        self.journal.answered_by = candidate.deployment.id
        self.journal.warnings.append(
            f"the answer of {candidate.deployment.id} looks wrong; nobody else had one"
        )
        return items

    def _chunks(
        self, candidate: Candidate, call: Call, seen: Seen, doubt: attempt.Doubt | None
    ) -> attempt.Chunks:
        """The chunks that the caller may see, by the policy in force."""
        expected, given = self.plan.expected, self.journal.given
        chunks = attempt.stream(candidate, call, seen, self.ward.clock)
        if expected.constrained or doubt is not None or self._policy == "hold":
            return attempt.held(chunks, seen, expected, doubt)
        if self._policy == "continue" and given.parts:
            return attempt.stitched(chunks, given.text)
        return chunks

    def _begin(self, call: Call) -> None:
        self._policy = call.failover or self.plan.failover
        self._waiting.extend(self.plan.candidates if self.plan.fallback else self.plan.candidates[:1])

    async def _next(self, call: Call) -> Candidate | None:
        """Who is asked now; ``None`` when nobody is left."""
        while self._waiting:
            candidate = self._waiting.popleft()
            if not self._passed_by(candidate, call):
                if candidate.host is None:
                    return candidate
                return hosting.where_soonest(candidate, self._waiting, self.ward.health)
            if self._blocked and self._blocked[-1][0] is candidate:
                self._replace(candidate, _gone(self._blocked[-1][1]))
        if self._spared is None:
            cheap = [candidate for candidate, block in self._blocked if block.soft]
            self._spared = deque(cheap or await self._soonest(call))
        return self._spared.popleft() if self._spared else None

    @property
    def is_last(self) -> bool:
        """Whether nobody can be asked after the one that :meth:`_next` gave."""
        return not self._spared and all(self.ward.health.block(c.deployment) for c in self._waiting)

    def doubt_of(self, candidate: Candidate, call: Call) -> attempt.Doubt | None:
        """What looks wrong in an answer of ``candidate``; ``None`` where nobody asks: it is not on this machine,
        nobody off it is left, or the answer is not free text."""
        look = self.plan.second_look
        if look is None or not candidate.deployment.local or self.plan.expected.constrained:
            return None
        health = self.ward.health
        if all(c.deployment.local or health.block(c.deployment) for c in self._waiting):
            return None
        return partial(look, call)

    def keep(self, candidate: Candidate, error: DoubtfulError) -> None:
        """Keep an answer that looks wrong, in case that nobody else has one."""
        items = tuple(item for item in error.items if isinstance(item, Chunk | Whole))
        self._doubtful = self._doubtful or (candidate, items)

    def is_final(self, error: CallError, asked: Call, call: Call) -> bool:
        """Whether nobody else may be asked after ``error``."""
        if isinstance(error, RejectedError) and _turns(asked) == _turns(call):  # 3: not about what we added
            return True
        self._causes.append(error)
        if isinstance(error, BudgetError) and self._refuses and not self._has_spilled:
            return True  # (where it was only to save waiting, one on this machine is still to be asked)
        return self.journal.committed and not self._may_go_on(call, error)  # 9

    def asked(self, candidate: Candidate, call: Call) -> Call:
        """``call`` as ``candidate`` shall get it."""
        asked = call._replace(
            model=candidate.deployment.model, limits=candidate.limits, context=candidate.window
        )
        if self._causes:
            asked = portable(asked)
        labels = self.plan.expected.labels
        if labels and candidate.constrains and "response_format" not in call.body:
            form = {"name": "label", "schema": {"type": "string", "enum": list(labels)}}
            constraint = {"type": "json_schema", "json_schema": form}
            asked = asked._replace(body={**asked.body, "response_format": constraint})
        if self._policy == "continue" and self.journal.given.parts:
            asked = continued(asked, self.journal.given.text, prefill=candidate.prefill)
        return asked

    def _may_go_on(self, call: Call, error: CallError) -> bool:
        """Whether another model may take over a stream that the caller has seen a part of. What was answered
        to a prompt that was cut can be started over, but not gone on with."""
        if self._policy == "restart":
            return call.restartable
        text_only = not self.journal.given.has_tool_calls and call.body.get("n") in (None, 1)
        return self._policy == "continue" and text_only and not isinstance(error, ContextError)

    @property
    def _refuses(self) -> bool:
        return self.ward.budgets is not None and self.ward.budgets.refuses

    async def admitted(self, candidate: Candidate, call: Call) -> Reservation | None:
        """Reserve what the attempt may cost. Raises :class:`BudgetError`."""
        if self.ward.budgets is None or candidate.deployment.local:
            return None
        try:
            return await self.ward.budgets.admit(call, candidate.deployment)
        except BudgetError as error:
            self._skip(candidate, f"budget: {error.message}", until=error.until)
            raise

    async def hosted(self, candidate: Candidate, host: Host, call: Call) -> Turn:
        """The candidate's turn in memory, waited for. Raises :class:`CallError`."""
        health, started = self.ward.health, self.ward.clock.monotonic()
        other = None
        if (call.prefer or self.plan.prefer) != "local":
            other = next(
                (c for c in self._waiting if not c.deployment.local and not health.block(c.deployment)), None
            )
        worth = hosting.worth_waiting(self.ward.spill_after, health, other)
        try:
            return await hosting.turn(host, call, worth, started)
        except SpilledError as error:
            self._skip(candidate, f"{error.code}: {error.message}")
            if other is not None:
                self._has_spilled = True
                self._waiting.remove(other)
                self._waiting.extendleft((candidate, other))
            raise
        except (QueueFullError, TimedOutError) as error:
            self._skip(candidate, f"{error.code}: {error.message}")
            raise
        except CallError as error:
            seconds = self.ward.clock.monotonic() - started
            health.starting(candidate.deployment)
            health.failed(candidate.deployment, error, seconds, call.label)
            self.note(candidate, Seen(started=started), error.code, seconds, error)
            raise

    def _passed_by(self, candidate: Candidate, call: Call) -> bool:  # 1
        block = self.ward.health.block(candidate.deployment)
        if block is not None:
            self._blocked.append((candidate, block))
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
            self.journal.unmapped = seen.unmapped
        self.journal.attempts.append(
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
        self.journal.attempts.append(
            Attempt(
                deployment=deployment.id,
                outcome="skipped",
                local=deployment.local,
                detail=detail,
                scope=block.key.partition(":")[0] if block else None,
                until=block.until if block else until,
            )
        )

    def _replace(self, candidate: Candidate, error: CoretoError | None) -> None:
        """Put the successor of a model that is gone in its place, unless it has a place already. It is never
        farther away than the model that it replaces."""
        if not isinstance(error, RetiredError | MissingModelError):
            return
        heir = self.ward.successor(candidate, error)
        if heir is None or heir.deployment.local < candidate.deployment.local:
            return
        name = heir.deployment.id
        if all(c.deployment.id != name for c in self._waiting) and all(
            a.deployment != name for a in self.journal.attempts
        ):
            self.journal.warnings.append(f"{candidate.deployment.id} is gone; {name} takes its place")
            self._waiting.appendleft(self.plan.wrap(heir) if self.plan.wrap else heir)

    async def _soonest(self, call: Call) -> list[Candidate]:
        """With everybody passed by: who is back soonest, waited for; nobody where that takes too long."""
        if self._causes or not self._blocked:
            return []
        candidate, block = min(self._blocked, key=lambda pair: pair[1].until)
        wait = block.until - self.ward.clock.time()
        if wait > min(WORTH_WAITING, call.deadline - self.ward.clock.monotonic()):
            return []
        await self.ward.clock.sleep(wait)
        return [candidate]

    def _exhausted(self) -> ExhaustedError:
        tried = "; ".join(f"{a.deployment}: {a.outcome} ({a.detail})" for a in self.journal.attempts)
        dropped = "; ".join(f"{name}: {why}" for name, why in self.plan.dropped)
        what = "; ".join(part for part in (tried, dropped) if part) or "no deployment is configured"
        error = ExhaustedError(f"no model could answer {self.plan.name!r}. {what}", causes=self._causes)
        if self._blocked and not self._causes:
            error.http_status = 503
            error.retry_after = max(min(b.until for _, b in self._blocked) - self.ward.clock.time(), 0.0)
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


class _Tries:
    """The tries at one candidate. ``asked``: the call as it is to be made next; ``going``: there is a next."""

    __slots__ = (
        "_call", "_candidate", "_done", "_fallback", "_last", "_may_repair", "asked", "doubt", "going",
    )  # fmt: skip

    def __init__(self, fallback: Fallback, candidate: Candidate, call: Call) -> None:
        self._fallback = fallback
        self._candidate = candidate
        self._call = call
        self._last = fallback.is_last
        self._may_repair = fallback.plan.expected.constrained
        self._done = 0
        self.asked = fallback.asked(candidate, call)
        self.doubt = fallback.doubt_of(candidate, call)
        self.going = True

    async def begin(self) -> "_Try":
        """Start the next try. Raises :class:`CallError` where it may not be made."""
        fallback, asked = self._fallback, self.asked
        left = asked.deadline - fallback.ward.clock.monotonic()
        if left <= 0:
            raise TimedOutError("the call's deadline has passed")
        reservation = await fallback.admitted(self._candidate, asked)
        places = fallback.ward.places(self._candidate)
        host, turn = self._candidate.host, None
        try:
            if host is not None:  # before the place, or those who wait for one model keep others from theirs
                turn = await self._hosted(host)
                left = asked.deadline - fallback.ward.clock.monotonic()
            await places.enter(None if left == math.inf else left)
        except BaseException as error:
            if turn is not None:
                turn.end()
            if reservation is not None:
                reservation.release()
            if isinstance(error, TimeoutError):
                raise TimedOutError(f"all {places.most} connections are in use") from None
            raise
        return _Try(fallback, self._candidate, asked, reservation, turn)

    async def _hosted(self, host: Host) -> Turn:
        turn = await self._fallback.hosted(self._candidate, host, self.asked)
        if turn.lease.context is not None:  # another window would reload the model
            self.asked = self.asked._replace(context=turn.lease.context)
        return turn

    async def failed(self, error: CallError) -> None:
        """A try ended in ``error``: get ready for the next one, if there is any. Raises it when nobody else
        may be asked."""
        if self._fallback.is_final(error, self.asked, self._call):  # 3, 9
            raise error
        if isinstance(error, SpilledError):  # 8
            self.going = False
            return
        if isinstance(error, DoubtfulError):  # 7
            self._fallback.keep(self._candidate, error)
        if self._may_repair and isinstance(error, InvalidOutputError):  # 4
            self._may_repair = False
            mended = repaired(self.asked, error)
            if mended is not None:
                self.asked = mended
                return
        self._done += 1
        self.going = self._done <= self._retries and await self._waited(error)
        if self.going:  # 5
            self.asked = self._fallback.asked(self._candidate, self._call)

    @property
    def _retries(self) -> int:
        said = self._fallback.plan.retries
        return said if said is not None else DEFAULT_RETRIES if self._last else 0

    async def _waited(self, error: CallError) -> bool:
        """Wait before a retry; ``False``: there is none. A long pause is worth it for the last only."""
        if not self._last and (error.retry_after or 0.0) > WORTH_WAITING:
            return False
        ward = self._fallback.ward
        left = self._call.deadline - ward.clock.monotonic()
        wait = wait_before(error, self._done, left, ward.rng)
        if wait is not None:
            await ward.clock.sleep(wait)
        return wait is not None


class _Try:
    """One try at a candidate, recorded in journal and health whatever comes of it."""

    __slots__ = ("_call", "_candidate", "_fallback", "_seen", "_turn", "_ward")

    def __init__(
        self,
        fallback: Fallback,
        candidate: Candidate,
        call: Call,
        reservation: Reservation | None,
        turn: Turn | None,
    ) -> None:
        self._fallback = fallback
        self._ward = fallback.ward
        self._candidate = candidate
        self._call = call
        self._turn = turn
        self._seen = Seen(started=self._ward.clock.monotonic(), reservation=reservation)

    def __enter__(self) -> Seen:
        self._ward.health.starting(self._candidate.deployment)
        return self._seen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        health, deployment = self._ward.health, self._candidate.deployment
        if self._turn is not None:
            self._turn.end()
        self._ward.places(self._candidate).leave()
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
