"""What of a call is stored."""

from hypothesis import given
from hypothesis import strategies as st

from coreto.events import CallFinished
from coreto.labels import Label
from coreto.ledger.records import LARGEST, LONGEST_DETAIL, LONGEST_NAME, record_of
from coreto.messages import Attempt, Trace, Usage
from coreto.stores.records import AttemptRecord, CallRecord


def event(*attempts: Attempt, label: Label = Label.INTERNAL, **changes) -> CallFinished:
    trace = Trace(call_id="c1", deployment="lab/b", role="chat", label=label, attempts=attempts, task="talk")
    values = {
        "call_id": "c1",
        "ended_at": 12.3456,
        "ms": 20.5,
        "outcome": "ok",
        "stream": True,
        "trace": trace,
    }
    return CallFinished(**(values | changes))


FAILED = Attempt("lab/a", "timeout", ms=10.0, cost_nusd=None, local=False, detail="no answer")
ANSWERED = Attempt(
    "lab/b",
    "ok",
    ms=9.5,
    ttft_ms=2.0,
    usage=Usage(prompt=10, completion=5, cached=4, estimated=True),
    cost_nusd=70,
)


def test_every_field_arrives():
    """The record holds what the event says; the call's cost is unknown as one attempt's is."""
    record = record_of(event(FAILED, ANSWERED, user="ana", run="r1", baseline="or/x", baseline_nusd=99))
    assert record == CallRecord(
        call_id="c1",
        at_ms=12346,
        outcome="ok",
        role="chat",
        task="talk",
        deployment="lab/b",
        ms=20.5,
        stream=True,
        label="internal",
        user="ana",
        run="r1",
        cost_nusd=None,
        baseline="or/x",
        baseline_nusd=99,
        attempts=(
            AttemptRecord("lab/a", "timeout", False, 10.0, None, 0, 0, 0, False, None, "no answer"),
            AttemptRecord("lab/b", "ok", True, 9.5, 2.0, 10, 5, 4, True, 70, None),
        ),
    )


def test_known_costs_add_up():
    """A call's cost is that of all its attempts."""
    assert record_of(event(ANSWERED, ANSWERED)).cost_nusd == 140


def test_costs_can_be_left_out():
    """TRACK_COSTS=false keeps neither tokens nor money, and says unknown rather than 0."""
    record = record_of(event(ANSWERED, baseline="or/x", baseline_nusd=99), track_costs=False)
    (attempt,) = record.attempts
    kept = (attempt.prompt_tokens, attempt.completion_tokens, attempt.cached_tokens, attempt.cost_nusd)
    assert kept == (None,) * 4
    assert (record.cost_nusd, record.baseline_nusd) == (None, None)
    assert attempt.ms == 9.5


def test_times_can_be_left_out():
    """TRACK_LATENCY=false keeps no durations."""
    record = record_of(event(ANSWERED), track_latency=False)
    assert (record.ms, record.attempts[0].ms, record.attempts[0].ttft_ms) == (None, None, None)
    assert record.attempts[0].cost_nusd == 70


def test_private_calls_leave_no_error_text():
    """Servers quote requests in their errors: of a private call only the error's code is kept."""
    record = record_of(event(FAILED, label=Label.PRIVATE))
    assert record.attempts[0].detail is None
    assert record.attempts[0].outcome == "timeout"


def test_absurd_figures_are_bounded():
    """What a server reports cannot overflow the database."""
    odd = Attempt("x", "ok", usage=Usage(prompt=10**40, completion=-5), cost_nusd=10**40)
    (attempt,) = record_of(event(odd)).attempts
    assert (attempt.prompt_tokens, attempt.completion_tokens, attempt.cost_nusd) == (LARGEST, 0, LARGEST)


@given(text=st.text(st.characters(), max_size=400) | st.sampled_from(["a\0b", "\ud800", "é" * 400]))
def test_any_text_can_be_stored(text):
    """Names and details from outside are short, valid UTF-8 and free of NUL."""
    record = record_of(event(Attempt(text, "failed", detail=text), user=text, run=text))
    for found, longest in (
        (record.user, LONGEST_NAME),
        (record.run, LONGEST_NAME),
        (record.attempts[0].deployment, LONGEST_NAME),
        (record.attempts[0].detail or "", LONGEST_DETAIL),
    ):
        assert len(found) <= longest
        assert "\0" not in found
        found.encode("utf-8")


@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200)
)
def test_ordinary_text_is_untouched(text):
    """A text that fits is stored as it is."""
    assert record_of(event(user=text)).user == text
