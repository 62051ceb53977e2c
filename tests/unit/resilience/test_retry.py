"""When the same deployment is asked again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto import errors
from coreto.resilience.retry import BASE, CAP, PATIENCE, wait_before

_SECONDS = st.floats(0, 120, allow_nan=False)


@given(st.integers(1, 40), st.none() | _SECONDS, _SECONDS, st.integers())
def test_retry_waits_are_bounded(retry, after, left, seed):
    """A wait never reaches the deadline, is never shorter than what the server asked for, and has a limit."""
    error = errors.OverloadedError("x", retry_after=after)
    wait = wait_before(error, retry, left, random.Random(seed))
    if wait is None:
        floor = after or 0.0
        assert floor > PATIENCE or left <= floor + CAP
        return
    assert 0 <= wait < left
    assert wait <= max(CAP, PATIENCE + CAP * 0.1)
    if after is not None:
        assert wait >= after


@given(st.integers(1, 30), st.integers())
def test_retry_waits_grow(retry, seed):
    """The least wait of a retry is not below the least wait of the one before, up to the limit."""
    error = errors.ServerFaultError("x")
    ceiling = min(CAP, BASE * 2 ** (retry - 1))
    wait = wait_before(error, retry, 1e9, random.Random(seed))
    assert ceiling / 2 <= wait <= ceiling


@pytest.mark.parametrize(
    "kind",
    [
        errors.AuthError,
        errors.QuotaError,
        errors.BillingError,
        errors.EntitlementError,
        errors.MissingModelError,
        errors.RetiredError,
        errors.OutOfMemoryError,
        errors.UnreachableError,
        errors.TimedOutError,
        errors.GarbledError,
        errors.InvalidOutputError,
        errors.FilteredError,
        errors.RejectedError,
    ],
)
def test_retry_not_what_will_not_pass(kind):
    """What asking again cannot mend is not asked again."""
    assert wait_before(kind("x"), 1, 1e9, random.Random(0)) is None
