"""Whether an answer is what was asked for."""

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coreto.errors import ContextError, InvalidOutputError, InvalidRequestError
from coreto.messages import Call, Usage, text_of
from coreto.resilience.output import Expectation, check, expectation, find_json, find_label, refuse_truncated

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
_OBJECTS = st.dictionaries(st.text(max_size=8), _JSON, max_size=4)
_PROSE = st.text(st.characters(blacklist_characters="{}[]`", blacklist_categories=["Cs"]), max_size=20)


def answer(text, finish="stop", **message):
    message = {"role": "assistant", "content": text, **message}
    return {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def schema(**properties):
    return orjson.dumps({"type": "object", "properties": properties, "required": sorted(properties)})


INTEGER = schema(age={"type": "integer"})


@given(_OBJECTS, st.booleans())
def test_output_valid_json_passes_untouched(value, pretty):
    """An answer that is the object asked for is given on as it came, byte for byte."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else 0).decode()
    body = answer(text)
    for expected in (Expectation(json=True), Expectation(json=True, schema=b"{}"), Expectation()):
        assert check(body, expected) is body


@given(_JSON)
def test_output_any_json_fits_an_open_schema(value):
    """A schema that allows anything allows every JSON value."""
    text = orjson.dumps(value).decode()
    assert orjson.loads(find_json(text, b"true")) == value


@given(_OBJECTS, _PROSE, _PROSE, st.sampled_from(["{}", "```json\n{}\n```", "```\n{}```"]))
def test_output_json_is_found_in_prose(value, before, after, frame):
    """An object in a chatty answer is taken out of it, whole."""
    inner = orjson.dumps(value).decode()
    assume("`" not in inner)
    text = before + frame.replace("{}", inner) + after
    body = answer(text)
    assert orjson.loads(text_of(check(body, Expectation(json=True)))) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('Here [as asked]: {"a": 1}', '{"a": 1}'),
        ('{"a": 1} and that is it {', '{"a": 1}'),
        ("[1, 2]", None),
        ('"text"', None),
        ("null", None),
        ("17", None),
        ('{"a": 1', None),
        ("{'a': 1}", None),
        ("no", None),
        ('first ```json\n{"a"}\n``` then ```json\n{"b": 2}\n```', '{"b": 2}'),
        ('[{"a": 1}]', None),
    ],
)
def test_output_json_object(text, found):
    """Without a schema an object is wanted: no array, no bare value, no part of either."""
    if found is None:
        with pytest.raises(InvalidOutputError):
            find_json(text, None)
    else:
        assert find_json(text, None) == found


def test_output_schema():
    """The schema decides; what is wrong and where is said, and a later block may be the right one."""
    assert find_json('{"age": 7}', INTEGER) == '{"age": 7}'
    with pytest.raises(InvalidOutputError, match="age") as caught:
        find_json('{"age": "old"}', INTEGER)
    assert caught.value.answer == '{"age": "old"}'
    text = 'not\n```json\n{"age": "x"}\n```\nbut\n```json\n{"age": 8}\n```'
    assert find_json(text, INTEGER) == '{"age": 8}'
    with pytest.raises(InvalidOutputError):
        find_json('{"people": [1, 2]}', b'{"type": "array"}')


def test_output_cut_json_is_no_answer():
    """JSON that ended at the token limit is refused even where its beginning is valid."""
    with pytest.raises(InvalidOutputError, match="token limit"):
        check(answer('{"age": 7}', "length"), Expectation(json=True))


def test_output_empty_answers():
    """Nothing, or only blanks, is no answer; a tool call or a refusal is one."""
    for text in ("", "  \n", None):
        with pytest.raises(InvalidOutputError, match="empty"):
            check(answer(text), Expectation())
    for body in (
        answer(None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}]),
        answer(None, refusal="I will not"),
    ):
        assert check(body, Expectation()) is body


_LABELS = st.lists(
    st.from_regex(r"[a-zA-Zçãé_][\w-]{0,10}", fullmatch=True), min_size=1, max_size=5, unique_by=str.casefold
)


@given(_LABELS, st.data())
def test_output_labels(labels, data):
    """Each label is recognised alone, in another case, quoted, marked and in a sentence."""
    assume(all(label.casefold().casefold() == label.casefold() for label in labels))
    wanted = data.draw(st.sampled_from(labels))
    assume(not {"the", "next", "is"} & {label.casefold() for label in labels})
    for text in (wanted, wanted.upper(), f'"{wanted}"', f" **{wanted}**.\n", f"The next is: {wanted}."):
        if wanted.upper().casefold() == wanted.casefold():
            assert find_label(text, tuple(labels)) == wanted


@given(_LABELS)
def test_output_no_label_or_two(labels):
    """An answer that names none of them, or two, is none."""
    with pytest.raises(InvalidOutputError):
        find_label("...", tuple(labels))
    if len(labels) > 1:
        with pytest.raises(InvalidOutputError):
            find_label(f"{labels[0]} or {labels[1]}", tuple(labels))


@pytest.mark.parametrize("label", ["etc.", "not done", "v1.0", "*", "'quoted'"])
def test_output_odd_labels(label):
    """A label given back exactly is that label, whatever signs it holds."""
    assert find_label(f" {label}\n", (label, "other")) == label


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (None, Expectation(labels=("a",))),
        ({"type": "text"}, Expectation()),
        ({"type": "json_object"}, Expectation(json=True)),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
            Expectation(json=True, schema=b'{"type":"object"}'),
        ),
    ],
)
def test_output_expectation(form, expected):
    """What the caller asks for goes before what the role expects."""
    body = {"messages": []} if form is None else {"messages": [], "response_format": form}
    assert expectation(body, Expectation(labels=("a",))) == expected


@pytest.mark.parametrize(
    "inner",
    [
        {},
        {"schema": {"type": "wrong"}},
        {"schema": {"$ref": "https://example.org/s"}},
        {"schema": 5},
        {"schema": "x"},
    ],
)
def test_output_not_a_schema(inner):
    """A schema that is none is the caller's mistake and names the field; nothing is fetched."""
    body = {"response_format": {"type": "json_schema", "json_schema": inner}}
    with pytest.raises(InvalidRequestError) as caught:
        expectation(body, Expectation())
    assert caught.value.field == "response_format.json_schema.schema"


def sent(tokens, context=None):
    return Call("c", {"messages": [{"role": "user", "content": "word" * tokens}]}, "m", context=context)


@pytest.mark.parametrize(
    ("tokens", "read", "context", "cut"),
    [
        (4000, 1000, None, True),
        (4000, 3500, None, False),
        (4000, 1500, None, False),
        (4000, 2050, 4096, False),
        (5000, 2050, 4096, True),
        (1000, 10, None, False),
        (4000, 0, None, False),
    ],
)
def test_output_truncation(tokens, read, context, cut):
    """An engine that read far less than was sent, or half a window that is too small, has cut the prompt."""
    if cut:
        with pytest.raises(ContextError) as caught:
            refuse_truncated(sent(tokens, context), Usage(prompt=read))
        assert caught.value.truncated
    else:
        refuse_truncated(sent(tokens, context), Usage(prompt=read))
