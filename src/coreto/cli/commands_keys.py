"""``coreto keys``: its options and help."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
from typing import Annotated

import typer

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


@app.callback(invoke_without_command=True)
def _help_by_default(context: typer.Context) -> None:
    """Make, list and revoke the keys that open the server.

    \b
    Examples:
      coreto keys create shop --role chat --rpm 60
      coreto keys list
      coreto keys revoke shop
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("create")
def create(  # noqa: PLR0913 - a command's options
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is; also the user of its calls.")],
    *,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", "-r", help="A role or deployment it opens (lab/* = all of lab); default: everything."
        ),
    ] = None,
    rpm: Annotated[int | None, typer.Option("--rpm", min=1, help="Requests a minute.")] = None,
    daily_usd: Annotated[float | None, typer.Option("--daily-usd", min=0.0, help="US dollars a day.")] = None,
    monthly_usd: Annotated[
        float | None, typer.Option("--monthly-usd", min=0.0, help="US dollars a month.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="When it ends: in 30d, 12h, 4w, or on 2027-01-31.")
    ] = None,
    speaks_for_others: Annotated[
        bool, typer.Option("--speaks-for-others", help="Its calls may name another user as theirs.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a key and print it, once: only its hash is kept.

    \b
    Examples:
      coreto keys create laptop
      coreto keys create shop --role chat --rpm 60 --monthly-usd 5 --expires 90d
      coreto keys create proxy --speaks-for-others
    """
    from coreto.cli.keys import Wanted, create

    wanted = Wanted(
        name=name,
        models=tuple(role or ()),
        rpm=rpm,
        daily_usd=daily_usd,
        monthly_usd=monthly_usd,
        expires=expires,
        speaks_for_others=speaks_for_others,
    )
    raise typer.Exit(create(context.obj, wanted, as_json=json))


@app.command("list")
def list_keys(
    context: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    json: Json = False,
) -> None:
    """List the keys: what they open, and until when.

    \b
    Examples:
      coreto keys list
      coreto keys list --all --json
    """
    from coreto.cli.keys import list_keys

    raise typer.Exit(list_keys(context.obj, everything=everything, as_json=json))


@app.command("revoke")
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name or id.")],
) -> None:
    """Take a key out of force. Running servers refuse it within a few seconds.

    \b
    Examples:
      coreto keys revoke shop
    """
    from coreto.cli.keys import revoke

    raise typer.Exit(revoke(context.obj, name))
