"""Settings put together: flags over environment over `.env` over `coreto.toml` over the defaults."""

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import platformdirs
from pydantic import SecretStr, ValidationError

from coreto.errors import ConfigError
from coreto.settings.addresses import is_loopback_host
from coreto.settings.chains import resolve
from coreto.settings.defaults import default_providers, default_roles
from coreto.settings.dotenv import read_dotenv
from coreto.settings.draft import (
    DEFAULT,
    FLAG,
    Draft,
    Key,
    Source,
    as_items,
    as_table,
    as_texts,
    dotted,
    nearest,
    split_dotted,
)
from coreto.settings.environment import Variables, apply_variables
from coreto.settings.lines import key_lines
from coreto.settings.model import Section, Settings
from coreto.settings.providers import complete_providers
from coreto.settings.secrets import resolve_secrets
from coreto.settings.wording import note_errors

FILE_NAME = "coreto.toml"
SECTIONS = (
    "server",
    "providers",
    "models",
    "roles",
    "budgets",
    "cache",
    "residency",
    "crews",
    "media",
    "database",
    "telemetry",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force and where each comes from.

    ``origins``: dotted key to "default", the file's path, the `.env`'s path, "environment NAME" or
    "flag". ``explicit_roles``: roles whose chain the user wrote; the others' may lose unreachable
    entries. ``digest`` is equal for two processes exactly when their settings are.
    """

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...]
    file: Path | None
    explicit_roles: frozenset[str]
    digest: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    problems: list[str]
    loaded: Loaded | None


def load(
    *,
    config: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Loaded:
    """The settings in force.

    ``config`` names the file (default: $CORETO_CONFIG, ./coreto.toml, the user's config folder), ``env``
    stands for the environment, ``cwd`` for the working directory, ``overrides`` are flags by dotted key,
    tables among them laid over what is there; ``None`` is a flag not given. Raises ``ConfigError`` in one line.
    """
    outcome = _assemble(config, env, cwd, overrides)
    if outcome.loaded is not None:
        return outcome.loaded
    more = len(outcome.problems) - 1
    suffix = f" (and {more} more; `coreto config check` lists them)" if more else ""
    raise ConfigError(outcome.problems[0] + suffix)


def check(
    *,
    config: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[str]:
    """Everything that is wrong with the configuration, one line each; empty when nothing is."""
    return _assemble(config, env, cwd, overrides).problems


def find_file(config: Path | None, variables: Variables, cwd: Path) -> Path | None:
    """The configuration file in force. Raises ``ConfigError`` if one is named and missing."""
    named: list[tuple[Path, str]] = []
    if config is not None:
        named.append((config, "--config"))
    found = variables.find("CORETO_CONFIG")
    if found is not None:
        named.append((Path(found[0]), found[1].where))
    if named:
        path, by = named[0]
        path = cwd / _expanded(path)
        if not path.is_file():
            raise ConfigError(f"{path}: no such file (named by {by}); `coreto init` writes one")
        return path
    for folder in (cwd, Path(platformdirs.user_config_dir("coreto", appauthor=False))):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def _assemble(
    config: Path | None,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    overrides: Mapping[str, object] | None,
) -> _Outcome:
    here = cwd or Path.cwd()
    environment = os.environ if env is None else env
    try:
        variables = Variables(environment, read_dotenv(here / ".env"), here / ".env")
        file = find_file(config, variables, here)
        text = _read_file(file) if file else ""
        table = _parse_toml(text, file)
    except ConfigError as error:
        return _Outcome([error.message], None)
    draft = _defaults()
    if file is not None:
        draft.merge(table, Source("file", str(file), str(file)))
        draft.place(key_lines(text))
    flags = _flags(draft, overrides or {})
    explicit = _explicit_roles(draft, flags)
    apply_variables(draft, variables)
    for key, value in flags.items():
        draft.set(key, value, FLAG)
    resolve_secrets(draft, variables)
    _place_paths(draft, here, file)
    complete_providers(draft)
    _check_models(draft)
    _expand_chains(draft)
    settings = _validated(draft)
    if settings is not None:
        _cross_checks(draft, settings)
    if settings is None or draft.problems:
        return _Outcome(draft.problems, None)
    loaded = Loaded(
        settings=settings,
        origins=MappingProxyType({dotted(key): draft.source(key).origin for key, _ in leaves(settings)}),
        warnings=tuple(draft.warnings),
        file=file,
        explicit_roles=explicit,
        digest=_digest(settings),
    )
    return _Outcome([], loaded)


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # a user that does not exist: then it is a plain name
        return path


def _read_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: cannot be read: it is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error


def _parse_toml(text: str, file: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def _defaults() -> Draft:
    draft = Draft({name: {} for name in SECTIONS})
    draft.merge({"providers": default_providers(), "roles": default_roles()}, DEFAULT)
    return draft


def _flags(draft: Draft, overrides: Mapping[str, object]) -> dict[Key, object]:
    """The flags by the keys of their values; a flag that is a table gives several."""
    flags: dict[Key, object] = {}
    for name, value in overrides.items():
        try:
            _flatten(split_dotted(name), value, flags)
        except ValueError as error:
            draft.fault(str(error), FLAG)
    return flags


def _flatten(key: Key, value: object, flags: dict[Key, object]) -> None:
    table = as_table(value)
    for name, inner in (table or {}).items():
        _flatten((*key, name), inner, flags)
    if table is None and value is not None:
        flags[key] = as_items(value) or value


def _explicit_roles(draft: Draft, flags: Mapping[Key, object]) -> frozenset[str]:
    roles = as_table(draft.get("roles")) or {}
    by_file = {name for name in roles if draft.source(("roles", name, "chain")).kind == "file"}
    by_flag = {str(key[1]) for key in flags if len(key) == 3 and key[0] == "roles" and key[2] == "chain"}
    return frozenset(by_file | by_flag)


def _place_paths(draft: Draft, cwd: Path, file: Path | None) -> None:
    """Make paths absolute: those in the file count from its folder, the others from ``cwd``."""
    keys: list[Key] = [("data_dir",), ("models_dir",)]
    keys += [("models", name, "path") for name in as_table(draft.get("models")) or {}]
    keys += [("roles", name, "response_schema") for name in as_table(draft.get("roles")) or {}]
    for key in keys:
        value = draft.get(*map(str, key))
        if isinstance(value, str | Path):
            source = draft.source(key)
            base = file.parent if file is not None and source.kind == "file" else cwd
            draft.set(key, str((base / _expanded(Path(value))).absolute()), source)


def _check_models(draft: Draft) -> None:
    """The names of models are deployments of known providers."""
    providers = as_table(draft.get("providers")) or {}
    for name in as_table(draft.get("models")) or {}:
        provider, slash, model = name.partition("/")
        key: Key = ("models", name)
        if not slash or not model:
            draft.problem(key, "expected the name of a deployment, provider/model")
        elif provider not in providers:
            hint = nearest(provider, providers)
            draft.fault(f"unknown provider {provider!r} in {dotted(key)}{hint}", draft.blame(key))


def _expand_chains(draft: Draft) -> None:
    roles = {name: as_table(role) or {} for name, role in (as_table(draft.get("roles")) or {}).items()}
    providers = {name: as_table(p) or {} for name, p in (as_table(draft.get("providers")) or {}).items()}
    chains = {
        name: chain for name, role in roles.items() if (chain := as_texts(role.get("chain"))) is not None
    }
    resolved, problems = resolve(
        chains,
        providers=providers,
        clouds=[name for name, provider in providers.items() if provider.get("kind") == "ollama-cloud"],
        strict=[
            name
            for name, role in roles.items()
            if role.get("json_answer") or role.get("labels") or role.get("response_schema")
        ],
    )
    for problem in problems:
        draft.fault(problem.text, draft.blame(problem.key))
    for name, chain in resolved.items():
        if chain:
            roles[name]["chain"] = list(chain)


def _validated(draft: Draft) -> Settings | None:
    text = json.dumps(draft.data, default=_plain)
    try:
        return Settings.model_validate_json(text, strict=True)
    except ValidationError as error:
        note_errors(draft, error)
        return None


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _cross_checks(draft: Draft, settings: Settings) -> None:
    server = settings.server
    if not server.api_keys and not is_loopback_host(server.host):
        draft.problem(
            ("server", "api_keys"),
            f'needed to listen on {server.host}, beyond this machine, e.g. api_keys = ["env:CORETO_API_KEY"]',
            draft.source(("server", "host")),
        )
    for pattern, target in server.model_aliases.items():
        if "/" not in target and target != "auto" and target not in settings.roles:
            alias: Key = ("server", "model_aliases", pattern)
            hint = nearest(target, settings.roles)
            draft.problem(alias, f"unknown role {target!r}{hint}: a role, a deployment or auto is expected")
    for task, role in settings.routing.tasks.items():
        if role not in settings.roles:
            draft.problem(("routing", "tasks", task), f"unknown role {role!r}{nearest(role, settings.roles)}")
    for name in settings.budgets.roles:
        if name != "*" and name not in settings.roles:
            key: Key = ("budgets", "roles", name)
            hint = nearest(name, settings.roles)
            draft.fault(f"unknown role {name!r} in [{dotted(key[:2])}]{hint}", draft.blame(key))


def leaves(section: Section, prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key of the settings with its value; lists count as one value."""
    for name in type(section).model_fields:
        yield from _leaves(getattr(section, name), (*prefix, name))


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    table = as_table(value)
    if isinstance(value, Section):
        yield from leaves(value, key)
    elif table is not None:
        for name, inner in table.items():
            yield from _leaves(inner, (*key, name))
    else:
        yield key, value


def _digest(settings: Settings) -> str:
    lines = sorted(f"{dotted(key)}={_opaque(value)}" for key, value in leaves(settings))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _opaque(value: Any) -> str:
    if isinstance(value, SecretStr):
        return hashlib.sha256(value.get_secret_value().encode()).hexdigest()
    items = as_items(value)
    return repr(value) if items is None else "[" + ",".join(map(_opaque, items)) + "]"
