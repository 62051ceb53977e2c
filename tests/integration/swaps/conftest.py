"""Two models of different sizes, and what each answers when it is alone."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from swap_house import LARGE, SMALL, Fingerprint, copies, engine_of, fingerprint


@pytest.fixture(scope="session")
def large(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same model with 16-bit weights: three times the size."""
    path = copies.copy_as(weights, tmp_path_factory.mktemp("copies") / "large.gguf", copies.TensorType.F16)
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def files(weights: Path, large: Path) -> Mapping[str, Path]:
    return {SMALL: weights, LARGE: large}


@pytest.fixture(scope="session")
def alone(files: Mapping[str, Path]) -> Mapping[str, Fingerprint]:
    """What each model answers when it has the machine to itself."""

    async def main() -> dict[str, Fingerprint]:
        async with engine_of(files) as engine:
            return {name: await fingerprint(engine, name) for name in files}

    return asyncio.run(main())
