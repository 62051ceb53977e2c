"""The official OpenAI client's Responses work against ``coreto serve``."""

import json

import openai
import pydantic
import pytest

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
CALLS = {
    "tool_calls": [
        {"name": "get_weather", "arguments": {"city": "Recife"}},
        {"name": "get_weather", "arguments": {"city": "Olinda"}},
    ]
}


class City(pydantic.BaseModel):
    """An answer with a schema."""

    city: str


@pytest.fixture
def client(coding_server, lab_of_agents):
    with openai.OpenAI(base_url=coding_server.url + "/v1", api_key="good-key", max_retries=0) as it:
        yield it


def sent(lab):
    """The body that the model that answered was sent."""
    return lab.requests(path="*/chat/completions")[-1]["body"]


def test_whole(client, lab_of_agents) -> None:
    """A response with its usage comes from the next model, and the trace is there as an extra."""
    got = client.responses.create(
        model="gpt-5",
        input="hello there",
        instructions="Be brief.",
        max_output_tokens=500,
        metadata={"a": "b"},
    )
    assert (got.status, got.object, got.metadata) == ("completed", "response", {"a": "b"})
    assert got.output_text.startswith("primary answers ")
    assert got.usage.total_tokens == got.usage.input_tokens + got.usage.output_tokens > 0
    assert got.model_extra["coreto"]["deployment"] == "lab/primary"
    assert sent(lab_of_agents) == {
        "model": "primary",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}],
        "max_tokens": 500,
    }


def test_stream(client) -> None:
    """The client's own accumulation of the stream is the whole answer."""
    ask = {"model": "chat", "input": "hello there"}
    whole = client.responses.create(**ask)
    with client.responses.stream(**ask) as stream:
        events = list(stream)
        last = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == last.output_text == whole.output_text
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert last.usage.output_tokens == whole.usage.output_tokens
    assert last.model_extra["coreto"]["role"] == "chat"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_there_and_back(client, lab_of_agents, stream) -> None:
    """Function calls arrive as items, and the client's own history with their outputs goes back as chat."""
    lab_of_agents.script(CALLS)
    ask = {"model": "chat", "tools": [WEATHER]}
    question = {"role": "user", "content": "hello there"}
    if stream:
        with client.responses.stream(**ask, input=[question]) as events:
            got = events.get_final_response()
    else:
        got = client.responses.create(**ask, input=[question])
    assert [json.loads(item.arguments)["city"] for item in got.output] == ["Recife", "Olinda"]
    outputs = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"} for item in got.output
    ]
    # what the client parsed of the arguments is its own
    items = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in got.output]
    again = client.responses.create(**ask, input=[question, *items, *outputs])
    assert again.output_text.startswith("primary answers ")
    _, called, *told = sent(lab_of_agents)["messages"]
    assert len(called["tool_calls"]) == 2
    assert [message["role"] for message in told] == ["tool", "tool"]
    assert [message["tool_call_id"] for message in told] == [call["id"] for call in called["tool_calls"]]


PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}


@pytest.mark.parametrize("stream", [False, True])
def test_custom_tools_there_and_back(client, lab_of_agents, stream) -> None:
    """A coding agent's tool of free text works with models that know functions only."""
    patch = '*** Begin Patch\n+print("olá")\n*** End Patch'
    lab_of_agents.script({"tool_calls": [{"name": "apply_patch", "arguments": {"input": patch}}]})
    ask = {"model": "chat", "tools": [PATCH, {"type": "web_search"}]}
    question = {"role": "user", "content": "hello there"}
    if stream:
        with client.responses.stream(**ask, input=[question]) as events:
            seen = list(events)
            got = events.get_final_response()
        kinds = [event.type for event in seen if "custom_tool_call_input" in event.type]
        assert kinds == ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"]
    else:
        got = client.responses.create(**ask, input=[question])
    (item,) = got.output
    assert (item.type, item.name, item.input) == ("custom_tool_call", "apply_patch", patch)
    assert set(got.model_extra["coreto"]["unmapped"]) == {"tools.format", "tools.web_search"}
    output = {"type": "custom_tool_call_output", "call_id": item.call_id, "output": "done"}
    client.responses.create(**ask, input=[question, item.model_dump(exclude_none=True), output])
    _, called, told = sent(lab_of_agents)["messages"]
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"input": patch}
    assert told == {"role": "tool", "tool_call_id": item.call_id, "content": "done"}


def test_a_conversation_goes_on(client, lab_of_agents) -> None:
    """The output of one response is input of the next, as the client writes it."""
    first = client.responses.create(model="chat", input="hello there")
    client.responses.create(model="chat", input=[*first.output, {"role": "user", "content": "and now?"}])
    assert sent(lab_of_agents)["messages"] == [
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "and now?"},
    ]


def test_parsed(client) -> None:
    """The client's parsed answers work."""
    got = client.responses.parse(model="chat", input="where?", text_format=City)
    assert got.output_parsed == City(city="sim")


def test_an_answer_that_is_cut(client, lab_of_agents) -> None:
    """The token limit makes a response incomplete, whole and as a stream."""
    lab_of_agents.script(
        {"content": "one two three", "finish_reason": "length"},
        {"content": "one two three", "finish_reason": "length"},
    )
    whole = client.responses.create(model="chat", input="x")
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    events = list(client.responses.create(model="chat", input="x", stream=True))
    assert events[-1].type == "response.incomplete"


def test_errors(client, lab_of_agents) -> None:
    """Each failure is the client's own exception for it, with code and field."""
    with pytest.raises(openai.NotFoundError, match="model_aliases") as caught:
        client.responses.create(model="mistery", input="x")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    for field in ("previous_response_id", "store"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="chat", input="x", **{field: True})
        assert caught.value.param == field
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(
            model="chat", input="x", tools=[{"type": "web_search"}], tool_choice="required"
        )
    assert caught.value.param == "tool_choice"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="bad").responses.create(model="chat", input="x")
    lab_of_agents.add_faults({"kind": "status", "status": 503, "model": "lost"})
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as caught:
            client.responses.create(model="lost", input="x", stream=stream)
        assert caught.value.status_code == 503


def test_a_stream_that_breaks(client, lab_of_agents) -> None:
    """A stream that breaks ends in ``response.failed``, with what there was of it."""
    lab_of_agents.add_faults({"kind": "cut", "model": "broken", "chunks": 3})
    events = list(client.responses.create(model="lab/broken", input="x", stream=True))
    kinds = [event.type for event in events]
    assert kinds[-1] == "response.failed"
    assert "response.completed" not in kinds
    failed = events[-1].response
    assert (failed.status, failed.error.code) == ("failed", "server_error")
    assert failed.output[0].status == "incomplete"
