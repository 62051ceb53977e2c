"""``coreto keys``: the keys in the database, which running servers read every few seconds."""

import contextlib
import re
import secrets
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

from rich.table import Table

from coreto.app import data_dir
from coreto.cli import figures
from coreto.cli.flags import Flags
from coreto.cli.terminal import console, print_json, say
from coreto.errors import ConfigError
from coreto.ledger.limits import nusd
from coreto.messages import NANO, Json
from coreto.routing.directory import AUTO
from coreto.server.keys import CONFIGURED, OWNER, digest_of, new_key
from coreto.settings.model import Settings
from coreto.stores.database import open_database
from coreto.stores.keys import KeyRecord, SqlKeyStore
from coreto.stores.migrate import ensure_schema

_NAME = re.compile(r"[\w.@+-]{1,64}")
_SPAN = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_TAKEN = (OWNER, CONFIGURED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key to be made, as the options say."""

    name: str
    models: tuple[str, ...] = ()
    rpm: int | None = None
    daily_usd: float | None = None
    monthly_usd: float | None = None
    expires: str | None = None
    speaks_for_others: bool = False


def create(flags: Flags, wanted: Wanted, *, as_json: bool) -> int:
    """Make the key. It goes to standard output and is not seen again. Raises :class:`ConfigError`."""
    settings = flags.load().settings
    now = time.time()
    _check(wanted, settings)
    key = new_key()
    record = KeyRecord(
        key_id=secrets.token_hex(4),
        name=wanted.name,
        digest=digest_of(key.encode()).hex(),
        models=wanted.models,
        rpm=wanted.rpm,
        daily_nusd=None if wanted.daily_usd is None else nusd(wanted.daily_usd),
        monthly_nusd=None if wanted.monthly_usd is None else nusd(wanted.monthly_usd),
        speaks_for_others=wanted.speaks_for_others,
        created_ms=int(now * 1000),
        expires_ms=None if wanted.expires is None else int(parse_until(wanted.expires, now) * 1000),
    )
    with _store(settings) as store:
        store.add(record)
        first = sum(one.revoked_ms is None for one in store.all()) == 1 and not settings.server.api_keys
    if as_json:
        print_json({"key": key, **_as_json(record, now)})
    else:
        say(key)
    say("this is the only time that it is shown; clients send it as `Authorization: Bearer KEY`", stderr=True)
    if first:
        say("it is the first key: from now on the server answers to nobody without one", stderr=True)
    return 0


def list_keys(flags: Flags, *, everything: bool, as_json: bool) -> int:
    """Print the keys, without the keys themselves."""
    settings = flags.load().settings
    now = time.time()
    with _store(settings) as store:
        records = [one for one in store.all() if everything or one.revoked_ms is None]
    if as_json:
        print_json({"keys": [_as_json(one, now) for one in records]})
        return 0
    if not records:
        say("there are no keys: `coreto keys create NAME` makes one")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "id", "state", "opens", "a minute", "a day", "a month", "created", "expires"):
        table.add_column(column, overflow="fold")
    for one in records:
        table.add_row(
            one.name,
            one.key_id,
            _state(one, now),
            ", ".join(one.models) or "everything",
            str(one.rpm or "-"),
            figures.money(one.daily_nusd, "-"),
            figures.money(one.monthly_nusd, "-"),
            figures.moment(one.created_ms / 1000),
            "-" if one.expires_ms is None else figures.moment(one.expires_ms / 1000),
        )
    console().print(table)
    return 0


def revoke(flags: Flags, name: str) -> int:
    """Take a key out of force. Raises :class:`ConfigError` when there is none of that name."""
    with _store(flags.load().settings) as store:
        gone = store.revoke(name, int(time.time() * 1000))
        if gone is None:
            names = ", ".join(one.name for one in store.all() if one.revoked_ms is None) or "none"
            raise ConfigError(f"no key named {name!r} is in force; there is: {names}")
    say(f"revoked {gone.name} ({gone.key_id}); running servers refuse it within a few seconds")
    return 0


def parse_until(text: str, now: float) -> float:
    """Epoch seconds of ``30d`` (so long after ``now``) or of a date or time, local unless it says its zone.

    Raises :class:`ConfigError` when that is no time, or past.
    """
    span = _SPAN.fullmatch(text.strip())
    try:
        until = now + int(span[1]) * _UNITS[span[2]] if span else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        until = None
    if until is None:
        raise ConfigError(
            f"--expires {text}: expected a span such as 30d, 12h or 4w, or a date such as 2027-01-31"
        )
    if until <= now:
        raise ConfigError(f"--expires {text}: that is past")
    return until


def _check(wanted: Wanted, settings: Settings) -> None:
    if not _NAME.fullmatch(wanted.name) or wanted.name in _TAKEN:
        raise ConfigError(
            f"a key cannot be named {wanted.name!r}: use up to 64 letters, digits and . _ @ + - "
            f"(and not {' or '.join(_TAKEN)})"
        )
    if wanted.speaks_for_others and (wanted.daily_usd is not None or wanted.monthly_usd is not None):
        raise ConfigError(
            "the calls of a key that speaks for others are theirs: set [budgets.users] instead of a limit of its own"
        )
    for name in wanted.models:
        if "/" not in name and name not in settings.roles and name not in (AUTO, "*"):
            roles = ", ".join(settings.roles)
            raise ConfigError(f"--role {name}: there is no such role or deployment; roles: {roles}, {AUTO}")


@contextlib.contextmanager
def _store(settings: Settings) -> Generator[SqlKeyStore, None, None]:
    database = open_database(settings.database.url, data_dir(settings))
    try:
        ensure_schema(database)
        yield SqlKeyStore(database)
    finally:
        database.close()


def _state(record: KeyRecord, now: float) -> str:
    if record.revoked_ms is not None:
        return "revoked"
    return "expired" if record.expires_ms is not None and record.expires_ms <= now * 1000 else "in force"


def _as_json(record: KeyRecord, now: float) -> Json:
    return {
        "id": record.key_id,
        "name": record.name,
        "state": _state(record, now),
        "roles": list(record.models),
        "rpm": record.rpm,
        "daily_usd": None if record.daily_nusd is None else record.daily_nusd / NANO,
        "monthly_usd": None if record.monthly_nusd is None else record.monthly_nusd / NANO,
        "speaks_for_others": record.speaks_for_others,
        "created": record.created_ms / 1000,
        "expires": None if record.expires_ms is None else record.expires_ms / 1000,
        "revoked": None if record.revoked_ms is None else record.revoked_ms / 1000,
    }
