"""``coreto insights``: its options and help."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs, so that `--help` is quick
from typing import Annotated

import typer


def insights(
    context: typer.Context,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again each second, until Ctrl-C.")
    ] = False,
    prometheus: Annotated[
        str | None,
        typer.Option("--prometheus", metavar="URL", help="A Prometheus server instead of this machine."),
    ] = None,
    machine: Annotated[
        str, typer.Option("--machine", help="Which machine of that server: its label `instance`.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead.")] = False,
) -> None:
    """Look at this machine and say what is wrong: by its figures alone, no model is asked.

    Utilisation, saturation and errors of CPU, memory, disks, network and limits. Exits with 1 when something critical
    was found.

    \b
    Examples:
      coreto insights
      coreto insights --watch
      coreto insights --prometheus http://127.0.0.1:9090 --machine 127.0.0.1:9100 --json
    """
    from coreto.cli.insights import Wanted, insights
    from coreto.cli.running import run

    if json + markdown + watch > 1:
        raise typer.BadParameter("give one of --json, --markdown and --watch")
    wanted = Wanted(json, markdown, watch, prometheus, machine)
    raise typer.Exit(run(insights(context.obj, wanted)))
