"""What kind of run a request is. Pure: from the task detection and the request's words.

1. To act outside of a sandbox (send, publish, pause …): **plain**, with a note that nothing was carried out.
2. Several kinds of work with something to carry out: **plan_execute**; only to write and run code: **execution**.
3. To run or compute something: **execution**. A mere go-ahead: **plain**.
4. To write or mend Python: **code**. Other languages, and questions about code: **plain** by the executor.
5. To plan: **plan**. To analyse, compare, reason: **plain** by the brain.
6. Everything else: **plain**, by the ui model what is to be seen, by the brain what is talk.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from coreto.crews.commander.extraction import fenced, parses, works
from coreto.crews.commander.state import KINDS, Kind, PlanStep
from coreto.languages import Language
from coreto.messages import Json, as_objects
from coreto.routing.tasks import Step, TaskDetection

Mode = Literal["plain", "plan", "code", "execution", "plan_execute"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

_UNSURE = 0.6
"""Confidence below which a second task counts too."""

_SOMETHING = 3
"""Words from which an order to execute says what: "go ahead" alone does not."""

_PLAN = re.compile(
    r"\b(?:plan(?:s|o|os|ej\w*|ning)?|roadmap|cronogramas?|estrategias?|strateg\w+|fluxos?|workflows?|etapas|timeline|outline"
    r"|passo a passo|step[- ]by[- ]step|milestones?|organi[sz]\w+|roteiro)\b"
)
_OUTSIDE = re.compile(
    r"^(?:(?:por favor|please|pode|can you|could you|agora|now),? )*"
    r"(?:(?:re)?envi\w+|(?:re)?send|mand[ae]\w*|e-?mail|paus\w+|publi\w+|post[ae]?|deploy|agend\w+|schedule|baix\w+|download|upload"
    r"|reinici\w+|restart|reboot|instal\w+|cancel\w*|encaminh\w+|forward|book|reserv\w+|compr[ae]r?|buy|ping|sync|aument\w+|ativ\w+"
    r"|liga|ligue|deslig\w+|abr[ae]|feche|fecha|open|close|delet\w+|apag\w+|exclu\w+|remov\w+)\b"
)
_CODE_WORDS = re.compile(
    r"\b(?:python|codigos?|code|scripts?|program(?:a|s|as)?|func(?:ao|oes)|functions?|snippets?|algoritmos?|algorithms?|calcul\w+|comput\w+)\b"
)
_PYTHON = re.compile(r"\b(?:python|py|pandas|numpy)\b")
_OTHER = re.compile(
    r"\b(?:javascript|typescript|java|bash|shell|powershell|sql|php|ruby|golang|rust|kotlin|swift|node(?:\.?js)?|react|vue|angular"
    r"|vba|lua|perl|scala|haskell|dockerfile|docker|makefile|terraform|in go|em go|cobol|matlab)\b|\bc\+\+|\bc#"
)
_FORMAT = re.compile(r"\b(?:json|yaml|xml|html|css|toml|regex|csv|markdown|query)\b")
_ASKS = re.compile(
    r"^(?:(?:por favor|please|me|can you|could you|pode),? )*"
    r"(?:expli\w+|explain|how|como|what|o que|oque|que|qual|quais|por ?que|why|when|quando|compar\w+|descrev\w+|describe|diferenca"
    r"|difference|review|revis\w+|resum\w+|summari[sz]e|tell me|is|are|does|vale|devo|should|which|quem|who|onde|where|ensin\w+|teach)\b"
)
_MENDS = re.compile(
    r"\b(?:corri\w+|consert\w+|fix|debug\w*|depur\w+|mend|arrum\w+|otimi\w+|optimi\w+|melhor\w+|improve|refator\w+|refactor)\b"
)
_GIVEN = frozenset({"", "python", "python3", "py"})


@dataclass(frozen=True, slots=True)
class Decision:
    """``role``: who answers a plain request. ``work``: what the request's own words name to be done, in order;
    the plan when the model's cannot be used. ``given``: code that came with the request. ``outside``: it asks for
    something that no sandbox can do."""

    mode: Mode
    language: Language
    role: str = "brain"
    work: tuple[PlanStep, ...] = ()
    given: str | None = None
    outside: bool = False

    def as_json(self) -> Json:
        return {
            "mode": self.mode,
            "language": self.language,
            "role": self.role,
            "work": [step.as_json() for step in self.work],
            "given": self.given,
            "outside": self.outside,
        }

    @classmethod
    def from_json(cls, shown: Json) -> "Decision":
        """The decision that :meth:`as_json` showed."""
        return cls(
            mode=cast("Mode", shown["mode"]),
            language=cast("Language", shown["language"]),
            role=str(shown["role"]),
            work=tuple(map(PlanStep.from_json, as_objects(shown["work"]))),
            given=shown["given"],
            outside=bool(shown["outside"]),
        )


def decide(text: str, found: TaskDetection, fallback: Language) -> Decision:
    """What to do about ``text``, in which ``found`` was detected; ``fallback``: the language where it shows none."""
    language: Language = "pt-BR" if found.language == "pt" else "en" if found.language == "en" else fallback
    flat = _flat(text)
    labels = {step.label for step in found.steps}
    if _is_outside(flat, found):
        return Decision("plain", language, outside=True)
    if len(labels) > 1 and labels & {"code", "execution", "ui"}:
        if labels <= {"code", "execution"}:
            return _alone("execution", text, language)
        return Decision("plan_execute", language, work=_work(found.steps))
    if found.label == "execution" and len(flat.split()) < _SOMETHING:
        return Decision("plain", language)
    if found.label == "execution" or (found.confidence < _UNSURE and "execution" in found.also):
        return _alone("execution", text, language, given=given_code(text))
    if found.label == "code":
        if _is_python(flat):
            return _alone("code", text, language)
        return Decision("plain", language, role="executor")
    if found.label == "planning" and _PLAN.search(flat):
        return Decision("plan", language, work=_work(found.steps))
    return Decision("plain", language, role="ui" if found.label == "ui" else "brain")


def given_code(text: str) -> str | None:
    """The Python program that ``text`` brings along to be run as it is: in a fence, or behind a colon."""
    blocks = [block for block in fenced(text) if block.code.strip()]
    if _MENDS.search(_flat(text.partition("```")[0])):
        return None
    if blocks:
        fits = len(blocks) == 1 and blocks[0].info in _GIVEN
        # numbers of a file can be parsed too
        return blocks[0].code if fits and (blocks[0].info or works(blocks[0].code)) else None
    _, colon, rest = text.partition(":")
    code = rest.strip().strip("`").strip()
    return code if colon and re.search(r"[(=]", code) and parses(code) else None


def _is_outside(flat: str, found: TaskDetection) -> bool:
    return found.label == "execution" and not _CODE_WORDS.search(flat) and bool(_OUTSIDE.match(flat))


def _is_python(flat: str) -> bool:
    """Whether Python is to be written: not another language, not a file's form, not a question."""
    if _ASKS.match(flat) or "traceback" in flat:
        return False
    if _PYTHON.search(flat):
        return True
    return not _OTHER.search(flat) and (not _FORMAT.search(flat) or bool(_CODE_WORDS.search(flat)))


def _alone(
    kind: Literal["code", "execution"], text: str, language: Language, given: str | None = None
) -> Decision:
    return Decision(kind, language, work=(PlanStep(kind, text.strip()),), given=given)


def _work(steps: Sequence[Step]) -> tuple[PlanStep, ...]:
    """The steps to be carried out. To write code and to run it is one step: each run is on its own."""
    work: list[PlanStep] = []
    for step in steps:
        if step.label not in KINDS:
            continue
        kind: Kind = step.label
        if work and {work[-1].kind, kind} == {"code", "execution"}:
            work[-1] = PlanStep("execution", f"{work[-1].text}; {step.text}")
        else:
            work.append(PlanStep(kind, step.text))
    return tuple(work)


def _flat(text: str) -> str:
    """``text`` in lower case, without accents, with single spaces."""
    bare = unicodedata.normalize("NFD", text.casefold())
    return " ".join("".join(c for c in bare if not unicodedata.combining(c)).split())
