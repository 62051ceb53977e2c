"""Error bodies by name, word for word as the real servers send them (``{model}`` and ``{name}`` are filled in).

Names are ``server.what``; a fault rule picks one by ``"error": "ollama.session_limit"``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Status, JSON body and headers of one refusal."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def filled(self, **values: str) -> "ErrorBody":
        """The same error with its placeholders filled."""
        return ErrorBody(self.status, _fill(self.body, values), self.headers)


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for key, text in values.items():
            value = value.replace("{" + key + "}", text)
        return value
    if isinstance(value, dict):
        return {key: _fill(item, values) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_fill(item, values) for item in cast("list[Any]", value)]
    return value


def ollama(status: int, message: str) -> ErrorBody:
    """Ollama's native envelope: one string."""
    return ErrorBody(status, {"error": message})


def openai(
    status: int, message: str, kind: str, code: str | None = None, param: str | None = None
) -> ErrorBody:
    """OpenAI's envelope."""
    return ErrorBody(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def openrouter(status: int, message: str, error_type: str, **metadata: Any) -> ErrorBody:
    """OpenRouter's envelope: numeric code, stable key in ``metadata.error_type``."""
    return ErrorBody(
        status,
        {"error": {"code": status, "message": message, "metadata": {"error_type": error_type, **metadata}}},
    )


def llamacpp(status: int, message: str, kind: str) -> ErrorBody:
    """llama-server's envelope."""
    return ErrorBody(status, {"error": {"code": status, "message": message, "type": kind}})


def vllm(status: int, message: str, kind: str, param: str | None = None) -> ErrorBody:
    """vLLM's envelope."""
    return ErrorBody(status, {"error": {"message": message, "type": kind, "param": param, "code": status}})


_REF = "(ref: 5e1f0c52-0000-4000-8000-6d6f636b6564)"

_OLLAMA: dict[str, ErrorBody] = {
    "missing_body_400": ollama(400, "missing request body"),
    "model_required_400": ollama(400, "model is required"),
    "unexpected_eof_400": ollama(400, "unexpected EOF"),
    "model_missing_404": ollama(404, "model '{model}' not found"),
    "pull_first_404": ollama(404, 'model "{model}" not found, try pulling it first'),
    "no_chat_400": ollama(400, '"{model}" does not support chat'),
    "no_generate_400": ollama(400, '"{model}" does not support generate'),
    "no_thinking_400": ollama(400, '"{model}" does not support thinking'),
    "no_embeddings_501": ollama(501, "this model does not support embeddings"),
    "no_tools_400": ollama(400, "registry.ollama.ai/library/{model} does not support tools"),
    "prompt_too_long_400": ollama(
        400,
        "the prompt is longer than the context length currently available to the model; "
        "increase num_ctx or shorten the prompt",
    ),
    "input_too_long_400": ollama(400, "the input length exceeds the context length"),
    "queue_full_503": ollama(503, "server busy, please try again.  maximum pending requests exceeded"),
    "request_canceled_499": ollama(499, "request canceled"),
    "oom_500": ollama(
        500,
        "llama-server reported out-of-memory during startup: cudaMalloc failed: out of memory",
    ),
    "too_large_500": ollama(500, "unable to load full model on GPU"),
    "system_memory_500": ollama(
        500, "model requires more system memory (13.0 GiB) than is available (7.6 GiB)"
    ),
    "tool_parse_500": ollama(
        500,
        'error parsing tool call: raw=\'{"name": "get_weather", "arguments": {"city": \', '
        "err=unexpected end of JSON input",
    ),
    "unauthorized_401": ErrorBody(
        401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=sim&key=c2lt"}
    ),
    "bad_key_401": ollama(401, "unauthorized"),
    "cloud_disabled_403": ollama(403, "ollama cloud is disabled: remote model is unavailable"),
    "cloud_disabled_show_403": ollama(403, "ollama cloud is disabled: remote model details are unavailable"),
    "cloud_unreachable_502": ollama(
        502,
        'Post "https://ollama.com:443/api/chat?ts=1795219200": dial tcp: lookup ollama.com: no such host',
    ),
    "session_limit": ollama(
        429,
        "you ({name}) have reached your session usage limit, upgrade for higher limits: "
        "https://ollama.com/upgrade",
    ),
    "weekly_limit": ollama(
        429,
        "you ({name}) have reached your weekly usage limit, upgrade for higher limits: "
        f"https://ollama.com/upgrade or add extra usage: https://ollama.com/settings {_REF}",
    ),
    "monthly_limit": ollama(429, "you ({name}) have reached your monthly usage limit"),
    "too_many_requests_429": ollama(429, "too many concurrent requests"),
    "extra_usage_402": ollama(
        402,
        "this model uses extra usage only and your extra usage balance is empty, "
        "add extra usage: https://ollama.com/settings",
    ),
    "subscription_403": ollama(
        403, "this model requires a subscription, upgrade for access: https://ollama.com/upgrade"
    ),
    "retired_404": ollama(404, 'model "{model}" not found'),
    "internal_500": ollama(500, f"Internal Server Error {_REF}"),
    "overloaded_503": ollama(503, f"Server overloaded, please retry shortly {_REF}"),
}

_OPENAI: dict[str, ErrorBody] = {
    "invalid_api_key": openai(
        401,
        "Incorrect API key provided: {key}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "invalid_api_key",
    ),
    "missing_api_key": openai(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        "invalid_request_error",
    ),
    "insufficient_quota": openai(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "rate_limit": ErrorBody(
        429,
        {
            "error": {
                "message": "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, "
                "Requested 1. Please try again in 20s.",
                "type": "requests",
                "param": None,
                "code": "rate_limit_exceeded",
            }
        },
        {"Retry-After": "20", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"},
    ),
    "context_length_exceeded": openai(
        400,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. "
        "Please reduce the length of the messages.",
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    ),
    "content_filter": openai(
        400,
        "The response was filtered due to the prompt triggering our content management policy.",
        "invalid_request_error",
        "content_filter",
        "prompt",
    ),
    "model_not_found": openai(
        404,
        "The model `{model}` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    "bad_json": openai(400, "We could not parse the JSON body of your request.", "invalid_request_error"),
    "permission_denied": openai(
        403, "You are not allowed to sample from this model.", "invalid_request_error", "permission_denied"
    ),
    "server_error": openai(
        500, "The server had an error while processing your request. Sorry about that!", "server_error"
    ),
    "overloaded": openai(
        503, "The engine is currently overloaded, please try again later.", "server_error", "overloaded"
    ),
}

_OPENROUTER: dict[str, ErrorBody] = {
    "authentication": openrouter(401, "No auth credentials found", "authentication"),
    "payment_required": openrouter(
        402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits", "payment_required"
    ),
    "permission_denied": openrouter(403, "This key is not allowed to use {model}", "permission_denied"),
    "rate_limit_exceeded": ErrorBody(
        429,
        openrouter(
            429,
            "Rate limit exceeded: free-models-per-min",
            "rate_limit_exceeded",
            headers={"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0"},
        ).body,
        {"Retry-After": "3", "X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0"},
    ),
    "context_length_exceeded": openrouter(
        400,
        "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens.",
        "context_length_exceeded",
    ),
    "max_tokens_exceeded": openrouter(
        400, "max_tokens is larger than the model allows", "max_tokens_exceeded"
    ),
    "provider_overloaded": openrouter(
        503, "Provider is overloaded", "provider_overloaded", provider_name="SimCo"
    ),
    "provider_unavailable": openrouter(
        502, "Provider returned error", "provider_unavailable", provider_name="SimCo"
    ),
    "invalid_request": openrouter(400, "Input required: specify messages", "invalid_request"),
    "invalid_model": openrouter(400, "{model} is not a valid model ID", "invalid_request"),
    "not_found": openrouter(404, "No endpoints found for {model}.", "not_found"),
    "model_deprecated": ErrorBody(
        404,
        {
            "error": {
                "code": 404,
                "message": "{model} is no longer available",
                "metadata": {"error_type": "not_found"},
                "availability": {
                    "code": "model_deprecated",
                    "retryable": False,
                    "requested_models": ["{model}"],
                    "fallback_models": ["sim/successor"],
                },
            }
        },
    ),
    "content_policy_violation": openrouter(
        403, "Your input was flagged", "content_policy_violation", reasons=["violence"], provider_name="SimCo"
    ),
    "refusal": openrouter(403, "The model refused to answer", "refusal"),
    "server": openrouter(500, "Internal Server Error", "server"),
    "timeout": openrouter(504, "Provider timed out", "timeout"),
    "unmapped": openrouter(500, "Unknown provider error", "unmapped"),
}

_LLAMACPP: dict[str, ErrorBody] = {
    "invalid_api_key": llamacpp(401, "Invalid API Key", "authentication_error"),
    "model_name_missing": llamacpp(400, "model name is missing from the request", "invalid_request_error"),
    "model_not_found": llamacpp(400, "model '{model}' not found", "invalid_request_error"),
    "model_not_loaded": llamacpp(400, "model is not loaded", "invalid_request_error"),
    "load_failed": llamacpp(500, "model name={model} failed to load", "server_error"),
    "model_limit": llamacpp(500, "model limit reached, try again later", "server_error"),
    "loading_503": llamacpp(503, "Loading model", "unavailable_error"),
    "context_length_exceeded": ErrorBody(
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9000,
                "n_ctx": 8192,
            }
        },
    ),
    "bad_json": llamacpp(400, "parse error: unexpected end of input", "invalid_request_error"),
    "server_error": llamacpp(500, "failed to decode", "server_error"),
}

_VLLM: dict[str, ErrorBody] = {
    "invalid_api_key": ErrorBody(401, {"error": "Unauthorized"}),
    "model_not_found": vllm(404, "The model `{model}` does not exist.", "NotFoundError", "model"),
    "context_length_exceeded": vllm(
        400,
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens in the messages.",
        "BadRequestError",
    ),
    "bad_json": vllm(400, "JSON decode error", "BadRequestError"),
    "server_error": vllm(500, "EngineCore encountered an issue.", "InternalServerError"),
}

ERRORS: Mapping[str, ErrorBody] = {
    f"{server}.{name}": body
    for server, table in (
        ("ollama", _OLLAMA),
        ("openai", _OPENAI),
        ("openrouter", _OPENROUTER),
        ("llamacpp", _LLAMACPP),
        ("vllm", _VLLM),
    )
    for name, body in table.items()
}

HTML_PAGE = b"""<!DOCTYPE html>
<html><head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body></html>
"""


class ApiError(Exception):
    """Raised by a handler to answer with an error body."""

    def __init__(self, error: ErrorBody) -> None:
        super().__init__(error.status, error.body)
        self.error = error


def named(name: str, /, **values: str) -> ApiError:
    """`ApiError` of a named body with its placeholders filled."""
    return ApiError(ERRORS[name].filled(**values))
