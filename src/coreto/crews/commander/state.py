"""What a run of the commander knows and comes to: frozen, to JSON and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from coreto.labels import Label, combine
from coreto.messages import NANO, Json, as_objects

Kind = Literal["code", "execution", "ui", "conversation"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Status = Literal["planned", "done", "unchecked", "not_run", "failed", "skipped"]
"""``planned``: it was only to be planned. ``done``: it went well. ``unchecked``: code was written that cannot be tried to its end here (a package is
missing, somebody must type). ``not_run``: code was written, and no sandbox holds. ``failed``. ``skipped``: it needs
a step that failed."""

PlanSource = Literal["none", "request", "model", "template"]
"""Whose the plan is: there was none; the request is the one step; the planner's; the standard one in its place."""


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One thing to do. ``details``: how, in plans that are only made."""

    kind: Kind
    text: str
    details: str = ""

    def as_json(self) -> Json:
        return {"kind": self.kind, "text": self.text, "details": self.details}

    @classmethod
    def from_json(cls, shown: Json) -> "PlanStep":
        """The step that :meth:`as_json` showed."""
        return cls(cast("Kind", shown["kind"]), str(shown["text"]), str(shown["details"]))


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order. ``reason``: why it is not the model's."""

    title: str
    steps: tuple[PlanStep, ...]
    source: PlanSource = "model"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one call. ``text``: all of the answer, or as far as it came. ``seconds``: that it took.
    ``cut``: it ended at the token limit. ``error``: in one line, with its ``code``; ``unusable``: a model did answer,
    in a form that is of no use."""

    role: str
    text: str = ""
    deployment: str | None = None
    label: Label = Label.INTERNAL
    cost_nusd: int | None = 0
    seconds: float = 0.0
    cut: bool = False
    error: str | None = None
    code: str | None = None
    unusable: bool = False
    warnings: tuple[str, ...] = ()

    def as_json(self) -> Json:
        return {
            "role": self.role,
            "text": self.text,
            "deployment": self.deployment,
            "label": str(self.label),
            "cost_nusd": self.cost_nusd,
            "seconds": self.seconds,
            "cut": self.cut,
            "error": self.error,
            "code": self.code,
            "unusable": self.unusable,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, shown: Json) -> "Reply":
        """The reply that :meth:`as_json` showed."""
        changed: Json = {"label": Label.parse(shown["label"]), "warnings": tuple(shown["warnings"])}
        return cls(**{**shown, **changed})


@dataclass(frozen=True, slots=True)
class File:
    """A file that a step produced. ``size`` in bytes; ``path``: where it is kept, if it is."""

    name: str
    size: int
    path: str | None = None

    def as_json(self) -> Json:
        return {"name": self.name, "size": self.size, "path": self.path}

    @classmethod
    def from_json(cls, shown: Json) -> "File":
        """The file that :meth:`as_json` showed."""
        return cls(str(shown["name"]), int(shown["size"]), shown["path"])


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of a step. ``answer``: the words or the design of one without code. ``output``: what the sandbox
    gave, nothing else; ``rounds``: how many versions of the code were run."""

    kind: Kind
    text: str
    status: Status
    details: str = ""
    answer: str = ""
    code: str | None = None
    output: str = ""
    exit_code: int | None = None
    rounds: int = 0
    error: str | None = None
    files: tuple[File, ...] = ()

    def as_json(self) -> Json:
        return {
            "kind": self.kind,
            "text": self.text,
            "status": self.status,
            "details": self.details,
            "answer": self.answer,
            "code": self.code,
            "output": self.output,
            "exit_code": self.exit_code,
            "rounds": self.rounds,
            "error": self.error,
            "files": [file.as_json() for file in self.files],
        }

    @classmethod
    def from_json(cls, shown: Json) -> "StepResult":
        """The result that :meth:`as_json` showed."""
        changed: Json = {"files": tuple(map(File.from_json, as_objects(shown["files"])))}
        return cls(**{**shown, **changed})


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A deployment that answered for ``role``, ``calls`` times. ``cost_usd``: ``None`` when a price is unknown."""

    role: str
    deployment: str
    calls: int
    cost_usd: float | None

    def as_json(self) -> Json:
        return {
            "role": self.role,
            "deployment": self.deployment,
            "calls": self.calls,
            "cost_usd": self.cost_usd,
        }

    @classmethod
    def from_json(cls, shown: Json) -> "ModelUse":
        """The use that :meth:`as_json` showed."""
        return cls(**shown)


@dataclass(frozen=True, slots=True)
class CommanderResult:
    """What a run came to.

    ``text``: the answer, in Markdown. ``ok``: no step failed. ``plan``: the steps with what came of each. ``models`` in the order of their first use. ``cost_usd``: of all
    calls, failed ones too; ``None`` when a price is unknown. ``seconds``: that models and sandbox took.
    """

    run: str
    mode: str
    text: str
    ok: bool
    plan: tuple[StepResult, ...] = ()
    plan_source: PlanSource = "none"
    plan_reason: str = ""
    models: tuple[ModelUse, ...] = ()
    cost_usd: float | None = 0.0
    seconds: float = 0.0
    label: Label = Label.INTERNAL
    warnings: tuple[str, ...] = ()

    def as_json(self) -> Json:
        return {
            "run": self.run,
            "mode": self.mode,
            "text": self.text,
            "ok": self.ok,
            "plan": [step.as_json() for step in self.plan],
            "plan_source": self.plan_source,
            "plan_reason": self.plan_reason,
            "models": [use.as_json() for use in self.models],
            "cost_usd": self.cost_usd,
            "seconds": self.seconds,
            "label": str(self.label),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, shown: Json) -> "CommanderResult":
        """The result that :meth:`as_json` showed."""
        changed: Json = {
            "plan": tuple(map(StepResult.from_json, as_objects(shown["plan"]))),
            "models": tuple(map(ModelUse.from_json, as_objects(shown["models"]))),
            "label": Label.parse(shown["label"]),
            "warnings": tuple(shown["warnings"]),
        }
        return cls(**{**shown, **changed})


def uses(replies: Iterable[Reply]) -> tuple[ModelUse, ...]:
    """Who answered for which role, how often and for how much."""
    counts: dict[tuple[str, str], tuple[int, int | None]] = {}
    for reply in replies:
        if reply.deployment is not None:
            calls, cost = counts.get((reply.role, reply.deployment), (0, 0))
            total = None if cost is None or reply.cost_nusd is None else cost + reply.cost_nusd
            counts[reply.role, reply.deployment] = (calls + 1, total)
    return tuple(ModelUse(*who, calls, dollars(cost)) for who, (calls, cost) in counts.items())


def cost_of(replies: Iterable[Reply]) -> float | None:
    """Dollars of all calls together; ``None`` when one of them has no known price."""
    total = 0
    for reply in replies:
        if reply.cost_nusd is None:
            return None
        total += reply.cost_nusd
    return dollars(total)


def label_of(replies: Iterable[Reply], start: Label) -> Label:
    """The strictest label that a call of the run was given."""
    return combine(start, *(reply.label for reply in replies))


def dollars(nusd: int | None) -> float | None:
    return None if nusd is None else nusd / NANO
