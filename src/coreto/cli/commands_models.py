"""``coreto models``: its options and help."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
from typing import Annotated

import typer

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
All = Annotated[bool, typer.Option("--all", help="Ask cloud providers too what they have.")]


@app.callback(invoke_without_command=True)
def _list_by_default(context: typer.Context, *, json: Json = False, everything: All = False) -> None:
    """List, fetch and describe models. Without a command: list them.

    \b
    Examples:
      coreto models
      coreto models pull smollm2
      coreto models pull ollama/phi3:mini
      coreto models show ollama/phi3:mini
    """
    if context.invoked_subcommand is None:
        list_models(context, json=json, everything=everything)


@app.command("list")
def list_models(context: typer.Context, *, json: Json = False, everything: All = False) -> None:
    """List deployments with what is known of them, and the roles with their chains.

    \b
    Examples:
      coreto models list
      coreto models list --all --json
    """
    from coreto.cli.models import list_models
    from coreto.cli.running import run

    raise typer.Exit(run(list_models(context.obj, as_json=json, everything=everything)))


@app.command("pull")
def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="smollm2, or ollama/MODEL.")],
) -> None:
    """Fetch a model: the embedded one's weights, or one of Ollama's through its server.

    Ctrl-C is safe: nothing half-fetched stays in place, and Ollama goes on where it was.

    \b
    Examples:
      coreto models pull smollm2
      coreto models pull ollama/phi3:mini
    """
    from coreto.cli.pull import pull
    from coreto.cli.running import run

    raise typer.Exit(run(pull(context.obj, name)))


@app.command("show")
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A deployment (provider/model) or a role.")],
    *,
    json: Json = False,
) -> None:
    """Tell everything that is known of a model or a role, and where from.

    \b
    Examples:
      coreto models show embedded/smollm2
      coreto models show brain
    """
    from coreto.cli.models import show_model
    from coreto.cli.running import run

    raise typer.Exit(run(show_model(context.obj, name, as_json=json)))
