"""``coreto models pull``: weights of the embedded engine, and models of an Ollama server."""

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from coreto.cli import figures
from coreto.cli.flags import Flags
from coreto.cli.terminal import console, say
from coreto.cli.texts import Texts
from coreto.clock import SystemClock
from coreto.errors import CoretoError, MissingExtraError
from coreto.messages import Json
from coreto.providers import weights
from coreto.providers.catalog import split_id
from coreto.providers.factory import build_sites
from coreto.providers.ollama import Ollama
from coreto.settings.model import Settings

EMBEDDED = "embedded"


class PullBar:
    """A progress bar on standard error; on anything but a terminal, a line per phase."""

    def __init__(self) -> None:
        terminal = console(stderr=True)
        self._shown = terminal.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=terminal,
            disable=not self._shown,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """``what`` is at ``done`` of ``total`` bytes."""
        if what not in self._tasks:
            if not self._shown:
                say(what, stderr=True)
            self._tasks[what] = self._bar.add_task(what, total=total or None)
        self._bar.update(self._tasks[what], completed=done, total=total or None)


async def pull(flags: Flags, name: str) -> int:
    """Fetch ``name``. Raises :class:`CoretoError`."""
    loaded = flags.load()
    texts = Texts(loaded.settings.language)
    provider, model = split_id(name)
    if not model and name in weights.KNOWN:
        provider, model = EMBEDDED, name
    if provider == EMBEDDED and model in weights.KNOWN:
        _refuse_offline(loaded.settings)
        await pull_weights(model, weights.models_dir(loaded.settings.models_dir), texts)
        return 0
    await _pull_by_ollama(loaded.settings, provider, model, texts)
    return 0


def require_extra() -> None:
    """Raise :class:`MissingExtraError` where the embedded engine is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError("local", "the embedded model")


async def pull_weights(name: str, folder: Path, texts: Texts) -> None:
    """Fetch the embedded engine's weights ``name`` into ``folder``, with a bar."""
    known = weights.KNOWN[name]
    labels = {phase: texts(f"pull.{phase}", name=name) for phase in ("download", "extract")}
    with PullBar() as bar:

        def show(progress: weights.PullProgress) -> None:
            if progress.phase != "done":
                bar.show(labels[progress.phase], progress.done, progress.total)

        await weights.pull(name, folder, show)
    say(texts("pull.done", name=f"{EMBEDDED}/{name}", size=figures.size(known.size)), stderr=True)


async def _pull_by_ollama(settings: Settings, provider: str, model: str, texts: Texts) -> None:
    sites = build_sites(settings, weights.models_dir(settings.models_dir), SystemClock())
    try:
        site = sites.get(provider)
        if site is None or not model or not isinstance(site.provider, Ollama) or site.kind != "ollama":
            servers = [f"{n}/MODEL" for n, s in sites.items() if s.kind == "ollama"]
            choice = ", ".join([*sorted(weights.KNOWN), *servers])
            name = f"{provider}/{model}" if model else provider
            raise CoretoError(f"cannot pull {name!r}; what can be pulled: {choice}")
        if not site.local:
            _refuse_offline(settings)
        with PullBar() as bar:
            await _follow(site.provider.pull(model), model, bar)
    finally:
        for site in sites.values():
            await site.provider.close()
    say(texts("pull.ready", name=f"{provider}/{model}"), stderr=True)


async def _follow(lines: AsyncIterator[Json], model: str, bar: PullBar) -> None:
    """Show the daemon's progress lines; layers have their own counts."""
    last: Json = {}
    async for last in lines:
        total = last.get("total")
        status = str(last.get("status") or model)
        if isinstance(total, int):
            bar.show(status, int(last.get("completed") or 0), total)
        else:
            bar.show(status, 0, 0)
    if last.get("status") != "success":
        raise CoretoError(
            f"the server stopped before {model!r} was complete; the same command goes on from there"
        )


def _refuse_offline(settings: Settings) -> None:
    if settings.offline:
        raise CoretoError("offline: nothing is fetched (leave --offline and CORETO_OFFLINE out)")
