"""State to JSON and back."""

import json

from hypothesis import given
from hypothesis import strategies as st

from coreto.crews.commander.state import (
    KINDS,
    CommanderResult,
    File,
    ModelUse,
    PlanStep,
    Reply,
    StepResult,
    cost_of,
    label_of,
    uses,
)
from coreto.crews.commander.tools import Outcome
from coreto.labels import Label

LABELS = st.sampled_from(Label)
MAYBE = st.none() | st.text()
SECONDS = st.floats(0, 1e6)
WARNINGS = st.lists(st.text()).map(tuple)
KIND = st.sampled_from(KINDS)
STATUS = st.sampled_from(["planned", "done", "unchecked", "not_run", "failed", "skipped"])
FILES = st.lists(st.builds(File, st.text(), st.integers(0), MAYBE), max_size=3).map(tuple)
STEPS = st.builds(
    StepResult,
    KIND,
    st.text(),
    STATUS,
    st.text(),
    st.text(),
    MAYBE,
    st.text(),
    st.none() | st.integers(),
    st.integers(0),
    MAYBE,
    FILES,
)
USES = st.builds(ModelUse, st.text(), st.text(), st.integers(1), st.none() | SECONDS)
REPLIES = st.builds(
    Reply,
    st.text(),
    st.text(),
    MAYBE,
    LABELS,
    st.none() | st.integers(0),
    SECONDS,
    st.booleans(),
    MAYBE,
    MAYBE,
    st.booleans(),
    WARNINGS,
)
OUTCOMES = st.builds(
    Outcome,
    output=st.text(),
    trace=st.text(),
    exit_code=st.none() | st.integers(),
    problem=MAYBE,
    error=st.text(),
    limit=MAYBE,
    unavailable=MAYBE,
    seconds=SECONDS,
    files=FILES,
    left_out=WARNINGS,
    contents=st.none() | st.dictionaries(st.text(), st.text(), max_size=2),
)
RESULTS = st.builds(
    CommanderResult,
    run=st.text(),
    mode=st.text(),
    text=st.text(),
    ok=st.booleans(),
    plan=st.lists(STEPS, max_size=3).map(tuple),
    plan_source=st.sampled_from(["none", "request", "model", "template"]),
    plan_reason=st.text(),
    models=st.lists(USES, max_size=3).map(tuple),
    cost_usd=st.none() | SECONDS,
    seconds=SECONDS,
    label=LABELS,
    warnings=WARNINGS,
)


@given(st.one_of(RESULTS, REPLIES, OUTCOMES, STEPS, USES, st.builds(PlanStep, KIND, st.text(), st.text())))
def test_json_and_back(value):
    """Every state is the same after it was written as JSON and read again."""
    assert type(value).from_json(json.loads(json.dumps(value.as_json()))) == value


def test_uses_are_added_up():
    """Who answered is listed once a role, in order of first use; a failed call names nobody and may still cost."""
    replies = [
        Reply("brain", deployment="a", cost_nusd=5),
        Reply("executor", deployment="b", cost_nusd=0),
        Reply("brain", deployment="a", cost_nusd=7),
        Reply("brain", cost_nusd=1, error="no"),
        Reply("executor", deployment="c", cost_nusd=None),
    ]
    assert uses(replies) == (
        ModelUse("brain", "a", 2, 12e-9),
        ModelUse("executor", "b", 1, 0.0),
        ModelUse("executor", "c", 1, None),
    )
    assert cost_of(replies) is None
    assert cost_of(replies[:4]) == 13e-9


def test_the_label_only_gets_stricter():
    """One private call makes the run private."""
    assert label_of([], Label.INTERNAL) is Label.INTERNAL
    assert (
        label_of([Reply("a"), Reply("b", label=Label.PRIVATE), Reply("c")], Label.INTERNAL) is Label.PRIVATE
    )
