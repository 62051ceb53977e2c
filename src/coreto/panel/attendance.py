"""Asks one specialist, within its time, its turn and its breaker; whatever comes of it is a :class:`~coreto.panel.model.Part`."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from coreto import errors
from coreto.clock import Clock
from coreto.errors import CoretoError, InvalidOutputError
from coreto.messages import Json
from coreto.panel.breakers import Breakers, Verdict
from coreto.panel.model import Answer, Content, Outcome, Part, Seat, Specialist, label_of
from coreto.panel.waiting import ended, unless

#: Errors that are the request's fault, whoever is asked.
_OF_THE_REQUEST = (
    errors.PrivacyError,
    errors.InvalidRequestError,
    errors.BudgetError,
    errors.ContextError,
    errors.FilteredError,
    errors.RejectedError,
)


@dataclass(frozen=True, slots=True)
class Room:
    """Where panels are held, one for all panels of the same members. ``places``: how many are asked at once;
    ``observe`` gets every part as soon as it is there, once (a continued run does not tell again what it knows)."""

    clock: Clock
    breakers: Breakers
    places: asyncio.Semaphore
    observe: Callable[[Part], None]


class Attendance:
    """One specialist at one panel."""

    def __init__(self, room: Room, specialist: Specialist, seat: Seat) -> None:
        self.specialist = specialist
        self._room = room
        self._seat = seat
        self._stop: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._came = room.clock.monotonic()
        self._began: float | None = None
        self._blamed = False

    def stop(self, outcome: Outcome) -> None:
        """Ask no longer: it is a ``timeout``, or it is ``cancelled``. Idempotent."""
        if not self._stop.done():
            self._stop.set_result(outcome)

    async def part(self, request: Json) -> Json:
        """What came of asking, as JSON. Never fails."""
        ticket = self._room.breakers.enter(self.specialist.name)
        if ticket is None:
            return self._told(Part(self.specialist.name, "skipped", error="circuit_open"))
        verdict: Verdict = "unknown"
        try:
            part = await self._part(request)
            verdict = "well" if part.ok else "failed" if self._blamed else "unknown"
        finally:
            self._room.breakers.leave(ticket, verdict)
        return self._told(part)

    async def _part(self, request: Json) -> Part:
        task = await unless(self._in_turn(request), self._stop)
        now = self._room.clock.monotonic()
        if not task.cancelled():
            part = task.result()
        else:
            outcome = self._stop.result() if self._stop.done() else "cancelled"
            # who had to wait for its turn has not had all the time there was
            self._blamed = outcome == "timeout" and self._began is not None and self._began <= self._came
            error = "deadline" if outcome == "timeout" else None
            seconds = 0.0 if self._began is None else now - self._began
            part = Part(self.specialist.name, outcome, error=error, seconds=seconds)
        return replace(part, waited=(now if self._began is None else self._began) - self._came)

    async def _in_turn(self, request: Json) -> Part:
        async with self._room.places:  # to wait for it costs the panel's time, not the member's
            self._began = self._room.clock.monotonic()
            seconds = self.specialist.timeout
            part, failure = await asked(
                self._room.clock, seconds, self._seat, lambda: self.specialist.ask(self._seat, request)
            )
        self._blamed = not part.ok and not _of_the_request(failure)
        return part

    def _told(self, part: Part) -> Json:
        self._room.observe(part)
        return part.as_json()


async def asked(
    clock: Clock, seconds: float, seat: Seat, ask: Callable[[], Awaitable[Content | Answer]]
) -> tuple[Part, BaseException | None]:
    """What ``ask`` answers within ``seconds``, and what it failed by."""

    async def work() -> Part:
        return _answered(seat, await ask())

    began = clock.monotonic()
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        task = await unless(work(), timer)
        out_of_time = timer.done()
    finally:
        await ended([timer])
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        part = _failed(seat, failure)
    elif not task.cancelled():
        part = task.result()
    elif out_of_time:
        part = Part(seat.name, "timeout", error="timeout")
    else:
        part = Part(seat.name, "error", error="cancelled", message="it has cancelled itself")
    return replace(part, seconds=clock.monotonic() - began), failure


def _of_the_request(failure: BaseException | None) -> bool:
    """Whether another request might do better, with nobody having failed."""
    if isinstance(failure, errors.ExhaustedError) and failure.trace is not None:
        outcomes = {attempt.outcome for attempt in failure.trace.attempts}
        return outcomes <= {"skipped", *(kind.code for kind in _OF_THE_REQUEST)}
    return isinstance(failure, _OF_THE_REQUEST)


def _answered(seat: Seat, said: Any) -> Part:
    """Raises :class:`~coreto.errors.InvalidOutputError` for what is no answer."""
    answer: Answer = said if isinstance(said, Answer) else Answer(said)
    content: Any = answer.content
    if isinstance(content, str):
        raw = content.encode("utf-8", "replace")
        content = raw.decode()
    elif isinstance(content, dict):
        try:
            raw = orjson.dumps(content)
        except TypeError as error:
            raise InvalidOutputError(f"not JSON: {error}") from None
        content = orjson.loads(raw)
    else:
        raise InvalidOutputError(f"an answer is a text or a JSON object, not {type(content).__name__}")
    part = Part(
        seat.name,
        "ok",
        content,
        bytes=len(raw),
        tokens=answer.tokens,
        cost_nusd=answer.cost_nusd,
        label=answer.label,
        deployment=answer.deployment,
    )
    return replace(part, label=label_of(seat.label, part))


def _failed(seat: Seat, failure: BaseException) -> Part:
    if isinstance(failure, CoretoError):
        trace = failure.trace if isinstance(failure, errors.CallError) else None
        cost = trace.cost_nusd if trace else 0
        label = max(seat.label, trace.label) if trace else seat.label
        return Part(
            seat.name, "error", cost_nusd=cost, label=label, error=failure.code, message=failure.message
        )
    # its message may hold what it worked on
    return Part(seat.name, "error", label=seat.label, error="fault", message=type(failure).__name__)
