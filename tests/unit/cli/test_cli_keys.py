"""``coreto keys``: what is printed, and what is refused."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from coreto.cli.flags import Flags
from coreto.cli.keys import Wanted, create, list_keys, parse_until, revoke
from coreto.errors import ConfigError
from coreto.server.keys import digest_of
from coreto.stores.database import open_database
from coreto.stores.keys import SqlKeyStore

NOW = 1_800_000_000.0


@pytest.fixture
def flags(tmp_path: Path) -> Flags:
    """Settings whose data is in a folder of the test's own."""
    file = tmp_path / "coreto.toml"
    file.write_text(f'discovery = false\ndata_dir = "{tmp_path / "data"}"\n')
    return Flags(config=file)


def stored(flags: Flags) -> list:
    database = open_database("sqlite", flags.load().settings.data_dir)
    try:
        return SqlKeyStore(database).all()
    finally:
        database.close()


def test_a_key_is_printed_once_and_kept_hashed(flags, capsys) -> None:
    """Standard output has the key alone, the database its digest with all that it may."""
    wanted = Wanted("shop", ("brain", "lab/*"), 60, 1.5, 0.1, "2d")
    assert create(flags, wanted, as_json=False) == 0
    said = capsys.readouterr()
    key = said.out.strip()
    assert said.out == f"{key}\n"
    assert "it is the first key" in said.err
    (record,) = stored(flags)
    assert record.digest == digest_of(key.encode()).hex()
    assert (record.name, record.models, record.rpm) == ("shop", ("brain", "lab/*"), 60)
    assert (record.daily_nusd, record.monthly_nusd) == (1_500_000_000, 100_000_000)
    assert not record.speaks_for_others
    assert record.expires_ms - record.created_ms == 2 * 86_400_000
    assert list_keys(flags, everything=True, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "shop" in shown
    assert key not in shown
    assert record.digest not in shown


def test_lists_hide_the_revoked(flags, capsys) -> None:
    """A revoked key shows on demand only, and its name is free again."""
    create(flags, Wanted("shop"), as_json=True)
    assert json.loads(capsys.readouterr().out)["key"].startswith("ck-")
    assert revoke(flags, "shop") == 0
    create(flags, Wanted("shop"), as_json=False)
    capsys.readouterr()
    list_keys(flags, everything=False, as_json=True)
    assert [row["state"] for row in json.loads(capsys.readouterr().out)["keys"]] == ["in force"]
    list_keys(flags, everything=True, as_json=True)
    assert [row["state"] for row in json.loads(capsys.readouterr().out)["keys"]] == ["revoked", "in force"]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted("shop"), "revoke it first"),
        (Wanted("a b"), "cannot be named"),
        (Wanted("x" * 65), "cannot be named"),
        (Wanted("owner"), "cannot be named"),
        (Wanted("x", ("chatt",)), "no such role"),
        (Wanted("x", daily_usd=1.0, speaks_for_others=True), r"budgets\.users"),
        (Wanted("x", expires="soon"), "--expires soon"),
        (Wanted("x", expires="2001-01-01"), "that is past"),
    ],
)
def test_mistakes(flags, wanted, says) -> None:
    """Names twice, roles that are not there and times gone by are refused, and nothing is made."""
    create(flags, Wanted("shop"), as_json=False)
    with pytest.raises(ConfigError, match=says):
        create(flags, wanted, as_json=False)
    assert len(stored(flags)) == 1


def test_revoking_nothing(flags) -> None:
    """A name that is not there is refused with those that are."""
    create(flags, Wanted("shop"), as_json=False)
    with pytest.raises(ConfigError, match="there is: shop"):
        revoke(flags, "shopp")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 30 * 86400), ("12h", 12 * 3600), ("4w", 28 * 86400), ("90m", 5400)]
)
def test_spans(text, seconds) -> None:
    """Spans count from now; dates are dates."""
    assert parse_until(text, NOW) == NOW + seconds
    assert parse_until("2099-01-31", NOW) == datetime(2099, 1, 31).timestamp()  # noqa: DTZ001 local on purpose
