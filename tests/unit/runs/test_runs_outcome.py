"""What is kept of a step comes back as it was, errors included."""

import asyncio
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import (
    CallError,
    CoretoError,
    ExhaustedError,
    InvalidRequestError,
    MissingExtraError,
    TimedOutError,
    UnknownModelError,
)
from coreto.runs.errors import RunFailedError, StepError
from coreto.runs.outcome import digest_of, failed, has_failed, portable, settled, step_key, value_of

texts = st.text(st.characters(exclude_categories=()))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


def kept(outcome):
    """As it is after storage."""
    return json.loads(json.dumps(outcome, ensure_ascii=False).encode())


async def _give(value):
    return value


@given(values)
def test_every_json_value_survives(value) -> None:
    """What the first execution gets is what a continued one gets, and storage takes it; but for half a surrogate pair
    nothing is changed."""
    outcome = asyncio.run(settled(lambda: _give(value)))
    assert value_of(kept(outcome)) == value_of(outcome)
    if json.dumps(value, ensure_ascii=False).isprintable():
        assert value_of(outcome) == value
    assert portable(portable(value)) == portable(value)


def test_tuples_are_lists_at_once() -> None:
    """The first execution sees the value as the next one will."""
    assert portable({"a": (1, (2,)), 3: None}) == {"a": [1, [2]], "3": None}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", math.nan, math.inf, {("a",): 1}])
def test_what_is_no_json_is_refused(value) -> None:
    """Storage would not give it back."""
    with pytest.raises(StepError, match="not a JSON value"):
        portable(value)
    assert has_failed(asyncio.run(settled(lambda: _give(value))))


def test_what_holds_itself_is_refused() -> None:
    """It has no end."""
    value: list = []
    value.append(value)
    with pytest.raises(StepError):
        portable(value)


@pytest.mark.parametrize(
    "error",
    [
        TimedOutError("no answer in 2 s", status=504),
        CallError("x"),
        ExhaustedError("all failed", causes=[TimedOutError("a"), CallError("b")]),
        InvalidRequestError("no text", "text"),
        UnknownModelError("phi3", ["phi3:mini"]),
        MissingExtraError("crews", "durable runs"),
        RunFailedError("it failed", "timeout"),
        CoretoError("odd: ção \udc80"),
    ],
)
def test_our_errors_keep_class_code_and_message(error) -> None:
    """A continued run meets the error that the first one met."""
    outcome = asyncio.run(settled(lambda: _raise(error)))
    assert has_failed(outcome)
    with pytest.raises(type(error)) as caught:
        value_of(kept(outcome))
    assert caught.value.message == portable(error.message)
    assert caught.value.code == error.code
    assert type(caught.value) is type(error)


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("k"), RuntimeError()])
def test_other_errors_become_step_errors(error) -> None:
    """They are faults of the program: their kind and words are kept."""
    with pytest.raises(StepError, match=type(error).__name__):
        value_of(asyncio.run(settled(lambda: _raise(error))))


def test_an_error_of_a_class_that_is_gone() -> None:
    """What an older release kept can be read."""
    outcome = {"error": {"type": "NoSuchError", "code": "gone", "message": "as it was"}}
    with pytest.raises(StepError, match="as it was"):
        value_of(outcome)


def test_a_failure_before_the_first_wait() -> None:
    """Work that raises when it is called has failed like any other."""

    def work():
        raise ValueError("at once")

    assert has_failed(asyncio.run(settled(work)))


def test_what_must_not_be_caught_is_not_kept() -> None:
    """A cancellation, and what stands above all errors, passes through."""

    class StopError(BaseException):
        pass

    with pytest.raises(StopError):
        asyncio.run(settled(lambda: _raise(StopError())))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(settled(lambda: _raise(asyncio.CancelledError())))

    async def cancelled() -> None:
        task = asyncio.ensure_future(settled(asyncio.Event().wait))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


async def _raise(error):
    raise error


def test_keys_of_side_effects() -> None:
    """The same for the same run, step and arguments in any order; another one when any of them differs."""
    key = step_key("r", "pause", {"a": 1, "b": [2]})
    assert key == step_key("r", "pause", {"b": [2], "a": 1})
    assert len(key) == 64
    others = {
        step_key("s", "pause", {"a": 1, "b": [2]}),
        step_key("r", "resume", {"a": 1, "b": [2]}),
        step_key("r", "pause", {"a": 1, "b": [3]}),
    }
    assert len({key, *others}) == 4
    assert digest_of({"ã": 1}) == digest_of({"ã": 1})


def test_failed_says_what_failed() -> None:
    """Class, code and message; and only failures are failures."""
    assert failed(TimedOutError("late")) == {
        "error": {"type": "TimedOutError", "code": "timeout", "message": "late"}
    }
    assert not has_failed({"ok": {"error": 1}})
    assert not has_failed("error")
