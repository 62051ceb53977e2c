"""Answers, scripts, minimal schema instances, sizes and durations of the simulators."""

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.simulators.answers import Script, ScriptError, limited, pieces, sentence, tokens, vector
from coreto.simulators.ollama.models import SizeError, full_name, parse_model, parse_size, stub
from coreto.simulators.ollama.native import DurationError, parse_keep_alive
from coreto.simulators.ollama.scheduler import FOREVER
from coreto.simulators.schema import instance_of


@given(st.text(max_size=200), st.one_of(st.none(), st.integers(1, 60)))
def test_pieces_join_to_the_text(text: str, count: int | None) -> None:
    """No piece is lost, doubled or empty in the wished number."""
    parts = pieces(text, count)
    assert "".join(parts) == text
    if count is not None:
        assert len(parts) == min(count, len(text))


def test_sentence_tells_who_answered_what() -> None:
    """Model, prompt and seed decide the answer, and the model and a digest of the prompt are in it."""
    one = sentence("m", "hello", 1)
    assert one == sentence("m", "hello", 1)
    assert one.startswith("m answers ")
    assert len({one, sentence("n", "hello", 1), sentence("m", "other", 1), sentence("m", "hello", 2)}) == 4
    assert len(sentence("m", "hello", 0, 50).split()) == 50


def test_limited_cuts_at_the_token_count() -> None:
    """A text is cut to the estimated tokens and says so; None means no limit."""
    assert limited("a" * 100, 5) == ("a" * 20, True)
    assert tokens("a" * 20) == 5
    assert limited("abc", None) == ("abc", False)


def test_script_entries_are_used_in_order_and_up() -> None:
    """The first fitting entry answers, `times` often; null never ends."""
    script = Script()
    script.add([{"match": "x", "content": "one"}, {"model": "m", "content": "two", "times": None}])
    said = [script.take("m", text) for text in ("x", "x", "y")]
    assert [answer.content if answer else None for answer in said] == ["one", "two", "two"]
    assert script.take("other", "x") is None


@pytest.mark.parametrize("bad", [3, ["x"], [{"contents": "x"}]])
def test_bad_scripts_are_refused(bad: object) -> None:
    """A script that cannot be understood raises."""
    with pytest.raises(ScriptError):
        Script().add(bad)


def test_vectors_are_unit_and_repeatable() -> None:
    """The same text gives the same vector of length one."""
    assert vector("a", 8) == vector("a", 8) != vector("b", 8)
    assert abs(sum(value**2 for value in vector("a", 64)) - 1) < 1e-4


scalars = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 9},
        {"type": "string", "maxLength": 2},
        {"type": "string", "format": "date-time"},
        {"type": "string", "enum": ["b", "a"]},
        {"const": 7},
        {"type": "integer", "minimum": 3},
        {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 4},
        {"type": "integer", "maximum": -2},
        {"type": "integer", "exclusiveMaximum": -4, "multipleOf": 4},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "maximum": -0.5},
        {"type": ["null", "string"]},
        {"type": "boolean"},
        {"$ref": "#/$defs/leaf"},
    ]
)
schemas = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(
            lambda items, count: {"type": "array", "items": items, "minItems": count},
            inner,
            st.integers(0, 3),
        ),
        st.builds(lambda one, two: {"anyOf": [one, two]}, inner, inner),
        st.builds(
            lambda fields: {"type": "object", "properties": fields, "required": list(fields)[:2]},
            st.dictionaries(st.sampled_from(["a", "b", "c/d"]), inner, max_size=3),
        ),
        st.builds(
            lambda one, two: {
                "allOf": [
                    {"type": "object", "properties": {"one": one}, "required": ["one"]},
                    {"type": "object", "properties": {"two": two}, "required": ["two"]},
                ]
            },
            inner,
            inner,
        ),
    ),
    max_leaves=8,
)


@given(schemas)
def test_instances_are_valid(schema: dict[str, object]) -> None:
    """The minimal instance of a schema satisfies it, and is always the same."""
    whole = {
        **schema,
        "$defs": {"leaf": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}},
    }
    jsonschema_rs.validate(whole, instance_of(whole))
    assert instance_of(whole) == instance_of(whole)


def test_a_schema_that_requires_itself_ends() -> None:
    """An endless schema gives a finite value instead of a recursion error."""
    schema = {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}
    assert "me" in instance_of(schema)


@pytest.mark.parametrize(
    ("text", "size"),
    [("16 GB", 16 * 10**9), ("9GB", 9 * 10**9), ("512 MiB", 2**29), ("1.5gb", 15 * 10**8), ("7", 7)],
)
def test_sizes(text: str, size: int) -> None:
    """Sizes are read in decimal and binary units."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "12 bananas", "-1 GB"])
def test_bad_sizes(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(SizeError):
        parse_size(text)


def test_model_declarations() -> None:
    """NAME=SIZE[:CONTEXT] with a tag in the name."""
    model = parse_model("qwen2.5-coder:14b=9 GB:32768")
    assert (model.name, model.size, model.context) == ("qwen2.5-coder:14b", 9 * 10**9, 32768)
    assert full_name("a/b") == "a/b:latest"
    with pytest.raises(SizeError):
        parse_model("no size")


def test_stubs_know_their_cloud_model() -> None:
    """Both cloud suffixes lead to the catalogue; unknown ones to nothing."""
    found = stub("qwen3.5:397b-cloud")
    assert found is not None
    assert found.remote == "qwen3.5:397b"
    assert stub("deepseek-v4-flash:cloud") is not None
    assert stub("nothing:cloud") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0.0),
        ("0", 0.0),
        (30, 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("300ms", 0.3),
        (-1, FOREVER),
        ("-1s", FOREVER),
    ],
)
def test_keep_alive(value: object, seconds: float | None) -> None:
    """Numbers are seconds, strings Go durations, negative means for ever."""
    assert parse_keep_alive(value) == seconds


@pytest.mark.parametrize("value", ["5", "soon", "5m x", "", [1], True])
def test_bad_keep_alive(value: object) -> None:
    """What Go would not parse is refused."""
    with pytest.raises(DurationError):
        parse_keep_alive(value)
