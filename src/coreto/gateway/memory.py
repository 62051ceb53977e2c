"""What is in the engines' memory, for the status (SPEC R11)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coreto.errors import CallError
from coreto.messages import Json
from coreto.providers.catalog import Deployment
from coreto.providers.discovery import Inventory
from coreto.providers.factory import Site
from coreto.providers.ollama import full_name
from coreto.residency.hosts import Host
from coreto.residency.sizes import counted
from coreto.residency.state import Phase
from coreto.residency.status import HostStatus

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Memory:
    """``loaded``: ids of the deployments in memory, with Ollama's tags; ``None`` when no engine could be asked.
    ``current``: the one in use where models take turns, else the one used last. ``hosts``: where they do so."""

    loaded: frozenset[str] | None = None
    used_gb: float | None = None
    total_gb: float | None = None
    current: str | None = None
    hosts: list[Json] = field(default_factory=list[Json])

    def holds(self, deployment: Deployment) -> bool:
        """Whether ``deployment`` can answer without a load."""
        return self.loaded is not None and not names_of(deployment).isdisjoint(self.loaded)


def names_of(deployment: Deployment) -> frozenset[str]:
    """The ids under which an engine may list ``deployment``."""
    return frozenset({deployment.id, f"{deployment.provider}/{full_name(deployment.model)}"})


async def ask_engines(
    sites: Mapping[str, Site], inventory: Inventory, hosts: Mapping[str, Host]
) -> dict[str, int] | None:
    """Deployment id → bytes in memory, of the engines whose models do not take turns; ``None`` when there are some
    and none could be asked."""
    out: dict[str, int] = {}
    asked = False
    for name, site in sites.items():
        found = inventory.get(name)
        if site.engine is None or name in hosts or found is None or not found.health.ok:
            continue
        try:
            out.update({f"{name}/{r.name}": counted(r) for r in await site.engine.resident()})
        except CallError:
            continue  # it went down since the last look; the next one says so
        asked = True
    return out if asked else None


def memory(others: Mapping[str, int] | None, hosts: Mapping[str, Host], graphics: int | None) -> Memory:
    """The whole picture. ``others``: what :func:`ask_engines` found; ``graphics``: bytes of the graphics card, where
    there is one: the total where no budget says another."""
    seen = {name: host.status() for name, host in hosts.items()}
    loaded = {
        f"{name}/{m.id}" for name, status in seen.items() for m in status.models if m.phase is Phase.READY
    }
    known = others is not None or bool(seen)
    used = sum(status.used for status in seen.values()) + sum((others or {}).values())
    total = sum(status.budget for status in seen.values()) or graphics
    current = [
        (status.current_used_at, f"{name}/{status.current}")
        for name, status in seen.items()
        if status.current
    ]
    return Memory(
        loaded=frozenset(loaded | set(others or {})) if known else None,
        used_gb=_gigabytes(used) if known else None,
        total_gb=_gigabytes(total) if total else None,
        current=max(current)[1] if current else None,
        hosts=[_host(host, seen[name]) for name, host in hosts.items()],
    )


def _host(host: Host, status: HostStatus) -> Json:
    return {
        "provider": host.name,
        "used_gb": _gigabytes(status.used),
        "budget_gb": _gigabytes(status.budget),
        "current_model": status.current,
        "home_model": status.home,
        "queue": sum(model.waiting for model in status.models),
        "loads": status.loads,
        "switches": status.switches,
        "models": [
            {
                "model": model.id,
                "state": model.phase.value,
                "gb": _gigabytes(model.size),
                "running": model.running,
                "waiting": model.waiting,
                "context": model.context,
                "shrunk": model.shrunk,
            }
            for model in status.models
        ],
        "recent": [
            {
                "at": seen.at,
                "what": seen.note.happening.value,
                "model": seen.note.model,
                "detail": seen.note.detail,
            }
            for seen in host.happened
        ],
    }


def _gigabytes(size: int) -> float:
    return round(size / GIB, 3)
