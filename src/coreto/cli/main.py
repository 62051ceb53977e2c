"""The entry point of ``coreto``: flags before the command, and every failure as one line."""

import contextlib
import io
import os
import sys
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Annotated, NoReturn

import typer

from coreto.cli.commands import register
from coreto.cli.flags import Flags
from coreto.errors import ConfigError, CoretoError

app = typer.Typer(
    name="coreto",
    help="Local and cloud language models as one.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coreto {version('coreto')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The configuration file.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never contact anything off this machine.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show logs, and where an error came from.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    flags = Flags(config, offline, verbose)
    flags.set_up_logging()
    context.obj = flags
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line. Exits with 0, 1 after a failure, 2 after wrong usage or configuration, 130 after
    Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ shows `?`
    verbose = _asks_for_detail(sys.argv[1:])
    if not verbose:
        sys.excepthook = _one_line
    try:
        app(prog_name="coreto")
    except BrokenPipeError:
        _close_quietly()
        sys.exit(1)
    except (CoretoError, OSError) as error:
        if verbose:
            raise
        _complain(error)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    sys.exit(0)


def _asks_for_detail(arguments: list[str]) -> bool:
    """Whether ``-v`` stands before the command; known before the flags are parsed, so that it counts for
    mistakes in them too."""
    for argument in arguments:
        if argument in ("-v", "--verbose"):
            return True
        if not argument.startswith("-") and argument.isalpha():
            return False
    return False


def _complain(error: BaseException) -> None:
    text = error.message if isinstance(error, CoretoError) else str(error) or type(error).__name__
    with contextlib.suppress(OSError):
        sys.stderr.write(f"error: {' '.join(text.split())}\n")


def _one_line(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """An unforeseen failure."""
    if not issubclass(kind, KeyboardInterrupt):
        _complain(CoretoError(f"unforeseen {kind.__name__}: {error} (`coreto -v …` shows where)"))


def _close_quietly() -> None:
    """The reader has left: give the interpreter's last flush somewhere to go."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
