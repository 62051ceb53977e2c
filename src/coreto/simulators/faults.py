"""What can go wrong, as data: typed rules, read from JSON, drawn with a seed.

A rule is a flat JSON object. Which requests it meets:

=============== =======================================================================================
``path``        glob of the URL path; left out, only calls that generate (chat, generate, embed) are met
``model``       glob of the model asked for
``stream``      true or false: only streamed, only whole replies
``nth``         only the nth request that the lines above let through (from 1)
``after``       let the first k of them pass
``times``       how often the rule strikes; null or left out: always
``probability`` 0 to 1, drawn from the seed (default 1)
=============== =======================================================================================

The first rule that strikes decides; a request meets one fault at most. What it does (``chunks`` = k, default 2):

=================== ==================================== ==============================================
``kind``            whole reply                          streamed reply
=================== ==================================== ==============================================
status              ``status`` with ``error`` (a name of `bodies`) or ``body``, and ``headers``; the same
refuse              connection reset before any byte     the same
hang                no byte, ever (or for ``seconds``)   the same
silence             headers, then nothing                the same
html                200 with an HTML page                the same
empty_body          200 with zero bytes                  the same
error_object        200 with an error object             the same (a JSON body, not a stream)
empty_choices       200 with no choice (no message)      one event without choice, then the end marker
empty_answer        well-formed, content ``""``          the same
malformed_json      the body cut in its middle           half an event, then a clean end
bad_content         ``content`` is the answer            the same
error_first_event   as error_object                      200, the first event is an error
cut                 half the body, then aborted          aborted after k chunks
eof_without_finish  no finish reason (done: false)       a clean end after k chunks, no finish, no done
error_mid_stream    200 with partial text and error      an error event after k chunks, then the end
                    (OpenRouter), else status 500
stall               half the body, then silence          silence after k chunks (or for ``seconds``)
broken_line         a stray line before the JSON         a non-JSON data line after k chunks, goes on
slow                ``seconds`` before the reply         ``seconds`` before the first token and
                                                         ``per_chunk`` before each next one
truncate_prompt     usage says ``tokens`` prompt tokens (default 5) although more were sent; the same
=================== ==================================== ==============================================

After ``seconds`` of hang, silence or stall the connection is closed; without ``seconds`` it stays.
"""

import difflib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, cast

from coreto.simulators.bodies import ERRORS


class FaultKind(StrEnum):
    """The ways a call can fail; the module's table says what each does."""

    STATUS = "status"
    REFUSE = "refuse"
    HANG = "hang"
    SILENCE = "silence"
    HTML = "html"
    EMPTY_BODY = "empty_body"
    ERROR_OBJECT = "error_object"
    EMPTY_CHOICES = "empty_choices"
    EMPTY_ANSWER = "empty_answer"
    MALFORMED_JSON = "malformed_json"
    BAD_CONTENT = "bad_content"
    ERROR_FIRST_EVENT = "error_first_event"
    CUT = "cut"
    EOF_WITHOUT_FINISH = "eof_without_finish"
    ERROR_MID_STREAM = "error_mid_stream"
    STALL = "stall"
    BROKEN_LINE = "broken_line"
    SLOW = "slow"
    TRUNCATE_PROMPT = "truncate_prompt"


class FaultError(ValueError):
    """A fault rule that cannot be understood; the message names the rule, the key and the nearest name."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a rule may look at in one request."""

    path: str
    model: str = ""
    stream: bool = False
    generates: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One rule: whom it meets (first seven fields) and what it does to them."""

    kind: FaultKind
    path: str | None = None
    model: str | None = None
    stream: bool | None = None
    nth: int | None = None
    after: int = 0
    times: int | None = None
    probability: float = 1.0
    status: int = 500
    error: str | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds: float | None = None
    per_chunk: float = 0.0
    chunks: int = 2
    content: str = '{"unfinished": '
    tokens: int = 5

    def meets(self, call: Call) -> bool:
        """Whether path, model and stream fit; counting and chance are the book's."""
        if self.path is None:
            if not call.generates:
                return False
        elif not fnmatchcase(call.path, self.path):
            return False
        if self.model is not None and not fnmatchcase(call.model, self.model):
            return False
        return self.stream is None or self.stream == call.stream


_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "path": (str, type(None)),
    "model": (str, type(None)),
    "stream": (bool, type(None)),
    "nth": (int, type(None)),
    "after": (int,),
    "times": (int, type(None)),
    "probability": (int, float),
    "status": (int,),
    "error": (str, type(None)),
    "body": (object,),
    "headers": (dict,),
    "seconds": (int, float, type(None)),
    "per_chunk": (int, float),
    "chunks": (int,),
    "content": (str,),
    "tokens": (int,),
}


def parse_rules(data: Any) -> tuple[FaultRule, ...]:
    """Rules from parsed JSON: a list of rules, ``{"rules": [...]}`` or one rule. Raises `FaultError`."""
    if isinstance(data, dict):
        mapping = cast("dict[str, Any]", data)
        data = mapping.get("rules", [mapping])
    if not isinstance(data, list):
        raise FaultError(f"fault rules: expected a list of objects, got {type(data).__name__}")
    return tuple(_rule(index, item) for index, item in enumerate(cast("list[Any]", data)))


def _rule(index: int, item: Any) -> FaultRule:
    if not isinstance(item, dict):
        raise FaultError(f"fault rule {index}: expected an object, got {type(item).__name__}")
    values = dict(cast("dict[str, Any]", item))
    nested = values.pop("match", None)
    if isinstance(nested, dict):
        values = {**cast("dict[str, Any]", nested), **values}
    for key, value in values.items():
        if key not in _TYPES:
            raise FaultError(f"fault rule {index}: unknown key {key!r}{_nearest(key, _TYPES)}")
        allowed = _TYPES[key]
        boolean_as_number = isinstance(value, bool) and bool not in allowed and object not in allowed
        if boolean_as_number or not isinstance(value, allowed):
            raise FaultError(f"fault rule {index}: {key!r} cannot be {value!r}")
    kind = str(values.get("kind", ""))
    kinds = [member.value for member in FaultKind]
    if kind not in kinds:
        raise FaultError(f"fault rule {index}: unknown kind {kind!r}{_nearest(kind, kinds)}")
    error = values.get("error")
    if error is not None and error not in ERRORS:
        raise FaultError(f"fault rule {index}: unknown error {error!r}{_nearest(error, ERRORS)}")
    if not 0 <= float(values.get("probability", 1)) <= 1:
        raise FaultError(f"fault rule {index}: 'probability' must be from 0 to 1")
    fields_given: dict[str, Any] = {**values, "kind": FaultKind(kind)}
    return FaultRule(**fields_given)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(slots=True)
class _Entry:
    rule: FaultRule
    chance: random.Random
    met: int = 0
    struck: int = 0


class FaultBook:
    """The rules in force with their counts. The same seed, rules and calls strike the same way."""

    def __init__(self, rules: Iterable[FaultRule] = (), seed: int = 0) -> None:
        self._seed = seed
        self._entries: list[_Entry] = []
        self.add(rules)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, rules: Iterable[FaultRule]) -> None:
        """Append rules; earlier ones decide first."""
        for rule in rules:
            chance = random.Random(f"{self._seed}:{len(self._entries)}")  # noqa: S311 - repeatable, not secret
            self._entries.append(_Entry(rule, chance))

    def clear(self) -> None:
        """Forget every rule and count."""
        self._entries.clear()

    def decide(self, call: Call) -> FaultRule | None:
        """The rule that strikes this call, if any; counts the call in every rule it was shown to."""
        for entry in self._entries:
            if entry.rule.meets(call) and _strikes(entry):
                entry.struck += 1
                return entry.rule
        return None

    def as_json(self) -> list[dict[str, Any]]:
        """The rules (fields that differ from the default) with ``met`` and ``struck`` counts."""
        return [{**_plain(entry.rule), "met": entry.met, "struck": entry.struck} for entry in self._entries]


def _strikes(entry: _Entry) -> bool:
    rule = entry.rule
    entry.met += 1
    if rule.nth is not None and entry.met != rule.nth:
        return False
    if entry.met <= rule.after:
        return False
    if rule.times is not None and entry.struck >= rule.times:
        return False
    return rule.probability >= 1 or entry.chance.random() < rule.probability


def _plain(rule: FaultRule) -> dict[str, Any]:
    default = FaultRule(kind=rule.kind)
    names = [spec.name for spec in fields(FaultRule)]
    changed = {name: getattr(rule, name) for name in names if getattr(rule, name) != getattr(default, name)}
    return {"kind": rule.kind.value, **changed}
