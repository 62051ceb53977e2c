"""The settings as text: the file that `coreto init` writes, what `config show` prints, the reference."""

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from coreto.settings.defaults import default_providers, default_roles
from coreto.settings.draft import Key, as_items, as_table, dotted
from coreto.settings.load import Loaded, leaves
from coreto.settings.model import (
    ModelSettings,
    ProviderSettings,
    RoleSettings,
    Rule,
    Section,
    Settings,
    mask_password,
)
from coreto.settings.units import parse_budget, parse_bytes
from coreto.settings.variables import ESTABLISHED, OWN, ROLE_MODELS, RoleVariable, Variable

MASK = "****"
_NAMED: dict[str, type[Section]] = {
    "providers": ProviderSettings,
    "models": ModelSettings,
    "roles": RoleSettings,
}
_PROVIDER_EXAMPLES: dict[str, dict[str, Any]] = {
    "ollama": {
        "host": "http://127.0.0.1:11434",
        "timeout": 120.0,
        "memory_budget": "16 GB",
        "keep_alive": "5m",
    },
    "ollama-cloud": {"enabled": True, "api_key": "env:OLLAMA_API_KEY", "timeout": 60.0},
    "openrouter": {"api_key": "env:OPENROUTER_API_KEY"},
    "lab": {
        "kind": "openai",
        "base_url": "http://127.0.0.1:8000/v1",
        "api_key": "env:LAB_API_KEY",
        "local": True,
        "stall_timeout": 30.0,
    },
}
_MODEL_EXAMPLES: dict[str, dict[str, Any]] = {
    "ollama/phi3:mini": {"memory": "2.4 GB", "context": 4096},
    "embedded/my-model": {"path": "~/models/my-model.gguf"},
}
_ROLE_EXAMPLE: dict[str, Any] = {
    "chain": ["lab/my-model", "brain"],
    "temperature": 0.7,
    "timeout": 60.0,
    "fallback": True,
    "local_only": False,
}
_HEADER = """\
# Coreto's configuration. Every line that begins with "#" and a name is a setting that is off:
# take the "#" away to set it. What is left out has the value shown, or is found by itself.
#
# What is set elsewhere goes before this file: flags, then environment variables, then .env.
# Secrets stay out of it: "env:NAME" stands for the environment variable NAME (or NAME in .env).
# `coreto config check` says whether the file is good, `coreto config show` what is in force and why.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One effective setting: dotted key, value as text (secrets masked) and where it comes from."""

    key: str
    value: str
    origin: str


def show(loaded: Loaded) -> list[Row]:
    """The effective settings; of providers, models and roles only what differs from a field's default."""
    rows: list[Row] = []
    for key, value in leaves(loaded.settings):
        origin = loaded.origins.get(dotted(key), "default")
        if key[0] in _NAMED and origin == "default" and value == _field_default(key):
            continue
        if key[-1] == "base_url" and loaded.settings.providers[str(key[1])].host == value:
            continue
        rows.append(Row(dotted(key), _masked(key, value), origin))
    return rows


def _field_default(key: Key) -> Any:
    field = _NAMED[str(key[0])].model_fields.get(str(key[2])) if len(key) == 3 else None
    return field.get_default(call_default_factory=True) if field else None


def _masked(key: Key, value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, SecretStr) or "headers" in key[2:]:
        return MASK
    if key == ("server", "api_keys"):
        return "[" + ", ".join(MASK for _ in value) + "]"
    return mask_password(to_toml(value))


def to_toml(value: Any) -> str:
    """The value as written in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    items = as_items(value)
    if items is not None:
        return "[" + ", ".join(to_toml(item) for item in items) + "]"
    if isinstance(value, Section):
        value = value.model_dump(exclude_defaults=True)
    table = as_table(value)
    if table is not None:
        return "{ " + ", ".join(f"{dotted((name,))} = {to_toml(item)}" for name, item in table.items()) + " }"
    return json.dumps(str(value), ensure_ascii=False)


def init_text() -> str:
    """An annotated `coreto.toml` with the defaults, all commented out but the first two."""
    lines = [_HEADER]
    for name, field in Settings.model_fields.items():
        if not _is_table(field):
            prefix = "" if name in {"language", "offline"} else "#"
            lines += [*_setting(name, field, _example(field), prefix), ""]
    for name, field in Settings.model_fields.items():
        if name in _NAMED:
            lines += list(_named_tables(name))
        elif _is_table(field):
            section = _section(field)
            lines += [f"# {_first_line(section)}", f"[{name}]"]
            tables = {inner: f for inner, f in section.model_fields.items() if _is_table(f)}
            for inner, inner_field in section.model_fields.items():
                if inner not in tables:
                    lines += _setting(inner, inner_field, _example(inner_field), "#")
            lines.append("")
            for inner, inner_field in tables.items():
                lines += _inner_tables((name, inner), inner_field)
    return "\n".join(lines).rstrip() + "\n"


def _named_tables(name: str) -> Iterator[str]:
    """Example tables of providers, models and roles, commented out; each key explained once."""
    section = _NAMED[name]
    examples = {
        "providers": _PROVIDER_EXAMPLES,
        "models": _MODEL_EXAMPLES,
        "roles": {"chat": _ROLE_EXAMPLE, **default_roles()},
    }[name]
    yield f"# {_first_line(section)}"
    explained: set[str] = set()
    for example, table in examples.items():
        yield f"#[{dotted((name, example))}]"
        for key, value in table.items():
            if key not in explained:
                yield f"# {section.model_fields[key].description}"
                explained.add(key)
            yield f"#{key} = {to_toml(value)}"
        yield ""


def _inner_tables(key: Key, field: FieldInfo) -> Iterator[str]:
    """Example tables of a section within a section, commented out."""
    section = _section(field)
    examples = _example(field)
    tables = {key: examples} if _is_section(field.annotation) else {(*key, n): t for n, t in examples.items()}
    for place, table in tables.items():
        yield f"# {field.description}"
        yield f"#[{dotted(place)}]"
        for name, value in table.items():
            yield from _setting(name, section.model_fields[name], value, "#")
        yield ""


def _setting(name: str, field: FieldInfo, value: Any, prefix: str) -> list[str]:
    return [f"# {field.description}", f"{prefix}{name} = {to_toml(value)}"]


def _example(field: FieldInfo) -> Any:
    return field.examples[0] if field.examples else field.get_default(call_default_factory=True)


def _is_table(field: FieldInfo) -> bool:
    kind: Any = field.annotation
    return _is_section(kind) or (get_origin(kind) is dict and _is_section(get_args(kind)[1]))


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _section(field: FieldInfo) -> type[Section]:
    """The section of a table, or of each of the named tables in it."""
    kind: Any = field.annotation
    return get_args(kind)[1] if get_origin(kind) is dict else kind


def _first_line(section: type[Section]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def env_example() -> str:
    """The text of `.env.example`: every variable, commented out with its default."""
    lines = [
        "# Copy this file to .env and take the # away from the lines you want.",
        "# The environment goes before this file, this file before coreto.toml.",
        "",
    ]
    for title, variables in (
        ("Servers, keys and switches", ESTABLISHED),
        ("Models of the roles", ROLE_MODELS),
        ("Coreto's own", OWN),
    ):
        lines.append(f"# --- {title} ---")
        for variable in variables:
            also = f" (also {variable.alias})" if isinstance(variable, Variable) and variable.alias else ""
            lines.append(f"#{variable.name}={variable.default}  # {variable.meaning}{also}")
        lines.append("")
    lines.append("#CORETO_CONFIG=coreto.toml  # the configuration file")
    return "\n".join(lines) + "\n"


def reference_markdown() -> str:
    """The reference page `docs/reference/configuration.md`."""
    lines = [_REFERENCE]
    plain = {name: field for name, field in Settings.model_fields.items() if not _is_table(field)}
    lines += ["## Top level", "", *_field_rows(plain), ""]
    for name, field in Settings.model_fields.items():
        if name in plain:
            continue
        section = _NAMED.get(name) or _section(field)
        title = f"[{name}.NAME]" if name in _NAMED else f"[{name}]"
        inner = {} if name in _NAMED else {n: f for n, f in section.model_fields.items() if _is_table(f)}
        own = {n: f for n, f in section.model_fields.items() if n not in inner}
        lines += [f"## `{title}`", "", _first_line(section), "", *_field_rows(own), ""]
        for part, part_field in inner.items():
            title = f"[{name}.{part}]" if _is_section(part_field.annotation) else f"[{name}.{part}.NAME]"
            described, fields = _first_line(_section(part_field)), _section(part_field).model_fields
            lines += [f"### `{title}`", "", described, "", *_field_rows(fields), ""]
        if name == "roles":
            lines += [
                "### Entries of `rules`",
                "",
                _first_line(Rule),
                "",
                *_field_rows(Rule.model_fields),
                "",
            ]
    lines += ["## Well-known providers", "", "| name | kind | address | timeout |", "|---|---|---|---|"]
    for name, table in default_providers().items():
        address = table.get("host") or table.get("base_url") or "a child process"
        lines.append(f"| `{name}` | {table['kind']} | {address} | {table.get('timeout', '')} |")
    lines += ["", "## Default roles", "", "| role | chain | settings |", "|---|---|---|"]
    for name, table in default_roles().items():
        chain = ", ".join(f"`{entry}`" for entry in table["chain"])
        settings = ", ".join(f"{key} = {to_toml(value)}" for key, value in table.items() if key != "chain")
        lines.append(f"| {name} | {chain} | {settings} |")
    lines += ["", "## Environment variables", "", *_variable_rows()]
    return "\n".join(lines) + "\n"


def _field_rows(fields: dict[str, FieldInfo]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in fields.items():
        default = "required" if field.is_required() else _default_text(field)
        yield f"| `{name}` | {_cell(_type_name(field.annotation))} | {_cell(default)} | {_cell(field.description or '')} |"


def _default_text(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if value is None or value in ((), {}) else f"`{to_toml(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _type_name(kind: Any) -> str:
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        named = _type_name(arguments[0])
        is_size = any(getattr(check, "func", None) in (parse_bytes, parse_budget) for check in arguments)
        return named.replace("whole number", "size") if is_size else named
    if get_origin(kind) in {Union, types.UnionType}:
        return " or ".join(_type_name(argument) for argument in arguments if argument is not type(None))
    if get_origin(kind) is Literal:
        return ", ".join(f"`{to_toml(argument)}`" for argument in arguments)
    if get_origin(kind) is tuple:
        return f"list of {_type_name(arguments[0])}"
    if get_origin(kind) is dict:
        return f"table of {_type_name(arguments[1])}"
    names: dict[Any, str] = {
        bool: "true or false",
        int: "whole number",
        float: "number",
        str: "text",
        SecretStr: "secret",
        Path: "path",
        Rule: "table",
    }
    return names[kind]


def _variable_rows() -> Iterator[str]:
    yield "| variable | sets | default | meaning |"
    yield "|---|---|---|---|"
    for variable in (*ESTABLISHED, *ROLE_MODELS, *OWN):
        name = f"`{variable.name}`"
        if isinstance(variable, RoleVariable):
            target = f"`{variable.target}`"
        else:
            target = f"`{dotted(variable.key)}`"
            name += f" or `{variable.alias}`" if variable.alias else ""
        default = f"`{variable.default}`" if variable.default else ""
        yield f"| {name} | {target} | {default} | {_cell(variable.meaning)} |"
    yield "| `CORETO_CONFIG` | | | the configuration file |"


_REFERENCE = """\
# Configuration

<!-- Written from the schema by coreto.settings.render.reference_markdown; a test keeps it up to date. -->

Everything works without configuration. What is set counts in this order, the strongest first:

1. what a single call says, then the flags of a command;
2. `CORETO_*` variables;
3. the other variables below: the environment, then `.env` in the working directory;
4. `coreto.toml`: the one that `--config` names, else `CORETO_CONFIG`, else `./coreto.toml`, else the one in
   the user's configuration folder;
5. what discovery finds, then the defaults.

A variable that is empty counts as not set. `coreto init` writes an annotated file, `coreto config check`
lists what is wrong with it, `coreto config show` prints what is in force and where each value comes from.

- **Secrets** are written `"env:NAME"`: the variable NAME, from the environment or `.env`. A key written out
  in the file works, with a warning. Secrets are never printed.
- **Durations** are seconds; **sizes** are a number of bytes or text such as `"16 GB"` (2^30 bytes each);
  prices are US dollars.
- **Paths** in the file count from the file's folder, `~` is the home folder.
- **Chains** hold deployments (`provider/model`), names of other roles, and `rules` as the last entry. A role
  named in a chain lends its deployments in their order, without its `rules`; a role that wants JSON or one
  of its labels does not take `embedded/smollm2` over, which is too small for that. A chain of the defaults
  keeps only what is reachable.
- A table `[roles.NAME]` or `[providers.NAME]` in the file is laid over the default of that name, key by key.
- **Budgets** hold for cloud models: before a call is sent, the most that it can cost is reserved under every
  limit that applies (everybody's, its user's, its role's, its run's), and when it has ended what it did cost
  is counted. The longest answer counts as `max_tokens`, or 4096 tokens where neither call nor role limits it.
- `OLLAMA_HOST` without a port means 11434 if it has no scheme either; `http://…` and `https://…` mean 80 and
  443, as in Ollama itself. An address to listen on (0.0.0.0) means this machine.
- `X_MODEL` and `X_USE_LOCAL` replace the first entry of the role's chain; either alone takes the other's
  default. `OLLAMA_CLOUD_MODEL` and `DEFAULT_MODEL` replace the brain's first cloud and first local entry.
"""


def write_files(root: Path) -> None:
    """Write the files that are made from the schema into a checkout of the repository."""
    reference = root / "docs" / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    (reference / "configuration.md").write_text(reference_markdown(), encoding="utf-8")
    (root / ".env.example").write_text(env_example(), encoding="utf-8")


if __name__ == "__main__":
    write_files(Path.cwd())
