"""Carries out the steps of a plan, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from coreto.crews.commander import agents, rendering
from coreto.crews.commander.extraction import code_of, parses
from coreto.crews.commander.stage import Stage
from coreto.crews.commander.state import Kind, PlanStep, Reply, Status, StepResult
from coreto.crews.commander.texts import say
from coreto.crews.commander.tools import Outcome
from coreto.languages import Language

_MAKES: frozenset[Kind] = frozenset({"code", "execution"})


def needs(step: Kind, earlier: Kind) -> bool:
    """Whether a step of kind ``step`` builds on one of kind ``earlier`` before it: on code all but a design does."""
    return earlier in _MAKES and step != "ui"


def role_of(kind: Kind) -> str:
    """Who does a step of ``kind``."""
    return "executor" if kind in _MAKES else "ui" if kind == "ui" else "brain"


def calls(steps: Sequence[PlanStep]) -> list[tuple[str, int]]:
    """Roles and numbers of calls of ``steps`` in order, neighbours of one role together."""
    counted: list[tuple[str, int]] = []
    for step in steps:
        role = role_of(step.kind)
        if counted and counted[-1][0] == role:
            counted[-1] = (role, counted[-1][1] + 1)
        else:
            counted.append((role, 1))
    return counted


@dataclass(frozen=True, slots=True)
class _Written:
    """Code, or why there is none."""

    code: str | None = None
    error: str = ""


def _usable(reply: Reply) -> bool:
    """Whether there is code in an answer; of one that ended at the token limit, code that is whole."""
    code = code_of(reply.text)
    return code is not None and (not reply.cut or parses(code))


class Worker:
    """Does the steps of one run."""

    def __init__(self, stage: Stage, language: Language, given: str | None = None) -> None:
        """``given``: code for the first step, which is run as it is."""
        self._stage = stage
        self._language: Language = language
        self._given = given
        self._results: list[StepResult] = []

    async def do(self, steps: Sequence[PlanStep], *, headings: bool) -> tuple[StepResult, ...]:
        """Carry out ``steps``, and tell what comes of each."""
        for number, step in enumerate(steps, 1):
            if headings:
                text = rendering.step_heading(number, step, self._language)
                await self._stage.write(f"step-{number}/heading", text)
            result = await self._step(number, step)
            self._results.append(result)
            text = rendering.step_body(result, self._language)
            await self._stage.write(f"step-{number}/told", text)
        return tuple(self._results)

    async def _step(self, number: int, step: PlanStep) -> StepResult:
        failed = [past for past in self._results if past.status in {"failed", "skipped"}]
        if any(needs(step.kind, past.kind) for past in failed):
            return StepResult(step.kind, step.text, "skipped", step.details)
        if step.kind in _MAKES:
            return await self._coded(number, step)
        return await self._worded(number, step)

    async def _worded(self, number: int, step: PlanStep) -> StepResult:
        status = "status.designing" if step.kind == "ui" else "status.explaining"
        ask = agents.ask_words(step, self._told(), self._language)
        reply = await self._stage.ask(f"step-{number}/say", ask, status, step=number)
        error = reply.error
        if error is None and not reply.text.strip():
            error = say(self._language, "error.empty")
        outcome: Status = "done" if error is None else "failed"
        return StepResult(step.kind, step.text, outcome, step.details, answer=reply.text, error=error)

    async def _coded(self, number: int, step: PlanStep) -> StepResult:
        """Write code and run it; while it fails and there are rounds left, have it mended.

        Ends with: no code (1), the code of a run that failed and no better one (2), no sandbox (3), a run that went
        well or as well as it can here (4), or no rounds left (5).
        """
        stage, earlier = self._stage, tuple(self._stage.outcomes)
        written = _Written(self._given) if self._given and number == 1 else await self._write(number, step)
        if written.code is None:
            return StepResult(step.kind, step.text, "failed", step.details, error=written.error)  # 1
        code, rounds = written.code, 0
        while True:
            rounds += 1
            outcome = await stage.run_code(f"step-{number}/run-{rounds}", code, number, earlier)
            if outcome.unavailable is not None:
                return self._result(step, code, outcome, 0, "not_run", outcome.unavailable)  # 3
            if outcome.ok:
                return self._result(step, code, outcome, rounds, "done")  # 4
            failure = agents.failure_of(outcome, self._language)
            if step.kind == "code" and outcome.lacks_surroundings:
                return self._result(step, code, outcome, rounds, "unchecked", failure)  # 4
            if rounds >= stage.settings.most_rounds:
                return self._result(step, code, outcome, rounds, "failed", failure)  # 5
            written = await self._mend(number, step, rounds + 1, code, outcome)
            if written.code is None or written.code.strip() == code.strip():
                same = say(self._language, "error.same_code", error=failure)
                error = f"{failure}; {written.error}" if written.code is None else same
                return self._result(step, code, outcome, rounds, "failed", error)  # 2
            code = written.code

    async def _write(self, number: int, step: PlanStep) -> _Written:
        stage, language = self._stage, self._language
        task = agents.task_of(step, stage.request.text)
        ask = agents.ask_code(task, self._told(), stage.settings, language)
        name = f"step-{number}/write-1"
        reply = await stage.ask(name, ask, "status.writing", step=number)
        if reply.error is None and not _usable(reply):
            ask = agents.ask_again(task, stage.settings, language)
            reply = await stage.ask(f"{name}/again", ask, "status.writing", step=number)
        return self._read(reply.error, reply.text)

    async def _mend(self, number: int, step: PlanStep, turn: int, code: str, outcome: Outcome) -> _Written:
        stage, language = self._stage, self._language
        task = agents.task_of(step, stage.request.text)
        problem = agents.problem_of(outcome, language)
        ask = agents.ask_mended(task, code, problem, stage.settings, language)
        reply = await stage.ask(f"step-{number}/write-{turn}", ask, "status.mending", step=number)
        return self._read(reply.error, reply.text)

    def _read(self, error: str | None, answer: str) -> _Written:
        if error is not None:
            return _Written(error=error)
        code = code_of(answer)
        return _Written(code, "" if code else say(self._language, "error.no_code"))

    def _told(self) -> str:
        names = dict.fromkeys(file.name for result in self._results for file in result.files)
        return agents.told(self._results, tuple(names), self._stage.settings.context_chars)

    def _result(
        self,
        step: PlanStep,
        code: str,
        outcome: Outcome,
        rounds: int,
        status: Status,
        error: str | None = None,
    ) -> StepResult:
        return StepResult(
            step.kind,
            step.text,
            status,
            step.details,
            code=code,
            output=outcome.output,
            exit_code=outcome.exit_code,
            rounds=rounds,
            error=error,
            files=outcome.files,
        )
