"""Roles' chains: names of roles replaced by their deployments, every entry checked.

A role named in another role's chain lends it its deployments in their order. It does not lend its
``rules`` (they answer for that role alone), and a role that wants JSON or one of its labels does not
take over the embedded default model, which is too small for that. Duplicates keep their first place.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from coreto.errors import ConfigError
from coreto.settings.defaults import EMBEDDED_MODEL, cloud_name
from coreto.settings.draft import Key, dotted, nearest
from coreto.settings.model import ProviderSettings, RoleSettings

RULES = "rules"
RESERVED = frozenset({RULES, "auto"})


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one entry."""

    key: Key
    text: str


def expand(
    roles: Mapping[str, RoleSettings], providers: Mapping[str, ProviderSettings]
) -> dict[str, RoleSettings]:
    """The roles with chains of deployments (and ``rules``) only. Raises ``ConfigError``."""
    clouds = {name for name, provider in providers.items() if (provider.kind or name) == "ollama-cloud"}
    chains, problems = resolve(
        {name: role.chain for name, role in roles.items()},
        providers=providers,
        clouds=clouds,
        strict={
            name for name, role in roles.items() if role.json_answer or role.labels or role.response_schema
        },
    )
    if problems:
        raise ConfigError(problems[0].text)
    return {name: role.model_copy(update={"chain": chains[name]}) for name, role in roles.items()}


def resolve(
    chains: Mapping[str, Sequence[str]],
    *,
    providers: Collection[str],
    clouds: Collection[str] = (),
    strict: Collection[str] = (),
) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Each role's deployments, and what is wrong.

    ``clouds`` are the providers of kind ollama-cloud (their models lose a ``-cloud`` suffix),
    ``strict`` the roles that the embedded default model cannot serve by way of another role.
    """
    problems = [problem for name in chains for problem in _check(name, chains, providers)]
    resolved: dict[str, tuple[str, ...]] = {}
    cyclic: set[frozenset[str]] = set()

    def visit(name: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        if name in resolved:
            return resolved[name]
        if name in trail:
            cycle = (*trail[trail.index(name) :], name)
            if frozenset(cycle) not in cyclic:
                cyclic.add(frozenset(cycle))
                text = f"roles.{cycle[0]}.chain leads back to itself: {' -> '.join(cycle)}"
                problems.append(Problem(("roles", cycle[0], "chain"), text))
            return ()
        entries: list[str] = []
        for entry in chains[name]:
            if entry in chains:
                entries += [e for e in visit(entry, (*trail, name)) if e != RULES]
            else:
                entries.append(_normal(entry, clouds))
        resolved[name] = tuple(dict.fromkeys(entries))
        return resolved[name]

    for name in chains:
        visit(name, ())
    return {name: _fit(name, chains, resolved, strict) for name in chains}, problems


def _fit(
    name: str,
    chains: Mapping[str, Sequence[str]],
    resolved: Mapping[str, tuple[str, ...]],
    strict: Collection[str],
) -> tuple[str, ...]:
    if name not in strict or EMBEDDED_MODEL in chains[name]:
        return resolved[name]
    kept = tuple(entry for entry in resolved[name] if entry != EMBEDDED_MODEL)
    return kept or resolved[name]


def _normal(entry: str, clouds: Collection[str]) -> str:
    provider, slash, model = entry.partition("/")
    return provider + slash + cloud_name(model) if provider in clouds else entry


def _check(name: str, chains: Mapping[str, Sequence[str]], providers: Collection[str]) -> list[Problem]:
    """What is wrong with one role's own entries."""
    found: list[Problem] = []
    role: Key = ("roles", name)
    if name in RESERVED or "/" in name or not name.strip():
        found.append(
            Problem(role, f"{dotted(role)}: a role's name has no slash and is not 'rules' or 'auto'")
        )
    for index, entry in enumerate(chains[name]):
        key: Key = (*role, "chain", index)
        provider, slash, model = entry.partition("/")
        if entry == RULES:
            if index < len(chains[name]) - 1:
                found.append(
                    Problem(key, f"{dotted(key)}: 'rules' always answers, so it must be the last entry")
                )
        elif not slash:
            if entry not in chains:
                found.append(
                    Problem(key, f"unknown role {entry!r} in {dotted(key)}{_hint(entry, chains, providers)}")
                )
        elif provider not in providers:
            found.append(
                Problem(key, f"unknown provider {provider!r} in {dotted(key)}{nearest(provider, providers)}")
            )
        elif not model:
            found.append(Problem(key, f"{dotted(key)}: expected {provider}/MODEL"))
    return found


def _hint(entry: str, chains: Mapping[str, Sequence[str]], providers: Collection[str]) -> str:
    if entry in providers:
        return f"; a deployment is written {entry}/MODEL"
    return nearest(entry, [*chains, RULES])
