"""``coreto status``: the live server's own view, or that of a short look around."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coreto.app import App, data_dir, running
from coreto.cli import figures
from coreto.cli.flags import Flags
from coreto.cli.live import server_status
from coreto.cli.terminal import console, print_json
from coreto.cli.texts import Texts
from coreto.messages import Json
from coreto.owner import OwnerCard


async def status(flags: Flags, *, as_json: bool) -> int:
    """Print the keys of ``GET /api/status``. Raises :class:`~coreto.errors.CoretoError`."""
    loaded = flags.load()
    card, shown = await server_status(data_dir(loaded.settings)) or (None, None)
    if shown is None:
        async with running(loaded) as app:
            shown = await _of_app(app)
    if as_json:
        server = {"url": card.url, "pid": card.pid} if card else None
        print_json({**shown, "server": shown.get("server") or server})
        return 0
    _print(shown, card, Texts(loaded.settings.language), console())
    return 0


async def _of_app(app: App) -> Json:
    await app.refresh(everything=True)
    return await app.status()


def _print(shown: Json, card: OwnerCard | None, texts: Texts, output: Console) -> None:
    for line in _summary(shown, card, texts):
        output.print(line, soft_wrap=True)
    output.print()
    output.print(_providers(shown, texts))
    output.print(_deployments(shown, texts))
    output.print(_roles(shown, texts))
    for cool in shown["cooling"]:
        until = figures.moment(cool["until"])
        text = texts("status.cooling", key=cool["key"], until=until, reason=cool["reason"])
        output.print(text, style="yellow", soft_wrap=True)
    for warning in shown["warnings"]:
        output.print(texts("ask.warning", text=warning), style="yellow", soft_wrap=True)


def _summary(shown: Json, card: OwnerCard | None, texts: Texts) -> list[str]:
    def available(key: str) -> str:
        return texts("status.available" if shown[key] else "status.unavailable")

    lines = [
        texts("status.server", url=card.url, pid=card.pid) if card else texts("status.no_server"),
        texts("status.cloud", state=available("cloud_available")),
        texts("status.local", state=available("local_available")),
        texts("status.fallback", state=texts("status.on" if shown["fallback_enabled"] else "status.off")),
    ]
    if shown.get("offline"):
        lines.append(texts("status.offline"))
    elif shown.get("state") == "degraded":
        lines.append(texts("status.degraded"))
    if shown.get("current_model"):
        lines.append(texts("status.current", model=shown["current_model"]))
    if shown.get("vram_used_gb") is not None:
        lines.append(_memory(shown, texts))
    return lines


def _memory(shown: Json, texts: Texts) -> str:
    used, total = _gigabytes(shown["vram_used_gb"], texts), shown.get("vram_total_gb")
    whole = _gigabytes(total, texts) if total else ""
    if shown.get("residency"):
        return texts("status.budget", used=used, total=whole)
    return texts("status.memory", used=used, total=f" / {whole} GB" if whole else "")


def _gigabytes(gb: float, texts: Texts) -> str:
    return f"{gb:.1f}".replace(".", texts.decimal)


def _providers(shown: Json, texts: Texts) -> Table:
    table = _table(texts("status.providers"), texts, ("status.name", "status.where", "status.state"))
    table.add_column(texts("status.models"), justify="right")
    table.add_column(texts("status.detail"), overflow="fold")
    for entry in shown["providers"]:
        key, style = _provider_state(entry)
        models = entry.get("models")
        table.add_row(
            entry["name"],
            _where(entry, texts),
            Text(texts(f"status.{key}"), style),
            "-" if not models else str(models),
            entry.get("detail") or "",
        )
    return table


def _provider_state(entry: Json) -> tuple[str, str]:
    """The state's text key, and its colour."""
    if entry["up"] is None:
        return "unasked", "dim"
    if entry["up"]:
        return "up", "green"
    return ("no_key", "dim") if str(entry["detail"]).startswith("no key") else ("down", "red")


def _deployments(shown: Json, texts: Texts) -> Table:
    table = _table(texts("status.deployments"), texts, ("status.name", "status.where", "status.state"))
    for key in ("status.calls", "status.failures", "status.latency"):
        table.add_column(texts(key), justify="right", no_wrap=True)
    table.add_column(texts("status.last_error"), overflow="fold")
    for entry in shown["deployments"]:
        latency = entry.get("latency_ms")
        spread = (
            f"{figures.duration(latency['p50'], texts.decimal)} / "
            f"{figures.duration(latency['p95'], texts.decimal)}"
            if latency
            else "-"
        )
        table.add_row(
            entry["id"],
            _where(entry, texts),
            _state(entry, texts),
            str(entry["calls"]),
            str(entry["failures"]),
            spread,
            entry.get("last_error") or "",
        )
    return table


def _state(entry: Json, texts: Texts) -> Text:
    blocked = entry.get("blocked")
    if blocked:
        until = figures.moment(blocked["until"])
        return Text(texts("status.blocked", until=until, reason=blocked["reason"]), "red")
    return Text(texts("status.ready"), "green")


def _roles(shown: Json, texts: Texts) -> Table:
    table = _table(texts("status.roles"), texts, ("status.role",))
    table.add_column(texts("status.chain"), overflow="fold")
    for name, role in shown["roles"].items():
        chain = Text(", ".join(role["chain"])) if role["chain"] else Text(texts("status.nobody"), "red")
        if role["dropped"]:
            chain.append(" " + texts("status.more_dropped", count=len(role["dropped"])), "dim")
        table.add_row(name, chain)
    return table


def _where(entry: Json, texts: Texts) -> str:
    return texts("status.is_local" if entry["local"] else "status.is_cloud")


def _table(title: str, texts: Texts, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for key in columns:
        table.add_column(texts(key), overflow="fold")
    return table
