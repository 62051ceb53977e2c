"""What is said to process 1 of the sandbox and what it answers, as bytes (see :mod:`.inside` for the form).

The answer is not to be trusted: whoever breaks out of the code's process and into process 1 writes it.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from coreto.tools.sandbox.jobs import Job
from coreto.tools.sandbox.layout import WORK
from coreto.tools.sandbox.names import safe

READY = b"+"

HEAD_MOST = 4 * 1024 * 1024
"""Bytes of a report's head: 1000 names of 1000 bytes, escaped, fit in."""


@dataclass(frozen=True, slots=True)
class Start:
    """How process 1 starts the code. ``control``: the file number for its answers; ``uid``: the user to become."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folders: Sequence[str]
    control: int
    uid: int | None
    box_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. ``limit``: the limit's name, or ``stopped`` when we asked for the end."""

    exit_code: int
    limit: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    left_out: tuple[str, ...] = ()


def request(job: Job, start: Start) -> bytes:
    """``job`` as process 1 reads it."""
    files = {job.program: job.source, **job.files}
    blobs = [*files.values(), job.stdin]
    head = {
        **asdict(start),
        "work": WORK,
        "program": job.program,
        "names": list(files),
        "sizes": [len(blob) for blob in blobs],
        "limits": asdict(job.limits),
    }
    text = json.dumps(head).encode()
    return b"".join([struct.pack(">Q", len(text)), text, *blobs])


def report(answer: bytes) -> Report | None:
    """What process 1 answered, after its :data:`READY`; ``None`` when that is not a whole report."""
    try:
        (length,) = struct.unpack_from(">Q", answer)
        head: Any = json.loads(answer[8 : 8 + length])
        names = [str(name) for name in head["names"]]
        sizes = [int(size) for size in head["sizes"]]
        exit_code = int(head["exit"])
        limit = None if head["limit"] is None else str(head["limit"])
        left_out = [str(name) for name in head["left_out"]]
    except (struct.error, ValueError, KeyError, TypeError):
        return None
    if len(names) != len(sizes) or min(sizes, default=0) < 0 or 8 + length + sum(sizes) != len(answer):
        return None
    files: dict[str, bytes] = {}
    at = 8 + length
    for name, size in zip(names, sizes, strict=True):
        if safe(name):
            files[name] = answer[at : at + size]
        else:
            left_out.append(name)
        at += size
    shown = (name.encode("utf-8", "backslashreplace").decode() for name in left_out)
    return Report(exit_code & 0xFF, limit, files, tuple(shown))
