"""Which calls share an answer."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.cache.keys import NOT_THE_QUESTION, Scope, request_key
from coreto.labels import Label
from coreto.messages import Call

BODY = {"model": "brain", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
CALL = Call("c1", BODY, "brain")


NOBODY = Scope()


def key(call=CALL, scope=NOBODY):
    return request_key(call, scope)


def test_a_key_is_64_hexadecimal_digits_and_stable():
    """Neither the order of the fields nor the call's id matters."""
    assert key() == request_key(Call("c2", dict(reversed(BODY.items())), "brain"), Scope())
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")


def test_what_cannot_change_the_answer_is_not_in_the_key():
    """Streaming, who asks, metadata, run, id and limits do not make it another question."""
    for name in NOT_THE_QUESTION:
        assert key(CALL._replace(body={**BODY, name: {"any": "thing"}})) == key()
    assert key(CALL._replace(id="x", stream=True, run="r", deadline=5.0, user="ana")) == key()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "executor"},
        {"role": "brain"},
        {"context": 4096},
        {"label": Label.PUBLIC},
        {"label": Label.PRIVATE},
        {"body": {**BODY, "temperature": 1}},
        {"body": {**BODY, "seed": 1}},
        {"body": {**BODY, "tools": []}},
        {"body": {**BODY, "vendor_field": True}},
        {"body": {**BODY, "messages": [{"role": "system", "content": "hi"}]}},
    ],
)
def test_what_can_change_the_answer_changes_the_key(change):
    """Every field of the request, known or not, role, model, window and label are part of the question."""
    assert key(CALL._replace(**change)) != key()


def test_a_changed_role_changes_the_key():
    """The variant, such as a digest of the role's settings, is part of the question."""
    assert key(scope=Scope(variant="2")) != key(scope=Scope(variant="1"))


def test_public_answers_are_everybodys():
    """Neither tenant nor user parts callers of public data."""
    public = CALL._replace(label=Label.PUBLIC)
    assert key(public._replace(user="ana"), Scope("a")) == key(public._replace(user="bob"), Scope("b"))


def test_internal_answers_stay_with_the_tenant():
    """Users of one API key share internal answers; those of two do not."""
    assert key(CALL._replace(user="ana"), Scope("a")) == key(CALL._replace(user="bob"), Scope("a"))
    assert key(scope=Scope("a")) != key(scope=Scope("b")) != key(scope=Scope(None))


def test_private_answers_stay_with_the_user():
    """No two users share a private answer, whichever way they are named, nor do two tenants."""
    private = CALL._replace(label=Label.PRIVATE)
    keys = [
        key(private),
        key(private, Scope("a")),
        key(private._replace(user="ana")),
        key(private._replace(user="bob")),
        key(private._replace(user="ana"), Scope("a")),
        key(private._replace(body={**BODY, "user": "ana"})),
        key(private._replace(body={**BODY, "user": "bob"})),
        key(private._replace(user="")),
    ]
    assert len(set(keys)) == len(keys)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    first=st.dictionaries(st.text(), JSON, max_size=4), second=st.dictionaries(st.text(), JSON, max_size=4)
)
def test_equal_questions_have_equal_keys_and_only_they(first, second):
    """Two bodies have the same key exactly when they are the same JSON without what is not the question."""

    def question(body):
        return {name: value for name, value in body.items() if name not in NOT_THE_QUESTION}

    def written(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            return repr(sorted(value.items()))

    a, b = key(CALL._replace(body=first)), key(CALL._replace(body=second))
    assert (a == b) == (written(question(first)) == written(question(second)))
    assert key(CALL._replace(body=dict(reversed(first.items())))) == a


@pytest.mark.parametrize("odd", ["\ud800", 2**70, [1, {"a": 2**64}]])
def test_odd_json_has_a_key_too(odd):
    """Lone surrogates and huge numbers are part of the question like anything else."""
    one, other = key(CALL._replace(body={"x": odd})), key(CALL._replace(body={"x": [odd]}))
    assert one is not None
    assert one != other


def test_what_is_not_json_has_no_key():
    """A body that cannot be written as JSON cannot be cached."""
    assert key(CALL._replace(body={"x": object()})) is None
    loop = []
    loop.append(loop)
    assert key(CALL._replace(body={"x": loop})) is None
