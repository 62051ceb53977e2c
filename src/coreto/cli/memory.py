"""What a model takes in memory, explained for people: the parts, where the figure is from, and whether it fits."""

import contextlib
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from coreto.app import App
from coreto.cli import figures
from coreto.cli.texts import Texts
from coreto.errors import CallError
from coreto.hardware.machine import Machine
from coreto.messages import Json
from coreto.providers.base import Resident
from coreto.providers.catalog import Deployment
from coreto.providers.factory import Site
from coreto.residency.build import build_hosts
from coreto.residency.hosts import Terms
from coreto.residency.model import Hosted
from coreto.residency.policy import gigabytes
from coreto.residency.sizes import Sized, counted, sized

#: Stands for the budget of an engine that has none.
BOUNDLESS = 2**60
_SOURCES = {
    "declared": "memory.declared",
    "estimated": "memory.estimated",
    "roughly, by its weights": "memory.roughly",
    "unknown": "memory.unknown",
}
_PARTS = {
    "weights": "memory.weights",
    "cache": "memory.cache",
    "compute": "memory.compute",
    "output": "memory.output",
    "host": "memory.host",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """A model's memory. ``budget`` in bytes, ``None`` where its engine has none; ``loaded``: as the engine shows it
    now, where it is in memory."""

    sized: Sized
    budget: int | None = None
    loaded: Resident | None = None

    @property
    def need(self) -> int | None:
        """Bytes that it takes: what was declared or measured, whichever is more, else what was worked out."""
        hosted = self.sized.hosted
        if self.loaded is None:
            return hosted.memory
        measured = counted(self.loaded)
        return max(measured, hosted.memory or 0) if hosted.declared else measured

    @property
    def fits(self) -> bool | None:
        """Whether its whole window fits the budget; ``None`` where either is not known."""
        if self.budget is None or self.need is None:
            return None
        return self.need <= self.budget

    @property
    def fits_smaller(self) -> bool:
        """Whether it fits with its smaller window."""
        small = self.sized.hosted.small_memory
        return self.budget is not None and small is not None and small <= self.budget


def terms_of(app: App, provider: str) -> Terms | None:
    """How the engine's models take turns; where it has no budget, as they would without any bound. ``None`` for a
    provider that is no engine of this machine."""
    if provider in app.hosts:
        return app.hosts[provider].terms
    site, section = app.sites.get(provider), app.settings.providers.get(provider)
    if site is None or section is None or site.engine is None or not site.local:
        return None
    boundless = section.model_copy(update={"memory_budget": BOUNDLESS})
    settings = app.settings.model_copy(update={"providers": {provider: boundless}})
    hosts = build_hosts(settings, app.sites, Machine(), app.clock, lambda _name, _note: None)
    return hosts[provider].terms


async def explain(app: App, deployment: Deployment) -> Explained | None:
    """What is known of the memory of ``deployment``; ``None`` where it takes none here.

    Raises :class:`~coreto.errors.CallError`, which names the file where one is missing or broken.
    """
    site: Site | None = app.sites.get(deployment.provider)
    terms = terms_of(app, deployment.provider)
    if not deployment.local or site is None or site.engine is None or terms is None:
        return None
    model = terms.full_name(deployment.model)
    described = await site.engine.describe(model)
    loaded: Resident | None = None
    with contextlib.suppress(CallError):
        resident = await site.engine.resident()
        loaded = next((r for r in resident if terms.full_name(r.name) == model), None)
    budget = None if terms.budget == BOUNDLESS else terms.budget
    return Explained(sized(model, described, terms.wanted, terms.budget), budget, loaded)


def as_json(explained: Explained) -> Json:
    """For programs; bytes and tokens."""
    found, hosted, loaded = explained.sized, explained.sized.hosted, explained.loaded
    return {
        "bytes": explained.need,
        "source": "measured" if loaded is not None else found.source,
        "context": found.context,
        "at_once": hosted.slots,
        "declared": hosted.memory if hosted.declared else None,
        "estimate": {**dict(found.estimate.parts()), "total": found.estimate.total}
        if found.estimate
        else None,
        "measured": {"bytes": counted(loaded), "context": loaded.context} if loaded else None,
        "smaller": {"context": hosted.small_context, "bytes": hosted.small_memory}
        if hosted.small_context
        else None,
        "budget": explained.budget,
        "fits": explained.fits,
    }


def table(provider: str, explained: Explained, texts: Texts) -> Table:
    """For people."""
    found = explained.sized
    hosted = found.hosted
    shown = Table(title=texts("memory.title"), title_justify="left", header_style="bold")
    shown.add_column("", overflow="fold")
    shown.add_column(texts("memory.amount"), justify="right", no_wrap=True)
    shown.add_column(texts("memory.what"), overflow="fold")
    tokens = figures.tokens(found.context)
    window = texts("memory.window", context=tokens)
    if hosted.slots > 1:
        window = texts("memory.windows", context=tokens, slots=hosted.slots)
    for name, part in found.estimate.parts() if found.estimate else ():
        key = _PARTS[name]
        shown.add_row(texts(key), _size(part, texts), texts(f"memory.why.{name}", window=window))
    if found.estimate:
        total = found.estimate.total
        shown.add_row(Text(texts("memory.total"), "bold"), _size(total, texts), texts("memory.estimated"))
    if found.estimate is None or hosted.declared:
        shown.add_row(
            Text(texts("memory.taken"), "bold"), _size(hosted.memory, texts), texts(_SOURCES[found.source])
        )
    if explained.loaded is not None:
        measured = _size(counted(explained.loaded), texts)
        context = figures.tokens(explained.loaded.context)
        shown.add_row(Text(texts("memory.now"), "bold"), measured, texts("memory.measured", context=context))
    _add_fit(shown, provider, explained, texts)
    return shown


def _add_fit(shown: Table, provider: str, explained: Explained, texts: Texts) -> None:
    hosted: Hosted = explained.sized.hosted
    if hosted.small_context:
        tokens = figures.tokens(hosted.small_context)
        shown.add_row(
            texts("memory.smaller"),
            _size(hosted.small_memory, texts),
            texts("memory.why.smaller", context=tokens),
        )
    if explained.budget is None:
        shown.add_row(texts("memory.budget"), "-", texts("memory.no_budget", name=provider))
        return
    verdict, style = _verdict(explained)
    shown.add_row(
        texts("memory.budget"), _size(explained.budget, texts), Text(texts(verdict, name=provider), style)
    )


def _verdict(explained: Explained) -> tuple[str, str]:
    """The text's key, and its colour."""
    if explained.fits is None:
        return "memory.fit_unknown", ""
    if explained.fits:
        return "memory.fit", "green"
    return ("memory.fit_smaller", "yellow") if explained.fits_smaller else ("memory.fit_not", "red")


def _size(count: int | None, texts: Texts) -> str:
    if count is None:
        return "-"
    return gigabytes(count).replace(".", texts.decimal) if count >= 2**20 or not count else "<1 MB"
