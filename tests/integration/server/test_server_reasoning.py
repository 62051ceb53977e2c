"""Roles whose settings OpenAI's reasoning models refuse."""

import pytest

ROLES = """
[roles.thinker]
chain = ["lab/gpt-5-mini", "lab/gpt-4o-mini"]
temperature = 0.0
max_tokens = 10
"""


@pytest.fixture(scope="module")
def thinking(support, _upstream, tmp_path_factory):
    toml = f'[providers.lab]\nkind = "openai"\nbase_url = "{_upstream.url}/v1"\n{ROLES}'
    with support.start_server(support.write_config(tmp_path_factory.mktemp("thinking"), toml)) as it:
        yield it


@pytest.mark.parametrize("stream", [False, True])
def test_a_roles_settings_do_no_harm(thinking, upstream, stream) -> None:
    """The role's limit goes by the name that the model knows, its temperature stays here, and the trace says so."""
    got = thinking.chat("thinker", stream=stream)
    assert got.status == 200
    trace = (got.events[-2] if stream else got.json)["coreto"]
    assert (trace["deployment"], trace["unmapped"]) == ("lab/gpt-5-mini", ["temperature"])
    (sent,) = [request["body"] for request in upstream.requests("/v1/chat/completions")]
    assert sent["max_completion_tokens"] == 10
    assert not {"max_tokens", "temperature"} & set(sent)


def test_the_next_in_the_chain_gets_them_all(thinking, upstream) -> None:
    """A model of another family in the same chain gets the role's settings as they are."""
    upstream.add_faults([{"kind": "status", "status": 500, "model": "gpt-5-mini"}])
    got = thinking.chat("thinker")
    upstream.clear_faults()
    assert got.json["coreto"]["deployment"] == "lab/gpt-4o-mini"
    assert "unmapped" not in got.json["coreto"]
    sent = upstream.requests("/v1/chat/completions")[-1]["body"]
    assert (sent["max_tokens"], sent["temperature"]) == (10, 0.0)
