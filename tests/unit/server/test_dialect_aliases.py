"""What names mean that clients insist on."""

from dataclasses import replace

import pytest

from coreto.errors import UnknownModelError
from coreto.resilience.plan import Plan
from coreto.routing.directory import Directory
from coreto.server.keys import KeyRing
from coreto.server.services import Services

ASK = {"messages": [{"role": "user", "content": "x"}]}
ROLES = Directory({"chat": Plan("chat", "chat", (), fallback=True)}, {})


@pytest.fixture
def aliased(bench):
    """A bench with the role ``chat`` and two aliases."""

    def make(*items, keys=()):
        made = bench(*items)
        made.gateway.directory = ROLES
        aliases = {"claude-*-mini": "small", "claude-*": "chat", "ch*": "elsewhere"}
        services = Services(made.gateway, lambda: None, lambda: None, KeyRing(keys), model_aliases=aliases)
        return replace(made, edge=type(made.edge)(services))

    return make


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("claude-x", "chat"),
        ("claude-x-mini", "small"),
        ("chat", "chat"),
        ("chatter", "elsewhere"),
        ("Claude-x", "Claude-x"),
        ("gpt-9", "gpt-9"),
    ],
)
def test_names(aliased, whole, name, meant) -> None:
    """The first pattern that fits counts, upper and lower case matter, and a name that is known is itself."""
    made = aliased(whole)
    assert made.send({**ASK, "model": name}).status == 200
    assert made.gateway.calls[0].model == meant


def test_every_dialect(aliased, whole) -> None:
    """Aliases hold wherever a model is named."""
    made = aliased(whole)
    made.send({**ASK, "model": "claude-x", "max_tokens": 5}, path="/v1/messages")
    made.send({"input": "x", "model": "claude-x"}, path="/v1/responses")
    made.send({"input": "x", "model": "claude-x"}, path="/v1/embeddings")
    assert [call.model for call in made.gateway.calls] == ["chat"] * 3


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_unknown_names_are_told_of_the_setting(aliased, path) -> None:
    """The 404 says how a name can be given a meaning."""
    made = aliased(UnknownModelError("gpt-9"))
    got = made.send({**ASK, "input": "x", "model": "gpt-9", "max_tokens": 5}, path=path)
    assert got.status == 404
    assert "server.model_aliases" in got.json["error"]["message"]
