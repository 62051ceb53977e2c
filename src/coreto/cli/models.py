"""``coreto models list`` and ``coreto models show``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from coreto.app import App, running
from coreto.cli import figures, memory
from coreto.cli.flags import Flags
from coreto.cli.terminal import console, print_json, say
from coreto.cli.texts import Texts
from coreto.errors import CallError
from coreto.ledger.pricing import LOCAL, Price
from coreto.messages import Json
from coreto.providers.base import ModelInfo
from coreto.providers.catalog import Deployment, replacement, split_id
from coreto.providers.profiles import profile_of
from coreto.providers.weights import KNOWN
from coreto.resilience.plan import Plan


@dataclass(frozen=True, slots=True)
class Known:
    """One thing that is known, and where from. ``value`` as JSON, ``shown`` as people read it."""

    name: str
    value: Any
    shown: str
    source: str


async def list_models(flags: Flags, *, as_json: bool, everything: bool) -> int:
    """Print every deployment and role."""
    async with running(flags.load()) as app:
        if everything:
            await app.refresh(everything=True)
        directory = app.gateway.directory
        states = _states(await app.status())
        rows = [_row(app, deployment, states) for deployment in directory.deployments.values()]
        roles = {name: _role(plan) for name, plan in directory.plans.items()}
        if as_json:
            print_json({"deployments": rows, "roles": roles, "warnings": list(directory.warnings)})
            return 0
        output = console()
        output.print(_deployments_table(rows))
        output.print()
        output.print(_roles_table(roles))
        for warning in directory.warnings:
            say(f"warning: {warning}", style="yellow", stderr=True)
    return 0


async def show_model(flags: Flags, name: str, *, as_json: bool) -> int:
    """Print what is known of one deployment or role. Raises :class:`~coreto.errors.UnknownModelError`."""
    async with running(flags.load()) as app:
        known = split_id(name)[0]
        site = app.sites.get(known)
        if site is not None and not site.local:
            await app.refresh(everything=True)
        directory = app.gateway.directory
        plan = directory.plan(name)
        if plan.role is not None:
            return _show_role(name, plan, as_json=as_json)
        deployment = directory.deployments.get(name) or plan.candidates[0].deployment
        facts = _facts(app, deployment, _states(await app.status()))
        texts = Texts(app.settings.language)
        explained, problem = await _explained(app, deployment)
    if as_json:
        known_facts = {f.name: {"value": f.value, "source": f.source} for f in facts}
        taken = memory.as_json(explained) if explained else {"problem": problem} if problem else None
        print_json({"id": deployment.id, "facts": known_facts, "memory": taken})
        return 0
    table = Table(title=deployment.id, title_justify="left", header_style="bold")
    for column in ("", "value", "from"):
        table.add_column(column, overflow="fold")
    for fact in facts:
        table.add_row(fact.name, fact.shown, fact.source)
    console().print(table)
    if explained is not None:
        console().print(memory.table(deployment.provider, explained, texts))
    elif problem is not None:
        say(texts("memory.problem", problem=problem), style="red")
    return 0


async def _explained(app: App, deployment: Deployment) -> tuple[memory.Explained | None, str | None]:
    """What it takes in memory, or why nobody can tell."""
    try:
        return await memory.explain(app, deployment), None
    except CallError as error:
        return None, error.message


def _show_role(name: str, plan: Plan, *, as_json: bool) -> int:
    role = _role(plan)
    if as_json:
        print_json({"role": name, **role})
        return 0
    console().print(_roles_table({name: role}))
    return 0


def _row(app: App, deployment: Deployment, states: dict[str, Json]) -> Json:
    price = _price(app, deployment)
    listed = _listed(app, deployment)
    return {
        "id": deployment.id,
        "local": deployment.local,
        "context": deployment.context,
        "memory": deployment.memory,
        "capabilities": sorted(listed.capabilities) if listed else [],
        "price": _price_json(price),
        **_state(app, deployment, states),
        "roles": _roles_of(app, deployment),
    }


def _state(app: App, deployment: Deployment, states: dict[str, Json]) -> Json:
    """``state``: a word; ``detail``: why it is not ready."""
    found = app.inventory.get(deployment.provider)
    site = app.sites.get(deployment.provider)
    blocked = (states.get(deployment.id) or {}).get("blocked")
    if site is not None and site.unusable:
        return {"state": "unusable", "detail": site.unusable}
    if blocked:
        return {"state": "cooling", "detail": blocked["reason"]}
    if found is None:
        return {"state": "not asked", "detail": None}
    if not found.health.ok:
        return {"state": "down", "detail": found.health.detail}
    names = {m.name for m in found.models} | {m.name.removesuffix(":latest") for m in found.models}
    if deployment.model not in names and deployment.local:
        if site is None or site.kind not in ("ollama", "embedded"):
            return {"state": "not listed", "detail": f"{deployment.provider} does not have it"}
        section = app.settings.models.get(deployment.id)
        if section is not None and section.path is not None:
            return {"state": "not usable", "detail": f"{section.path} is missing, or no GGUF file"}
        return {"state": "not pulled", "detail": f"coreto models pull {_pull_name(deployment)}"}
    return {"state": "ready", "detail": None}


def _pull_name(deployment: Deployment) -> str:
    return deployment.model if deployment.provider == "embedded" else deployment.id


def _states(status: Json) -> dict[str, Json]:
    return {entry["id"]: entry for entry in status["deployments"]}


def _listed(app: App, deployment: Deployment) -> ModelInfo | None:
    found = app.inventory.get(deployment.provider)
    return next((m for m in found.models if m.name == deployment.model), None) if found else None


def _price(app: App, deployment: Deployment) -> Price | None:
    return LOCAL if deployment.local else app.prices.price(deployment.id)


def _price_json(price: Price | None) -> Json | None:
    if price is None:
        return None
    return {
        "input_usd_per_million": price.input / 1e6,
        "output_usd_per_million": price.output / 1e6,
        "source": price.source,
    }


def _roles_of(app: App, deployment: Deployment) -> list[str]:
    plans = app.gateway.directory.plans
    return [
        name
        for name, plan in plans.items()
        if name == plan.role and any(c.deployment.id == deployment.id for c in plan.candidates)
    ]


def _role(plan: Plan) -> Json:
    return {
        "chain": [candidate.deployment.id for candidate in plan.candidates],
        "dropped": [{"deployment": name, "reason": why} for name, why in plan.dropped],
        "fallback": plan.fallback,
        "local_only": plan.local_only,
    }


def _facts(app: App, deployment: Deployment, states: dict[str, Json]) -> list[Known]:
    settings, origins = app.settings, app.loaded.origins
    listed = _listed(app, deployment)
    section = settings.models.get(deployment.id)
    profile = profile_of(deployment.model)
    where = f"configuration ({origins.get(f'models.{deployment.id}.context') or 'file'})"
    server = f"{deployment.provider} itself"

    def source(configured: object, told: object) -> str:
        return where if configured else server if told else "the model's family" if profile else "-"

    price = _price(app, deployment)
    state = _state(app, deployment, states)
    site = app.sites.get(deployment.provider)
    kind = site.kind if site else "openai"
    heir = deployment.successor or replacement(kind, deployment.model)
    roles = _roles_of(app, deployment)
    place = "this machine" if deployment.local else "cloud"
    facts = [
        Known("runs on", place, place, "the provider's address"),
        Known("provider", deployment.provider, f"{deployment.provider} ({kind})", "settings"),
        Known("state", state["state"], state["state"], state["detail"] or server),
        Known(
            "context",
            deployment.context,
            f"{figures.tokens(deployment.context)} tokens" if deployment.context else "unknown",
            source(section and section.context, listed and listed.context) if deployment.context else "-",
        ),
        Known(
            "memory",
            deployment.memory,
            figures.size(deployment.memory) if deployment.memory else "unknown",
            source(section and section.memory, listed and listed.size) if deployment.memory else "-",
        ),
        Known("price", _price_json(price), _price_text(price), price.source if price else "-"),
        Known("roles", roles, ", ".join(roles) or "none", "settings"),
    ]
    if listed and listed.capabilities:
        capabilities = sorted(listed.capabilities)
        facts.append(Known("capabilities", capabilities, ", ".join(capabilities), server))
    if heir:
        facts.append(Known("successor", heir, heir, "settings" if deployment.successor else "the catalogue"))
    weights = KNOWN.get(deployment.model) if deployment.provider == "embedded" else None
    if weights is not None:
        facts.append(Known("licence", weights.licence, weights.licence, "the catalogue"))
    return facts


def _price_text(price: Price | None) -> str:
    if price is None:
        return "unknown"
    if price is LOCAL:
        return "free"
    return (
        f"{figures.per_million(price.input)} in, {figures.per_million(price.output)} out per million tokens"
    )


def _deployments_table(rows: Sequence[Json]) -> Table:
    table = Table(title="Deployments", title_justify="left", header_style="bold")
    table.add_column("name", overflow="fold")
    table.add_column("where", no_wrap=True)
    for column in ("context", "memory", "$/M in", "$/M out"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for row in rows:
        price, detail = row["price"], row["detail"]
        free = "free" if row["local"] else None
        amounts = (
            (f"${price['input_usd_per_million']:g}", f"${price['output_usd_per_million']:g}")
            if price
            else ("unknown", "unknown")
        )
        style = {"ready": "green", "not asked": ""}.get(row["state"], "yellow")
        table.add_row(
            row["id"],
            "local" if row["local"] else "cloud",
            figures.tokens(row["context"]),
            figures.size(row["memory"]),
            free or amounts[0],
            free or amounts[1],
            Text(f"{row['state']}: {detail}" if detail else row["state"], style),
        )
    return table


def _roles_table(roles: dict[str, Json]) -> Table:
    table = Table(title="Roles", title_justify="left", header_style="bold")
    table.add_column("role", no_wrap=True)
    table.add_column("chain", overflow="fold")
    table.add_column("cannot serve now", overflow="fold")
    for name, role in roles.items():
        dropped = "\n".join(f"{d['deployment']}: {d['reason']}" for d in role["dropped"])
        table.add_row(name, "\n".join(role["chain"]) or Text("nobody", "red"), Text(dropped, "dim"))
    return table
