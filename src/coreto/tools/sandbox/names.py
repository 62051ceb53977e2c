"""Which names a job's files may have."""

from collections.abc import Sequence

PART_MOST = 200
"""Bytes of one part of a name; file systems take 255."""

NAME_MOST = 1000
"""Bytes of a whole name, so that it stays a path under a folder of our own (the system takes 4095)."""


def safe(name: str) -> bool:
    """Whether ``name`` is a plain relative path with ``/`` between its parts, which stays where it is put."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # bytes that are no UTF-8 come as lone surrogates
        return False
    parts = name.split("/")
    return (
        0 < size <= NAME_MOST
        and name.isprintable()
        and "\\" not in name
        and all(part not in {"", ".", ".."} and len(part.encode()) <= PART_MOST for part in parts)
    )


def conflict(names: Sequence[str]) -> str | None:
    """Why files of these names cannot lie in one folder; ``None``: they can."""
    for name in names:
        if not safe(name):
            return f"{name!r} is not a name inside the folder: use relative paths such as 'data/in.csv'"
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        return f"{twice!r} is the code's own name"
    taken = set(names)
    for name in names:
        parts = name.split("/")
        above = next((up for up in ("/".join(parts[:i]) for i in range(1, len(parts))) if up in taken), None)
        if above is not None:
            return f"{above!r} cannot be a file and the folder of {name!r}"
    return None
