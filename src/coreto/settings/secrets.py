"""Secrets of the file: ``"env:NAME"`` replaced by the variable's value."""

from coreto.settings.draft import Draft, Key, as_table, as_texts, dotted
from coreto.settings.environment import Variables

_PREFIX = "env:"
_URLS: tuple[Key, ...] = (("database", "url"), ("cache", "backend"))
_MEDIA: tuple[Key, ...] = (("media", "pexels_api_key"), ("media", "pixabay_api_key"))


def resolve_secrets(draft: Draft, variables: Variables) -> None:
    """Replace ``env:NAME`` in every key that may hold a secret; a missing one is a problem.

    Providers that are switched off need no key. A secret written out in the file is a warning.
    """
    for key in (*_MEDIA, *_URLS):
        _resolve(draft, variables, key, literal_ok=key in _URLS)
    for name, value in (as_table(draft.get("providers")) or {}).items():
        table = as_table(value) or {}
        if table.get("enabled") is False:
            table.pop("api_key", None)
            table.pop("headers", None)
            continue
        _resolve(draft, variables, ("providers", name, "api_key"))
        for header in as_table(table.get("headers")) or {}:
            _resolve(draft, variables, ("providers", name, "headers", header), literal_ok=True)
    _resolve_list(draft, variables, ("server", "api_keys"))


def _resolve(draft: Draft, variables: Variables, key: Key, *, literal_ok: bool = False) -> None:
    text, source = draft.get(*map(str, key)), draft.source(key)
    if not isinstance(text, str) or source.kind not in {"file", "flag"}:
        return
    value = _value(draft, variables, key, text, literal_ok=literal_ok)
    if value is not None:
        draft.set(key, value, source)


def _resolve_list(draft: Draft, variables: Variables, key: Key) -> None:
    texts = as_texts(draft.get(*map(str, key)))
    if texts is not None:
        values = [_value(draft, variables, (*key, i), text, literal_ok=False) for i, text in enumerate(texts)]
        draft.set(key, [value for value in values if value is not None], draft.source(key))


def _value(draft: Draft, variables: Variables, key: Key, text: str, *, literal_ok: bool) -> str | None:
    source = draft.source(key)
    if not text.startswith(_PREFIX):
        if not text.strip() and not literal_ok:
            draft.problem(key, 'expected a key or "env:NAME", not an empty text')
            return None
        if not literal_ok and source.kind == "file":
            draft.warnings.append(
                f'{source.where}: a secret is written out in {dotted(key)}; "env:NAME" keeps it out of the file'
            )
        return text
    name = text.removeprefix(_PREFIX).strip()
    found = variables.find(name)
    if found is None:
        draft.problem(key, f"environment variable {name} is not set (nor is it in {variables.file})")
        return None
    return found[0]
