"""Asks one candidate after the other until one answers."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace

from coreto.clock import Clock
from coreto.errors import (
    CallError,
    CoretoError,
    ExhaustedError,
    InvalidOutputError,
    RejectedError,
    TimedOutError,
)
from coreto.messages import Accumulator, Attempt, Call, Chunk, Item, Json, Usage, Whole, estimate_tokens, prompt_text, usage_of
from coreto.providers.base import Items
from coreto.resilience.health import Block, HealthBook
from coreto.resilience.output import check, refuse_truncated
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.resilience.retry import wait_before

DEFAULT_RETRIES = 2
#: Seconds worth waiting for a candidate that is cooling down when there is no other.
WORTH_WAITING = 5.0


@dataclass(frozen=True, slots=True)
class Ward:
    """What all calls share. ``successor`` gives the candidate that replaces a model that is gone."""

    health: HealthBook
    clock: Clock
    rng: random.Random
    successor: Callable[[Candidate, CallError], Candidate | None]


class Fallback:
    """A plan's candidates as one provider of one call.

    Every candidate ends in exactly one of:

    1. passed by, because its breaker is open or it is cooling down;
    2. asked, and answered: done;
    3. asked, and the request itself was found wrong: relayed, nobody else is asked;
    4. asked, failed in passing: waited for, and asked again while retries and time are left;
    5. asked, found retired or missing: its successor takes its place;
    6. asked, and failed: the next one is asked, unless something was already given to the caller.

    When all were passed by, those that are cheap to try, or back within seconds, get their chance.
    """

    def __init__(self, plan: Plan, journal: Journal, ward: Ward) -> None:
        self._plan = plan
        self._journal = journal
        self._ward = ward
        self._causes: list[CoretoError] = []

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._run(call))

    async def _run(self, call: Call) -> Items:
        candidates = self._plan.candidates if self._plan.fallback else self._plan.candidates[:1]
        waiting: deque[Candidate] = deque(candidates)
        blocked: list[tuple[Candidate, Block]] = []
        while waiting:
            candidate = waiting.popleft()
            block = self._ward.health.block(candidate.deployment)
            if block is not None:  # 1
                blocked.append((candidate, block))
                self._note_skip(candidate, block)
                continue
            async with aclosing(self._ask(candidate, call, last=not self._any_free(waiting))) as items:
                async for item in items:
                    yield item
            if self._journal.answered_by:  # 2
                return
            if (heir := self._heir(candidate)) is not None:  # 5
                waiting.appendleft(heir)
        if not self._causes:
            second = await self._second_chance(blocked, call)
            if second is not None:
                async with aclosing(self._ask(second, call, last=True)) as items:
                    async for item in items:
                        yield item
                if self._journal.answered_by:
                    return
        raise self._exhausted(blocked)

    async def _ask(self, candidate: Candidate, call: Call, *, last: bool) -> Items:
        """Ask ``candidate``, again while that makes sense. Ends without items when it failed for good."""
        retries = self._plan.retries if self._plan.retries is not None else DEFAULT_RETRIES if last else 0
        for attempt in range(retries + 1):
            left = call.deadline - self._ward.clock.monotonic()
            if left <= 0:
                self._causes.append(TimedOutError("the call's deadline has passed"))
                return
            try:
                async with aclosing(self._attempt(candidate, call)) as items:
                    async for item in items:
                        self._journal.committed = True
                        yield item
            except RejectedError:  # 3
                raise
            except CallError as error:
                if self._journal.committed:  # 6
                    raise
                self._causes.append(error)
                left = call.deadline - self._ward.clock.monotonic()
                wait = wait_before(error, attempt + 1, left, self._ward.rng) if attempt < retries else None
                if wait is None:
                    return
                await self._ward.clock.sleep(wait)  # 4
            else:
                self._journal.answered_by = candidate.deployment.id
                return

    async def _attempt(self, candidate: Candidate, call: Call) -> Items:
        """One try, recorded in journal and health whatever comes of it."""
        deployment, ward = candidate.deployment, self._ward
        asked = replace(call, model=deployment.model, limits=candidate.limits)
        seen = _Seen(started=ward.clock.monotonic())
        ward.health.starting(deployment)
        try:
            if call.stream:
                async with aclosing(self._stream(candidate, asked, seen)) as items:
                    async for item in items:
                        yield item
                whole = None
            else:
                whole = await self._whole(candidate, asked, seen)
        except CallError as error:
            seconds = ward.clock.monotonic() - seen.started
            ward.health.failed(deployment, error, seconds)
            self._note(candidate, seen, error.code, seconds, error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            ward.health.abandoned(deployment)
            self._note(candidate, seen, "canceled", ward.clock.monotonic() - seen.started)
            raise
        seconds = ward.clock.monotonic() - seen.started
        ward.health.succeeded(deployment, seconds * 1000)
        self._note(candidate, seen, "ok", seconds)
        if whole is not None:
            yield whole

    async def _whole(self, candidate: Candidate, call: Call, seen: "_Seen") -> Whole:
        async with candidate.provider.open(call) as items:
            async for item in items:
                assert isinstance(item, Whole), "a non-stream call is answered by one Whole"
                seen.usage = usage_of(item.body)
                refuse_truncated(call, seen.usage)
                body = check(item.body, self._plan.expected)
                self._journal.unmapped = item.unmapped
                return item if body is item.body else Whole(body, unmapped=item.unmapped)
        raise InvalidOutputError("the answer is empty")

    async def _stream(self, candidate: Candidate, call: Call, seen: "_Seen") -> Items:
        """The chunks; those before the first that says something are held back, so that a stream that
        turns out empty can still be answered by another model."""
        held: list[Chunk] = []
        heard = Accumulator()
        try:
            async with candidate.provider.open(call) as items:
                async for item in items:
                    assert isinstance(item, Chunk), "a stream is answered by Chunks"
                    heard.add(item.body)
                    if item.unmapped:
                        self._journal.unmapped = item.unmapped
                    if seen.first is None:
                        held.append(item)
                        if _says_something(item.body):
                            seen.first = self._ward.clock.monotonic()
                            for chunk in held:
                                yield chunk
                    else:
                        yield item
        finally:
            seen.usage = heard.usage or _estimated(call, heard)
        if seen.first is None:
            raise InvalidOutputError(f"the answer is empty (finish_reason {heard.finish!r})")

    def _note(
        self,
        candidate: Candidate,
        seen: "_Seen",
        outcome: str,
        seconds: float,
        error: CallError | None = None,
    ) -> None:
        deployment = candidate.deployment
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

    def _note_skip(self, candidate: Candidate, block: Block) -> None:
        deployment = candidate.deployment
        self._journal.attempts.append(
            Attempt(
                deployment=deployment.id,
                outcome="skipped",
                local=deployment.local,
                detail=f"{block.code}: {block.reason}",
                scope=block.key.partition(":")[0],
                until=block.until,
            )
        )

    def _any_free(self, candidates: Iterable[Candidate]) -> bool:
        return any(self._ward.health.block(c.deployment) is None for c in candidates)

    def _heir(self, candidate: Candidate) -> Candidate | None:
        error = self._causes[-1] if self._causes else None
        if not isinstance(error, CallError) or error.code not in ("retired", "model_missing"):
            return None
        heir = self._ward.successor(candidate, error)
        if heir is not None:
            self._journal.warnings.append(
                f"{candidate.deployment.id} is gone; {heir.deployment.id} takes its place"
            )
        return heir

    async def _second_chance(self, blocked: list[tuple[Candidate, Block]], call: Call) -> Candidate | None:
        """With everybody passed by: who is cheap to try, else who is back soonest, waited for."""
        for candidate, block in blocked:
            if block.soft:
                return candidate
        if not blocked:
            return None
        candidate, block = min(blocked, key=lambda pair: pair[1].until)
        wait = block.until - self._ward.clock.time()
        if wait > min(WORTH_WAITING, call.deadline - self._ward.clock.monotonic()):
            return None
        await self._ward.clock.sleep(wait)
        return candidate

    def _exhausted(self, blocked: list[tuple[Candidate, Block]]) -> ExhaustedError:
        tried = "; ".join(f"{a.deployment}: {a.outcome} ({a.detail})" for a in self._journal.attempts)
        dropped = "; ".join(f"{name}: {why}" for name, why in self._plan.dropped)
        what = "; ".join(part for part in (tried, dropped) if part) or "no deployment is configured"
        error = ExhaustedError(f"no model could answer {self._plan.name!r}. {what}", causes=self._causes)
        if blocked and not self._causes:
            error.http_status = 503
            error.retry_after = max(min(b.until for _, b in blocked) - self._ward.clock.time(), 0.0)
        return error


@dataclass(slots=True)
class _Seen:
    """Times and usage of one attempt, in the clock's monotonic seconds."""

    started: float
    first: float | None = None
    usage: Usage | None = None


def _estimated(call: Call, heard: Accumulator) -> Usage | None:
    """What a stream that did not tell its usage, or died before it could, must have used."""
    if not heard.parts:
        return None
    prompt = estimate_tokens(prompt_text(call.body))
    return Usage(prompt=prompt, completion=estimate_tokens(heard.text), estimated=True)


def _says_something(body: Json) -> bool:
    choices = body.get("choices")
    if not choices:
        return False
    delta = choices[0].get("delta")
    if not delta:
        return False
    return bool(
        delta.get("content") or delta.get("tool_calls") or delta.get("reasoning") or delta.get("reasoning_content")
        or delta.get("refusal") or delta.get("function_call")
    )  # fmt: skip
