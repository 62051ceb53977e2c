"""How everything is, for people and dashboards (SPEC R13, R11)."""

from collections.abc import Mapping

from coreto.gateway.memory import Memory, names_of
from coreto.messages import Json
from coreto.providers.catalog import Deployment, split_id
from coreto.providers.discovery import Inventory
from coreto.providers.factory import Site
from coreto.resilience.health import HealthBook, Record
from coreto.routing.directory import Directory
from coreto.settings.model import Settings


def status(
    settings: Settings,
    directory: Directory,
    health: HealthBook,
    inventory: Inventory,
    sites: Mapping[str, Site],
    memory: Memory,
) -> Json:
    """The keys of R13 and R11. What is not known yet is ``None``, never 0."""
    deployments = [_deployment(d, health) for d in directory.deployments.values()]
    up = {d["id"] for d in deployments if d["available"] and _site_up(d["id"], inventory)}
    current = _as_configured(memory.current, directory) or _latest(health)
    return {
        "cloud_available": any(d["id"] in up for d in deployments if not d["local"]),
        "local_available": any(d["id"] in up for d in deployments if d["local"]),
        "fallback_enabled": settings.fallback_enabled,
        "state": _state(settings, inventory, sites),
        "offline": settings.offline,
        "current_model": current,
        "current_role": _role_of(current, directory),
        "vram_used_gb": memory.used_gb,
        "vram_total_gb": memory.total_gb,
        "brain_loaded": _loaded("brain", directory, memory),
        "executor_loaded": _loaded("executor", directory, memory),
        "residency": memory.hosts,
        "providers": [_provider(name, site, inventory) for name, site in sites.items()],
        "deployments": deployments,
        "cooling": [
            {"key": key, "until": cool.until, "code": cool.code, "reason": cool.reason}
            for key, cool in health.cooling().items()
        ],
        "roles": {
            name: {
                "chain": [c.deployment.id for c in plan.candidates],
                "dropped": [{"deployment": d, "reason": why} for d, why in plan.dropped],
            }
            for name, plan in directory.plans.items()
        },
        "warnings": list(directory.warnings),
    }


def _deployment(deployment: Deployment, health: HealthBook) -> Json:
    block = health.block(deployment)
    record = health.records.get(deployment.id, Record())
    recent = sorted(record.recent_ms)
    return {
        "id": deployment.id,
        "local": deployment.local,
        "context": deployment.context,
        "available": block is None,
        "breaker": health.breaker_state(deployment),
        "blocked": None
        if block is None
        else {"code": block.code, "reason": block.reason, "until": block.until},
        "calls": record.calls,
        "failures": record.failures,
        "last_error": record.last_error,
        "last_error_code": record.last_code,
        "last_error_at": record.last_error_at,
        "latency_ms": {"p50": _percentile(recent, 0.5), "p95": _percentile(recent, 0.95)} if recent else None,
    }


def _state(settings: Settings, inventory: Inventory, sites: Mapping[str, Site]) -> str:
    """``online``: every cloud provider that is set up answered when last asked; ``degraded``: not every one;
    ``offline``: none, none is set up, or the switch says so."""

    def is_up(name: str) -> bool:
        found = inventory.get(name)
        return found is not None and found.health.ok

    clouds = [
        name
        for name, site in sites.items()
        if not site.local and site.unusable is None and (site.through is None or is_up(site.through))
    ]
    up = [name for name in clouds if is_up(name)]
    if settings.offline or not up:
        return "offline"
    return "online" if len(up) == len(clouds) else "degraded"


def _percentile(ordered: list[float], share: float) -> float:
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2)


def _site_up(deployment: str, inventory: Inventory) -> bool:
    found = inventory.get(split_id(deployment)[0])
    return found is None or found.health.ok


def _provider(name: str, site: Site, inventory: Inventory) -> Json:
    found = inventory.get(name)
    return {
        "name": name,
        "kind": site.kind,
        "local": site.local,
        "up": False if site.unusable else None if found is None else found.health.ok,
        "detail": site.unusable or (found.health.detail if found else "not asked yet"),
        "code": found.health.code if found else None,
        "until": found.health.until if found else None,
        "models": len(found.models) if found else None,
    }


def _as_configured(current: str | None, directory: Directory) -> str | None:
    """The id by which the roles know what an engine lists with its tag."""
    same = (d.id for d in directory.deployments.values() if current in names_of(d))
    return next(same, current)


def _latest(health: HealthBook) -> str | None:
    answered = [(r.last_ok_at, name) for name, r in health.records.items() if r.last_ok_at]
    return max(answered)[1] if answered else None


def _loaded(role: str, directory: Directory, memory: Memory) -> bool | None:
    plan = directory.plans.get(role)
    if plan is None or memory.loaded is None:
        return None
    local = [c.deployment for c in plan.candidates if c.deployment.local]
    own = [
        d for d in local if d.model == local[0].model
    ]  # wherever it is; not those that only stand in for it
    return any(memory.holds(d) for d in own)


def _role_of(deployment: str | None, directory: Directory) -> str | None:
    """The role that has the deployment first, or first of those on this machine; of several the best known."""
    if deployment is None:
        return None
    second: str | None = None
    known = ("brain", "executor")
    for name, plan in sorted(directory.plans.items(), key=lambda item: item[0] not in known):
        if plan.role != name or not plan.candidates:
            continue
        if plan.candidates[0].deployment.id == deployment:
            return name
        local = next((c.deployment.id for c in plan.candidates if c.deployment.local), None)
        second = second or (name if local == deployment else None)
    return second
