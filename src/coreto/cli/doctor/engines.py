"""Finds out how much memory the engines of this machine have, and how their models take turns."""

from coreto.app import App
from coreto.cli.doctor.facts import EngineFact, NeedFact, RoleFact
from coreto.cli.doctor.memory import stuck_in, swaps_of
from coreto.cli.doctor.probe import PANEL_ROLE
from coreto.cli.live import server_status
from coreto.cli.memory import explain
from coreto.errors import CallError, CoretoError
from coreto.hardware.base import Hardware
from coreto.messages import Json
from coreto.residency.model import ModelId


async def engine_facts(
    app: App, roles: tuple[RoleFact, ...], wanted: frozenset[str], hardware: Hardware
) -> tuple[EngineFact, ...]:
    """The engines that answer now, with what a live server and this process have seen of their swaps.

    ``wanted``: deployments that the user wrote.
    """
    told = [*await _of_server(app), *app.snapshot()["residency"]]
    facts: list[EngineFact] = []
    for name, site in app.sites.items():
        found = app.inventory.get(name)
        if site.engine is None or not site.local or found is None or not found.health.ok:
            continue
        host = app.hosts.get(name)
        seen = [entry for entry in told if entry["provider"] == name]
        needs = await _needs(app, name, roles, wanted)
        sizes = {model: need.need for model, need in needs.items()}
        facts.append(
            EngineFact(
                provider=name,
                kind=site.kind,
                budget=host.terms.budget if host else None,
                memory=memory_for(site.kind, hardware),
                needs=tuple(needs.values()),
                swaps=tuple(swap for entry in seen for swap in swaps_of(entry, sizes)),
                stuck=tuple(dict.fromkeys(stuck for entry in seen for stuck in stuck_in(entry))),
            )
        )
    return tuple(facts)


def memory_for(kind: str, hardware: Hardware) -> int | None:
    """Bytes that the machine has for an engine: all its graphics cards, else its own memory, where the embedded engine
    is at any rate. ``None`` where nobody can tell."""
    cards = hardware.gpus() if kind != "embedded" else None
    if cards:
        return sum(card.memory.total for card in cards)
    system = hardware.system()
    return system.total if system else None


async def _needs(
    app: App, provider: str, roles: tuple[RoleFact, ...], wanted: frozenset[str]
) -> dict[ModelId, NeedFact]:
    """The engine's models of the chains whose size is known, by their ids, in the order of the chains."""
    panel = next((r.candidates[0] for r in roles if r.name == PANEL_ROLE and r.wanted and r.candidates), None)
    needs: dict[ModelId, NeedFact] = {}
    deployments = app.gateway.directory.deployments
    for name in dict.fromkeys(name for role in roles for name in role.candidates):
        deployment = deployments.get(name)
        if deployment is None or deployment.provider != provider:
            continue
        try:
            explained = await explain(app, deployment)
        except CallError:
            continue  # missing, or no longer there: told elsewhere
        if explained is not None and explained.need is not None:
            hosted, need = explained.sized.hosted, explained.need
            least = min(hosted.small_memory or need, need)
            # two names of one model are one
            fact = NeedFact(
                deployment=name,
                need=need,
                least=least,
                wanted=name in wanted,
                slots=hosted.slots,
                panel=name == panel,
            )
            needs.setdefault(hosted.id, fact)
    return needs


async def _of_server(app: App) -> list[Json]:
    """The hosts of the live server, if there is one that answers."""
    try:
        found = await server_status(app.data_dir)
    except CoretoError:
        return []
    return found[1].get("residency", []) if found else []
