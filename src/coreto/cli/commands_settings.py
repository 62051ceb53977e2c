"""``coreto init`` and ``coreto config``: their options and help."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.callback(invoke_without_command=True)
def _help_by_default(context: typer.Context) -> None:
    """Check or show the configuration.

    \b
    Examples:
      coreto config check
      coreto config show
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def init(
    path: Annotated[Path | None, typer.Argument(help="File or folder; default: ./coreto.toml.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write an annotated configuration file.

    \b
    Examples:
      coreto init
      coreto init ~/projects/shop --force
    """
    from coreto.cli.config import init

    raise typer.Exit(init(path, force=force))


@app.command("check")
def check(context: typer.Context) -> None:
    """List everything that is wrong with the configuration. Exits with 2 when something is.

    \b
    Examples:
      coreto config check
      coreto --config other.toml config check
    """
    from coreto.cli.config import check

    raise typer.Exit(check(context.obj))


@app.command("show")
def show(
    context: typer.Context,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Show the settings in force and where each comes from. Secrets are never shown.

    \b
    Examples:
      coreto config show
      coreto config show --json
    """
    from coreto.cli.config import show

    raise typer.Exit(show(context.obj, as_json=json))
