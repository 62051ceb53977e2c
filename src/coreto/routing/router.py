"""From a call to its route: label, task, role, and the candidates in the order in which they are asked.

::

    label   the caller's, the role's (`local_only`), and what the words themselves give away
    task    of `auto` only: what kind of work the last message asks for, which names the role
    decide  policy.py: who is asked, in which order, and why
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from coreto.clock import Clock, SystemClock
from coreto.labels import Label
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, EmbedCall, Json, Preference, Usage, as_objects, estimate_tokens, prompt_text
from coreto.providers.catalog import Deployment
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.routing.checks import find_flaw
from coreto.routing.directory import AUTO, DEFAULT_ROLE, Directory
from coreto.routing.experience import THRESHOLD, Experience
from coreto.routing.gain import escalates, rule_gain
from coreto.routing.masked import masked
from coreto.routing.masking import Mask
from coreto.routing.policy import Decision, Standing, View, Wanted, decide
from coreto.routing.sensitivity import Sensitivities, digest_of
from coreto.routing.tasks import Detector, TaskDetection
from coreto.settings.model import DEFAULT_TASKS, Settings

#: Tokens that an answer is taken to have when prices are compared.
TYPICAL_ANSWER = 400
#: What :func:`~coreto.routing.gain.rule_gain` says from which a request is not simple any more.
HARD = 0.5
#: Characters below which a message is taken for the continuation of the one before ("sim", "go on").
SHORT = 16
_MOST_KNOWN = 1024


class Route(NamedTuple):
    """Where a call goes. ``plan``: what is tried; ``why``: what led there, in short; ``mask``: hides private
    data from candidates off this machine."""

    plan: Plan
    label: Label
    task: str | None = None
    why: tuple[str, ...] = ()
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What the router may ask: cheap, in memory. ``headroom``: share of a provider's allowance that is left;
    ``unaffordable``: the spending limit that a call of a role runs into, where it then goes on to models that
    cost nothing."""

    health: HealthBook
    prices: PriceBook
    headroom: Callable[[str], float | None] = lambda _: None
    unaffordable: Callable[[Call | EmbedCall, str | None], str | None] = lambda _call, _role: None
    clock: Clock = field(default_factory=SystemClock)


class Router:
    """Routes calls. Synchronous where that takes microseconds; :meth:`prepare` does in a thread what does not."""

    def __init__(self, settings: Settings, sources: Sources) -> None:
        self._privacy = settings.privacy
        self._tasks = {**DEFAULT_TASKS, **settings.routing.tasks}
        self._embedder = settings.routing.embedder
        self._detector = Detector({**settings.routing.examples})
        self._sources = sources
        self.experience = Experience(sources.clock)
        self._sensitivities = Sensitivities()
        self._detections: OrderedDict[bytes, TaskDetection] = OrderedDict()

    def at_once(self, call: Call | EmbedCall, directory: Directory) -> Route | None:
        """The route of ``call`` where finding it takes microseconds; ``None`` where :meth:`prepare` must go
        first. Most calls leave it by its second line: a role, asked as written, with nothing private in it."""
        kinds = self._sensitivities.kinds_at_once(call.body)
        if kinds == () and call.model != AUTO and call.label < Label.PRIVATE:
            plan = directory.plan(call.model)
            wish = plan.prefer or (call.prefer if isinstance(call, Call) else None)
            if wish is None and not plan.local_only and not plan.escalate:
                return Route(plan, call.label)
        if kinds is None or self._is_unclear(call):
            return None
        return self.route(call, directory)

    def is_slow(self, call: Call | EmbedCall) -> bool:
        """Whether routing ``call`` takes milliseconds unless :meth:`prepare` was there before."""
        return self._sensitivities.is_slow(call.body) or self._is_unclear(call)

    def _is_unclear(self, call: Call | EmbedCall) -> bool:
        """Whether the kind of work is one that the embedder has to be asked for, and was not yet."""
        return call.model == AUTO and self._embedder and not self._detected(call.body).settled

    async def prepare(self, call: Call | EmbedCall) -> None:
        """Do the slow part of routing ``call`` off the event loop, and remember it."""
        await asyncio.to_thread(self._prepare, call)

    def _prepare(self, call: Call | EmbedCall) -> None:
        self._sensitivities.kinds(call.body)
        if call.model == AUTO and self._embedder:
            text = asked_text(call.body)
            self._remember(digest_of(text), replace(self._detector.detect(text), settled=True))

    async def explain(self, call: Call, directory: Directory) -> Json:
        """What :meth:`route` would do with ``call``, and why; nobody is asked."""
        if self.is_slow(call):
            await self.prepare(call)
        seen = self._look(call, directory)
        decision = self._decide(call, seen)
        return {
            "model": call.model,
            "role": seen.plan.role,
            "task": None if seen.found is None else _shown(seen.found),
            "label": str(seen.label),
            "masked": seen.mask is not None,
            "prefer": decision.prefer,
            "because": decision.because or None,
            "why": list(seen.why),
            "candidates": [
                *(choice.as_json() for choice in decision.choices),
                *(
                    {"deployment": name, "local": None, "kept": False, "reason": reason}
                    for name, reason in seen.plan.dropped
                ),
            ],
        }

    def route(self, call: Call | EmbedCall, directory: Directory) -> Route:
        """Where ``call`` goes. Raises :class:`~coreto.errors.UnknownModelError`."""
        seen = self._look(call, directory)
        as_written = seen.prefer == "chain" and seen.label < Label.PRIVATE and seen.found is None
        if as_written and not seen.plan.escalate:
            return Route(seen.plan, seen.label, why=seen.why)  # as written: most calls
        decision = self._decide(call, seen)
        task = None if seen.found is None else seen.found.label
        return Route(_ordered(seen.plan, decision, seen.mask), seen.label, task, seen.why, seen.mask)

    def _look(self, call: Call | EmbedCall, directory: Directory) -> "_Seen":
        found: TaskDetection | None = None
        why: list[str] = []
        prefer: Preference = "chain"
        because = ""
        if call.model == AUTO:
            found = self._detected(call.body)
            plan = replace(self._plan_for(found, directory), name=AUTO)
            prefer, because = _inclination(found, call.body)
            why.append(f"task {found.label} ({found.confidence:.2f}): {found.reason}")
        else:
            plan = directory.plan(call.model)
        if plan.prefer is not None:
            prefer, because = plan.prefer, "as the role says"
        if isinstance(call, Call) and call.prefer is not None:
            prefer, because = call.prefer, "as the call says"
        elif plan.escalate and plan.role is not None:
            gain = self.experience.judge(plan.role, asked_text(call.body))
            if escalates(gain.value, THRESHOLD):
                prefer, because = "cloud", f"likely too hard for this machine ({gain.reason})"
        if because:
            why.append(f"{because}: {prefer}" if prefer == "chain" else f"{because}: {prefer} first")
        label, mask = self._label(call, plan, why)
        return _Seen(plan, found, label, mask, prefer, because, tuple(why))

    def learn(self, call: Call, plan: Plan, journal: Journal) -> None:
        """Take note of how a call of a role that escalates went."""
        self.experience.learn(call, plan, journal, asked_text(call.body))

    def _label(self, call: Call | EmbedCall, plan: Plan, why: list[str]) -> tuple[Label, Mask | None]:
        """The label of ``call``, and what hides its private data where it may leave as placeholders."""
        if plan.local_only:
            return Label.PRIVATE, None
        mode = plan.privacy or self._privacy
        if call.label is Label.PRIVATE or mode == "off":
            return call.label, None
        kinds = self._sensitivities.kinds(call.body)
        if not kinds:
            return call.label, None
        why.append(f"private: {', '.join(kinds)}")
        if mode != "mask" or not isinstance(call, Call):
            return Label.PRIVATE, None
        mask = Mask()
        hidden = mask.hide_body(call.body)
        if not mask.covers(hidden):
            why.append("it stays here: no placeholder can hide it")
            return Label.PRIVATE, None
        return Label.PRIVATE, mask

    def _detected(self, body: Json) -> TaskDetection:
        text = asked_text(body)
        digest = digest_of(text)
        known = self._detections.get(digest)
        if known is None:
            known = self._detector.detect_quickly(text)
            self._remember(digest, known)
        return known

    def _remember(self, digest: bytes, found: TaskDetection) -> None:
        self._detections[digest] = found
        if len(self._detections) > _MOST_KNOWN:
            self._detections.popitem(last=False)

    def _plan_for(self, found: TaskDetection, directory: Directory) -> Plan:
        plan = directory.plans.get(self._tasks[found.label]) or directory.plans.get(DEFAULT_ROLE)
        return plan or directory.plan(AUTO)

    def _decide(self, call: Call | EmbedCall, seen: "_Seen") -> Decision:
        wanted = Wanted(
            label=seen.label,
            tokens=estimate_tokens(prompt_text(call.body)),
            needs=_needs(call.body),
            prefer=seen.prefer,
            because=seen.because,
            masked=seen.mask is not None,
        )
        reached = self._sources.unaffordable(call, seen.plan.role)
        deployments = [candidate.deployment for candidate in seen.plan.candidates]
        standings = {one.id: self._standing(one, wanted, reached) for one in deployments}
        windows = {c.deployment.id: c.window for c in seen.plan.candidates if c.window is not None}
        return decide(wanted, deployments, View(standings, windows))

    def _standing(self, deployment: Deployment, wanted: Wanted, reached: str | None) -> Standing:
        sources = self._sources
        block = sources.health.block(deployment)
        record = sources.health.records.get(deployment.id)
        usage = Usage(wanted.tokens, TYPICAL_ANSWER)
        return Standing(
            blocked=f"{block.code}: {block.reason}" if block else None,
            unaffordable=None if deployment.local else reached,
            latency_ms=record.usual_ms if record else None,
            nusd=0 if deployment.local else sources.prices.charge(deployment.id, usage),
            headroom=sources.headroom(deployment.account),
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen of a call before anything is decided."""

    plan: Plan
    found: TaskDetection | None
    label: Label
    mask: Mask | None
    prefer: Preference
    because: str
    why: tuple[str, ...]


def asked_text(body: Json) -> str:
    """What the last user message asks; with the one before where it only goes on with that."""
    texts = [
        prompt_text({"messages": [m]}) for m in as_objects(body.get("messages")) if m.get("role") == "user"
    ]
    if not texts:
        return ""
    last = texts[-1]
    return f"{texts[-2]}\n{last}" if len(last.strip()) < SHORT and len(texts) > 1 else last


def _inclination(found: TaskDetection, body: Json) -> tuple[Preference, str]:
    """Who a task should be asked first: what is simple is done here, for the rest the role's chain knows."""
    if rule_gain(asked_text(body)) >= HARD:
        return "chain", f"hard {found.label}"
    if found.label == "planning":
        return "chain", "planning"
    return "local", f"simple {found.label}"


def _ordered(plan: Plan, decision: Decision, mask: Mask | None) -> Plan:
    by_id: Mapping[str, Candidate] = {c.deployment.id: c for c in plan.candidates}
    wrap = None if mask is None else partial(masked, mask=mask)
    candidates = tuple(by_id[name] if wrap is None else wrap(by_id[name]) for name in decision.order)
    look = _second_look if plan.escalate else None
    return replace(
        plan, candidates=candidates, wrap=wrap, second_look=look, dropped=(*plan.dropped, *decision.dropped)
    )


def _second_look(call: Call, answer: str) -> str | None:
    return find_flaw(asked_text(call.body), answer)


def _needs(body: Json) -> frozenset[str]:
    """What a model must be able to do, in the words of Ollama's ``capabilities``."""
    needs: set[str] = set()
    if body.get("tools"):
        needs.add("tools")
    for message in as_objects(body.get("messages")):
        if any(part.get("type") == "image_url" for part in as_objects(message.get("content"))):
            needs.add("vision")
    return frozenset(needs)


def _shown(found: TaskDetection) -> Json:
    return {
        "label": found.label,
        "also": list(found.also),
        "confidence": found.confidence,
        "reason": found.reason,
        "language": found.language,
        "steps": [{"task": step.label, "text": step.text} for step in found.steps],
    }
