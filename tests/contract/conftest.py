"""What the contract suites share."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL database of this session's own."""
    path = Path(__file__).parents[1] / "support" / "postgres.py"
    spec = importlib.util.spec_from_file_location("coreto_test_postgres", path)
    support = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(support)
    with support.postgres_url() as url:
        yield url
