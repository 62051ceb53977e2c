"""What becomes of a plan and a call before the first candidate is asked. Pure."""

from dataclasses import replace

import orjson

from coreto.labels import Label, permit
from coreto.messages import Call, Json
from coreto.resilience.plan import Plan


def permitted(plan: Plan, label: Label) -> Plan:
    """``plan`` with only the candidates that data with ``label`` may go to."""
    if label < Label.PRIVATE:
        return plan
    kept = tuple(c for c in plan.candidates if permit(label, sink_is_local=c.deployment.local))
    gone = [c.deployment.id for c in plan.candidates if c not in kept]
    reasons = tuple((name, "private data stays on this machine") for name in gone)
    return replace(plan, candidates=kept, dropped=(*plan.dropped, *reasons))


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
