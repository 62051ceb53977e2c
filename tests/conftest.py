"""What every kind of test shares."""

import asyncio
import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """A folder with the embedded model's weights, pulled once and kept between runs."""
    from coreto.providers.weights import pull  # the SDKs' environment has no Coreto, and needs none

    named = os.environ.get("CORETO_MODELS_DIR")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / "coreto-test-models"
    asyncio.run(pull("smollm2", folder))
    return folder


@pytest.fixture(scope="session")
def weights(models_dir: Path) -> Path:
    """The file of the embedded model's weights."""
    return models_dir / "smollm2.gguf"
