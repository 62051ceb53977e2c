"""Requests of other dialects as chat requests, and answers that come back as history."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import InvalidOutputError, InvalidRequestError
from coreto.labels import Label
from coreto.messages import Attempt, Trace, Usage, Whole
from coreto.server.dialects import anthropic, anthropic_answers, freeform, responses, responses_answers
from coreto.server.dialects.translated import estimate_prompt

TRACE = Trace("c1", "lab/x", "chat", Label.INTERNAL, (Attempt("lab/x", "ok", usage=Usage(7, 3, 2)),))
HELLO = [{"role": "user", "content": "hi"}]
TOOL = {"name": "w", "description": "d", "input_schema": {"type": "object"}, "strict": True}
FUNCTION = {
    "type": "function",
    "function": {"name": "w", "description": "d", "strict": True, "parameters": {"type": "object"}},
}
SEARCH = {"type": "web_search_20250305", "name": "find", "max_uses": 3}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
INLINE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}

names = st.text("abcdef_", min_size=1, max_size=8)
arguments = st.dictionaries(
    st.text(max_size=5), st.one_of(st.integers(-99, 99), st.text(max_size=9), st.none()), max_size=3
)
calls = st.lists(st.tuples(names, arguments), max_size=3)


def ask(**more):
    return {"model": "m", "max_tokens": 9, "messages": HELLO, **more}


def from_anthropic(**more):
    return anthropic.to_chat(ask(**more)).body


def from_responses(**more):
    return responses.to_chat({"model": "m", "input": "hi", **more}).body


def answered(text, called):
    """A chat answer with these words and calls."""
    message = {"role": "assistant", "content": text or None}
    if called:
        message["tool_calls"] = [
            {
                "id": f"call_{n}",
                "type": "function",
                "function": {"name": name, "arguments": orjson.dumps(a).decode()},
            }
            for n, (name, a) in enumerate(called)
        ]
    finish = "tool_calls" if called else "stop"
    return Whole({"model": "m", "created": 5, "choices": [{"message": message, "finish_reason": finish}]})


class TestRoundTrips:
    """What the client was told it sends back, and it is what the model said."""

    @given(st.text(), calls)
    def test_anthropic(self, text, called) -> None:
        """A message sent back as history is the chat message that it was made of."""
        answer = answered(text, called)
        message = anthropic_answers.whole(answer, ask(), TRACE)
        history = [*HELLO, {"role": "assistant", "content": message["content"]}, *HELLO]
        body = from_anthropic(messages=history)
        said = answer.body["choices"][0]["message"]
        assert body["messages"][1] == {**said, "content": text or (None if called else "")}
        assert message["stop_reason"] == ("tool_use" if called else "end_turn")

    @given(st.text(), calls)
    def test_responses(self, text, called) -> None:
        """A response's output sent back as input is the chat message that it was made of."""
        answer = answered(text, called)
        response = responses_answers.whole(answer, {}, TRACE)
        body = from_responses(input=[*HELLO, *response["output"], *HELLO])
        said = answer.body["choices"][0]["message"]
        assert body["messages"][1:-1] == ([{**said, "content": text or None}] if text or called else [])
        assert response["status"] == "completed"

    @given(
        st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(min_size=1)), min_size=1)
    )
    def test_plain_texts(self, turns) -> None:
        """Texts go through word by word, as texts and as blocks of text alike."""
        plain = [{"role": role, "content": text} for role, text in turns]
        blocks = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
        assert from_anthropic(messages=plain)["messages"] == plain
        assert from_anthropic(messages=blocks)["messages"] == plain


class TestAnthropic:
    """Messages."""

    def test_fields(self) -> None:
        """Every field that chat completions have arrives under its name there."""
        body = from_anthropic(
            system=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            temperature=0.5,
            top_p=0.9,
            top_k=5,
            stop_sequences=["END"],
            stream=True,
            tools=[{**TOOL, "type": "custom"}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            metadata={"user_id": "ana"},
            output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
            private=True,
        )
        assert body == {
            "model": "m",
            "messages": [{"role": "system", "content": "a\n\nb"}, *HELLO],
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "stop": ["END"],
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [FUNCTION],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "user": "ana",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
            },
            "private": True,
        }

    @pytest.mark.parametrize(
        ("choice", "wanted"),
        [
            ({"type": "auto"}, "auto"),
            ({"type": "none"}, "none"),
            ({"type": "tool", "name": "w"}, {"type": "function", "function": {"name": "w"}}),
        ],
    )
    def test_tool_choice(self, choice, wanted) -> None:
        """Each way to choose a tool has its like."""
        assert from_anthropic(tools=[TOOL], tool_choice=choice)["tool_choice"] == wanted

    def test_tool_results_come_before_what_the_user_says(self) -> None:
        """Results follow their calls; images in them, which a tool cannot say, the user shows."""
        result = {
            "type": "tool_result",
            "tool_use_id": "t1",
            "content": [{"type": "text", "text": "see"}, INLINE],
        }
        failed = {"type": "tool_result", "tool_use_id": "t2", "is_error": True}
        said = [{"type": "text", "text": "go on"}, result, failed]
        use = [{"type": "tool_use", "id": i, "name": "w", "input": {}} for i in ("t1", "t2")]
        messages = [*HELLO, {"role": "assistant", "content": use}, {"role": "user", "content": said}]
        assert from_anthropic(messages=messages)["messages"][2:] == [
            {"role": "tool", "tool_call_id": "t1", "content": "see"},
            {"role": "tool", "tool_call_id": "t2", "content": "error"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Images of the tool result t1:"},
                    IMAGE,
                    {"type": "text", "text": "go on"},
                ],
            },
        ]

    def test_what_is_left_out_is_noted(self) -> None:
        """Hints for Anthropic's servers are named once each; thoughts of other models are dropped."""
        cached = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
        thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
        got = anthropic.to_chat(
            ask(
                thinking={"type": "adaptive"},
                messages=[
                    {"role": "user", "content": [cached, cached]},
                    {"role": "assistant", "content": [thought]},
                ],
                tools=[{**TOOL, "cache_control": {"type": "ephemeral"}}],
                metadata={"user_id": "s" * 100},
                service_tier="auto",
                output_config={"effort": "low"},
            )
        )
        assert got.body["messages"] == [
            {"role": "user", "content": "x\n\nx"},
            {"role": "assistant", "content": ""},
        ]
        assert set(got.unmapped) == {
            "thinking",
            "service_tier",
            "messages.cache_control",
            "messages.thinking",
            "messages: the answer begun for the assistant",
            "tools.cache_control",
            "output_config.effort",
            "metadata.user_id",
        }

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"max_tokens": None}, "max_tokens"),
            ({"max_tokens": True}, "max_tokens"),
            ({"messages": []}, "messages"),
            ({"messages": "x"}, "messages"),
            ({"messages": [3]}, "messages[0]"),
            ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user"}]}, "messages[0].content"),
            (
                {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
                "messages[0].content[0].type",
            ),
            ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
            (
                {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
                "messages[0].content[0].source.type",
            ),
            (
                {"messages": [{"role": "assistant", "content": [{"type": "image"}]}]},
                "messages[0].content[0].type",
            ),
            ({"system": [{"type": "image"}]}, "system[0].type"),
            ({"tools": [{"type": 3, "name": "w"}]}, "tools[0].type"),
            ({"tools": [FUNCTION]}, "tools[0].type"),
            ({"tools": [SEARCH], "tool_choice": {"type": "any"}}, "tool_choice"),
            ({"tools": [TOOL, SEARCH], "tool_choice": {"type": "tool", "name": "find"}}, "tool_choice.name"),
            ({"tools": [{"name": "w"}]}, "tools[0].input_schema"),
            ({"tools": [{**TOOL, "name": ""}]}, "tools[0].name"),
            ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
            ({"stop_sequences": "END"}, "stop_sequences"),
            ({"stream": 1}, "stream"),
            ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ],
    )
    def test_refusals_name_the_field(self, more, field) -> None:
        """What cannot be passed on is refused by its name."""
        with pytest.raises(InvalidRequestError) as caught:
            anthropic.to_chat(ask(**more))
        assert caught.value.field == field

    def test_tools_of_anthropics_own_are_left_out(self) -> None:
        """They are named in the notes, in the history too, and the others stay to choose from."""
        use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
        found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
        said = [use, found, {"type": "text", "text": "it is so"}]
        got = anthropic.to_chat(
            ask(
                messages=[*HELLO, {"role": "assistant", "content": said}, *HELLO],
                tools=[SEARCH, TOOL],
                tool_choice={"type": "auto"},
                mcp_servers=[{"type": "url"}],
                container="c",
            )
        )
        assert got.body["messages"][1] == {"role": "assistant", "content": "it is so"}
        assert (got.body["tools"], got.body["tool_choice"]) == ([FUNCTION], "auto")
        assert set(got.unmapped) == {
            "tools.web_search_20250305",
            "messages.server_tool_use",
            "messages.web_search_tool_result",
            "mcp_servers",
            "container",
        }
        alone = from_anthropic(
            tools=[SEARCH], tool_choice={"type": "auto", "disable_parallel_tool_use": True}
        )
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(alone)

    def test_counting(self) -> None:
        """Tools, images and calls count, and ``max_tokens`` is not needed."""

        def count(**more):
            return estimate_prompt(anthropic.prompt_to_chat({"messages": HELLO, **more}).body)

        use = [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "w", "input": {"a": "b" * 99}}],
            }
        ]
        assert count() < count(tools=[TOOL]) < count(messages=[*HELLO, *use])
        assert count(messages=[{"role": "user", "content": [INLINE]}]) > 1000


class TestResponses:
    """Responses."""

    def test_fields(self) -> None:
        """Every field that chat completions have arrives under its name there."""
        body = from_responses(
            instructions="a",
            input=[
                {"role": "developer", "content": "b"},
                {"type": "message", "role": "user", "content": "hi"},
            ],
            max_output_tokens=9,
            temperature=0.5,
            top_p=0.9,
            parallel_tool_calls=False,
            stream=True,
            tools=[
                {
                    "type": "function",
                    "name": "w",
                    "description": "d",
                    "strict": True,
                    "parameters": {"type": "object"},
                }
            ],
            tool_choice={"type": "function", "name": "w"},
            reasoning={"effort": "low"},
            text={
                "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
            },
            user="ana",
            store=False,
            truncation="disabled",
            metadata={"a": "b"},
        )
        assert body == {
            "model": "m",
            "messages": [{"role": "system", "content": "a\n\nb"}, *HELLO],
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "parallel_tool_calls": False,
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": [FUNCTION],
            "tool_choice": {"type": "function", "function": {"name": "w"}},
            "reasoning_effort": "low",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            },
            "user": "ana",
        }

    def test_calls_join_the_message_before(self) -> None:
        """Words and calls of one answer are one chat message; outputs with images keep them."""
        shown = [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": IMAGE["image_url"]["url"]},
        ]
        items = [
            {"type": "reasoning", "id": "r", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "well"}]},
            {"type": "function_call", "call_id": "c1", "name": "w", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "w", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": shown},
            {"type": "function_call_output", "call_id": "c2", "output": "ok"},
        ]
        got = responses.to_chat({"input": [*HELLO, *items]})
        called = [
            {"id": i, "type": "function", "function": {"name": "w", "arguments": "{}"}} for i in ("c1", "c2")
        ]
        assert got.body["messages"][1:] == [
            {"role": "assistant", "content": "well", "tool_calls": called},
            {"role": "tool", "tool_call_id": "c1", "content": "see"},
            {"role": "tool", "tool_call_id": "c2", "content": "ok"},
            {"role": "user", "content": [{"type": "text", "text": "Images of the tool result c1:"}, IMAGE]},
        ]
        assert got.unmapped == ("input.reasoning",)

    def test_what_is_left_out_is_noted(self) -> None:
        """Hints for OpenAI's servers are named."""
        got = responses.to_chat(
            {
                "input": "x",
                "include": ["reasoning.encrypted_content"],
                "prompt_cache_key": "k",
                "truncation": "auto",
                "reasoning": {"effort": "low", "summary": "auto"},
                "text": {"verbosity": "low"},
            }
        )
        assert set(got.unmapped) == {
            "include",
            "prompt_cache_key",
            "truncation",
            "reasoning.summary",
            "text.verbosity",
        }

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"input": None}, "input"),
            ({"input": []}, "input"),
            ({"input": 3}, "input"),
            ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
            ({"input": [{"role": "user"}]}, "input[0].content"),
            ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
            ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].type"),
            (
                {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
                "input[0].content[0].file_id",
            ),
            (
                {"input": [{"role": "assistant", "content": [{"type": "input_image", "image_url": "u"}]}]},
                "input[0].content",
            ),
            ({"input": [{"type": "function_call", "name": "w", "arguments": "{}"}]}, "input[0].call_id"),
            ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
            ({"previous_response_id": "r"}, "previous_response_id"),
            ({"conversation": "c"}, "conversation"),
            ({"prompt": {"id": "p"}}, "prompt"),
            ({"store": True}, "store"),
            ({"background": True}, "background"),
            ({"tools": [{"name": "w"}]}, "tools[0].type"),
            ({"tools": [{"type": "custom"}]}, "tools[0].name"),
            ({"tools": [{"type": "custom", "name": "w", "format": "text"}]}, "tools[0].format"),
            (
                {"tools": [{"type": "custom", "name": "w", "format": {"type": "xml"}}]},
                "tools[0].format.type",
            ),
            (
                {"tools": [{"type": "custom", "name": "w", "format": {"type": "grammar"}}]},
                "tools[0].format.syntax",
            ),
            ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
            ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"),
            ({"tool_choice": {"type": "allowed_tools", "mode": "some"}}, "tool_choice.mode"),
            ({"input": [{"type": "reasoning"}]}, "input"),
            ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "w"}]}, "input[0].input"),
            ({"tool_choice": "some"}, "tool_choice"),
            ({"max_output_tokens": 0}, "max_output_tokens"),
            ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
            ({"reasoning": {"effort": 3}}, "reasoning.effort"),
            ({"instructions": 3}, "instructions"),
        ],
    )
    def test_refusals_name_the_field(self, more, field) -> None:
        """What cannot be passed on is refused by its name."""
        with pytest.raises(InvalidRequestError) as caught:
            responses.to_chat({"input": "x", **more})
        assert caught.value.field == field

    def test_custom_tools(self) -> None:
        """A tool of free text is a function of one text, its grammar told; its calls come back as such."""
        grammar = {"type": "grammar", "syntax": "lark", "definition": "start: LINE"}
        items = [
            *HELLO,
            {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'say "x"\n'},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        ]
        got = responses.to_chat(
            {
                "input": items,
                "tools": [{"type": "custom", "name": "patch", "description": "Edits.", "format": grammar}],
                "tool_choice": {"type": "custom", "name": "patch"},
            }
        )
        (tool,) = got.body["tools"]
        assert tool["function"]["name"] == "patch"
        assert tool["function"]["description"].startswith("Edits.\n\nThe input must follow this lark grammar")
        assert tool["function"]["description"].endswith("start: LINE")
        assert tool["function"]["parameters"]["required"] == ["input"]
        assert got.body["tool_choice"] == {"type": "function", "function": {"name": "patch"}}
        call = {"name": "patch", "arguments": '{"input":"say \\"x\\"\\n"}'}
        assert got.body["messages"][1:] == [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ]
        assert got.unmapped == ("tools.format",)

    @given(st.text())
    def test_custom_tools_there_and_back(self, said) -> None:
        """An input comes out as it went in, whatever is in it."""
        request = {"tools": [{"type": "custom", "name": "w"}]}
        answer = answered("", [("w", {"input": said})])
        (item,) = responses_answers.whole(answer, request, TRACE)["output"]
        assert (item["type"], item["input"]) == ("custom_tool_call", said)
        history = from_responses(input=[*HELLO, item])["messages"]
        assert orjson.loads(history[1]["tool_calls"][0]["function"]["arguments"]) == {"input": said}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ('{"input": "a"}', "a"),
            ('{"input": "a", "more": 1}', "a"),
            ('{"patch": "a"}', "a"),
            ('"a"', "a"),
            ("plain words", "plain words"),
            ('{"input": "cut in the mid', "cut in the mid"),
            ('{"input": "cut"', "cut"),
            ('{"a": 1}', '{"a": 1}'),
            ("{}", ""),
            ("", ""),
        ],
    )
    def test_inputs_of_models_that_do_not_know(self, arguments, said) -> None:
        """Whatever a model writes as arguments, it is read as the text that it meant."""
        assert freeform.input_of(arguments) == said

    def test_tools_of_openais_own_are_left_out(self) -> None:
        """They are named in the notes, in the history too, and the others stay to choose from."""
        function = {"type": "function", "name": "w", "parameters": {}}
        search = {"type": "web_search_call", "id": "s", "status": "completed", "action": {}}
        tools = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["v"]}, function]
        got = responses.to_chat({"input": [*HELLO, search], "tools": tools, "tool_choice": "required"})
        assert [tool["function"]["name"] for tool in got.body["tools"]] == ["w"]
        assert got.body["tool_choice"] == "required"
        assert got.unmapped == ("input.web_search_call", "tools.web_search", "tools.file_search")
        alone = from_responses(tools=tools[:2], tool_choice="auto", parallel_tool_calls=False)
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(alone)

    def test_allowed_tools(self) -> None:
        """A choice among some of the tools leaves those alone, with its mode."""
        tools = [{"type": "function", "name": name} for name in ("a", "b", "c")]
        chosen = [{"type": "function", "name": "b"}, {"type": "web_search"}]
        choice = {"type": "allowed_tools", "mode": "required", "tools": chosen}
        body = from_responses(tools=tools, tool_choice=choice)
        assert [tool["function"]["name"] for tool in body["tools"]] == ["b"]
        assert body["tool_choice"] == "required"


class TestAnswers:
    """What becomes of the parts of an answer."""

    @pytest.mark.parametrize(
        ("finish", "stop", "status"),
        [
            ("stop", "end_turn", "completed"),
            ("length", "max_tokens", "incomplete"),
            ("content_filter", "refusal", "incomplete"),
            (None, "end_turn", "completed"),
        ],
    )
    def test_finish(self, finish, stop, status) -> None:
        """Each finish has its word."""
        answer = answered("x", [])
        answer.body["choices"][0]["finish_reason"] = finish
        assert anthropic_answers.whole(answer, {}, TRACE)["stop_reason"] == stop
        assert responses_answers.whole(answer, {}, TRACE)["status"] == status

    def test_a_server_that_calls_a_tool_and_says_stop(self) -> None:
        """Clients of messages go by the stop reason, so a call is one."""
        answer = answered("", [("w", {})])
        answer.body["choices"][0]["finish_reason"] = "stop"
        assert anthropic_answers.whole(answer, {}, TRACE)["stop_reason"] == "tool_use"

    def test_the_stop_sequence(self) -> None:
        """A server that says which one matched is passed on."""
        answer = answered("x", [])
        answer.body["choices"][0]["stop_reason"] = "END"
        got = anthropic_answers.whole(answer, {}, TRACE)
        assert (got["stop_reason"], got["stop_sequence"]) == ("stop_sequence", "END")

    def test_usage(self) -> None:
        """What came from the cache is input here and apart there; a silent server's answer was counted."""
        answer = answered("x", [])
        assert anthropic_answers.whole(answer, {}, TRACE)["usage"] == {
            "input_tokens": 5,
            "output_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 2,
        }
        answer.body["usage"] = {
            "prompt_tokens": 10,
            "completion_tokens": 4,
            "completion_tokens_details": {"reasoning_tokens": 1},
        }
        assert responses_answers.whole(answer, {}, TRACE)["usage"] == {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 14,
        }

    def test_a_refusal(self) -> None:
        """A model that refuses does so in either dialect."""
        answer = Whole(
            {"choices": [{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]}
        )
        got = anthropic_answers.whole(answer, {}, TRACE)
        assert (got["content"], got["stop_reason"]) == ([{"type": "text", "text": "no"}], "refusal")
        (item,) = responses_answers.whole(answer, {}, TRACE)["output"]
        assert item["content"] == [{"type": "refusal", "refusal": "no"}]

    def test_thoughts_are_for_who_asked(self) -> None:
        """What a model thinks is shown when thinking is on, only then."""
        answer = answered("x", [])
        answer.body["choices"][0]["message"]["reasoning"] = "hm"
        thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        shown = anthropic_answers.whole(answer, thinking, TRACE)["content"]
        assert shown[0] == {"type": "thinking", "thinking": "hm", "signature": ""}
        assert len(anthropic_answers.whole(answer, {}, TRACE)["content"]) == 1

    @pytest.mark.parametrize("broken", ["{", "[1]", "3"])
    def test_broken_arguments(self, broken) -> None:
        """A call that a message cannot hold is an error, not another call."""
        answer = answered("", [("w", {})])
        answer.body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = broken
        with pytest.raises(InvalidOutputError, match="'w'"):
            anthropic_answers.whole(answer, {}, TRACE)

    def test_arguments_that_are_an_object(self) -> None:
        """A server that sends an object where a text should be is understood."""
        answer = answered("", [("w", {})])
        answer.body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = {"a": 1}
        assert anthropic_answers.whole(answer, {}, TRACE)["content"][0]["input"] == {"a": 1}
        assert responses_answers.whole(answer, {}, TRACE)["output"][0]["arguments"] == '{"a":1}'
