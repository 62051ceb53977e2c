"""One panel while it is held: who is asked, who has answered, what is being consolidated."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from coreto.durable import Durable
from coreto.labels import Label
from coreto.messages import Json
from coreto.panel.attendance import Attendance, Room, asked
from coreto.panel.model import (
    CONSOLIDATE,
    UPDATE,
    Consolidate,
    Content,
    Draft,
    PanelResult,
    Part,
    Seat,
    Specialist,
    label_of,
)
from coreto.panel.policy import Decision, Member, Rules, Snapshot, Stage
from coreto.panel.waiting import ended


@dataclass(frozen=True, slots=True)
class Agenda:
    """What is asked of a panel. ``name``: of its steps within the run."""

    name: str
    request: Json
    rules: Rules
    label: Label = Label.INTERNAL


class Sitting:
    """Holds a panel. Everything it begins are steps of ``run``, in an order that is always the same: the members, those
    who are required first; a consolidation; an update. It may be killed anywhere: what a continued run redoes has not
    been finished, and whose answers went into a consolidation is kept with it.

    :meth:`close` it; before that, only one task may use it.
    """

    def __init__(
        self,
        room: Room,
        specialists: Sequence[Specialist],
        consolidate: Consolidate,
        run: Durable,
        agenda: Agenda,
    ) -> None:
        self._room = room
        self._consolidate = consolidate
        self._run = run
        self._agenda = agenda
        self._started = room.clock.monotonic()
        self._specialists = tuple(specialists)
        self._attending: dict[str, Attendance] = {}
        self._asking: dict[str, asyncio.Task[Json]] = {}
        self._parts: dict[str, Part] = {}
        self._ended_at: dict[str, float] = {}
        self._consolidating: asyncio.Task[Json] | None = None
        self._consolidations: list[Part] = []
        self._included: tuple[str, ...] = ()
        self._consolidated_at: float | None = None
        self._stage: Stage = "asking"

    def begin(self) -> None:
        """Ask everybody."""
        # whoever is required gets the first places
        for one in sorted(self._specialists, key=lambda specialist: not specialist.required):
            attending = self._attending[one.name] = Attendance(self._room, one, self._seat(one.name))
            work = partial(attending.part, self._agenda.request)
            # the step is the first thing that the task waits for: so the order of tasks is the order of steps
            self._asking[one.name] = asyncio.create_task(self._step(one.name, work))

    def snapshot(self) -> Snapshot:
        """How it stands now."""
        return Snapshot(
            tuple(map(self._member, self._specialists)),
            self._stage,
            self._elapsed,
            self._consolidated_at,
        )

    def act(self, decision: Decision) -> None:
        """Begin what was decided."""
        for name in decision.stop:
            self._attending[name].stop("timeout" if decision.out_of_time else "cancelled")
        if decision.consolidate:
            self._begin_consolidation(decision.consolidate)

    async def wait(self, wake_at: float) -> None:
        """Until a member or a consolidation has ended, or ``wake_at`` seconds after the start. Raises what a step raises
        that could not be recorded."""
        tasks: set[asyncio.Future[Any]] = {*self._asking.values()}
        if self._consolidating is not None:
            tasks.add(self._consolidating)
        timer = [] if math.isinf(wake_at) else [asyncio.ensure_future(self._sleep_until(wake_at))]
        try:
            await asyncio.wait(tasks.union(timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(timer)
        for name in [name for name, task in self._asking.items() if task.done()]:
            self._parts[name] = Part.from_json(self._asking.pop(name).result())
            self._ended_at[name] = self._elapsed
        if self._consolidating is not None and self._consolidating.done():
            self._note_consolidation(self._consolidating.result())

    def result(self, *, final: bool) -> PanelResult:
        """What it has come to."""
        names = [one.name for one in self._specialists]
        parts = tuple(self._parts[name] for name in names if name in self._parts)
        required = [one.name for one in self._specialists if one.required]
        content = self._content
        included = self._included if content is not None else ()
        heard = included if content is not None else [part.name for part in parts if part.ok]
        return PanelResult(
            parts=parts,
            consolidations=tuple(self._consolidations),
            content=content,
            included=included,
            asked=tuple(names),
            missing_required=tuple(name for name in required if name not in heard),
            final=final,
            seconds=self._elapsed,
            label=label_of(self._agenda.label, *(p for p in parts if p.ok), *self._consolidations),
        )

    @property
    def consolidated(self) -> bool:
        """Whether there is a consolidated answer."""
        return self._content is not None

    async def close(self) -> None:
        """End everything that is under way, and return when it has ended. Idempotent."""
        tasks: list[asyncio.Task[Any]] = [*self._asking.values()]
        if self._consolidating is not None:
            tasks.append(self._consolidating)
        await ended(tasks)

    @property
    def _elapsed(self) -> float:
        return self._room.clock.monotonic() - self._started

    @property
    def _content(self) -> Content | None:
        """The last one that went well."""
        return next((one.content for one in reversed(self._consolidations) if one.ok), None)

    def _member(self, specialist: Specialist) -> Member:
        name = specialist.name
        part = self._parts.get(name)
        standing = "asked" if part is None else "answered" if part.ok else "lost"
        return Member(
            name, standing, specialist.required, name in self._included, self._ended_at.get(name, 0.0)
        )

    def _begin_consolidation(self, names: tuple[str, ...]) -> None:
        first = self._stage == "asking"
        self._stage = "consolidating" if first else "updating"
        if first:
            self._consolidated_at = self._elapsed
        draft = Draft(
            self._agenda.request,
            answers=tuple(self._parts[name] for name in names),
            before=self._content,
            late=() if first else tuple(name for name in names if name not in self._included),
            missing=tuple(one.name for one in self._specialists if one.name not in names),
        )
        name = CONSOLIDATE if first else UPDATE
        self._consolidating = asyncio.create_task(self._step(name, partial(self._consolidation, name, draft)))

    async def _consolidation(self, name: str, draft: Draft) -> Json:
        clock = self._room.clock
        began = clock.monotonic()
        seat = self._seat(name, label_of(self._agenda.label, *draft.answers))
        left = max(0.0, self._started + self._agenda.rules.deadline - began)
        part, _ = await asked(clock, left, seat, lambda: self._consolidate(seat, draft))
        self._room.observe(part)
        return {"part": part.as_json(), "included": [answer.name for answer in draft.answers]}

    def _note_consolidation(self, told: Json) -> None:
        self._consolidating = None
        part = Part.from_json(told["part"])
        self._consolidations.append(part)
        if part.ok or self._stage == "consolidating":
            self._included = tuple(told["included"])
        self._stage = "consolidated" if self._stage == "consolidating" else "updated"

    async def _sleep_until(self, elapsed: float) -> None:
        clock = self._room.clock
        await clock.sleep(self._started + elapsed - clock.monotonic())

    def _seat(self, name: str, label: Label | None = None) -> Seat:
        deadline = self._started + self._agenda.rules.deadline
        return Seat(self._run, name, self._agenda.label if label is None else label, deadline)

    async def _step(self, name: str, work: Any) -> Json:
        return await self._run.step(f"{self._agenda.name}/{name}", work)
