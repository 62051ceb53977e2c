"""Text from a sandbox, made fit to be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.tools.sandbox.printable import printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext é 日本 🎬\n", "plain\n\ttext é 日本 🎬\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[?25l\x1b[2J\x1b[1;1Hhome", "home"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;Y2xpcA==\x1b\\after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1;2|dcs\x1b\\after", "after"),
        ("\x1b]never ended", ""),
        ("\x9b31mred \x9d0;title\x9cafter", "red after"),
        ("\x1b(0\x1bcreset", "reset"),
        ("50%\r100%\r\n", "50%\n100%\n"),
        ("a\x08b\x00c\x7fd\x85e", "abcde"),
        ("user\u202eexe.\u202c \u2066x\u2069", "userexe. x"),
        ("\x1b", ""),
    ],
)
def test_printable_strips_what_a_terminal_obeys(text, shown):
    """Colours, cursor moves, titles, clipboard, links, controls and reordering marks go; the words stay."""
    assert printable(text) == shown


@given(st.text(st.sampled_from("\x1b[]0;m\x07\\P^_X\x9b\x9c\x9d\r\n\tab\u202e\x00")))
def test_printable_has_no_controls_left(text):
    """Whatever is put together, no control character but lines and tabs comes through."""
    shown = printable(text)
    assert all(sign.isprintable() or sign in "\n\t" for sign in shown)
    assert printable(shown) == shown


def test_shortened_names_files_as_the_code_knows_them():
    """The folder is left out of a traceback, and Python's own modules show without where they are installed."""
    text = 'File "/box/work/a/b.py", line 1\nFile "/python/lib/python3.11/json/x.py"\nFile "/usr/lib64/python3.13/x.py"\n'
    assert shortened(text) == 'File "a/b.py", line 1\nFile "<python>/json/x.py"\nFile "<python>/x.py"\n'
    assert shortened("open('/box/work/x')") == "open('/box/work/x')"
