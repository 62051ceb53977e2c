"""Makes the panel's helpers importable."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from panel_house import House


@pytest.fixture
def house():
    """Where panels are held; at the end nothing that was begun in it may be left."""
    made = House()
    yield made
    assert made.open == 0
