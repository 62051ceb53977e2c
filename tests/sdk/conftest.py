"""Tests with the official SDKs, in an environment of their own (requirements.txt).

They start Coreto's processes with the interpreter named by CORETO_PYTHON, because Coreto is not installed here.
A run of the main environment leaves this folder out; naming the folder runs it.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).parents[2]
_WANTED = bool(os.environ.get("CORETO_PYTHON")) or any("sdk" in Path(arg).parts for arg in sys.argv[1:])
collect_ignore_glob = [] if _WANTED else ["test_sdk_*.py"]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say in one line what is missing."""
    if _WANTED and not os.environ.get("CORETO_PYTHON"):
        pytest.exit("tests/sdk: set CORETO_PYTHON to the Python that has Coreto installed", returncode=4)


def _simulator_module() -> ModuleType:
    # By path: the module needs the standard library only, and Coreto is not installed here.
    path = _ROOT / "src" / "coreto" / "testing" / "simulator.py"
    spec = importlib.util.spec_from_file_location("coreto_testing_simulator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def start_simulator():
    """`coreto.testing.simulator.start_simulator`."""
    return _simulator_module().start_simulator
