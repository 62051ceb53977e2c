"""Where a request comes from, by the W3C's header, and what its call's span is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.messages import new_call_id
from coreto.providers.traceparent import SpanRef, read, span_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REF = SpanRef(int(TRACE, 16), int(SPAN, 16), 1)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"00-{TRACE}-{SPAN}-01", REF),
        (f" 00-{TRACE}-{SPAN}-01 ", REF),
        (f"00-{TRACE}-{SPAN}-00", SpanRef(REF.trace_id, REF.span_id, 0)),
        (f"00-{TRACE}-{SPAN}-03", REF),  # flags that are not known yet do not pass
        (f"01-{TRACE}-{SPAN}-01-what-comes-later", REF),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01\n", REF),
        ("", None),
        (None, None),
    ],
)
def test_headers(header, found) -> None:
    """What is well formed is understood, later versions too; the rest is as if it were not there."""
    assert read(header) == found


@given(st.text(max_size=80))
def test_any_header(text) -> None:
    """No text is a fault, and what is understood is written as it was read."""
    found = read(text)
    assert found is None or read(found.header) == found


def test_the_span_of_a_call() -> None:
    """It follows from the call's id alone; without a parent its trace is found by that id."""
    call_id = new_call_id()
    alone, child = span_of(call_id, None), span_of(call_id, REF)
    assert alone == span_of(call_id, None)
    assert f"{alone.trace_id:032x}" == "00000000" + call_id
    assert (child.trace_id, child.span_id) == (REF.trace_id, alone.span_id)
    assert read(alone.header) == alone


@given(st.text(max_size=40), st.sampled_from([None, REF]))
def test_any_call_id(call_id, parent) -> None:
    """Whatever a call is called, its span has ids that the W3C allows."""
    span = span_of(call_id, parent)
    assert read(span.header) == span


def test_the_flags_are_the_parents() -> None:
    """What is not recorded there is not recorded further down."""
    assert span_of("c1", SpanRef(1, 2, 0)).header.endswith("-00")
