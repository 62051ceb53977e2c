"""What each server's errors mean: every row of the wire facts, word for word."""

import datetime as dt

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto import errors
from coreto.errors import CallError, Scope
from coreto.providers import ollama_errors, openai_errors
from coreto.providers.wire import retry_after
from coreto.simulators.bodies import ERRORS

#: Saturday, 2026-11-21 06:30 UTC
NOW = dt.datetime(2026, 11, 21, 6, 30, tzinfo=dt.UTC).timestamp()
MONDAY = dt.datetime(2026, 11, 23, tzinfo=dt.UTC).timestamp()

OLLAMA = {
    "missing_body_400": (errors.RejectedError, Scope.REQUEST),
    "model_required_400": (errors.RejectedError, Scope.REQUEST),
    "unexpected_eof_400": (errors.RejectedError, Scope.REQUEST),
    "model_missing_404": (errors.MissingModelError, Scope.MODEL),
    "pull_first_404": (errors.MissingModelError, Scope.MODEL),
    "no_chat_400": (errors.UnsupportedError, Scope.REQUEST),
    "no_generate_400": (errors.UnsupportedError, Scope.REQUEST),
    "no_thinking_400": (errors.UnsupportedError, Scope.REQUEST),
    "no_embeddings_501": (errors.UnsupportedError, Scope.REQUEST),
    "no_tools_400": (errors.UnsupportedError, Scope.REQUEST),
    "prompt_too_long_400": (errors.ContextError, Scope.REQUEST),
    "input_too_long_400": (errors.ContextError, Scope.REQUEST),
    "queue_full_503": (errors.QueueFullError, Scope.ENDPOINT),
    "oom_500": (errors.OutOfMemoryError, Scope.MODEL),
    "too_large_500": (errors.OutOfMemoryError, Scope.MODEL),
    "system_memory_500": (errors.OutOfMemoryError, Scope.MODEL),
    "tool_parse_500": (errors.InvalidOutputError, Scope.ROLE),
    "unauthorized_401": (errors.AuthError, Scope.ACCOUNT),
    "bad_key_401": (errors.AuthError, Scope.ACCOUNT),
    "cloud_disabled_403": (errors.EntitlementError, Scope.ACCOUNT),
    "cloud_disabled_show_403": (errors.EntitlementError, Scope.ACCOUNT),
    "cloud_unreachable_502": (errors.UnreachableError, Scope.ACCOUNT),
    "session_limit": (errors.QuotaError, Scope.ACCOUNT),
    "weekly_limit": (errors.QuotaError, Scope.ACCOUNT),
    "monthly_limit": (errors.QuotaError, Scope.ACCOUNT),
    "too_many_requests_429": (errors.RateError, Scope.MODEL),
    "extra_usage_402": (errors.BillingError, Scope.MODEL),
    "subscription_403": (errors.EntitlementError, Scope.MODEL),
    "retired_404": (errors.MissingModelError, Scope.MODEL),
    "internal_500": (errors.ServerFaultError, Scope.ENDPOINT),
    "overloaded_503": (errors.OverloadedError, Scope.MODEL),
}

OPENAI = {
    "openai.invalid_api_key": (errors.AuthError, Scope.ACCOUNT),
    "openai.missing_api_key": (errors.AuthError, Scope.ACCOUNT),
    "openai.insufficient_quota": (errors.QuotaError, Scope.ACCOUNT),
    "openai.rate_limit": (errors.RateError, Scope.MODEL),
    "openai.context_length_exceeded": (errors.ContextError, Scope.REQUEST),
    "openai.content_filter": (errors.FilteredError, Scope.REQUEST),
    "openai.model_not_found": (errors.MissingModelError, Scope.MODEL),
    "openai.bad_json": (errors.RejectedError, Scope.REQUEST),
    "openai.permission_denied": (errors.EntitlementError, Scope.MODEL),
    "openai.server_error": (errors.ServerFaultError, Scope.ENDPOINT),
    "openai.overloaded": (errors.OverloadedError, Scope.MODEL),
    "openrouter.authentication": (errors.AuthError, Scope.ACCOUNT),
    "openrouter.payment_required": (errors.BillingError, Scope.ACCOUNT),
    "openrouter.permission_denied": (errors.EntitlementError, Scope.MODEL),
    "openrouter.rate_limit_exceeded": (errors.RateError, Scope.MODEL),
    "openrouter.context_length_exceeded": (errors.ContextError, Scope.REQUEST),
    "openrouter.max_tokens_exceeded": (errors.RejectedError, Scope.REQUEST),
    "openrouter.provider_overloaded": (errors.OverloadedError, Scope.MODEL),
    "openrouter.provider_unavailable": (errors.OverloadedError, Scope.MODEL),
    "openrouter.invalid_request": (errors.RejectedError, Scope.REQUEST),
    "openrouter.invalid_model": (errors.MissingModelError, Scope.MODEL),
    "openrouter.not_found": (errors.MissingModelError, Scope.MODEL),
    "openrouter.model_deprecated": (errors.RetiredError, Scope.MODEL),
    "openrouter.content_policy_violation": (errors.FilteredError, Scope.REQUEST),
    "openrouter.refusal": (errors.FilteredError, Scope.REQUEST),
    "openrouter.server": (errors.ServerFaultError, Scope.ENDPOINT),
    "openrouter.timeout": (errors.TimedOutError, Scope.ENDPOINT),
    "openrouter.unmapped": (errors.ServerFaultError, Scope.ENDPOINT),
    "llamacpp.invalid_api_key": (errors.AuthError, Scope.ACCOUNT),
    "llamacpp.model_name_missing": (errors.RejectedError, Scope.REQUEST),
    "llamacpp.model_not_found": (errors.MissingModelError, Scope.MODEL),
    "llamacpp.model_not_loaded": (errors.MissingModelError, Scope.MODEL),
    "llamacpp.load_failed": (errors.OutOfMemoryError, Scope.MODEL),
    "llamacpp.model_limit": (errors.ServerFaultError, Scope.ENDPOINT),
    "llamacpp.loading_503": (errors.OverloadedError, Scope.MODEL),
    "llamacpp.context_length_exceeded": (errors.ContextError, Scope.REQUEST),
    "llamacpp.bad_json": (errors.RejectedError, Scope.REQUEST),
    "llamacpp.server_error": (errors.ServerFaultError, Scope.ENDPOINT),
    "vllm.invalid_api_key": (errors.AuthError, Scope.ACCOUNT),
    "vllm.model_not_found": (errors.MissingModelError, Scope.MODEL),
    "vllm.context_length_exceeded": (errors.ContextError, Scope.REQUEST),
    "vllm.bad_json": (errors.RejectedError, Scope.REQUEST),
    "vllm.server_error": (errors.ServerFaultError, Scope.ENDPOINT),
}


def body_of(name: str) -> tuple[int, bytes, dict[str, str]]:
    error = ERRORS[name].filled(model="sim/x:7b", name="ana", key="sk-1234567890abcdef")
    return error.status, orjson.dumps(error.body), dict(error.headers)


@pytest.mark.parametrize("name", OLLAMA)
def test_errors_ollama_table(name):
    """Every error of Ollama and its cloud has the class and the scope of the facts."""
    kind, scope = OLLAMA[name]
    error = ollama_errors.classify(*body_of(f"ollama.{name}"), NOW)
    assert (type(error), error.scope) == (kind, scope)
    assert error.message


@pytest.mark.parametrize("name", OPENAI)
def test_errors_openai_table(name):
    """Every error of the OpenAI-compatible servers has the class and the scope of the facts."""
    kind, scope = OPENAI[name]
    error = openai_errors.classify(*body_of(name), NOW)
    assert (type(error), error.scope) == (kind, scope)
    assert error.message
    assert error.status == ERRORS[name].status
    assert "sk-1234567890abcdef" not in error.message


def test_errors_tables_are_complete():
    """No error body that the simulators can send is left out of the tables."""
    left = {name for name in ERRORS if name != "ollama.request_canceled_499"}
    assert left == {f"ollama.{name}" for name in OLLAMA} | set(OPENAI)


OLD_WORDS = (
    ("you (ana) have reached your session usage limit, please wait or upgrade to continue", 18_000),
    ("you have reached your hourly usage limit, please wait or upgrade to continue", 18_000),
    ("you (ana) have reached your weekly usage limit, upgrade", 0),
)


@pytest.mark.parametrize(("message", "every"), OLD_WORDS)
@pytest.mark.parametrize("status", [429, 500])
def test_errors_quota_ends(message, every, status):
    """A used-up allowance comes back at the next session's start or on Monday, with whatever status it came."""
    error = ollama_errors.classify(status, orjson.dumps({"error": message}), {}, NOW)
    assert isinstance(error, errors.QuotaError)
    assert error.until == ((NOW // every + 1) * every if every else MONDAY)


@given(st.floats(1.6e9, 4e9))
def test_errors_quota_end_is_ahead(now):
    """Whenever it is asked, the end of a quota lies ahead, on its boundary and within one window."""
    session = ollama_errors.quota_end("session usage limit", now)
    weekly = ollama_errors.quota_end("weekly usage limit", now)
    assert session % 18_000 == 0
    assert now < session <= now + 18_000
    assert now < weekly <= now + 7 * 86_400
    moment = dt.datetime.fromtimestamp(weekly, dt.UTC)
    assert (moment.weekday(), moment.hour, moment.minute, moment.second) == (0, 0, 0, 0)
    assert ollama_errors.quota_end("monthly usage limit", now) is None


def test_errors_retired_names_its_successors():
    """The successors in OpenRouter's hints are kept."""
    error = openai_errors.classify(*body_of("openrouter.model_deprecated"), NOW)
    assert error.successors == ("sim/successor",)


def test_errors_rate_limit_tells_how_long():
    """``Retry-After`` of a response ends up in its error."""
    assert openai_errors.classify(*body_of("openai.rate_limit"), NOW).retry_after == 20


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, errors.GarbledError),
        (302, errors.GarbledError),
        (400, errors.RejectedError),
        (401, errors.AuthError),
        (402, errors.BillingError),
        (403, errors.EntitlementError),
        (404, errors.MissingModelError),
        (408, errors.TimedOutError),
        (410, errors.RetiredError),
        (413, errors.ContextError),
        (422, errors.RejectedError),
        (429, errors.RateError),
        (500, errors.ServerFaultError),
        (502, errors.ServerFaultError),
        (503, errors.OverloadedError),
        (504, errors.TimedOutError),
        (520, errors.ServerFaultError),
        (529, errors.OverloadedError),
    ],
)
def test_errors_by_status_alone(status, kind):
    """A page that is no JSON is judged by its status."""
    error = openai_errors.classify(status, b"<html>oops</html>", {}, NOW)
    assert type(error) is kind


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = (
    "error",
    "message",
    "code",
    "type",
    "metadata",
    "error_type",
    "availability",
    "retry_after",
    "detail",
)
_BODIES = st.recursive(
    _VALUES,
    lambda inner: st.dictionaries(st.sampled_from((*_KEYS, "fallback_models")), inner, max_size=4),
    max_leaves=8,
)


@given(_BODIES | st.just(b"\xff\xfe"), st.integers(300, 599))
def test_errors_any_body_is_an_error(body, status):
    """Whatever a server sends with its status, it is a ``CallError`` with one short line."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    for classify in (openai_errors.classify, ollama_errors.classify):
        error = classify(status, raw, {}, NOW)
        assert isinstance(error, CallError)
        assert 0 < len(error.message) <= 300
        assert "\n" not in error.message


@given(_BODIES)
def test_errors_any_error_object_is_an_error(body):
    """Whatever stands where an error object is expected becomes a ``CallError``."""
    assert isinstance(openai_errors.classify_in_band(body, NOW), CallError)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "Sat, 21 Nov 2026 06:31:00 GMT"}, 60.0),
        ({"Retry-After": "Sat, 21 Nov 2026 06:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"X-RateLimit-Reset": str(int((NOW + 9) * 1000))}, 9.0),
        ({"X-RateLimit-Reset": "12"}, None),
        ({"X-RateLimit-Reset": "²"}, None),
    ],
)
def test_errors_retry_after(headers, seconds):
    """The forms of ``Retry-After`` and of a rate limit's reset; nonsense says nothing."""
    assert retry_after(headers, NOW) == seconds


@given(st.text(max_size=40), st.sampled_from(["Retry-After", "X-RateLimit-Reset"]))
def test_errors_retry_after_never_fails(value, name):
    """Any header value gives seconds that can be waited for, or nothing."""
    seconds = retry_after({name: value}, NOW)
    assert seconds is None or 0 <= seconds < float("inf")
