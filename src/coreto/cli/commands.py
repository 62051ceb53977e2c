"""The commands' options and help. What they do is imported when one runs, so that `--help` is quick."""

# ruff: noqa: PLC0415 - see above
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coreto.cli import commands_insights, commands_keys, commands_models, commands_prompts, commands_settings

if TYPE_CHECKING:
    from coreto.cli.flags import Flags


class Prefer(StrEnum):
    """Who of a role's models is asked first."""

    CHAIN = "chain"
    LOCAL = "local"
    CLOUD = "cloud"
    CHEAP = "cheap"
    FAST = "fast"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
_Prefer = Annotated[Prefer | None, typer.Option("--prefer", help="Who of the role's models is asked first.")]
_Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="Append this file to the prompt; may be given again."),
]
_Schema = Annotated[
    Path | None, typer.Option("--schema", help="The answer must be JSON of the JSON schema in this file.")
]


def register(app: typer.Typer) -> None:
    """Add every command to ``app``."""
    app.command("ask")(ask)
    app.command("status")(status)
    app.command("ps")(ps)
    app.command("doctor")(doctor)
    app.command("costs")(costs)
    app.command("serve")(serve)
    app.add_typer(commands_models.app, name="models")
    app.add_typer(commands_keys.app, name="keys")
    app.add_typer(commands_prompts.app, name="prompts")
    app.add_typer(commands_settings.app, name="config")
    app.command("insights")(commands_insights.insights)
    app.command("init")(commands_settings.init)
    app.command(
        "sim",
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(sim)


def ask(  # noqa: PLR0913 - a command's options
    context: typer.Context,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What to ask; - reads it from standard input.")
    ],
    *,
    role: Annotated[str | None, typer.Option("--role", "-r", help="Ask the models of this role.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Ask this deployment (provider/model).")
    ] = None,
    json: Json = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what was tried, what it cost and why, on standard error.")
    ] = False,
    file: _Files = None,
    schema: _Schema = None,
    private: Annotated[bool, typer.Option("--private", help="Keep the call on this machine.")] = False,
    prefer: _Prefer = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Only answer: do not plan and carry out what asks for it.")
    ] = False,
    system: Annotated[str | None, typer.Option("--system", help="The system message.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest answer.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", min=0.0, max=2.0, help="Sampling temperature.")
    ] = None,
) -> None:
    """Ask a model and print its answer as it arrives.

    Without --role or --model the best model at hand answers. What asks for a plan, or for something to be run, is
    planned by the brain, written by the executor and run in a sandbox without network.
    The answer goes to standard output, everything about it to standard error.

    \b
    Examples:
      coreto ask "Plan a release" --role brain --explain
      coreto ask "Planeje e execute: some os primos até 100"
      coreto ask "What does this do?" --file setup.py --private
      echo "Translate to Portuguese: good morning" | coreto ask -
    """
    from coreto.cli.ask import Asked, ask
    from coreto.cli.running import run

    asked = Asked(
        prompt=prompt,
        role=role,
        model=model,
        json=json,
        explain=explain,
        files=tuple(file or ()),
        schema=schema,
        private=private,
        prefer=prefer.value if prefer else None,
        plain=plain,
        system=system,
        options=_given(max_tokens=max_tokens, temperature=temperature),
    )
    if role and model:
        raise typer.BadParameter("give either --role or --model, not both")
    raise typer.Exit(run(ask(flags_of(context), asked)))


def status(context: typer.Context, *, json: Json = False) -> None:
    """Show which models can answer now, and what was seen of them.

    Asks the running server if there is one; else looks for itself.

    \b
    Examples:
      coreto status
      coreto status --json
    """
    from coreto.cli.running import run
    from coreto.cli.status import status

    raise typer.Exit(run(status(flags_of(context), as_json=json)))


def ps(
    context: typer.Context,
    *,
    json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again each second until Ctrl-C.")
    ] = False,
) -> None:
    """Show which models are in memory, who uses them, who waits, and the latest switches.

    Asks the running server if there is one; else the engines alone.

    \b
    Examples:
      coreto ps
      coreto ps --watch
      coreto ps --json
    """
    from coreto.cli.ps import ps
    from coreto.cli.running import run

    if json and watch:
        raise typer.BadParameter("give either --json or --watch, not both")
    raise typer.Exit(run(ps(flags_of(context), as_json=json, watch=watch)))


def doctor(
    context: typer.Context,
    *,
    json: Json = False,
    probe: Annotated[
        bool,
        typer.Option("--probe/--no-probe", help="Ask the models that come first for one token each."),
    ] = True,
) -> None:
    """Say what is wrong and the command or setting that mends it.

    The first line names the worst problem. Exits with 0 when there is none, else with 1.

    \b
    Examples:
      coreto doctor
      coreto doctor --no-probe
      coreto --offline doctor --json
    """
    from coreto.cli.doctor.command import doctor
    from coreto.cli.running import run

    raise typer.Exit(run(doctor(flags_of(context), as_json=json, probing=probe)))


def costs(
    context: typer.Context,
    *,
    by: Annotated[
        str | None, typer.Option("--by", help="role, deployment, day, user or run; default: the first three.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only from then on: 7d, 24h, 2w or 2026-11-01.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what calls cost, and what was saved against asking the cloud only.

    Calls whose price nobody knows are shown as such and never counted as free.

    \b
    Examples:
      coreto costs
      coreto costs --by deployment --since 7d
      coreto costs --by day --json
    """
    from coreto.cli.costs import costs

    raise typer.Exit(costs(flags_of(context), by=by, since=since, as_json=json))


def serve(
    context: typer.Context,
    *,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; default: server.host.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", "-p", min=0, max=65535, help="Port; 0 takes a free one. Default: server.port."
        ),
    ] = None,
) -> None:
    """Serve all models over the OpenAI API.

    \b
    Examples:
      coreto serve
      coreto serve --port 9000
      curl http://127.0.0.1:8080/v1/models
    """
    from coreto.cli.serve import serve

    raise typer.Exit(serve(flags_of(context).load(), host=host, port=port))


def sim(context: typer.Context) -> None:
    """Run a simulated Ollama, OpenAI-compatible server or llama.cpp router, with faults on demand.

    \b
    Examples:
      coreto sim ollama --port 11500 --model phi3:mini=2GB
      coreto sim openai --flavour openrouter --faults faults.json
      coreto sim llamacpp --model small=1GB --memory 8GB
      coreto sim ollama --help
    """
    from coreto.simulators.command import run as run_simulator

    arguments = context.args
    raise typer.Exit(run_simulator(arguments or ["--help"]))


def _given(**options: float | None) -> dict[str, float]:
    return {name: value for name, value in options.items() if value is not None}


def flags_of(context: typer.Context) -> "Flags":
    """The flags that stood before the command."""
    return context.obj
