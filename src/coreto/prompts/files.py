"""Reads a folder of prompts.

``*.prompt`` anywhere below it is a prompt; the ``*.txt`` beside and below a prompt's file are what it may include;
``experiments.toml`` in the folder itself says which versions are compared. Links that lead elsewhere are left out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from coreto.prompts.errors import PromptError
from coreto.prompts.experiments import parse_experiments
from coreto.prompts.library import Library
from coreto.prompts.parsing import LARGEST, parse

SUFFIX: Final = ".prompt"
FRAGMENT_SUFFIX: Final = ".txt"
EXPERIMENTS: Final = "experiments.toml"
MOST_FILES: Final = 2_000


def load_folder(folder: Path) -> Library:
    """Every prompt and experiment in ``folder``. Raises :class:`PromptError`, for a folder that is not there too."""
    if not folder.is_dir():
        raise PromptError("no such folder of prompts", file=str(folder))
    root = folder.resolve()
    by_folder: dict[Path, Mapping[str, str]] = {}
    prompts = [
        parse(
            _read(path),
            file=str(path),
            fragments=by_folder.setdefault(path.parent, _fragments(path.parent)),
        )
        for path in _files(folder, SUFFIX, root)
    ]
    experiments = folder / EXPERIMENTS
    told = parse_experiments(_read(experiments), file=str(experiments)) if experiments.is_file() else ()
    return Library(prompts, told)


def _fragments(folder: Path) -> Mapping[str, str]:
    files = _files(folder, FRAGMENT_SUFFIX, folder.resolve())
    return {
        path.relative_to(folder).as_posix(): _read(path).replace("\r\n", "\n").rstrip("\n") for path in files
    }


def _files(folder: Path, suffix: str, root: Path) -> Iterator[Path]:
    """Files that end in ``suffix`` and really are below ``root``, in order."""
    try:
        found = sorted(folder.rglob(f"*{suffix}"))
    except OSError as error:
        raise PromptError(f"cannot be read: {error.strerror}", file=str(folder)) from None
    if len(found) > MOST_FILES:
        raise PromptError(f"more than {MOST_FILES} files", file=str(folder))
    for path in found:
        if path.is_file() and path.resolve().is_relative_to(root):
            yield path


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # a character has four bytes at most
            content = file.read(4 * LARGEST + 1)
    except OSError as error:
        raise PromptError(f"cannot be read: {error.strerror}", file=str(path)) from None
    if len(content) > 4 * LARGEST:
        raise PromptError(f"longer than {LARGEST} characters", file=str(path), line=1)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PromptError("not UTF-8", file=str(path), line=line) from None
