"""Where the engine keeps its records: beside our own tables."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import make_url

from coreto.settings.addresses import is_loopback_host

FILE_NAME = "runs.db"
SCHEMA = "dbos"
"""The PostgreSQL schema of the engine's tables, which are not ours to read."""


@dataclass(frozen=True, slots=True)
class Place:
    """``url``: SQLAlchemy's; ``file``: of SQLite; ``local``: whether it is on this machine. ``where`` names it in
    messages, ``secret`` is its password."""

    url: str = field(repr=False)
    file: Path | None
    local: bool
    where: str
    secret: str | None = field(default=None, repr=False)


def place_of(database_url: str, data_dir: Path) -> Place:
    """The place that belongs to a setting ``database.url`` that :func:`~coreto.stores.database.open_database` takes."""
    if database_url.strip() == "sqlite":
        file = data_dir / FILE_NAME
        return Place(f"sqlite:///{file}", file, local=True, where=str(file))
    url = make_url(database_url.strip())
    host = url.host or ""
    # without a host, or with a folder, it is a socket of this machine; a query can name other hosts
    local = (not host or host.startswith("/") or is_loopback_host(host)) and not (
        {"host", "hostaddr", "service"} & set(url.query)
    )
    where = f"PostgreSQL {host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
    secret = str(url.password) if url.password else None
    return Place(url.render_as_string(hide_password=False), None, local, where, secret)
