"""Standard output for what was asked for, standard error for everything about it."""

import os
import sys
from typing import IO

import orjson
from rich.console import Console

from coreto.messages import Json

#: Columns of tables that go to a file or a pipe, where nobody's window sets them.
WIDE = 160


def console(*, stderr: bool = False) -> Console:
    """A console: colours only on a terminal and without NO_COLOR, lines never broken but in tables."""
    stream: IO[str] = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        stderr=stderr, width=width, no_color=plain or None, highlight=False, markup=False, emoji=False
    )


def say(text: str, *, style: str | None = None, stderr: bool = False) -> None:
    """Print one line as it is, however long."""
    console(stderr=stderr).print(text, style=style, soft_wrap=True)


def print_json(value: Json) -> None:
    """Print one JSON object."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
    sys.stdout.flush()
