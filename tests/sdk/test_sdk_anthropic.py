"""The official Anthropic client works against ``coreto serve``, by the names of Anthropic's models too."""

import json

import anthropic
import pytest

ASK = {
    "model": "claude-of-the-day",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "hello there"}],
}
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALLS = {
    "tool_calls": [
        {"name": "get_weather", "arguments": {"city": "Recife"}},
        {"name": "get_weather", "arguments": {"city": "Olinda"}},
    ]
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def client(coding_server, lab_of_agents):
    with anthropic.Anthropic(base_url=coding_server.url, api_key="good-key", max_retries=0) as it:
        yield it


def sent(lab):
    """The body that the model that answered was sent."""
    return lab.requests(path="*/chat/completions")[-1]["body"]


def test_whole(client, lab_of_agents) -> None:
    """A message with its usage comes from the next model, and the trace is there as an extra."""
    got = client.messages.create(
        **ASK, system="Be brief.", stop_sequences=["END"], metadata={"user_id": "ana"}
    )
    assert (got.role, got.type, got.stop_reason) == ("assistant", "message", "end_turn")
    assert got.content[0].text.startswith("primary answers ")
    assert got.usage.input_tokens > 0
    assert got.usage.output_tokens > 0
    trace = got.model_extra["coreto"]
    assert (trace["deployment"], trace["role"]) == ("lab/primary", "chat")
    assert got._request_id == trace["id"] == got.id.removeprefix("msg_")
    assert sent(lab_of_agents) == {
        "model": "primary",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}],
        "max_tokens": 500,
        "stop": ["END"],
        "user": "ana",
    }


def test_stream(client) -> None:
    """The client's own accumulation of the stream is the whole answer."""
    whole = client.messages.create(**ASK)
    with client.messages.stream(**ASK) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    assert text == last.content[0].text == whole.content[0].text
    assert (last.stop_reason, last.usage.output_tokens) == ("end_turn", whole.usage.output_tokens)
    events = list(client.messages.create(**ASK, stream=True))
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    assert events[-1].model_extra["coreto"]["deployment"] == "lab/primary"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_there_and_back(client, lab_of_agents, stream) -> None:
    """Tool calls arrive as blocks, and the client's own history with their results goes back as OpenAI's."""
    lab_of_agents.script(CALLS)
    ask = {**ASK, "tools": [WEATHER], "tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}
    if stream:
        with client.messages.stream(**ask) as events:
            got = events.get_final_message()
    else:
        got = client.messages.create(**ask)
    assert got.stop_reason == "tool_use"
    assert [block.input["city"] for block in got.content if block.type == "tool_use"] == ["Recife", "Olinda"]
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "sunny"}]}
        for block in got.content
    ]
    history = [*ASK["messages"], {"role": "assistant", "content": got.content}]
    again = client.messages.create(**{**ask, "messages": [*history, {"role": "user", "content": results}]})
    assert again.stop_reason == "end_turn"
    _, called, *told = sent(lab_of_agents)["messages"]
    assert [json.loads(call["function"]["arguments"])["city"] for call in called["tool_calls"]] == [
        "Recife",
        "Olinda",
    ]
    assert [message["role"] for message in told] == ["tool", "tool"]
    assert [message["tool_call_id"] for message in told] == [call["id"] for call in called["tool_calls"]]


def test_tools_of_anthropics_own(client, lab_of_agents) -> None:
    """A tool that Anthropic's servers run is left out and named; forced, it is refused."""
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    got = client.messages.create(**ASK, tools=[search, WEATHER])
    assert got.model_extra["coreto"]["unmapped"] == ["tools.web_search_20250305"]
    assert [tool["function"]["name"] for tool in sent(lab_of_agents)["tools"]] == ["get_weather"]
    with pytest.raises(anthropic.BadRequestError, match="tool of Anthropic's own"):
        client.messages.create(**ASK, tools=[search], tool_choice={"type": "tool", "name": "web_search"})


def test_images_and_hints(client, lab_of_agents) -> None:
    """Images go on inline; what steers Anthropic's servers alone is left out and named in the trace."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    text = {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}}
    got = client.messages.create(
        **{**ASK, "messages": [{"role": "user", "content": [image, text]}], "max_tokens": 3000},
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    (message,) = sent(lab_of_agents)["messages"]
    assert message["content"][0]["image_url"]["url"] == f"data:image/png;base64,{PIXEL}"
    assert got.model_extra["coreto"]["unmapped"] == ["thinking", "messages.cache_control"]


def test_structured_output(client) -> None:
    """A JSON schema is met."""
    got = client.messages.create(**ASK, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    assert json.loads(got.content[0].text) == {"city": "sim"}


def test_count_tokens(client) -> None:
    """Tokens are estimated, without a model."""
    few = client.messages.count_tokens(model="claude-x", messages=ASK["messages"])
    more = client.messages.count_tokens(model="claude-x", messages=ASK["messages"], tools=[WEATHER])
    assert 0 < few.input_tokens < more.input_tokens


def test_errors(client, lab_of_agents) -> None:
    """Each failure is the client's own exception for it."""
    with pytest.raises(anthropic.NotFoundError, match="model_aliases") as caught:
        client.messages.create(**{**ASK, "model": "mistery"})
    assert caught.value.body["error"]["type"] == "not_found_error"
    document = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].content\[0\].type"):
        client.messages.create(**{**ASK, "messages": [{"role": "user", "content": [document]}]})
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="bad").messages.create(**ASK)
    lab_of_agents.add_faults({"kind": "status", "status": 503, "model": "lost"})
    for stream in (False, True):
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(**{**ASK, "model": "lost"}, stream=stream)
        assert caught.value.status_code == 503
        assert caught.value.body["error"]["type"] == "overloaded_error"


def test_a_bearer_works_too(coding_server, lab_of_agents) -> None:
    """Agents that send their key as a bearer get in."""
    with anthropic.Anthropic(base_url=coding_server.url, auth_token="good-key", max_retries=0) as client:
        assert client.messages.create(**ASK).stop_reason == "end_turn"


def test_a_stream_that_breaks(client, lab_of_agents) -> None:
    """A stream that breaks is an exception of the client's, not a short answer."""
    lab_of_agents.add_faults({"kind": "cut", "model": "broken", "chunks": 3})
    with (
        pytest.raises(anthropic.APIError),
        client.messages.stream(**{**ASK, "model": "lab/broken"}) as stream,
    ):
        stream.get_final_message()
