"""Providers made complete: kind, address and whether they are on this machine."""

from coreto.settings.addresses import (
    OLLAMA_CLOUD,
    is_loopback_url,
    is_old_ollama_cloud,
    ollama_url,
    server_url,
)
from coreto.settings.defaults import KIND_URLS
from coreto.settings.draft import KINDS, Draft, Key, Table, as_table
from coreto.settings.model import mask_password

_OLLAMA = frozenset({"ollama", "ollama-cloud"})
_ALWAYS_REMOTE = frozenset({"ollama-cloud", "openrouter"})


def complete_providers(draft: Draft) -> None:
    """Fill in every provider's kind, address (``base_url``, for Ollama also ``host``) and ``local``."""
    for name, value in (as_table(draft.get("providers")) or {}).items():
        table = as_table(value)
        if table is None:
            continue
        key: Key = ("providers", name)
        if "/" in name or not name.strip():
            draft.problem(key, "a provider's name has no slash")
            continue
        _kind(draft, key, table)
        if isinstance(table.get("kind"), str):
            _address(draft, key, table)
            _local(draft, key, table)


def _kind(draft: Draft, key: Key, table: Table) -> None:
    if "kind" in table:
        return
    if "base_url" in table:
        table["kind"] = "openai"
    else:
        draft.problem(
            key, 'needs kind and base_url, e.g. kind = "openai", base_url = "http://127.0.0.1:8000/v1"'
        )


def _address(draft: Draft, key: Key, table: Table) -> None:
    kind = table["kind"]
    if kind == "embedded":
        return
    field = _address_field(draft, key, table)
    text = table.get(field, KIND_URLS.get(kind))
    where: Key = (*key, field)
    if text is None:
        needed = "host" if kind == "ollama" else "base_url"
        draft.problem(key, f"needs {needed}, the address of the server")
        return
    if not isinstance(text, str):
        return
    source = draft.source(where)
    try:
        if kind == "ollama-cloud" and is_old_ollama_cloud(text):
            draft.warnings.append(
                f"{source.where}: {mask_password(text)} is the old address of Ollama Cloud; using {OLLAMA_CLOUD}"
            )
            text = OLLAMA_CLOUD
        url = ollama_url(text) if kind in _OLLAMA else server_url(text)
    except ValueError as error:
        draft.problem(where, f"expected {error}", source)
        return
    for name in ("host", "base_url") if kind in _OLLAMA else ("base_url",):
        draft.set((*key, name), url, source)
    if kind not in _OLLAMA:
        table.pop("host", None)


def _address_field(draft: Draft, key: Key, table: Table) -> str:
    """Which of ``host`` and ``base_url`` counts: the one from the stronger layer."""
    if "host" not in table or "base_url" not in table:
        return "host" if "host" in table else "base_url"
    host, base = (KINDS.index(draft.source((*key, name)).kind) for name in ("host", "base_url"))
    if host == base and table["host"] != table["base_url"]:
        draft.problem(key, "host and base_url are two names for one thing; keep one of them")
    return "host" if host >= base else "base_url"


def _local(draft: Draft, key: Key, table: Table) -> None:
    kind = table["kind"]
    if kind in _ALWAYS_REMOTE:
        if table.get("local") is True:
            draft.problem((*key, "local"), f"expected false: {kind} is never on this machine")
        table["local"] = False
    elif table.get("local") is None:
        table["local"] = kind == "embedded" or is_loopback_url(str(table.get("base_url", "")))
