"""Whom the OpenAI-compatible simulator imitates: error bodies, default models, what a reply carries besides."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from coreto.simulators import sse
from coreto.simulators.bodies import ERRORS, ErrorBody, llamacpp, openai, openrouter, vllm
from coreto.simulators.delivery import Dialect

FlavourName = Literal["openai", "openrouter", "llamacpp", "vllm"]
FLAVOURS: tuple[FlavourName, ...] = ("openai", "openrouter", "llamacpp", "vllm")
PROCESSING = b": OPENROUTER PROCESSING\n\n"


@dataclass(frozen=True, slots=True)
class Flavour:
    """One server's habits. `missing_key`, `wrong_key`, ... name errors of `bodies`."""

    name: FlavourName
    dialect: Dialect
    models: tuple[str, ...]
    missing_key: str
    wrong_key: str
    no_model: str
    unknown_model: str
    bad_json: str
    no_credit: str
    fingerprint: str | None = None
    always_usage: bool = False

    def error(self, name: str, **values: str) -> ErrorBody:
        """The named error with its placeholders filled."""
        return ERRORS[name].filled(**values)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"


def _openai_generic(status: int) -> ErrorBody:
    known = {401: "invalid_api_key", 404: "model_not_found", 500: "server_error", 503: "overloaded"}
    if status in known:
        return ERRORS[f"openai.{known[status]}"].filled(key="sk-***", model="")
    return openai(status, _phrase(status), "requests" if status == 429 else "server_error")


_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    429: "rate_limit_exceeded",
    500: "server",
    502: "provider_unavailable",
    503: "provider_overloaded",
    504: "timeout",
}


def _openrouter_generic(status: int) -> ErrorBody:
    return openrouter(status, _phrase(status), _TYPES.get(status, "unmapped"))


def _llamacpp_generic(status: int) -> ErrorBody:
    return llamacpp(status, _phrase(status), "unavailable_error" if status == 503 else "server_error")


def _vllm_generic(status: int) -> ErrorBody:
    return vllm(status, _phrase(status), "InternalServerError" if status >= 500 else "BadRequestError")


def flavour(name: FlavourName) -> Flavour:
    """The flavour of that name."""
    return _MAKERS[name]()


def _openai() -> Flavour:
    return Flavour(
        name="openai",
        dialect=sse.openai_dialect(_openai_generic),
        models=("gpt-4o-mini", "gpt-4.1-mini", "text-embedding-3-small"),
        missing_key="openai.missing_api_key",
        wrong_key="openai.invalid_api_key",
        no_model="openai.model_not_found",
        unknown_model="openai.model_not_found",
        bad_json="openai.bad_json",
        no_credit="openai.insufficient_quota",
        fingerprint="fp_sim",
    )


def _openrouter() -> Flavour:
    return Flavour(
        name="openrouter",
        dialect=sse.openrouter_dialect(_openrouter_generic),
        models=(
            "openai/gpt-4o-mini",
            "anthropic/claude-3-haiku",
            "google/gemma-2-9b-it",
            "qwen/qwen-2.5-7b-instruct",
            "meta-llama/llama-3.1-8b-instruct:free",
        ),
        missing_key="openrouter.authentication",
        wrong_key="openrouter.authentication",
        no_model="openrouter.invalid_model",
        unknown_model="openrouter.invalid_model",
        bad_json="openrouter.invalid_request",
        no_credit="openrouter.payment_required",
        always_usage=True,
    )


def _llamacpp() -> Flavour:
    return Flavour(
        name="llamacpp",
        dialect=sse.openai_dialect(_llamacpp_generic),
        models=("smollm2-135m", "qwen2.5-7b-instruct"),
        missing_key="llamacpp.invalid_api_key",
        wrong_key="llamacpp.invalid_api_key",
        no_model="llamacpp.model_name_missing",
        unknown_model="llamacpp.model_not_found",
        bad_json="llamacpp.bad_json",
        no_credit="llamacpp.server_error",
        fingerprint="b6500-sim",
    )


def _vllm() -> Flavour:
    return Flavour(
        name="vllm",
        dialect=sse.openai_dialect(_vllm_generic),
        models=("Qwen/Qwen2.5-7B-Instruct",),
        missing_key="vllm.invalid_api_key",
        wrong_key="vllm.invalid_api_key",
        no_model="vllm.model_not_found",
        unknown_model="vllm.model_not_found",
        bad_json="vllm.bad_json",
        no_credit="vllm.server_error",
    )


_MAKERS: dict[FlavourName, Callable[[], Flavour]] = {
    "openai": _openai,
    "openrouter": _openrouter,
    "llamacpp": _llamacpp,
    "vllm": _vllm,
}


def usage_of(name: FlavourName, prompt: int, spoken: int, cost: float) -> dict[str, Any]:
    """The ``usage`` object: tokens, and on OpenRouter the cost in USD."""
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": spoken,
        "total_tokens": prompt + spoken,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    }
    if name == "openai":
        usage["completion_tokens_details"] = {"reasoning_tokens": 0, "audio_tokens": 0}
    if name == "openrouter":
        usage["prompt_tokens_details"]["cache_write_tokens"] = 0
        usage["completion_tokens_details"] = {"reasoning_tokens": 0}
        usage["cost"] = cost
        usage["cost_details"] = {"upstream_inference_cost": None}
        usage["is_byok"] = False
    return usage
