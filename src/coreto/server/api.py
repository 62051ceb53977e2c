"""``/api``: what people and dashboards ask. Not on any call's path, so FastAPI may do the work."""

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from coreto.errors import CoretoError, InvalidRequestError
from coreto.server.exchange import Reply
from coreto.server.failures import failed, refused, unexpected
from coreto.server.models import list_tags
from coreto.server.openapi import with_gateway
from coreto.server.services import Services

_STATUS_KEYS = {
    "cloud_available": "a deployment off this machine can be asked",
    "local_available": "a deployment on this machine can be asked",
    "state": "online, degraded or offline: whether the cloud providers that are set up answer",
    "fallback_enabled": "the next deployment is tried when one fails",
    "current_model": "the deployment in use where models take turns, else the one that answered last",
    "vram_used_gb": "GiB of GPU memory that models fill; null: not known",
    "brain_loaded": "the local model of the role `brain` is in memory; null: not known",
    "executor_loaded": "the same for the role `executor`",
    "residency": "where models take turns in memory: budget, models, queue, last switches and why",
    "deployments": "health, breaker, last error and latency of each",
}
#: FastAPI's own refusals; what else it refuses is a body that is no text.
_CODES = {404: "not_found", 405: "method_not_allowed"}


def build_api(services: Services, version: str) -> FastAPI:
    """The application behind ``/api``. Its documentation pages are off: they load code from elsewhere."""
    api = FastAPI(
        title="Coreto", version=version, openapi_url="/api/openapi.json", docs_url=None, redoc_url=None
    )

    def describe() -> dict[str, Any]:
        known = FastAPI.openapi(api)
        return with_gateway(known, needs_key=services.keys.needs_key, metrics=services.metrics is not None)

    api.openapi = describe

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {request.url.path}: {error.detail}"
        code = _CODES.get(error.status_code, "invalid_request")
        allow = (error.headers or {}).get("Allow")  # a 405 says what is allowed
        headers = [(b"allow", allow.encode())] if allow else []
        return _response(refused(error.status_code, message, code, headers))

    async def fail(request: Request, error: Exception) -> Response:
        if isinstance(error, CoretoError):
            return _response(failed(error))
        return _response(unexpected(error, request.method, request.url.path))

    async def show_status() -> Response:
        return Response(orjson.dumps(await services.status()), media_type="application/json")

    async def list_names() -> Response:
        return _response(list_tags(services.gateway.directory))

    async def misshapen(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"] if step != "body")
        if first["loc"] == ("body",) or first["type"] == "json_invalid":
            kind = "a JSON object is expected, with the header `Content-Type: application/json`"
            return _response(failed(InvalidRequestError(kind)))
        return _response(failed(InvalidRequestError(f"{field or 'the body'}: {first['msg']}", field or None)))

    api.add_exception_handler(RequestValidationError, misshapen)
    api.add_exception_handler(HTTPException, refuse)
    api.add_exception_handler(CoretoError, fail)
    api.add_exception_handler(Exception, fail)
    api.add_api_route("/api/status", show_status, methods=["GET"], **_described("How everything is"))
    api.add_api_route("/api/tags", list_names, methods=["GET"], summary="Every model, as Ollama lists them")
    _add_orders(api, services)
    return api


def _add_orders(api: FastAPI, services: Services) -> None:
    """What may be changed."""

    async def invalidate(asked: Invalidation) -> Response:
        if services.cache is None or (asked.tag is None) == (asked.pattern is None):
            raise InvalidRequestError("give `tag` or `pattern`, one of them", "tag")
        if asked.tag is not None:
            count = await services.cache.invalidate_tag(asked.tag)
        else:
            count = await services.cache.invalidate_pattern(asked.pattern or "")
        return Response(orjson.dumps({"invalidated": count}), media_type="application/json")

    async def announce(asked: Announcement) -> Response:
        if services.plans is not None:
            ahead = [(step.model, step.calls) for step in asked.steps]
            await services.plans.announce(asked.plan, ahead, private=asked.private)
        return Response(orjson.dumps({"announced": len(asked.steps)}), media_type="application/json")

    api.add_api_route(
        "/api/cache/invalidate", invalidate, methods=["POST"], summary="Forget answers by tag or by pattern"
    )
    api.add_api_route(
        "/api/plans",
        announce,
        methods=["POST"],
        summary="Say what will be asked for, so that models are at hand",
    )


def _only(given: str, other: str) -> dict[str, Any]:
    """The JSON schema of an object with the text ``given`` and without ``other``."""
    return {"required": [given], "properties": {given: {"type": "string"}, other: {"type": "null"}}}


class Invalidation(BaseModel):
    """Which answers to forget: those with a tag (``role:chat``), or whose tags match a glob (``user:*``)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [_only("tag", "pattern"), _only("pattern", "tag")]}
    )

    tag: str | None = Field(default=None, max_length=200)
    pattern: str | None = Field(default=None, max_length=200)


class PlannedStep(BaseModel):
    """Calls of a role or deployment."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=200)
    calls: int = Field(default=1, ge=1, le=1000)


class Announcement(BaseModel):
    """What a plan will ask for, in order, in place of what it said before; no steps: it is over. Calls of it carry its
    name in the header ``x-coreto-run``."""

    model_config = ConfigDict(extra="forbid")

    plan: str = Field(min_length=1, max_length=200)
    steps: list[PlannedStep] = Field(default_factory=list[PlannedStep], max_length=100)
    private: bool = False


def _response(reply: Reply) -> Response:
    return Response(
        reply.body, reply.status, {name.decode(): value.decode() for name, value in reply.headers}
    )


def _described(summary: str) -> dict[str, Any]:
    properties = {name: {"description": meaning} for name, meaning in _STATUS_KEYS.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    content = {"application/json": {"schema": schema}}
    return {"summary": summary, "responses": {200: {"description": "Status", "content": content}}}
