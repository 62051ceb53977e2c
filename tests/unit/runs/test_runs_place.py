"""Whether the engine's database is on this machine."""

import pytest

from coreto.runs.place import place_of


def test_sqlite_is_beside_our_own(tmp_path) -> None:
    """A file of its own in the data directory."""
    place = place_of(" sqlite ", tmp_path)
    assert place.local
    assert place.file == tmp_path / "runs.db"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("postgresql://me:pw@127.0.0.1:5432/db", True),
        ("postgresql://localhost/db", True),
        ("postgresql://[::1]/db", True),
        ("postgresql:///db", True),
        ("postgresql://db.example.org/db", False),
        ("postgresql://10.0.0.7/db", False),
        ("postgresql:///db?host=db.example.org", False),
        ("postgresql://127.0.0.1/db?hostaddr=10.0.0.7", False),
        ("postgresql:///db?service=prod", False),
    ],
)
def test_local_or_not(url, local, tmp_path) -> None:
    """Only a loopback address or a socket is this machine; another host in the query is not overlooked."""
    place = place_of(url, tmp_path)
    assert place.local is local
    assert place.file is None


def test_the_password_is_not_shown(tmp_path) -> None:
    """Neither in the name for messages nor in the place's own words."""
    place = place_of("postgresql://me:hush@db.example.org/db", tmp_path)
    assert "hush" in place.url
    assert place.secret == "hush"
    assert "hush" not in place.where
    assert "hush" not in repr(place)
