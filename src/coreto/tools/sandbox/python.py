"""Which Python runs inside, and where the sandbox finds it: this process's own, without its packages unless asked."""

import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coreto.tools.sandbox.layout import PYTHON

Bind = tuple[str, str]
"""A folder or file of the host, and where it is inside, read-only."""


@dataclass(frozen=True, slots=True)
class Python:
    """An installed Python: the folder it is installed in, its version as in ``python3.11``, and the folders of
    the packages that its user sees (those of a virtual environment, where there is one)."""

    prefix: str
    version: str
    packages: tuple[str, ...] = ()
    virtual: bool = False

    @classmethod
    def current(cls) -> "Python":
        """The one that runs this process."""
        paths = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
        return cls(
            prefix=str(Path(sys.base_prefix).resolve()),
            version=f"python{sys.version_info.major}.{sys.version_info.minor}",
            packages=tuple(dict.fromkeys(str(Path(path).resolve()) for path in paths)),
            virtual=sys.prefix != sys.base_prefix,
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A Python inside: what starts it, what must be bound for it, which folders are covered by empty ones, and
    its environment."""

    executable: str
    binds: tuple[Bind, ...]
    covered: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


def fit(python: Python, *, packages: bool, exists: Callable[[str], bool]) -> Fitted:
    """How ``python`` gets into the sandbox. ``exists``: whether the host has a path.

    An installation in ``/usr`` is there already. Another one moves to :data:`PYTHON`, only its program and its
    libraries: its folder may be the home of other environments.
    """
    in_usr = python.prefix == "/usr" or python.prefix.startswith("/usr/")
    home = python.prefix if in_usr else PYTHON
    binds: list[Bind] = []
    if not in_usr:
        parts = (f"bin/{python.version}", "lib", "lib64")
        binds = [
            (f"{python.prefix}/{part}", f"{PYTHON}/{part}")
            for part in parts
            if exists(f"{python.prefix}/{part}")
        ]
    sites = [
        (f"{python.prefix}/{place}", f"{home}/{place}")
        for lib in ("lib", "lib64")
        for place in (f"{lib}/{python.version}/site-packages", f"{lib}/{python.version}/dist-packages")
    ]
    if in_usr:  # Debian's system Python has two more
        sites += [
            (place, place)
            for place in ("/usr/lib/python3/dist-packages", f"/usr/local/lib/{python.version}/dist-packages")
        ]
    covered = [inside for host, inside in dict.fromkeys(sites) if exists(host)]
    environment: list[tuple[str, str]] = []
    if packages and not python.virtual:
        covered = []
    elif packages and covered:
        binds += list(zip(python.packages, covered, strict=False))
        covered = covered[len(python.packages) :]
    if not in_usr:
        # a shared libpython is looked for by the absolute path that it was built with
        environment.append(("LD_LIBRARY_PATH", f"{PYTHON}/lib"))
    return Fitted(f"{home}/bin/{python.version}", tuple(binds), tuple(covered), tuple(environment))
