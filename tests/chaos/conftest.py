"""Simulators for the whole session, with scripts that stay."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chaos_house import Sims, simulators


@pytest.fixture(scope="session")
def _sims() -> Iterator[Sims]:
    with simulators(models=[f"m{i}-{j}" for i in range(100) for j in range(4)]) as sims:
        yield sims


@pytest.fixture
def sims(_sims: Sims) -> Iterator[Sims]:
    """All four simulators without faults; at the end nothing may be open at any of them."""
    _sims.clear()
    yield _sims
    assert _sims.idle() == {}


@pytest.fixture(scope="session")
def server_process() -> ModuleType:
    """The helper that starts ``coreto serve`` in a process of its own."""
    path = Path(__file__).parents[1] / "support" / "server_process.py"
    spec = importlib.util.spec_from_file_location("coreto_test_server_process", path)
    assert spec is not None
    assert spec.loader is not None
    support = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = support
    spec.loader.exec_module(support)
    return support
