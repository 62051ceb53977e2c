"""Process 1 of the sandbox: lays the job's files out, starts its code, watches the limits of all its processes
together, and hands the changed files back.

It runs inside, as a file without its package, on the standard library alone, and must trust nothing that the code
can reach. Being process 1 it gets no signal from the other processes, and all of them die with it.

It speaks to the outside in two pipes. On file 0 comes the request: eight bytes for the length of a JSON object,
the object, then the blobs whose sizes it names. The pipe stays open: its end means "stop now", whether the outside
says so or has died. On the file named by the request go one ``+`` when everything is set up, and in the end a
report of the same form as the request.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import stat
import struct
import time
from typing import Any

# pathlib takes as long to import as all of the above
# ruff: noqa: PTH102, PTH103, PTH108, PTH118, PTH120, PTH123, PTH208

POLL = 0.02
"""Seconds between two looks at the limits. In one, a process can take a tenth of a second's CPU at most and some
twenty megabytes; what it could take beyond its own hard limits is bounded by that."""

DEPTH_MOST = 32
"""Folders within folders that are returned."""

FREE_LEAST = 512 * 1024
"""Bytes; with less free in the box, it counts as full."""

SLACK = 32 * 1024 * 1024
"""Bytes of resident memory beyond the limit: shared libraries, and a process that fails by itself, with a
traceback, is better than one that is killed."""

SOCKET = 208 * 1024
"""Bytes that wait in a socket at most, as the kernel sets it up; no process's memory shows them."""

ADDRESSES = 2 * 1024**3
"""Bytes of address space beyond the memory limit: a thread reserves 72 MB of it and uses some kilobytes."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_DUMPABLE, _DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 4, 1, 38  # linux/prctl.h
_CAPABILITIES = 0x20080522  # the version of the call, linux/capability.h

Json = dict[str, Any]


def main() -> None:
    """Serve the one request."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    # Python handles this one, and process 1 gets signals from inside when it handles them
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        request, blobs = receive(0)
    except EOFError:  # called off
        return
    control = int(request["control"])
    seal(control, request["uid"])
    files = dict(zip(request["names"], blobs, strict=False))
    stdin = lay_out(request, files, blobs[-1])
    os.write(control, b"+")
    end = time.monotonic() + request["limits"]["wall_seconds"]
    child = start(request, stdin)
    os.close(stdin)
    status, hit = watch(child, request, end)
    sweep()
    if hit is None and full(request):
        hit = "files"
    names, contents, left_out = collect(request["work"], files, request["limits"], request["program"])
    report = {"exit": code_of(status), "limit": hit, "names": names, "left_out": left_out}
    send(control, report, contents)


def receive(file: int) -> tuple[Json, list[bytes]]:
    """The JSON object and the blobs that arrive on ``file``. Raises :class:`EOFError` when they end early."""
    (length,) = struct.unpack(">Q", _exactly(file, 8))
    head: Json = json.loads(_exactly(file, length))
    return head, [_exactly(file, size) for size in head["sizes"]]


def send(file: int, head: Json, blobs: list[bytes]) -> None:
    """Write the JSON object and the blobs in the form that :func:`receive` reads."""
    text = json.dumps({**head, "sizes": [len(blob) for blob in blobs]}).encode()
    for part in (struct.pack(">Q", len(text)), text, *blobs):
        view = memoryview(part)
        while view:
            view = view[os.write(file, view) :]


def _exactly(file: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(file, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def seal(control: int, uid: int | None) -> None:
    """Close what we were not meant to inherit and give up what is left of our rights.

    Changing the user clears the signal that comes with the outside's death, so that is asked for again.
    """
    os.set_inheritable(control, False)
    os.closerange(3, control)
    os.closerange(control + 1, 1 << 16)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    libc = ctypes.CDLL(None, use_errno=True)
    done = [libc.capset(struct.pack("=Ii", _CAPABILITIES, 0), bytes(24))]
    for option, value in ((_DUMPABLE, 0), (_DEATH_SIGNAL, signal.SIGKILL), (_NO_NEW_PRIVILEGES, 1)):
        done.append(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))
    if any(done):
        raise OSError(ctypes.get_errno(), f"cannot give up rights: {done}")


def lay_out(request: Json, files: dict[str, bytes], stdin: bytes) -> int:
    """Write the job's files, and give its standard input as an open file that has no name."""
    for folder in request["folders"]:
        os.mkdir(folder, 0o700)
    work = request["work"]
    for name, content in files.items():
        path = os.path.join(work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(content)
    path = os.path.join(os.path.dirname(work), "stdin")
    with open(path, "xb") as file:
        file.write(stdin)
    opened = os.open(path, os.O_RDONLY)
    os.unlink(path)
    return opened


def start(request: Json, stdin: int) -> int:
    """Start the job's code with its limits; the process's number."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.dup2(stdin, 0)
        os.closerange(3, 1 << 16)
        os.chdir(request["work"])
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that is inherited
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        for kind, wanted in ceilings(request).items():
            most = resource.getrlimit(kind)[1]
            value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.setrlimit(kind, (value, value))
        os.execve(request["argv"][0], request["argv"], request["environment"])  # noqa: S606 no shell is meant
    except OSError as error:
        os.write(2, f"cannot start: {error}\n".encode())
    finally:
        os._exit(127)


def ceilings(request: Json) -> dict[int, int]:
    """The limits of each process that the kernel keeps."""
    limits = request["limits"]
    return {
        resource.RLIMIT_CPU: int(limits["cpu_seconds"]) + 2,
        resource.RLIMIT_DATA: limits["memory_bytes"],
        resource.RLIMIT_AS: limits["memory_bytes"] + ADDRESSES,
        # one for process 1, and one so that having too many shows
        resource.RLIMIT_NPROC: limits["processes"] + 2,
        resource.RLIMIT_FSIZE: request["box_bytes"],
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_STACK: 8 * 1024 * 1024,
        resource.RLIMIT_MEMLOCK: 64 * 1024,
        resource.RLIMIT_MSGQUEUE: 0,
    }


def watch(child: int, request: Json, end: float) -> tuple[int, str | None]:
    """Wait until the code ends or is at a limit: its wait status (killed, in the second case), and the limit.

    ``stopped`` stands for the outside's word.
    """
    killed = int(signal.SIGKILL)
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, POLL)
        status = reaped(child)
        if status is not None:
            return status, "cpu" if status & 0x7F == signal.SIGXCPU else None
        if select.select([0], [], [], 0)[0]:
            return killed, "stopped"
        if time.monotonic() > end:
            return killed, "wall"
        hit = exceeded(request["limits"]) or ("files" if full(request) else None)
        if hit is not None:
            return killed, hit


def reaped(child: int) -> int | None:
    """Take leave of every process that has ended; the wait status of ``child`` if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status


def sweep() -> None:
    """Kill every other process, until there is none."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def exceeded(limits: Json) -> str | None:
    """The limit that all processes together are beyond. Those that are gone count for CPU time."""
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, tasks, resident = gone.ru_utime + gone.ru_stime, 0, 0
    pids = [name for name in os.listdir("/proc") if name.isdecimal() and name != "1"]
    for pid in pids:
        text = _read(f"/proc/{pid}/stat")
        if text:
            numbers = text[text.rindex(b")") + 2 :].split()  # the name before may hold anything
            cpu += sum(map(int, numbers[11:15])) * _TICK
            tasks += int(numbers[17])
            resident += int(numbers[21]) * _PAGE
    if cpu > limits["cpu_seconds"]:
        return "cpu"
    if tasks > limits["processes"]:
        return "processes"
    most = limits["memory_bytes"] + SLACK - sockets() * SOCKET
    # resident pages that forked processes share count once for each: then the slower, exact figure decides
    if resident > most and sum(map(proportional, pids)) > most:
        return "memory"
    return None


def sockets() -> int:
    """How many sockets there are inside."""
    lines = _read("/proc/net/protocols").splitlines()
    return sum(int(line.split()[2]) for line in lines if line.startswith(b"UNIX"))


def proportional(pid: str) -> int:
    """Bytes of a process's memory, shared pages by their part; all resident ones where that cannot be read."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    words = _read(f"/proc/{pid}/statm").split()
    return int(words[1]) * _PAGE if len(words) > 1 else 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read() or b""
    except OSError:  # the process is gone, or has made itself unreadable
        return b""


def full(request: Json) -> bool:
    """Whether the box holds more bytes or files than it may."""
    space = os.statvfs(request["work"])
    files = space.f_files - space.f_ffree - len(request["folders"]) - 1
    return space.f_bavail * space.f_frsize < FREE_LEAST or files > request["limits"]["files_count"] + 1


def collect(
    work: str, before: dict[str, bytes], limits: Json, program: str
) -> tuple[list[str], list[bytes], list[str]]:
    """The names and contents of plain files that are new or changed, and the names of what stays out."""
    names: list[str] = []
    contents: list[bytes] = []
    left_out: list[str] = []
    room, folders = limits["files_bytes"], [""]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(os.path.join(work, folder)), key=lambda entry: entry.name)
        except OSError:
            left_out.append(folder)
            continue
        for entry in entries:
            name = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False) and name.count("/") < DEPTH_MOST:
                folders.append(name)
            elif name != program:
                content = plain(entry.path, room)
                if content is None or len(names) >= limits["files_count"]:
                    left_out.append(name)
                elif before.get(name) != content:
                    names.append(name)
                    contents.append(content)
                    room -= len(content)
    return names, contents, left_out[:100]


def plain(path: str, room: int) -> bytes | None:
    """The content of a plain file of at most ``room`` bytes; ``None`` for anything else."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(file, "rb") as opened:
        seen = os.fstat(file)
        return opened.read(room) if stat.S_ISREG(seen.st_mode) and seen.st_size <= room else None


def code_of(status: int) -> int:
    """A wait status as a shell says it."""
    return 128 + (status & 0x7F) if status & 0x7F else status >> 8


if __name__ == "__main__":
    main()
    os._exit(0)
