"""What callers may say about the cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.cache.directive import Directive, parse_directive, parse_tags
from coreto.cache.store import MAX_TTL
from coreto.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("text", "directive"),
    [
        (None, Directive()),
        ("", Directive()),
        (" , ", Directive()),
        ("no", Directive(off=True)),
        (" No ", Directive(off=True)),
        ("refresh", Directive(refresh=True)),
        ("300", Directive(ttl=300.0)),
        ("0.5", Directive(ttl=0.5)),
        ("0", Directive(off=True, ttl=0.0)),
        ("refresh, 60", Directive(refresh=True, ttl=60.0)),
    ],
)
def test_directives(text, directive):
    """Every form that is documented is read as documented."""
    assert parse_directive(text) == directive


@pytest.mark.parametrize(
    "text", ["yes", "-1", "1e3", "nan", "inf", "1.", "no, 5", "no refresh", "5, 6", "9" * 12, "٣", "no\n5"]
)
def test_other_directives_are_refused(text):
    """What is none of the forms is the caller's mistake, named by its header, in one line."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_directive(text)
    assert caught.value.field == "x-coreto-cache"
    assert "\n" not in caught.value.message


@given(st.text())
def test_any_text_is_read_or_refused(text):
    """No header breaks the reader, and no time to live is out of bounds."""
    try:
        ttl = parse_directive(text).ttl_for(10.0)
    except InvalidRequestError:
        return
    assert 0.0 <= ttl <= MAX_TTL


@pytest.mark.parametrize(
    ("text", "role", "ttl"),
    [
        (None, 0.0, 0.0),
        (None, 60.0, 60.0),
        ("no", 60.0, 0.0),
        ("0", 60.0, 0.0),
        ("5", 0.0, 5.0),
        ("refresh", 60.0, 60.0),
        ("refresh", 0.0, 0.0),
        ("999999999", 0.0, MAX_TTL),
        (None, 1e12, MAX_TTL),
    ],
)
def test_the_time_to_live_of_a_call(text, role, ttl):
    """The caller's seconds go before the role's; off is 0; nothing is kept beyond the maximum."""
    assert parse_directive(text).ttl_for(role) == ttl


def test_tags():
    """Tags are split at commas, each once, in order."""
    assert parse_tags(None) == ()
    assert parse_tags(" prompt:greeting, a/b ,,prompt:greeting") == ("prompt:greeting", "a/b")


@pytest.mark.parametrize("text", ["a b", "a*", "x" * 129, "a\nb", "[a]", ",".join(map(str, range(17)))])
def test_other_tags_are_refused(text):
    """Spaces, globs, endless names and too many tags are the caller's mistake."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_tags(text)
    assert caught.value.field == "x-coreto-cache-tags"


@given(st.text())
def test_any_tags_are_read_or_refused(text):
    """Whatever is read is made of single-line names."""
    try:
        tags = parse_tags(text)
    except InvalidRequestError:
        return
    assert all(tag and len(tag.splitlines()) == 1 and "*" not in tag for tag in tags)
