"""Where a run's models and tools are called: each once, by name, told of, and added up."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from coreto.clock import Clock
from coreto.crews.commander.agents import Ask
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.state import Reply, label_of
from coreto.crews.commander.texts import say
from coreto.crews.commander.tools import Outcome, PythonTool, first_line
from coreto.durable import Durable
from coreto.errors import CallError, CoretoError, InvalidOutputError
from coreto.events import CrewEvent
from coreto.labels import Label
from coreto.languages import Language
from coreto.messages import (
    Accumulator,
    Call,
    Chunk,
    Item,
    Json,
    Restart,
    Trace,
    Whole,
    finish_of,
    new_call_id,
    text_of,
)

Tell = Callable[[CrewEvent], Awaitable[None]]
"""Takes events as they happen."""


class Models(Protocol):
    """The gateway of this process or of another one."""

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """The items of ``call``; the last one is its trace."""
        ...

    async def announce(self, plan: str, steps: Sequence[tuple[str, int]], *, private: bool = False) -> None:
        """Roles and numbers of calls that ``plan`` will make, in order; none: it is over. ``private``: they stay on
        this machine. Best effort."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the commander. ``run``: the id under which it is continued after a kill."""

    text: str
    run: str
    user: str | None = None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Crew:
    """What a commander works with, the same for all its runs."""

    models: Models
    tool: PythonTool
    settings: CommanderSettings
    clock: Clock


class Stage:
    """One run. ``replies`` and ``outcomes`` are what was done so far, ``said`` the answer as far as it was told.

    Steps are durable: a run that is continued gets their results again. They tell what they do while they do it;
    what a finished one told is not told again, but for the answer's own text.
    """

    def __init__(self, crew: Crew, request: Request, durable: Durable, tell: Tell) -> None:
        self.settings = crew.settings
        self.request = request
        self.language: Language = crew.settings.language
        self.replies: list[Reply] = []
        self.outcomes: list[Outcome] = []
        self.said: list[str] = []
        self.error: CoretoError | None = None
        self._crew = crew
        self._durable = durable
        self._tell = tell
        self._at_work: tuple[str, str] | None = None

    @property
    def label(self) -> Label:
        """What every call of the run is labelled by: the strictest that one was found to be."""
        return label_of(self.replies, Label.PRIVATE if self.request.private else Label.INTERNAL)

    @property
    def text(self) -> str:
        return "".join(self.said)

    async def once(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """The result of ``work``, done once under ``name``."""
        return await self._durable.step(name, work)

    async def announce(self, steps: Sequence[tuple[str, int]]) -> None:
        """Say which roles the run will call. Whoever is told need not be there."""
        with contextlib.suppress(CoretoError, OSError):
            private = self.label is Label.PRIVATE
            await self._crew.models.announce(self.request.run, steps, private=private)

    async def ask(self, name: str, ask: Ask, status: str, **values: object) -> Reply:
        """Ask a role, once under ``name``; a failure is in the reply. Texts of streamed answers are told."""
        heard: list[str] = []
        switched, self._at_work = (ask.agent, ask.role) != self._at_work, (ask.agent, ask.role)
        text = say(self.language, status, **values)
        shown = await self.once(name, partial(self._asked, ask, text, heard, switched))
        reply = Reply.from_json(shown)
        self.replies.append(reply)
        if ask.stream and reply.text:
            self.said.append(reply.text)
            if not heard:  # the step was done before the run was continued
                await self._tell(_content(reply.text))
        return reply

    async def run_code(self, name: str, code: str, step: int, earlier: Sequence[Outcome]) -> Outcome:
        """Run ``code`` in the sandbox, once under ``name``, with the files of ``earlier`` runs."""
        outcome = Outcome.from_json(await self.once(name, partial(self._ran, code, step, tuple(earlier))))
        self.outcomes.append(outcome)
        return outcome

    async def write(self, name: str, text: str) -> None:
        """Tell a part of the answer, which is logged once under ``name``."""
        self.said.append(text)
        await self._tell(_content(text))
        await self.once(name, partial(self._logged, _content(text)))

    async def end(self, event: CrewEvent) -> None:
        """Tell the last event."""
        await self._tell(event)
        await self.once("end", partial(self._logged, event))

    async def _logged(self, event: CrewEvent) -> Json:
        await self._durable.emit(event.as_json())
        return {}

    async def _event(self, event: CrewEvent) -> None:
        await self._tell(event)
        await self._durable.emit(event.as_json())

    async def _asked(self, ask: Ask, status: str, heard: list[str], switched: bool) -> Json:
        known = next(
            (r.deployment for r in reversed(self.replies) if r.role == ask.role and r.deployment), None
        )
        if switched:
            switch: Json = {"role": ask.role, "deployment": known}
            await self._event(CrewEvent("agent_switch", agent=ask.agent, params=switch))
        await self._event(CrewEvent("status", status, agent=ask.agent, params={"role": ask.role}))
        reply = await self._called(ask, heard)
        if reply.deployment is not None:
            text = say(self.language, "status.answered", deployment=reply.deployment)
            params: Json = {"role": ask.role, "deployment": reply.deployment, "seconds": reply.seconds}
            await self._event(CrewEvent("status", text, agent=ask.agent, params=params))
        if ask.stream and reply.text:
            await self._durable.emit(_content(reply.text).as_json())
        return reply.as_json()

    async def _called(self, ask: Ask, heard: list[str]) -> Reply:
        """Ask, and note what came of it; an error of the call is a result like any other."""
        clock, request = self._crew.clock, self.request
        started = clock.monotonic()
        body = ask.body()
        call = Call(
            new_call_id(),
            body,
            ask.role,
            stream=ask.stream,
            role=ask.role,
            label=self.label,
            user=request.user,
            run=request.run,
            failover=self.settings.stream_failover if ask.stream else None,
            restartable=ask.stream,
        )
        reply = Reply(ask.role)
        try:
            answer, trace = await self._items(call, heard)
            reply = replace(_traced(reply, trace), text=answer.text, cut=answer.finish == "length")
        except CoretoError as failure:
            self.error = failure
            trace = failure.trace if isinstance(failure, CallError) else None
            reply = _failed(_traced(reply, trace) if trace else reply, failure, trace)
            reply = replace(reply, text="".join(heard))
        return replace(reply, seconds=round(clock.monotonic() - started, 3))

    async def _items(self, call: Call, heard: list[str]) -> tuple[Accumulator, Trace]:
        """The answer and its trace; what is streamed is in ``heard`` too, as far as it came."""
        answer = Accumulator(heard)
        async with self._crew.models.open(call) as items:
            async for item in items:
                if isinstance(item, Trace):
                    return answer, item
                if isinstance(item, Whole):
                    answer = Accumulator([text_of(item.body)], finish=finish_of(item.body))
                elif isinstance(item, Restart):
                    heard.clear()
                    text = say(self.language, "status.restart")
                    await self._tell(CrewEvent("status", text, params={"restart": True}))
                else:
                    await self._piece(item, answer)
        raise CallError("the gateway ended without a trace")

    async def _piece(self, item: Chunk, answer: Accumulator) -> None:
        before = len(answer.parts)
        answer.add(item.body)
        for piece in answer.parts[before:]:
            await self._tell(_content(piece))

    async def _ran(self, code: str, step: int, earlier: tuple[Outcome, ...]) -> Json:
        tool = self._crew.tool
        params: Json = {"step": step, "code": code}
        text = say(self.language, "status.running", step=step)
        await self._event(CrewEvent("tool_call", text, agent="coder", tool=tool.name, params=params))
        outcome = await tool.run(code, earlier, run=self.request.run, step=step)
        params = {
            "step": step,
            "exit_code": outcome.exit_code,
            "output": outcome.output,
            "ok": outcome.ok,
            "limit": outcome.limit,
        }
        text = outcome.unavailable or outcome.error
        await self._event(CrewEvent("tool_call", text, agent="coder", tool=tool.name, params=params))
        return outcome.as_json()


def _content(text: str) -> CrewEvent:
    return CrewEvent("content", text)


def _traced(reply: Reply, trace: Trace) -> Reply:
    return replace(
        reply,
        deployment=trace.deployment,
        label=trace.label,
        cost_nusd=trace.cost_nusd,
        warnings=trace.warnings,
    )


def _failed(reply: Reply, error: CoretoError, trace: Trace | None) -> Reply:
    answered = trace is not None and any(attempt.outcome == "invalid_output" for attempt in trace.attempts)
    return replace(
        reply,
        deployment=None,
        error=first_line(error.message),
        code=error.code,
        unusable=answered or isinstance(error, InvalidOutputError),
    )
