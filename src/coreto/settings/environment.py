"""What the environment changes in the settings.

A variable counts as set when it is not empty. The environment goes before `.env`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coreto.settings.defaults import (
    ROLE_VARIABLES,
    SLM_TIMEOUT,
    cloud_name,
    is_local_ollama,
)
from coreto.settings.dotenv import Entry
from coreto.settings.draft import DEFAULT, Draft, Source, as_texts
from coreto.settings.variables import ESTABLISHED, OWN, Variable, boolean, seconds

# A first segment that makes an EXECUTOR_MODEL a deployment rather than the name of an Ollama model.
_PREFIXES = ("ollama/", "ollama-cloud/", "openrouter/", "embedded/")


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment with `.env` under it."""

    environment: Mapping[str, str]
    dotenv: Mapping[str, Entry]
    file: Path

    def find(self, *names: str) -> tuple[str, Source] | None:
        """The value and source of the first name that is set, the environment first for all of them."""
        for name in names:
            value = self.environment.get(name, "").strip()
            if value:
                source = Source("environment", f"environment {name}", f"environment variable {name}")
                return value, source
        for name in names:
            entry = self.dotenv.get(name)
            if entry is not None and entry.value.strip():
                source = Source("dotenv", str(self.file), f"{self.file}:{entry.line}: {name}")
                return entry.value.strip(), source
        return None


def apply_variables(draft: Draft, variables: Variables) -> None:
    """Lay every variable that is set over the draft: first those of SPEC E, then our own."""
    for variable in ESTABLISHED:
        _apply(draft, variables, variable)
    _brain(draft, variables)
    for role, name in (("executor", "EXECUTOR_MODEL"), ("ui", "EXECUTOR_UI_MODEL")):
        found = variables.find(name)
        if found is not None:
            _replace_first(draft, role, _local_entry(found[0]), found[1])
    for role, (model, local) in ROLE_VARIABLES.items():
        _pair(draft, variables, role, model=model, local=local)
    _small_timeout(draft, variables)
    for variable in OWN:
        _apply(draft, variables, variable)


def _apply(draft: Draft, variables: Variables, variable: Variable) -> None:
    found = variables.find(variable.name, *((variable.alias,) if variable.alias else ()))
    if found is None:
        return
    text, source = found
    try:
        value = variable.parse(text)
    except ValueError as error:
        draft.fault(str(error), source)
        return
    draft.set(variable.key, value, source)


def _chain(draft: Draft, role: str) -> list[str] | None:
    return as_texts(draft.get("roles", role, "chain"))


def _set_chain(draft: Draft, role: str, chain: list[str], source: Source) -> None:
    draft.set(("roles", role, "chain"), list(dict.fromkeys(chain)), source)


def _replace_first(draft: Draft, role: str, entry: str, source: Source) -> None:
    chain = _chain(draft, role)
    if chain is not None:
        _set_chain(draft, role, [entry, *chain[1:]], source)


def _local_entry(model: str) -> str:
    return model if model.startswith(_PREFIXES) else f"ollama/{model}"


def _brain(draft: Draft, variables: Variables) -> None:
    """Put OLLAMA_CLOUD_MODEL and DEFAULT_MODEL in the places of the brain's cloud and local model.

    A chain without such a place gets one: the cloud model at its head, the local one before its last
    resorts.
    """
    found = variables.find("OLLAMA_CLOUD_MODEL")
    chain = _chain(draft, "brain")
    if found is not None and chain is not None:
        model = found[0].removeprefix("ollama-cloud/").removeprefix("ollama/")
        entry = f"ollama-cloud/{cloud_name(model)}"
        index = next((i for i, e in enumerate(chain) if e.startswith("ollama-cloud/")), None)
        chain = [entry, *chain] if index is None else [*chain[:index], entry, *chain[index + 1 :]]
        _set_chain(draft, "brain", chain, found[1])
    found = variables.find("DEFAULT_MODEL")
    chain = _chain(draft, "brain")
    if found is not None and chain is not None:
        entry = _local_entry(found[0])
        index = next((i for i, e in enumerate(chain) if is_local_ollama(e)), None)
        if index is None:
            end = next(
                (i for i, e in enumerate(chain) if e.startswith("embedded/") or e == "rules"), len(chain)
            )
            chain = [*chain[:end], entry, *chain[end:]]
        else:
            chain = [*chain[:index], entry, *chain[index + 1 :]]
        _set_chain(draft, "brain", chain, found[1])


def _pair(draft: Draft, variables: Variables, role: str, *, model: str, local: bool) -> None:
    """X_MODEL and X_USE_LOCAL: the first entry of the role's chain; either alone takes the other's default."""
    name, switch = f"{role.upper()}_MODEL", f"{role.upper()}_USE_LOCAL"
    found_model, found_local = variables.find(name), variables.find(switch)
    source = (found_model or found_local or ("", DEFAULT))[1]
    if source is DEFAULT:
        return
    is_local = local
    if found_local is not None:
        try:
            is_local = boolean(found_local[0])
        except ValueError as error:
            draft.fault(str(error), found_local[1])
            return
    provider = "ollama" if is_local else "openrouter"
    chosen = found_model[0] if found_model else model
    if found_model is None and is_local != local:
        draft.warnings.append(
            f"{source.where}: {switch}={str(is_local).lower()} without {name} means {provider}/{model};"
            f" set {name} too"
        )
    _replace_first(draft, role, f"{provider}/{chosen.removeprefix(f'{provider}/')}", source)


def _small_timeout(draft: Draft, variables: Variables) -> None:
    """SLM_TIMEOUT: the attempt timeout of small roles whose first model is a local one."""
    found = variables.find("SLM_TIMEOUT")
    value, source = SLM_TIMEOUT, DEFAULT
    if found is not None:
        source = found[1]
        try:
            value = seconds(found[0])
        except ValueError as error:
            draft.fault(str(error), source)
            return
    for role in ROLE_VARIABLES:
        chain = _chain(draft, role)
        if not chain or not is_local_ollama(chain[0]):
            continue
        # The default is ours to give only where the chain is not the user's own.
        own_chain = draft.source(("roles", role, "chain")).kind in {"file", "flag"}
        unset = draft.get("roles", role, "timeout") is None
        if source is not DEFAULT or (unset and not own_chain):
            draft.set(("roles", role, "timeout"), value, source)
