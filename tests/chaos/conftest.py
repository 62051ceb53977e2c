"""Simulators for the whole session, with scripts that stay."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chaos_house import Sims, simulators


@pytest.fixture(scope="session")
def _sims() -> Iterator[Sims]:
    with simulators(models=[f"m{i}-{j}" for i in range(20) for j in range(4)]) as sims:
        yield sims


@pytest.fixture
def sims(_sims: Sims) -> Iterator[Sims]:
    """All four simulators without faults; at the end nothing may be open at any of them."""
    _sims.clear()
    yield _sims
    assert _sims.idle() == {}
