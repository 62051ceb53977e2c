"""Where a failed run goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.runs.errors import RunError
from coreto.runs.retrying import StepRecord, restart_at


def steps(marks: str) -> list[StepRecord]:
    """Of ``.`` (went well) and ``x`` (failed)."""
    return [StepRecord(i, f"s{i}", failed=mark == "x") for i, mark in enumerate(marks, 1)]


@pytest.mark.parametrize(
    ("marks", "number"),
    [
        ("", 1),  # it failed before its first step
        ("...", 4),  # the workflow itself failed
        ("..x", 3),
        ("x", 1),
        (".x.x", 4),  # the first failure was dealt with
        (".xx", 2),  # steps at the same time
        (".x..", 5),
    ],
)
def test_it_goes_on_after_the_last_finished_step(marks, number) -> None:
    """Failures that were dealt with are kept."""
    assert restart_at(steps(marks)) == number


def test_from_a_step_by_its_name() -> None:
    """Whatever came of it; a step that is not there is an error."""
    assert restart_at(steps("..x"), "s1") == 1
    with pytest.raises(RunError, match="'s9'"):
        restart_at(steps("..x"), "s9")


@given(st.text("x."))
def test_nothing_that_went_well_at_the_end_is_lost(marks) -> None:
    """All that is done again failed."""
    number = restart_at(steps(marks))
    assert set(marks[number - 1 :]) <= {"x"}
    assert number == 1 or marks[number - 2] == "."
