"""What bubblewrap is told, as pure functions: what the code sees, and as whom it runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from coreto.tools.sandbox.layout import BOX, INSIDE, SHARED_MEMORY, TEMPORARY, WORK
from coreto.tools.sandbox.python import Fitted

SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
"""Folders beside ``/usr`` that programs need; links into it on most systems."""

SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives")
"""All that is there of ``/etc``: where libraries and commands of ``/usr`` are."""

DEVICES = ("null", "zero", "full", "random", "urandom")

UNSHARED = ("pid", "net", "ipc", "uts", "cgroup-try")


_UIDS = 1 << 31
"""Numbers above are negative to programs that keep them in an ``int``."""

_FEW = 8
"""Users, of which none is spare."""

_USER = "1000"
"""The number that we have inside where we are not root, whatever it is outside."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the arguments depend on. ``links``: those of :data:`SYSTEM` that are symbolic links, with their
    targets; ``folders``: those that are folders. ``inside``: the file that becomes process 1, and ``uid`` the user
    that it becomes, if it is started as root."""

    program: str
    uid: int | None
    links: Mapping[str, str]
    folders: Sequence[str]
    inside: str


def arguments(host: Host, fitted: Fitted, *, box_bytes: int, seccomp: int) -> list[str]:
    """The argument vector. ``box_bytes``: the size of everything that can be written; ``seccomp``: the file
    number from which the filter is read."""
    return [
        host.program,
        *(f"--unshare-{name}" for name in UNSHARED),
        *_rights(host),
        # not --die-with-parent: bubblewrap killed while it makes process 1 leaves one that waits for ever. Process
        # 1 itself sees by its standard input that we are gone
        "--new-session", "--as-pid-1",
        "--hostname", "sandbox",
        "--clearenv", *_each("--setenv", fitted.environment),
        *_system(host),
        "--proc", "/proc",
        *_devices(),
        "--perms", "0777", "--size", str(box_bytes), "--tmpfs", BOX,
        "--symlink", TEMPORARY, "/tmp",  # noqa: S108 the sandbox's own
        *_folders(inside for _, inside in fitted.binds),
        *_each("--ro-bind", fitted.binds),
        *_covers(fitted.covered),
        "--ro-bind", host.inside, INSIDE,
        # what bubblewrap itself has made is in memory too, without a limit
        "--remount-ro", "/dev", "--remount-ro", "/",
        "--seccomp", str(seccomp),
        "--chdir", "/",
        "--", fitted.executable, "-I", "-S", INSIDE,
    ]  # fmt: skip


def environment(fitted: Fitted) -> dict[str, str]:
    """All of the code's environment. Output is not buffered, so that a run that is ended shows how far it came."""
    folder = fitted.executable.rpartition("/")[0]
    path = dict.fromkeys([folder, "/usr/local/bin", "/usr/bin", "/bin"])
    return {
        "PATH": ":".join(path),
        "HOME": WORK,
        "TMPDIR": "/tmp",  # noqa: S108 the sandbox's own
        "USER": "sandbox",
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        **dict(fitted.environment),
    }


def folders() -> list[str]:
    """What process 1 makes in the box."""
    return [WORK, TEMPORARY, SHARED_MEMORY]


def spare_uid(uid_map: str, entropy: int) -> int | None:
    """A user that nobody is, for one run of root's: as ``/proc/self/uid_map`` allows, never the first or last
    ones; ``None`` where root is the only user, and so not the real one.

    The real root's number must not go inside: the kernel counts no processes for it, and settings and files of
    the host obey it. A number of its own for each run keeps 30 parallel ones from sharing a process limit.
    """
    first, _, count = (int(word) for word in max(_rows(uid_map), key=lambda row: int(row[2])))
    count = min(count, _UIDS - first)
    if count < _FEW:
        return None
    # from the third quarter: the ends are where system users, people and "nobody" are
    return first + count // 2 + entropy % min(count // 4, 1 << 20)


def _rows(uid_map: str) -> list[list[str]]:
    return [row.split() for row in uid_map.splitlines() if row.strip()]


def _rights(host: Host) -> list[str]:
    if host.uid is not None:
        # to become another user; both are gone when process 1 has done so, before it starts the code
        return ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--unshare-user", "--disable-userns", "--uid", _USER, "--gid", _USER, "--cap-drop", "ALL"]


def _system(host: Host) -> list[str]:
    binds = [(folder, folder) for folder in ("/usr", *host.folders)]
    links = [(target, link) for link, target in host.links.items()]
    tried = [(path, path) for path in SETTINGS]
    return [
        *_each("--ro-bind", binds),
        *_each("--symlink", links),
        *_folders(SETTINGS),
        *_each("--ro-bind-try", tried),
    ]


def _folders(paths: Iterable[str]) -> list[str]:
    """The folders above ``paths`` outside of ``/usr``: as bubblewrap makes them by itself, they are its owner's."""
    above = {str(up): None for path in paths for up in reversed(PurePosixPath(path).parents)}
    made = [up for up in above if up not in {"/", "/usr"} and not up.startswith("/usr/")]
    return [word for up in made for word in ("--perms", "0755", "--dir", up)]


def _devices() -> list[str]:
    """Not bubblewrap's ``--dev``: that one is writable and of any size, and has terminals."""
    bound = [(f"/dev/{name}", f"/dev/{name}") for name in DEVICES]
    links = [("/proc/self/fd", "/dev/fd"), (SHARED_MEMORY, "/dev/shm")]  # noqa: S108
    links += [
        (f"/proc/self/fd/{number}", f"/dev/{name}")
        for number, name in enumerate(("stdin", "stdout", "stderr"))
    ]
    return ["--size", "65536", "--tmpfs", "/dev", *_each("--dev-bind", bound), *_each("--symlink", links)]


def _covers(covered: Sequence[str]) -> list[str]:
    return [word for path in covered for word in ("--size", "4096", "--tmpfs", path, "--remount-ro", path)]


def _each(option: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [word for pair in pairs for word in (option, *pair)]
