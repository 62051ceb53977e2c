"""``coreto prompts``: its options and help."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coreto.languages import Language

app = typer.Typer()


class Spoken(StrEnum):
    """A prompt's language."""

    PT = "pt-BR"
    EN = "en"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
Folder = Annotated[
    Path | None,
    typer.Option("--folder", "-d", help="The folder of prompts; default: prompts beside coreto.toml."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The prompt's name.")]
Reference = Annotated[
    str,
    typer.Argument(metavar="NAME[@WHICH]", help="A prompt, and its version or label: brief@2, brief@canary."),
]
In = Annotated[Spoken | None, typer.Option("--language", "-l", help="Default: the setting `language`.")]
Values = Annotated[
    list[str] | None, typer.Option("--var", help="A value, as name=value; may be given again.")
]


@app.callback(invoke_without_command=True)
def _help_by_default(context: typer.Context) -> None:
    """List, show, render and compare prompts, and see what their variants came to.

    \b
    Examples:
      coreto prompts list
      coreto prompts render brief --var product=café
      coreto prompts diff brief 1 2
      coreto prompts stats tone
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_prompts(context: typer.Context, *, folder: Folder = None, json: Json = False) -> None:
    """List the prompts of a folder: versions, languages, labels and experiments.

    \b
    Examples:
      coreto prompts list
      coreto prompts list --folder crews/prompts --json
    """
    from coreto.cli.prompts import list_prompts

    raise typer.Exit(list_prompts(context.obj, folder, as_json=json))


@app.command("show")
def show(
    context: typer.Context,
    prompt: Reference,
    *,
    language: In = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Show a prompt's variables and its template.

    \b
    Examples:
      coreto prompts show brief
      coreto prompts show brief@2 --language en
    """
    from coreto.cli.prompts import show

    raise typer.Exit(show(context.obj, folder, prompt, _language(language), as_json=json))


@app.command("render")
def render(
    context: typer.Context,
    prompt: Reference,
    *,
    var: Values = None,
    user: Annotated[
        str | None, typer.Option("--user", help="With this user's values, and the variant that is theirs.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", help="With the variant of this session, where no user is known."),
    ] = None,
    language: In = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Print what a model would be told. Nothing is sent, counted or fixed.

    \b
    Examples:
      coreto prompts render brief --var product=café --var target_ctr=1.5
      coreto prompts render brief@production --user ana --language en --json
    """
    from coreto.cli.prompts import Asked, render

    asked = Asked(prompt, _language(language), user, session, tuple(var or ()))
    raise typer.Exit(render(context.obj, folder, asked, as_json=json))


@app.command("diff")
def diff(
    context: typer.Context,
    name: Name,
    versions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A [B]]",
            help="Versions or labels; one: its file against what was used; none: the latest two.",
        ),
    ] = None,
    *,
    language: In = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Show how two versions of a prompt differ.

    \b
    Examples:
      coreto prompts diff brief
      coreto prompts diff brief 1 production
      coreto prompts diff brief 2
    """
    from coreto.cli.prompts import diff

    if len(versions or ()) > 2:
        raise typer.BadParameter("give two versions at most")
    raise typer.Exit(diff(context.obj, folder, name, versions or (), _language(language), as_json=json))


@app.command("stats")
def stats(
    context: typer.Context,
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="The experiment, or the prompt it is on.")
    ],
    *,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="Another outcome than the experiment's own.")
    ] = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Show exposures, outcomes and rates of an experiment's variants.

    \b
    Examples:
      coreto prompts stats tone
      coreto prompts stats brief --outcome liked --json
    """
    from coreto.cli.prompts import stats

    raise typer.Exit(stats(context.obj, folder, experiment, outcome, as_json=json))


@app.command("label")
def label(
    context: typer.Context,
    name: Name,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="production is used by default.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version it stands on from now on.")],
    *,
    folder: Folder = None,
) -> None:
    """Put a label on a version of a prompt.

    \b
    Examples:
      coreto prompts label brief production 2
      coreto prompts label brief canary 3
    """
    from coreto.cli.prompts import label as move

    raise typer.Exit(move(context.obj, folder, name, label, version))


@app.command("set")
def set_values(
    context: typer.Context,
    name: Name,
    *,
    user: Annotated[str, typer.Option("--user", help="Whose values they are.")],
    var: Values = None,
    unset: Annotated[
        list[str] | None,
        typer.Option("--unset", help="A variable whose value to forget; may be given again."),
    ] = None,
    folder: Folder = None,
) -> None:
    """Keep a user's values for a prompt; they stand for the defaults from then on.

    \b
    Examples:
      coreto prompts set brief --user ana --var tone=sóbrio --var max_cpc=2.00
      coreto prompts set brief --user ana --unset tone
    """
    from coreto.cli.prompts import set_values

    if not var and not unset:
        raise typer.BadParameter("give --var or --unset")
    raise typer.Exit(set_values(context.obj, folder, name, user, var or (), unset or ()))


def _language(spoken: Spoken | None) -> "Language | None":
    if spoken is None:
        return None
    return "en" if spoken is Spoken.EN else "pt-BR"
