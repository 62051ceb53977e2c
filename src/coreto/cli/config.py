"""``coreto init`` and ``coreto config``."""

import sys
from pathlib import Path

from rich.table import Table

from coreto.cli.flags import Flags
from coreto.cli.terminal import console, print_json, say
from coreto.errors import ConfigError
from coreto.settings import render
from coreto.settings.load import FILE_NAME
from coreto.settings.load import check as problems_of


def init(path: Path | None, *, force: bool) -> int:
    """Write the annotated file. Raises ``ConfigError`` when it is there already."""
    target = (path or Path(FILE_NAME)).expanduser()
    if target.is_dir():
        target /= FILE_NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(render.init_text())
    except FileExistsError as error:
        raise ConfigError(f"{target} is there already; `coreto init --force` replaces it") from error
    say(f"wrote {target}; `coreto config check` says whether it is good after you changed it")
    return 0


def check(flags: Flags) -> int:
    """List what is wrong, one line each; 2 when something is."""
    problems = problems_of(config=flags.config, overrides=flags.overrides)
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    if problems:
        return 2
    loaded = flags.load()
    for warning in loaded.warnings:
        say(f"warning: {warning}", style="yellow", stderr=True)
    say(f"ok: {loaded.file or 'no configuration file; defaults and environment'}")
    return 0


def show(flags: Flags, *, as_json: bool) -> int:
    """Print the settings in force and their origins."""
    loaded = flags.load()
    rows = render.show(loaded)
    if as_json:
        settings = {row.key: {"value": row.value, "origin": row.origin} for row in rows}
        file = str(loaded.file) if loaded.file else None
        print_json({"file": file, "warnings": list(loaded.warnings), "settings": settings})
        return 0
    table = Table("key", "value", "origin", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(row.key, row.value, row.origin)
    console().print(table)
    for warning in loaded.warnings:
        say(f"warning: {warning}", style="yellow", stderr=True)
    return 0
