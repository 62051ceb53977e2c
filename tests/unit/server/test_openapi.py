"""The OpenAPI document: that it says what the checks ask, and only what there is."""

import jsonschema_rs
import pytest

from coreto.errors import InvalidRequestError
from coreto.server import validate
from coreto.server.dialects import anthropic, responses
from coreto.server.openapi import with_gateway
from coreto.server.openapi_requests import CHAT, EMBEDDINGS, MESSAGES, RESPONSES

ASK = {"messages": [{"role": "user", "content": "x"}]}
EMPTY = {"paths": {}, "components": {"schemas": {}}}


def document(*, needs_key: bool = False, metrics: bool = True, **more):
    return with_gateway({**EMPTY, **more}, needs_key=needs_key, metrics=metrics)


class TestRequests:
    """The schemas of requests beside the code that checks them."""

    @pytest.mark.parametrize(
        ("schema", "rules"), [(CHAT, validate._CHAT), (EMBEDDINGS, validate._EMBEDDINGS)]
    )
    def test_every_checked_field_is_described(self, schema, rules) -> None:
        """A field that is checked is in the document."""
        assert set(rules) <= set(schema["properties"])

    @pytest.mark.parametrize(
        ("schema", "known"),
        [(MESSAGES, anthropic._READ), (RESPONSES, responses._READ)],
        ids=["messages", "responses"],
    )
    def test_every_field_of_a_dialect_is_known_to_it(self, schema, known) -> None:
        """The document promises no field that its dialect would drop; those that it refuses say so."""
        assert set(schema["properties"]) - set(responses._IMPOSSIBLE) <= known

    @pytest.mark.parametrize(
        ("field", "value", "allowed"),
        [
            ("model", "chat", True),
            ("model", "caçador de notícias", True),
            ("model", "a\nb", False),
            ("model", "", False),
            ("stream", None, True),
            ("stream", "yes", False),
            ("n", 1, True),
            ("n", 0, False),
            ("seed", -1, True),
            ("seed", 1.5, False),
            ("stop", ["a"], True),
            ("stop", [1], False),
            ("response_format", {"type": "json_object"}, True),
            ("response_format", {}, False),
            ("messages", [], False),
            ("messages", [{"role": ""}], False),
            ("messages", [{"role": "tool", "content": [{"type": "x"}], "more": 1}], True),
            ("nobody_knows_this", object, True),
        ],
    )
    def test_chat_as_it_is_checked(self, field, value, allowed) -> None:
        """The schema and the check agree on what a chat request is."""
        body = {**ASK, field: 7 if value is object else value}
        assert jsonschema_rs.is_valid(CHAT, body) is allowed
        try:
            validate.check_chat(body)
            passed = True
        except InvalidRequestError:
            passed = False
        assert passed is allowed


class TestTheWhole:
    """The document as it is served."""

    def test_metrics_only_where_there_are_some(self) -> None:
        """A server without metrics describes none."""
        assert "/metrics" in document()["paths"]
        assert "/metrics" not in document(metrics=False)["paths"]

    def test_keys_only_where_they_are_needed(self) -> None:
        """Whether a key must be sent is said; probes never need one."""
        assert {} in document()["security"]
        closed = document(needs_key=True)
        assert {} not in closed["security"]
        assert closed["paths"]["/readyz"]["get"]["security"] == []

    def test_fastapis_own_refusals_are_not_promised(self) -> None:
        """What FastAPI would answer to a wrong body, nobody gets: it is a 400 in our envelope."""
        operation = {"requestBody": {}, "responses": {"200": {}, "422": {}}}
        found = document(paths={"/api/x": {"post": operation}})["paths"]["/api/x"]["post"]["responses"]
        assert "422" not in found
        assert {"200", "400", "401", "413"} <= set(found)

    def test_messages_fail_in_their_own_words(self) -> None:
        """Anthropic's path has Anthropic's error envelope, the others OpenAI's."""
        paths = document()["paths"]
        refusals = {
            path: item["post"]["responses"]["400"]["content"]["application/json"]["schema"]["$ref"]
            for path, item in paths.items()
            if "post" in item
        }
        assert refusals["/v1/messages"].endswith("/AnthropicError")
        assert refusals["/v1/responses"].endswith("/Error")
