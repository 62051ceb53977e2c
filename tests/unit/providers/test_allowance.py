"""What is left of an account's allowance, whatever its provider says about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.providers.allowance import left_of_key, left_of_usage, used_windows

ROW = {"name": "gpt-oss:120b", "request_count": 3}


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"session": {"usage": 0.046, "models": [ROW]}, "weekly": {"usage": 0.5, "models": []}}, 0.5),
        ({"session": {"usage": 0.9, "models": {"gpt-oss:120b": 3}}, "weekly": {"usage": 0.5}}, 0.1),
        ({"monthly": {"usage": 0.25}}, 0.75),
        ({"session": None, "weekly": {"usage": None}, "monthly": {"usage": 0.2}}, 0.8),
        ({"session": {"usage": 0}}, 1.0),
        ({"session": {"usage": 1}}, 0.0),
        ({"session": {"usage": 1.7}}, 0.0),
        ({"session": {"usage": -0.1}}, 1.0),
        ({"session": None, "weekly": None}, None),
        ({}, None),
        (None, None),
        ("soon", None),
        ({"session": 0.4}, None),
        ({"session": {"usage": "0.4"}, "weekly": {"usage": True}}, None),
        ({"session": {"usage": float("nan")}, "weekly": {"usage": 10**400}}, None),
    ],
)
def test_allowance_of_ollama_cloud(limits, left):
    """The scarcest window counts; a missing or null one is no limit; garbage is not known."""
    found = left_of_usage({"limits": limits, "activity": {"cost": "0.00000"}})
    assert found == (left if left is None else pytest.approx(left))


def test_allowance_windows_come_soonest_first():
    """The windows are told in the order in which they come back."""
    usage = {"limits": {"monthly": {"usage": 0.1}, "session": {"usage": 0.2}, "weekly": {"usage": 0.3}}}
    assert list(used_windows(usage)) == ["session", "weekly", "monthly"]


@pytest.mark.parametrize(
    ("data", "left"),
    [
        ({"limit": 20, "limit_remaining": 5.0, "usage": 15.0}, 0.25),
        ({"limit": 20, "limit_remaining": 20}, 1.0),
        ({"limit": 20, "limit_remaining": -1}, 0.0),
        ({"limit": 20, "limit_remaining": 30}, 1.0),
        ({"limit": 0, "limit_remaining": 0}, 0.0),
        ({"limit": None, "limit_remaining": None, "usage": 3.0}, None),
        ({"limit": 20}, None),
        ({"limit": -1, "limit_remaining": 1}, None),
        ({"limit": "20", "limit_remaining": "5"}, None),
        ({"limit": 5e-324, "limit_remaining": 1e300}, 1.0),
        ([], None),
        (None, None),
    ],
)
def test_allowance_of_openrouter(data, left):
    """The key's limit counts; no limit is not known, nor is garbage."""
    assert left_of_key({"data": data}) == left


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["limits", "session", "weekly", "usage", "data", "limit", "limit_remaining"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["limits", "data", "x"]), JSON))
def test_allowance_anything_is_a_share_or_not_known(answer):
    """Whatever JSON comes, the result is a share from 0 to 1 or None, and nothing is raised."""
    for left in (left_of_usage(answer), left_of_key(answer)):
        assert left is None or 0.0 <= left <= 1.0
