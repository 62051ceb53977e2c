"""The server against requests that are made up from its own OpenAPI document, and against what is no request."""

import string
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode

GETS = ("/v1/models", "/v1/models/{id}", "/metrics", "/healthz", "/readyz", "/api/status", "/api/tags")
CALLS = (
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
)
POSTS = (*CALLS, "/api/route", "/api/cache/invalidate", "/api/plans")
OPERATIONS = (*(f"GET {path}" for path in GETS), *(f"POST {path}" for path in POSTS))

#: How many requests an operation and a kind get: in `make test`, and in `make soak`.
COUNTS = [15, pytest.param(150, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]

AS_DOCUMENTED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
#: Fewer, and the same in every run, where all tests run; new ones each time in the soak.
_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def each(strategy: st.SearchStrategy, count: int, check: Callable[[Any], None]) -> None:
    """Run ``check`` on so many examples."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=count < 100,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=_QUIET,
    )
    @given(strategy)
    def run(example: Any) -> None:
        check(example)

    run()


def whole(value: Any) -> Any:
    """``value`` with 51 for every 51.0: JSON schema takes them for the same, typed languages do not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


#: Of what a document cannot say: a tool is forced and none is left, no item of the input says anything, an
#: object is no JSON schema.
_UNSAID = ("tool_choice", "tool_choice.name", "input", "response_format.json_schema.schema")


def is_sound(response: requests.Response) -> bool:
    """Whether nothing is to blame but the model, which cannot give JSON in one token, or of any schema."""
    if response.status_code < 500:
        return True
    attempts = response.json().get("coreto", {}).get("attempts", [])
    return bool(attempts) and {attempt["outcome"] for attempt in attempts} == {"invalid_output"}


def refused_field(response: requests.Response) -> str | None:
    """The field that a response refuses as wrong; ``None``: it refuses nothing."""
    if response.status_code != 400:
        return None
    error = response.json()["error"]
    return (error["param"] or "body") if error["code"] == "invalid_request" else None


@pytest.mark.parametrize("count", COUNTS)
class TestTheDocument:
    """What the server says of itself is so."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_what_it_allows_is_answered(self, server, session, described, operation, count) -> None:
        """A request as documented is never refused as wrong, and its answer is as documented."""

        def check(case: Any) -> None:
            case.body = whole(case.body)
            if case.path in (*CALLS, "/api/route"):
                assume(str(case.body.get("user") or "").isprintable())
                case.body["model"] = "chat"  # most others are not there
            response = case.call(server.url, session)
            case.validate_response(response, checks=AS_DOCUMENTED)
            assert is_sound(response), response.content
            assert refused_field(response) in (None, *_UNSAID), response.content

        each(described[operation].as_strategy(), count, check)

    @pytest.mark.parametrize("path", POSTS)
    def test_what_it_forbids_is_refused(self, server, session, described, path, count) -> None:
        """A body that is not as documented is refused as wrong, and the refusal is as documented."""

        def check(case: Any) -> None:
            response = case.call(server.url, session)
            case.validate_response(response, checks=[checks.not_a_server_error, *AS_DOCUMENTED])
            body = case.meta.components.get(ParameterLocation.BODY)
            if body is not None and body.mode is GenerationMode.NEGATIVE:
                case.validate_response(response, checks=[checks.negative_data_rejection])

        each(described[f"POST {path}"].as_strategy(GenerationMode.NEGATIVE), count, check)

    def test_every_operation_is_tried(self, described, count) -> None:
        """Nothing is in the document that these tests leave out, and nothing they try is missing there."""
        assert sorted(described) == sorted(OPERATIONS)


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
_TOKENS = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=20)
_VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60
)
#: Headers that change what a request is, besides names that nobody knows.
_NAMES = st.sampled_from(
    [
        "Content-Type",
        "Accept",
        "Accept-Encoding",
        "Origin",
        "X-API-Key",
        "traceparent",
        "x-coreto-label",
        "x-coreto-cache",
        "x-coreto-cache-tags",
        "x-coreto-user",
        "x-coreto-stream-failover",
    ]
)
_BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"", b"null", b"[]", b"{", b'{"messages":', b'{"a":1e999}', b'{"a":"\\ud800"}', b"\xff{}"]
    ),
    st.integers(1, 4000).map(lambda depth: b'{"messages":' + b"[" * depth + b"]" * depth + b"}"),
)
_ODD = st.fixed_dictionaries(
    {
        "method": st.sampled_from(_METHODS),
        "query": st.text(max_size=30),
        "headers": st.dictionaries(st.one_of(_NAMES, _TOKENS.map("x-odd-{}".format)), _VALUES, max_size=4),
        "body": _BODIES,
    }
)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("path", [*GETS, *POSTS, "/", "/api/openapi.json", "/v1/nowhere", "/nowhere"])
def test_odd_requests(server, session, path, count) -> None:
    """Whatever the method, the query, the headers and the body: no fault of the server's, and an error is
    always an object that says what is wrong."""

    def check(odd: dict[str, Any]) -> None:
        response = session.request(
            odd["method"],
            server.url + path.replace("{id}", "chat"),
            params=odd["query"],
            data=odd["body"],
            headers={name: value.strip().encode("latin-1") for name, value in odd["headers"].items()},
        )
        assert response.status_code < 500, response.content
        if response.status_code >= 400 and odd["method"] != "HEAD":
            assert response.headers["content-type"] == "application/json"
            assert response.json()["error"]["message"]
        assert (response.status_code == 405) <= ("allow" in response.headers)

    each(_ODD, count, check)


def test_the_server_has_not_complained(server) -> None:
    """None of all this was worth a line on the server's standard error."""
    assert server.complaints == []
