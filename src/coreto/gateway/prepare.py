"""What becomes of a plan and a call before the first candidate is asked. Pure."""

import orjson

from coreto.messages import Call, Json
from coreto.resilience.plan import Journal, Plan
from coreto.routing.router import asked_text
from coreto.routing.tasks import detect_task_quickly


def prepared(call: Call, plan: Plan, deadline: float) -> Call:
    """``call`` with the role's settings where the caller gave none. ``deadline``: monotonic seconds."""
    body = call.body
    extra: Json = {}
    if plan.temperature is not None and "temperature" not in body:
        extra["temperature"] = plan.temperature
    if plan.max_tokens is not None and "max_tokens" not in body and "max_completion_tokens" not in body:
        extra["max_tokens"] = plan.max_tokens
    if plan.expected.json and "response_format" not in body:
        extra["response_format"] = _response_format(plan)
    return call._replace(
        body={**body, **extra} if extra else body,
        role=plan.role,
        deadline=min(call.deadline, deadline),
    )


def _response_format(plan: Plan) -> Json:
    schema = plan.expected.schema
    if schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": plan.name, "schema": orjson.loads(schema)}}


def warn_of_small(call: Call, plan: Plan, journal: Journal) -> None:
    """Say so when a model too small for what was asked has answered it: nobody better was there."""
    answered = next((c for c in plan.candidates if c.deployment.id == journal.answered_by), None)
    if answered is None or not answered.deployment.small:
        return
    found = detect_task_quickly(asked_text(call.body))
    if found.language != "en" or found.label != "conversation":
        what = found.label if found.language == "en" else f"{found.label} in another language than English"
        journal.warnings.append(
            f"{answered.deployment.id} is a very small model, not to be trusted with {what}: "
            "`coreto doctor` says what would make a better one available"
        )
