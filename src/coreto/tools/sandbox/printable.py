"""Makes text from a sandbox fit to be shown and read."""

import re

from coreto.tools.sandbox.layout import LIBRARY, WORK

_SEQUENCES = re.compile(
    r"""\x1b\[[0-?]*[ -/]*[@-~]            # CSI: colours, cursor, modes
      | \x1b[\]PX^_].*?(?:\x07|\x1b\\|\Z)  # OSC, DCS, SOS, PM, APC: titles, clipboard, links, until their end
      | \x9b[0-?]*[ -/]*[@-~]              # the same two as single C1 characters
      | [\x9d\x90\x98\x9e\x9f].*?(?:\x07|\x9c|\x1b\\|\Z)
      | \x1b[ -/]*[0-~]                    # everything else after an escape
    """,
    re.VERBOSE | re.DOTALL,
)
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Reorder what follows, so that a reader sees other text than is there."""

_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *map(ord, _BIDI)))
for _kept in "\n\t":
    del _CONTROLS[ord(_kept)]

_PLACES = re.compile(rf'(File ")(?:(?:{re.escape(WORK)}/)|({LIBRARY}))')


def printable(text: str) -> str:
    """``text`` without escape sequences, control characters (lines and tabs stay) and reordering marks."""
    plain = _SEQUENCES.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    return plain.translate(_CONTROLS)


def shortened(traceback: str) -> str:
    """A traceback with the code's own files by their names and Python's by ``<python>/…``."""
    return _PLACES.sub(lambda m: m[1] + ("<python>/" if m[2] else ""), traceback)
