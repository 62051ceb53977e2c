"""The commander: plans with one model, executes with another, and says what really ran (SPEC K1)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from coreto.clock import Clock, SystemClock
from coreto.crews.commander import agents, rendering
from coreto.crews.commander.decision import Decision, decide
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.stage import Crew, Models, Request, Stage, Tell
from coreto.crews.commander.state import CommanderResult, Plan, PlanStep, StepResult, cost_of, uses
from coreto.crews.commander.texts import say
from coreto.crews.commander.tools import Bounds, Keep, PythonTool, RunPython, first_line
from coreto.crews.commander.work import Worker, calls
from coreto.durable import Durable, InlineDurable
from coreto.errors import CallError, CoretoError, InvalidRequestError
from coreto.events import CrewEvent
from coreto.messages import Json, new_call_id
from coreto.providers.catalog import split_id
from coreto.providers.profiles import is_small
from coreto.routing.tasks import detect_task, detect_task_quickly
from coreto.tools.sandbox import run_python

_FAREWELL = 2.0
"""Seconds that the end of a run waits for residency to hear of it."""


def _inline(_: str) -> Durable:
    return InlineDurable()


class Commander:
    """Answers requests: plain ones plainly, others with a plan, code, and what came of running it.

    ``models``: the gateway; ``sandbox``: as :func:`~coreto.tools.sandbox.run_python`; ``durable``: the engine of a
    run, by its id; ``keep``: where files that code produced go. Safe to use for several runs at a time.
    """

    def __init__(
        self,
        models: Models,
        *,
        settings: CommanderSettings | None = None,
        sandbox: RunPython = run_python,
        durable: Callable[[str], Durable] = _inline,
        keep: Keep | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or CommanderSettings()
        bounds = Bounds(settings.output_chars, settings.trace_chars, settings.carried_bytes)
        tool = PythonTool(sandbox, settings.limits, bounds, keep)
        self._crew = Crew(models, tool, settings, clock or SystemClock())
        self._durable = durable

    @asynccontextmanager
    async def run(
        self, text: str, *, user: str | None = None, private: bool = False, run: str | None = None
    ) -> AsyncGenerator[AsyncIterator[CrewEvent]]:
        """The events of a run. The last one is ``complete``, with the result in ``params``, or ``error``.

        ``run``: its id; one that was killed goes on under the same. Leaving early ends the run.
        """
        events: asyncio.Queue[CrewEvent | None] = asyncio.Queue()
        work = asyncio.ensure_future(self._feed(_request(text, user, private, run), events))
        try:
            yield _until_none(events, work)
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # seen; who iterated to the end has had it raised

    async def result(
        self,
        text: str,
        *,
        user: str | None = None,
        private: bool = False,
        run: str | None = None,
        tell: Tell | None = None,
    ) -> CommanderResult:
        """Run to the end; ``tell`` hears every event. Raises :class:`CoretoError`, as a rule a :class:`CallError`, when
        nothing could be done."""
        return await self.perform(_request(text, user, private, run), tell or _ignore)

    async def perform(self, request: Request, tell: Tell) -> CommanderResult:
        """Run to the end and ``tell`` every event. Raises :class:`CoretoError` after the event ``error``, when
        nothing could be done."""
        stage = Stage(self._crew, request, self._durable(request.run), tell)
        try:
            result = await self._performed(stage)
        except CoretoError as error:
            params: Json = {"code": error.code, "run": request.run}
            await stage.end(CrewEvent("error", first_line(error.message), params=params))
            raise
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await stage.announce(())
        await stage.end(CrewEvent("complete", params=result.as_json()))
        return result

    async def _feed(self, request: Request, events: "asyncio.Queue[CrewEvent | None]") -> None:
        """Put the events of a run into ``events``, and ``None`` behind them. An error is an event."""
        try:
            await self.perform(request, events.put)
        except CoretoError:
            pass  # told by its event
        finally:
            events.put_nowait(None)

    async def _performed(self, stage: Stage) -> CommanderResult:
        request = stage.request
        if not request.text.strip():
            raise InvalidRequestError("there is nothing in the request", "text")
        decision = Decision.from_json(await stage.once("decide", lambda: self._decided(request.text)))
        stage.language = decision.language
        match decision.mode:
            case "plain":
                return await self._plain(stage, decision)
            case "plan":
                return await self._plan(stage, decision)
            case "code" | "execution":
                plan = Plan("", decision.work, "request")
                return await self._carried_out(stage, decision, plan)
            case "plan_execute":
                return await self._planned_and_carried_out(stage, decision)

    async def _decided(self, text: str) -> Json:
        found = detect_task_quickly(text)
        if not found.settled:
            found = await asyncio.to_thread(detect_task, text)
        return decide(text, found, self._crew.settings.language).as_json()

    async def _plain(self, stage: Stage, decision: Decision) -> CommanderResult:
        await stage.announce([(decision.role, 1)])
        reply = await stage.ask("answer", agents.ask_answer(stage.request.text, decision), "status.answering")
        if reply.error is not None:
            raise _failure(stage)
        warnings = (say(decision.language, "warning.outside"),) if decision.outside else ()
        if warnings:
            await stage.write("warnings", rendering.warnings_text(warnings))
        return _result(stage, decision, ok=bool(reply.text.strip()), warnings=warnings)

    async def _plan(self, stage: Stage, decision: Decision) -> CommanderResult:
        await stage.announce([("brain", 1)])
        plan = await self._made(stage, decision)
        await stage.write("plan/told", rendering.plan_text(plan, decision.language, kinds=False))
        steps = tuple(StepResult(s.kind, s.text, "planned", s.details) for s in plan.steps)
        reply = stage.replies[-1]
        # a standard plan says nothing about the request: fair where a model did answer, no result where none did
        await self._sign(stage)
        return _result(stage, decision, plan, steps, ok=reply.error is None or reply.unusable)

    async def _planned_and_carried_out(self, stage: Stage, decision: Decision) -> CommanderResult:
        await stage.announce([("brain", 1), *calls(decision.work or (PlanStep("execution", ""),))])
        plan = await self._made(stage, decision)
        await stage.write("plan/told", rendering.plan_text(plan, decision.language, kinds=True))
        return await self._carried_out(stage, decision, plan)

    async def _carried_out(self, stage: Stage, decision: Decision, plan: Plan) -> CommanderResult:
        await stage.announce(calls(plan.steps))
        worker = Worker(stage, decision.language, decision.given)
        steps = await worker.do(plan.steps, headings=plan.source != "request")
        if not any(reply.error is None for reply in stage.replies) and not stage.outcomes:
            raise _failure(stage)
        await self._sign(stage)
        ok = not any(step.status in {"failed", "skipped"} for step in steps)
        return _result(stage, decision, plan, steps, ok=ok, warnings=_left_out(stage))

    async def _sign(self, stage: Stage) -> None:
        text = rendering.end_text(uses(stage.replies), cost_of(stage.replies), stage.language)
        await stage.write("end/told", text)

    async def _made(self, stage: Stage, decision: Decision) -> Plan:
        """The model's plan, or the standard one with the reason why it is not the model's."""
        settings, text = stage.settings, stage.request.text
        reply = await stage.ask("plan", agents.ask_plan(text, decision, settings), "status.planning")
        if reply.error is not None:
            reason = say(decision.language, "reason.form") if reply.unusable else reply.error
            return agents.template_plan(text, decision, agents.cut_line(reason), settings.most_steps)
        if reply.deployment is not None and is_small(split_id(reply.deployment)[1]):
            reason = say(decision.language, "reason.small", deployment=reply.deployment)
            return agents.template_plan(text, decision, reason, settings.most_steps)
        read = agents.read_plan(reply.text, decision, settings.most_steps)
        if isinstance(read, Plan):
            return read if read.title else replace(read, title=agents.cut_line(text))
        reason = say(decision.language, read, most=settings.most_steps)
        return agents.template_plan(text, decision, reason, settings.most_steps)


def _result(
    stage: Stage,
    decision: Decision,
    plan: Plan | None = None,
    steps: tuple[StepResult, ...] = (),
    *,
    ok: bool,
    warnings: tuple[str, ...] = (),
) -> CommanderResult:
    heard = (warning for reply in stage.replies for warning in reply.warnings)
    return CommanderResult(
        run=stage.request.run,
        mode=decision.mode,
        text=stage.text.rstrip(),
        ok=ok,
        plan=steps,
        plan_source=plan.source if plan else "none",
        plan_reason=plan.reason if plan else "",
        models=uses(stage.replies),
        cost_usd=cost_of(stage.replies),
        seconds=round(sum(done.seconds for done in (*stage.replies, *stage.outcomes)), 3),
        label=stage.label,
        warnings=tuple(dict.fromkeys((*warnings, *heard))),
    )


def _left_out(stage: Stage) -> tuple[str, ...]:
    names = dict.fromkeys(name for outcome in stage.outcomes for name in outcome.left_out)
    return (say(stage.language, "warning.left_out", names=", ".join(names)),) if names else ()


def _failure(stage: Stage) -> CoretoError:
    """Why nothing could be done: the error itself, or as it was noted before the run was continued."""
    if stage.error is not None:
        return stage.error
    return CallError(stage.replies[-1].error or "")


def _request(text: str, user: str | None, private: bool, run: str | None) -> Request:
    return Request(text, run or f"commander-{new_call_id()}", user, private)


async def _ignore(_: CrewEvent) -> None:
    return None


async def _until_none(
    events: "asyncio.Queue[CrewEvent | None]", work: "asyncio.Future[None]"
) -> AsyncGenerator[CrewEvent]:
    while (event := await events.get()) is not None:
        yield event
    await work
