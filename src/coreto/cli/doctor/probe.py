"""One token from each model that comes first, to see what calling it really does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from coreto.app import App
from coreto.cli.doctor.facts import RULES, ProbeFact, QueueFact, RoleFact
from coreto.errors import CallError, CoretoError
from coreto.labels import Label
from coreto.messages import Attempt, Call, Json, Trace, new_call_id
from coreto.resilience.output import Expectation
from coreto.resilience.plan import Candidate, Plan
from coreto.routing.directory import Directory

#: Seconds a probe may take to its first token.
ATTEMPT = 15.0
#: Tokens of the two calls at once that show whether an engine queues: enough to take measurable time.
QUEUE_TOKENS = 24
PANEL_ROLE = "specialist"
_NAME = "doctor"
_SAME_SERVER = frozenset({"timeout", "stalled", "unreachable", "garbled"})


@dataclass(frozen=True, slots=True)
class Probed:
    """What probing gave."""

    probes: tuple[ProbeFact, ...] = ()
    queues: tuple[QueueFact, ...] = ()


async def probe_all(
    app: App, roles: tuple[RoleFact, ...], wanted: frozenset[str], down: frozenset[str]
) -> Probed:
    """Ask each role's candidates, in their order, until one answers; each deployment once.

    ``wanted``: deployments that the user wrote; ``down``: providers known not to answer.
    """
    results: dict[str, ProbeFact] = {}
    dead = set(down)
    plans = app.gateway.directory.plans
    for role in roles:
        for candidate in plans[role.name].candidates:
            name = candidate.deployment.id
            if name == RULES:
                break
            if name not in results:
                if candidate.deployment.provider in dead:
                    continue
                users = tuple(r.name for r in roles if name in r.candidates)
                attempt = await _one(app, plans[role.name], candidate)
                results[name] = _fact(attempt, users, wanted=name in wanted)
                if attempt.outcome in _SAME_SERVER:
                    dead.add(candidate.deployment.provider)
            if results[name].answered:
                break
    return Probed(tuple(results.values()), await _queues(app, roles, results))


async def _one(app: App, plan: Plan, candidate: Candidate) -> Attempt:
    async with _only(app, plan, candidate):
        return await _ask(app, candidate, tokens=1)


async def _queues(
    app: App, roles: tuple[RoleFact, ...], results: dict[str, ProbeFact]
) -> tuple[QueueFact, ...]:
    """The local servers' first models that answer two calls one after the other; one a server."""
    found: list[QueueFact] = []
    seen: set[str] = set()
    for role in sorted(roles, key=lambda r: r.name != PANEL_ROLE):
        plan = app.gateway.directory.plans[role.name]
        for candidate in plan.candidates:
            deployment = candidate.deployment
            result = results.get(deployment.id)
            if result is None or not result.answered:
                continue
            site = app.sites.get(deployment.provider)
            if deployment.provider not in seen and deployment.local and site and site.kind == "ollama":
                seen.add(deployment.provider)
                async with _only(app, plan, candidate):
                    pair = await asyncio.gather(
                        _ask(app, candidate, tokens=QUEUE_TOKENS), _ask(app, candidate, tokens=QUEUE_TOKENS)
                    )
                if one_after_the_other(*pair):
                    found.append(QueueFact(deployment=deployment.id, panel=role.name == PANEL_ROLE))
            break
    return tuple(found)


def one_after_the_other(left: Attempt, right: Attempt) -> bool:
    """Whether of two calls made at once the later began to speak only when the earlier had ended."""
    if left.ttft_ms is None or right.ttft_ms is None or not left.outcome == right.outcome == "ok":
        return False
    earlier, later = sorted((left, right), key=lambda a: a.ttft_ms or 0.0)
    speaking = earlier.ms - (earlier.ttft_ms or 0.0)
    # an answer that is over at once cannot show anything
    return speaking > 20.0 and (later.ttft_ms or 0.0) >= earlier.ms * 0.9


@asynccontextmanager
async def _only(app: App, plan: Plan, candidate: Candidate) -> AsyncGenerator[None, None]:
    """Let the gateway ask ``candidate`` alone, as ``plan`` would but for its form, retries and patience."""
    limits = candidate.limits
    quick = replace(limits, attempt=min(limits.attempt, ATTEMPT), stall=min(limits.stall, ATTEMPT))
    alone = replace(
        plan,
        name=_NAME,
        candidates=(replace(candidate, limits=quick),),
        fallback=False,
        retries=0,
        expected=Expectation(),
        dropped=(),
        baseline=None,
    )
    kept, app.gateway.directory = app.gateway.directory, Directory({_NAME: alone}, {})
    try:
        yield
    finally:
        app.gateway.directory = kept


async def _ask(app: App, candidate: Candidate, *, tokens: int) -> Attempt:
    """The attempt that one call came to, whatever it came to."""
    body: Json = {
        "model": _NAME,
        "messages": [{"role": "user", "content": "Count from one to twenty."}],
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    call = Call(new_call_id(), body, _NAME, stream=True, label=Label.PUBLIC)
    trace: Trace | None = None
    problem: CoretoError | None = None
    try:
        async with asyncio.timeout(2 * ATTEMPT), app.open(call) as items:
            async for item in items:
                if isinstance(item, Trace):
                    trace = item
    except CallError as error:
        trace, problem = error.trace, error
    except CoretoError as error:
        problem = error
    except TimeoutError:
        return Attempt(candidate.deployment.id, "timeout", ms=2000 * ATTEMPT)
    if trace is not None and trace.attempts:
        return trace.attempts[-1]
    code, text = (problem.code, problem.message) if problem else ("failed", "")
    return Attempt(candidate.deployment.id, code, detail=text, local=candidate.deployment.local)


def _fact(attempt: Attempt, roles: tuple[str, ...], *, wanted: bool) -> ProbeFact:
    return ProbeFact(
        deployment=attempt.deployment,
        outcome=attempt.outcome,
        local=attempt.local,
        roles=roles,
        ms=attempt.ms,
        first_ms=attempt.ttft_ms,
        detail=attempt.detail or "",
        until=attempt.until,
        wanted=wanted,
    )
