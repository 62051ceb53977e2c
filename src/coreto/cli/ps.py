"""``coreto ps``: whose models are in memory, who uses them and who waits."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coreto.app import data_dir
from coreto.cli import figures
from coreto.cli.flags import Flags
from coreto.cli.live import server_status
from coreto.cli.terminal import console, print_json
from coreto.cli.texts import Texts
from coreto.clock import SystemClock
from coreto.errors import CallError, CoretoError
from coreto.hardware.machine import Machine
from coreto.messages import Json
from coreto.providers.base import Resident
from coreto.providers.factory import Site, build_sites
from coreto.providers.weights import models_dir
from coreto.residency.build import build_hosts
from coreto.residency.effects import TROUBLES
from coreto.residency.hosts import Host
from coreto.residency.policy import gigabytes
from coreto.residency.sizes import counted
from coreto.settings.load import Loaded

GIB = 2**30
#: Seconds between two looks of ``--watch``.
EVERY = 1.0
#: Columns of a bar, and happenings that are shown.
_BAR = 30
_RECENT = 8
#: What is told already by what comes before or after it.
_SILENT = frozenset({"unloaded"})
_PHASES = {"ready": "green", "loading": "yellow", "leaving": "yellow", "lost": "red", "absent": "dim"}


async def ps(flags: Flags, *, as_json: bool, watch: bool) -> int:
    """Print what is in memory; ``watch``: again each second until it is interrupted. Raises
    :class:`~coreto.errors.CoretoError`."""
    loaded = flags.load()
    texts = Texts(loaded.settings.language)
    if watch:
        await _watch(loaded, texts)
        return 0
    shown = await look(loaded)
    if as_json:
        print_json(shown)
    else:
        console().print(render(shown, texts))
    return 0


async def _watch(loaded: Loaded, texts: Texts) -> None:
    output = console()
    with Live(console=output, auto_refresh=False) as live:
        while True:
            try:
                frame = render(await look(loaded), texts)
            except CoretoError as error:  # the server or an engine went while it was asked: look again
                frame = Text(error.message, "yellow")
            if output.is_terminal:
                live.update(frame, refresh=True)
            else:
                output.print(frame)
            await asyncio.sleep(EVERY)


async def look(loaded: Loaded) -> Json:
    """What is in memory, by the live server where there is one, and by the engines themselves.

    ``server``: its URL and process; ``hosts``: as in ``GET /api/status``, with the role of the current model;
    ``engines``: those whose models do not take turns. Nothing is loaded or unloaded for it.
    """
    found = await server_status(data_dir(loaded.settings))
    card, status = found or (None, None)
    sites = build_sites(loaded.settings, models_dir(loaded.settings.models_dir), SystemClock())
    hosts = build_hosts(loaded.settings, sites, Machine(), SystemClock(), lambda _name, _note: None)
    asked = _asked(sites, of_server=status is not None)
    try:
        seen = dict(zip(asked, await asyncio.gather(*map(_resident, asked.values())), strict=True))
    finally:
        for site in sites.values():
            await site.provider.close()
    roles: Json = status["roles"] if status else {}
    if status:
        listed = [_with_contexts(host, seen.get(host["provider"], ())) for host in status["residency"]]
    else:
        listed = [_host(hosts[name], seen[name]) for name in hosts]
    return {
        "server": {"url": card.url, "pid": card.pid} if card else None,
        "hosts": [{**host, "current_role": role_of(host, roles)} for host in listed],
        "engines": [_engine(name, found) for name, found in seen.items() if name not in hosts],
    }


def _asked(sites: Mapping[str, Site], *, of_server: bool) -> dict[str, Site]:
    """The engines to ask from here: a server's embedded models are processes of its own, which only it can see."""
    return {
        name: site
        for name, site in sites.items()
        if site.engine is not None and site.local and not (of_server and site.kind == "embedded")
    }


async def _resident(site: Site) -> tuple[Resident, ...] | CallError:
    assert site.engine is not None, "only engines are asked"
    try:
        return await site.engine.resident()
    except CallError as error:
        return error


def _with_contexts(host: Json, found: tuple[Resident, ...] | CallError) -> Json:
    """The server's ``host`` with the windows that the engine has chosen itself."""
    told = {} if isinstance(found, CallError) else {model.name: model.context for model in found}
    models = [{**m, "context": m["context"] or told.get(m["model"])} for m in host["models"]]
    return {**host, "models": models, "problem": None}


def _host(host: Host, found: tuple[Resident, ...] | CallError) -> Json:
    """A host as the engine alone shows it: who uses it, and who waits, is not known from here."""
    models = () if isinstance(found, CallError) else found
    return {
        "provider": host.name,
        "used_gb": round(sum(map(counted, models)) / GIB, 3),
        "budget_gb": round(host.terms.budget / GIB, 3),
        "current_model": None,
        "home_model": host.terms.home,
        "queue": None,
        "loads": None,
        "switches": None,
        "models": [
            {**_model(model), "state": "ready", "running": None, "waiting": None, "shrunk": False}
            for model in models
        ],
        "recent": [],
        "problem": found.message if isinstance(found, CallError) else None,
    }


def _engine(name: str, found: tuple[Resident, ...] | CallError) -> Json:
    problem = found.message if isinstance(found, CallError) else None
    models = [] if isinstance(found, CallError) else [_model(model) for model in found]
    return {"provider": name, "models": models, "problem": problem}


def _model(model: Resident) -> Json:
    return {
        "model": model.name,
        "gb": round(counted(model) / GIB, 3),
        "context": model.context,
        "until": model.expires_at,
    }


def role_of(host: Json, roles: Json) -> str | None:
    """The role that asks the host's current model first; else one that has it in its chain."""
    model = host["current_model"]
    if model is None:
        return None
    ids = {f"{host['provider']}/{name}" for name in (model, model.removesuffix(":latest"))}
    chains = {name: role["chain"] for name, role in roles.items() if name != "auto"}
    first = (name for name, chain in chains.items() if chain and chain[0] in ids)
    return next(first, None) or next((n for n, chain in chains.items() if not ids.isdisjoint(chain)), None)


# --- for people


def render(shown: Json, texts: Texts) -> RenderableType:
    """The whole picture."""
    server = shown["server"]
    parts: list[RenderableType] = [
        Text(texts("status.server", **server) if server else texts("status.no_server"))
    ]
    for host in shown["hosts"]:
        parts += [Text(), *_host_parts(host, texts)]
    for engine in shown["engines"]:
        parts += [Text(), *_engine_parts(engine, texts)]
    if not shown["hosts"]:
        names = [engine["provider"] for engine in shown["engines"]]
        parts += [Text(), Text(texts("ps.set_budget", name=names[0] if names else "ollama"))]
    return Group(*parts)


def _host_parts(host: Json, texts: Texts) -> Iterable[RenderableType]:
    yield _usage(host, texts)
    if host.get("problem"):
        yield Text(f"  {host['problem']}", "red")
    yield Text(f"  {' · '.join(_figures(host, texts))}")
    if host["models"]:
        yield _models(host, texts)
    recent = [seen for seen in host["recent"] if seen["what"] not in _SILENT][-_RECENT:]
    if recent:
        yield Text(f"  {texts('ps.recent')}", "bold")
        yield _happenings(recent, texts)


def _usage(host: Json, texts: Texts) -> Text:
    """``ollama  ██████░░░░  9.1 GB of 16.0 GB``."""
    used, budget = float(host["used_gb"]), float(host["budget_gb"])
    share = used / budget if budget else 1.0
    filled = round(min(share, 1.0) * _BAR)
    style = "red" if share > 1 else "yellow" if share > 0.9 else "green"
    line = Text(f"{host['provider']}  ", "bold")
    line.append("█" * filled + "░" * (_BAR - filled), style)
    amounts = texts("ps.used", used=_size(used, texts), budget=_size(budget, texts))
    return line.append(f"  {amounts}", "not bold")


def _figures(host: Json, texts: Texts) -> Iterable[str]:
    current, role = host["current_model"], host["current_role"]
    if current:
        yield texts("ps.current_as", model=current, role=role) if role else texts("ps.current", model=current)
    if host["home_model"]:
        yield texts("ps.home_model", model=host["home_model"])
    if host["queue"] is not None:
        yield texts("ps.counts", queue=host["queue"], switches=host["switches"], loads=host["loads"])
    else:
        yield texts("ps.no_queue")


def _models(host: Json, texts: Texts) -> Table:
    table = Table(header_style="bold")
    for key in ("ps.model", "ps.state"):
        table.add_column(texts(key), overflow="fold")
    for key in ("ps.size", "ps.running", "ps.waiting", "ps.context"):
        table.add_column(texts(key), justify="right", no_wrap=True)
    table.add_column(texts("ps.home"))
    for model in host["models"]:
        state = model["state"]
        context = figures.tokens(model["context"])
        table.add_row(
            model["model"],
            Text(texts(f"ps.state.{state}"), _PHASES.get(state, "")),
            _size(model["gb"], texts) if model["gb"] else "-",
            _count(model["running"]),
            _count(model["waiting"]),
            texts("ps.shrunk", context=context) if model["shrunk"] else context,
            "✓" if model["model"] == host["home_model"] else "",
        )
    return table


def _happenings(recent: Iterable[Json], texts: Texts) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for _ in range(4):
        table.add_column(overflow="fold")
    for seen in recent:
        what = seen["what"]
        table.add_row(
            datetime.fromtimestamp(seen["at"]).astimezone().strftime("%H:%M:%S"),
            Text(texts(f"ps.what.{what}"), "yellow" if what in TROUBLES else ""),
            seen["model"],
            seen["detail"],
        )
    return table


def _engine_parts(engine: Json, texts: Texts) -> Iterable[RenderableType]:
    line = Text(engine["provider"], "bold")
    if engine["problem"]:
        yield line.append(f"  {engine['problem']}", "not bold dim")
        return
    yield line.append(f"  {texts('ps.no_budget')}", "not bold dim")
    if not engine["models"]:
        yield Text(f"  {texts('ps.nothing')}")
        return
    table = Table(header_style="bold")
    table.add_column(texts("ps.model"), overflow="fold")
    for key in ("ps.size", "ps.context", "ps.until"):
        table.add_column(texts(key), justify="right", no_wrap=True)
    for model in engine["models"]:
        until = model["until"]
        leaves = figures.moment(until) if until else "-"
        table.add_row(model["model"], _size(model["gb"], texts), figures.tokens(model["context"]), leaves)
    yield table


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _size(gb: float, texts: Texts) -> str:
    return gigabytes(round(gb * GIB)).replace(".", texts.decimal)
