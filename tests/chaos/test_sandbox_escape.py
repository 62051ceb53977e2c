"""Real attempts to get out of the sandbox of namespaces, to use up the machine, and to outlive a run."""

import asyncio
import contextlib
import ctypes
import importlib
import os
import platform
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from coreto.tools.sandbox import SandboxKind, SandboxLimits, run_python, run_shell
from coreto.tools.sandbox.bubblewrap import Bubblewrap
from coreto.tools.sandbox.jobs import MIB
from coreto.tools.sandbox.seccomp import MACHINES

REPOSITORY = Path(__file__).parents[2]
TIGHT = SandboxLimits(
    cpu_seconds=2,
    memory_bytes=128 * MIB,
    processes=12,
    output_bytes=64 * 1024,
    files_bytes=8 * MIB,
    files_count=50,
    wall_seconds=20,  # two seconds of CPU take that long on a machine that is busy
)
_SUBREAPER = 36  # linux/prctl.h


def obstacle() -> str | None:
    """Why bubblewrap does not hold here."""
    return asyncio.run(Bubblewrap().obstacle())


@pytest.fixture(scope="module", autouse=True)
def _holds():
    """These tests are about bubblewrap; where it is missing, the contract suite checks that nothing is run."""
    reason = obstacle()
    if reason is not None:
        pytest.skip(reason)
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop").new_event_loop().close()  # its first loop opens files for good


def children() -> set[int]:
    """Our children, orphans of theirs included; those that have ended are buried first."""
    found = set()
    for thread in Path("/proc/self/task").glob("*/children"):
        found |= {int(pid) for pid in thread.read_text().split()}
    return {pid for pid in found if state(pid) not in {"Z", ""} or not bury(pid)}


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def bury(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def eventually(holds, seconds: float = 5.0) -> bool:
    """Whether ``holds()`` comes true in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def belongings() -> tuple[int, int]:
    """Open files of ours and mounts that we see."""
    return len(list(Path("/proc/self/fd").iterdir())), len(
        Path("/proc/self/mountinfo").read_text().splitlines()
    )


@pytest.fixture(autouse=True)
def _nothing_is_left(_holds):
    """Whatever a test does, afterwards there is no process, mount or open file more than before. Orphans of runs
    come to us, as init's deputy."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before, had = children(), belongings()
    yield
    assert eventually(lambda: children() <= before), "processes survive"
    assert belongings() == had


@pytest.fixture
def box():
    """Runs Python in the sandbox, and checks what holds for every run."""

    async def run(code, **options):
        options = {"limits": TIGHT, "sandbox": Bubblewrap(), **options}
        result = await run_python(textwrap.dedent(code), **options)
        assert result.kind is SandboxKind.BUBBLEWRAP
        assert result.seconds < options["limits"].wall_seconds + 3
        assert len(result.stdout.encode()) + len(result.stderr.encode()) <= 3 * options["limits"].output_bytes
        return result

    return lambda code, **options: asyncio.run(run(code, **options))


@pytest.fixture
def refused(box):
    """Runs an attempt that must fail by an error of the system; gives the error's text."""

    def run(attempt, before="", **options):
        code = (
            f"{textwrap.dedent(before)}\ntry:\n{textwrap.indent(textwrap.dedent(attempt).strip(), '    ')}\n"
            "except (OSError, ProcessLookupError) as error:\n"
            "    print('REFUSED', type(error).__name__, error)\n"
            "else:\n    print('SUCCEEDED')\n"
        )
        result = box(code, **options)
        assert result.stdout.startswith("REFUSED"), result
        assert "SUCCEEDED" not in result.stdout
        return result.stdout

    return run


SYSCALL = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(x86_64, aarch64, *arguments):
    number = {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""


# What it can read


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/root", "/home", "/var", "/srv", "/opt",
        "/mnt", "/media", "/run", "/sys", "/boot", str(REPOSITORY), str(Path.home()), __file__,
        "/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/tty", "/dev/console", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse",
        "/proc/kcore", "/proc/1/environ", "/proc/1/mem", "/proc/1/fd/0", "/proc/1/cwd/etc/passwd",
        "/proc/1/root/etc/passwd", "/proc/self/root/etc/passwd", "/proc/self/root/root", "/proc/self/cwd/../../etc/passwd",
        "/proc/thread-self/root/home", "/oldroot", "/newroot", "/box/../root", "../../../../../../../../etc/passwd",
    ],
)  # fmt: skip
def test_what_is_not_there_cannot_be_read(refused, path):
    """Files and folders of the host, its devices and process 1 cannot be opened by any of their names."""
    refused(f"os.close(os.open({path!r}, os.O_RDONLY))", "import os")


def test_a_canary_is_found_nowhere(box, tmp_path, monkeypatch):
    """Neither a secret of our environment nor a file of ours, by path or name, shows in anything it can see."""
    token = secrets.token_hex(16)
    monkeypatch.setenv("CORETO_TEST_CANARY", token)
    data = tmp_path / "coreto-data"
    data.mkdir()
    (data / f"{token}.txt").write_text(token)
    result = box(
        f"""
        import os
        token = "".join({list(token)!r})
        seen = []
        for folder, folders, files in os.walk("/", onerror=lambda e: None):
            if folder.startswith("/proc/") or folder == "/usr":
                folders[:] = [f for f in folders if f not in ("task", "share")]
            seen += [folder] + files
        assert not any(token in name for name in seen)
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            for part in ("environ", "cmdline", "maps", "mountinfo", "status"):
                try:
                    text = open(f"/proc/{{pid}}/{{part}}").read()
                except OSError:
                    continue
                assert token not in text, (pid, part)
        assert token not in str(os.environ)
        assert not os.path.exists({str(data)!r})
        print("clean", len(seen) > 1000)
        """,
        limits=SandboxLimits(),
    )
    assert (result.stdout, result.stderr) == ("clean True\n", "")


def test_the_environment_is_the_sandboxs_own(box, monkeypatch):
    """The code's environment has our settings for it and nothing else, so no key of ours."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-0123456789")
    result = box("import os; print(sorted(os.environ)); print(open('/proc/self/environ').read())")
    assert "sk-or" not in result.stdout
    names = set(re.findall(r"'(\w+)'", result.stdout.splitlines()[0]))
    assert names <= {
        "HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE",
        "PYTHONUNBUFFERED", "PYTHONUTF8", "TMPDIR", "USER", "LC_CTYPE",
    }  # fmt: skip


def test_only_three_files_are_open(box):
    """No file, socket or folder of ours is inherited, and process 1's cannot be taken."""
    readable, writable = os.pipe()
    os.set_inheritable(readable, True)
    os.set_inheritable(writable, True)
    try:
        result = box(
            """
            import os
            print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
            for fd in range(3, 200):
                try:
                    os.fstat(fd)
                except OSError:
                    continue
                print("open", fd, os.readlink(f"/proc/self/fd/{fd}"))
            """
        )
    finally:
        os.close(readable)
        os.close(writable)
    assert result.stdout == "[0, 1, 2]\n"


def test_links_lead_nowhere(box, tmp_path):
    """Symbolic links to the host's files dangle, hard links have nothing to link, and neither comes back as a file."""
    result = box(
        f"""
        import os
        os.symlink("/etc/passwd", "symbolic.txt")
        os.symlink({str(tmp_path)!r}, "folder")
        os.symlink("/proc/self/root/etc/passwd", "through.txt")
        os.symlink("main.py", "inner.txt")
        for source in ("/etc/passwd", "/inside.py", "/usr/bin/env", "/proc/self/environ", "/dev/null"):
            try:
                os.link(source, "hard.txt")
            except OSError as error:
                print("refused")
        for name in ("symbolic.txt", "through.txt", "folder/x"):
            try:
                open(name)
            except OSError:
                print("dangles")
        os.mkfifo("pipe")
        open("plain.txt", "w").write("mine")
        """
    )
    assert result.stdout == "refused\n" * 5 + "dangles\n" * 3, result.stderr
    assert result.files == {"plain.txt": b"mine"}
    assert set(result.left_out) == {"symbolic.txt", "folder", "through.txt", "inner.txt", "pipe"}


# What it can write


@pytest.mark.parametrize(
    "path",
    [
        "/x", "/usr/x", "/usr/bin/x", "/bin/x", "/lib/x", "/etc/x", "/etc/ld.so.preload", "/dev/x", "/proc/x",
        "/inside.py", "/python/x", "/usr/lib/x", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
        "/proc/1/oom_score_adj", "/proc/self/uid_map", "/sys/fs/cgroup/x", str(REPOSITORY / "x"),
    ],
)  # fmt: skip
def test_nothing_outside_the_box_can_be_written(refused, path):
    """The root, the system, the interpreter and the kernel's settings take no writes."""
    refused(f"open({path!r}, 'a').write('1')")


def test_devices_cannot_be_made(refused):
    """A device node cannot be created, so no disk is reached behind the file system."""
    refused("os.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(254, 0))", "import os, stat")
    refused("os.mknod('memory', 0o600 | stat.S_IFCHR, os.makedev(1, 1))", "import os, stat")


def test_rights_cannot_be_gained(box):
    """It is nobody's user, without capabilities, without the means to gain any, and not root in any namespace."""
    result = box(
        """
        import os
        status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        print([status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp")])
        print(0 in os.getresuid(), 0 in os.getresgid(), 0 in os.getgroups())
        for gain in (os.setuid, os.setgid):
            try:
                gain(0)
            except OSError:
                print("refused")
        """
    )
    none = "0" * 16
    assert result.stdout.splitlines() == [
        str([none, none, none, none, "1", "2"]), "False False False", "refused", "refused",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("mount", "call(165, 40, b'none', b'/box/work', b'tmpfs', 0, None)"),
        ("umount", "call(166, 39, b'/dev', 2)"),
        ("pivot_root", "call(155, 41, b'/box', b'/box/work')"),
        ("chroot", "os.chroot('/box')"),
        ("open_tree", "call(428, 428, -100, b'/', 1)"),
        ("fsopen", "call(430, 430, b'tmpfs', 0)"),
        ("unshare user", "call(272, 97, 0x10000000)"),
        ("unshare mount", "call(272, 97, 0x00020000)"),
        ("clone user", "call(56, 220, 0x10000000 | 17, 0, 0, 0, 0)"),
        ("clone3", "call(435, 435, 0, 0)"),
        ("setns", "call(308, 268, os.open('/proc/self/ns/net', os.O_RDONLY), 0)"),
        ("ptrace me", "call(101, 117, 0, 0, 0, 0)"),
        ("ptrace process 1", "call(101, 117, 16, 1, 0, 0)"),
        ("read process 1", "call(310, 270, 1, None, 0, None, 0, 0)"),
        ("take a file of process 1", "call(438, 438, os.pidfd_open(1), 0, 0)"),
        ("keyctl", "call(250, 219, 0, -3, 0)"),
        ("add_key", "call(248, 217, b'user', b'x', b'y', 1, -2)"),
        ("request_key", "call(249, 218, b'user', b'x', None, 0)"),
        ("bpf", "call(321, 280, 0, None, 0)"),
        ("perf_event_open", "call(298, 241, None, 0, -1, -1, 0)"),
        ("userfaultfd", "call(323, 282, 0)"),
        ("io_uring", "call(425, 425, 1, None)"),
        ("kexec", "call(246, 104, 0, 0, None, 0)"),
        ("load a module", "call(175, 105, None, 0, b'')"),
        ("reboot", "call(169, 142, 0xfee1dead, 672274793, 0, None)"),
        ("kernel log", "call(103, 116, 3, None, 0)"),
        ("open by handle", "call(304, 265, -100, None, 0)"),
        ("set the clock", "call(227, 112, 0, None)"),
        ("host name", "call(170, 161, b'x', 1)"),
        ("memory without a name", "os.memfd_create('x')"),
        ("System V memory", "call(29, 194, 0, 1 << 20, 0o1600)"),
        ("limits of process 1", "import resource; resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))"),
        ("type into a terminal", "import fcntl; fcntl.ioctl(0, 0x5412, b'x')"),
        ("controlling terminal", "os.open('/dev/ptmx', os.O_RDWR)"),
        ("a call of tomorrow", "call(9999, 9999)"),
    ],
)  # fmt: skip
def test_system_calls_that_lead_out_are_refused(refused, name, attempt):
    """Namespaces, mounts, other processes, keys, modules, memory that no limit counts: refused by the kernel."""
    refused(attempt, SYSCALL)


def test_every_denied_call_is_denied(box):
    """Each number on the list answers EPERM, whatever its arguments."""
    numbers = MACHINES[platform.machine()].denied
    result = box(
        SYSCALL
        + f"print({{n: ctypes.get_errno() for n in {numbers} if libc.syscall(n, 0, 0, 0, 0, 0, 0) != 5}})"
    )
    answers = dict(re.findall(r"(\d+): (\d+)", result.stdout))
    assert {int(n): int(e) for n, e in answers.items()} == dict.fromkeys(numbers, 1)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86_64 alone has other ways to call")
def test_calls_by_other_numbers_are_no_way_round(box):
    """The x32 numbers are not there, and a 32-bit call ends the process."""
    assert (
        "38" in box(SYSCALL + "print(libc.syscall(0x40000000 | 101, 0, 0, 0, 0), ctypes.get_errno())").stdout
    )
    result = box(
        """
        import ctypes, mmap
        code = b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3"  # mov eax, 20 (getpid); int 0x80; ret
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        print("SUCCEEDED")
        """
    )
    assert (result.stdout, result.exit_code) == ("", 128 + signal.SIGSYS)


# The network


def test_there_is_no_network(refused, box):
    """No socket of IP can be made, no name resolves, and other families are not there: not the machine's host's
    either (``AF_VSOCK``), which knows no network namespaces."""
    for family in ("AF_INET", "AF_INET6"):
        for kind in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW"):
            said = refused(f"socket.socket(socket.{family}, socket.{kind})", "import socket")
            assert "Network is unreachable" in said
    for family in ("AF_PACKET", "AF_NETLINK", "AF_VSOCK", "AF_ALG", "AF_CAN"):
        refused(f"socket.socket(socket.{family}, socket.SOCK_RAW)", "import socket")
    refused("socket.getaddrinfo('example.com', 443)", "import socket")
    refused("urllib.request.urlopen('http://127.0.0.1:1/', timeout=2)", "import urllib.request")
    assert "lo" in box("print(open('/proc/net/dev').read())").stdout
    assert "eth" not in box("print(open('/proc/net/dev').read())").stdout


def test_sockets_of_the_host_are_out_of_reach(refused, tmp_path, monkeypatch):
    """A server of ours on this machine cannot be reached: by port, by a socket's path, or by an abstract name."""
    name = f"\0coreto-{secrets.token_hex(4)}"
    with (
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
        socket.create_server(("127.0.0.1", 0)) as tcp,
    ):
        abstract.bind(name)
        abstract.listen()
        monkeypatch.chdir(tmp_path)  # a socket's path is at most 108 bytes long
        named.bind("named.socket")
        named.listen()
        refused(f"socket.socket(socket.AF_UNIX).connect({name!r})", "import socket")
        refused(f"socket.socket(socket.AF_UNIX).connect({str(tmp_path / 'named.socket')!r})", "import socket")
        refused(f"socket.create_connection(('127.0.0.1', {tcp.getsockname()[1]}), 2)", "import socket")


# Using up the machine


def test_fork_bomb(box):
    """A fork bomb stays within the limit and is ended."""
    result = box(
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """
    )
    assert result.limit_hit == "processes"
    assert result.exit_code == 137


def test_fork_bomb_of_shells():
    """The classic one, in the shell, is ended as well."""
    result = asyncio.run(
        run_shell("b() { b | b & }; b; while :; do :; done", allowed=True, limits=TIGHT, sandbox=Bubblewrap())
    )
    assert result.limit_hit in {"processes", "cpu"}
    assert result.seconds < TIGHT.wall_seconds + 3


def test_one_process_too_many_says_so(box):
    """Code that fails because it may not start another process is told which limit that is."""
    result = box("import os\nwhile os.fork(): pass\nimport time; time.sleep(60)")
    assert result.limit_hit == "processes"


def test_thread_bomb(box):
    """Threads count as processes."""
    result = box(
        """
        import threading, time
        threading.stack_size(65536)
        while True:
            try:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            except RuntimeError:
                pass
        """
    )
    assert result.limit_hit == "processes"


@pytest.mark.parametrize(
    "code",
    [
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "x = bytearray(1 << 33)",
        "x = 'a' * (1 << 40)",
        "import mmap\nkeep = []\nwhile True:\n    m = mmap.mmap(-1, 1 << 22); m.write(b'x' * (1 << 22)); keep.append(m)",
        "x = [0]\nwhile True: x = x * 2",
    ],
)
def test_memory_bomb(box, code):
    """Memory of every kind ends at the limit, with a traceback where the code can still make one."""
    result = box(code)
    assert result.limit_hit == "memory"
    assert result.exit_code != 0


def test_memory_of_many(box):
    """Processes that each stay below the limit cannot together be beyond it."""
    result = box(
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                keep = bytearray(os.urandom(60 << 20))
                time.sleep(60)
        time.sleep(60)
        """
    )
    assert (result.limit_hit, result.exit_code) == ("memory", 137)


def test_memory_in_sockets(box):
    """What waits in sockets is the kernel's memory and counts as well."""
    result = box(
        """
        import os, socket, time
        keep = []
        for _ in range(11):
            if os.fork() == 0:
                break
        try:
            while True:
                pair = socket.socketpair()
                keep.append(pair)
                pair[0].setblocking(False)
                try:
                    while True:
                        pair[0].send(b"x" * 4096)
                except BlockingIOError:
                    pass
        except OSError:
            time.sleep(60)
        """
    )
    assert result.limit_hit == "memory"


def test_endless_loop(box):
    """A busy loop ends at its CPU limit, and what it printed before is there."""
    result = box("print('before', end='')\nwhile True: pass")
    assert (result.limit_hit, result.exit_code, result.stdout) == ("cpu", 137, "before")
    assert result.seconds > 1.8


def test_busy_children_count_together(box):
    """CPU time is that of all processes together, those that have ended included."""
    result = box(
        """
        import os, time
        while True:
            if os.fork() == 0:
                end = time.process_time() + 0.3
                while time.process_time() < end: pass
                os._exit(0)
            os.wait()
        """
    )
    assert result.limit_hit == "cpu"


def test_sleeping_for_ever(box):
    """Waiting costs no CPU, so the wall clock ends it."""
    limits = SandboxLimits(wall_seconds=0.5)
    result = box(
        "import time, signal\nsignal.pthread_sigmask(0, range(1, 65))\ntime.sleep(3600)", limits=limits
    )
    assert (result.limit_hit, result.exit_code) == ("wall", 137)
    assert 0.5 <= result.seconds < 5


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_flood(box, stream):
    """Output ends at the limit; its beginning is kept."""
    result = box(f"import sys\nwhile True: sys.{stream}.write('flood ' * 1000)")
    assert result.limit_hit == "output"
    assert getattr(result, stream).startswith("flood flood")
    assert len(getattr(result, stream)) == TIGHT.output_bytes
    assert result.seconds < 10


def test_output_of_both_streams_counts_together(box):
    """The allowance is one for both streams."""
    result = box("import sys\nfor _ in range(50): sys.stdout.write('o' * 1000); sys.stderr.write('e' * 1000)")
    assert result.limit_hit == "output"
    assert len(result.stdout) + len(result.stderr) == TIGHT.output_bytes


@pytest.mark.parametrize("folder", [".", "/tmp", "/dev/shm", "/box"])
def test_disk_flood(box, folder):
    """Everything that can be written is one small file system in memory."""
    result = box(
        f"""
        import itertools
        for n in itertools.count():
            with open("{folder}/" + str(n % 40), "ab") as file:
                file.write(b"x" * (1 << 20))
        """
    )
    assert result.limit_hit == "files"
    assert sum(map(len, result.files.values())) <= TIGHT.files_bytes


def test_deleted_files_count(box):
    """A file that is open but has no name any more takes space all the same."""
    result = box(
        """
        import os
        keep = []
        while True:
            file = open("x", "wb", buffering=0)
            os.unlink("x")
            keep.append(file)
            file.write(b"x" * (1 << 20))
        """
    )
    assert result.limit_hit == "files"


def test_huge_file(box):
    """A file cannot be made larger than all files may be, holes included; holes that fit come back or are named."""
    result = box("open('huge', 'wb').truncate(1 << 45)")
    assert (result.exit_code, result.limit_hit) == (1, "files")
    result = box("for n in range(20): open(f'hole{n:02}', 'wb').truncate(4 << 20)")
    assert sorted(result.files) == ["hole00", "hole01"]
    assert len(result.left_out) == 18


def test_many_small_files(box):
    """Empty files use no space but are counted."""
    result = box("import itertools\nfor n in itertools.count(): open(str(n), 'w').close()")
    assert result.limit_hit == "files"
    assert len(result.files) <= TIGHT.files_count


def test_deep_folders(box):
    """Folders nested as deep as they go neither break the way back nor hide."""
    limits = SandboxLimits(files_count=4000, wall_seconds=20)
    result = box("import os\nwhile True: os.mkdir('d'); os.chdir('d')", limits=limits)
    assert result.limit_hit in {"files", None}
    assert result.files == {}


def test_unreadable_names_and_files(box):
    """Names that are no text or that a terminal would obey do not come back as names, and closed folders do not
    break the way back."""
    result = box(
        """
        import os
        open(b"\\xff\\xfe", "w").write("x")
        open("\\x1b[31mred", "w").write("x")
        open("two\\nlines", "w").write("x")
        open("good.txt", "w").write("x")
        open("closed", "w").write("x"); os.chmod("closed", 0)
        os.mkdir("locked"); os.chmod("locked", 0)
        """
    )
    assert result.files == {"good.txt": b"x"}
    assert {"closed", "locked"} <= set(result.left_out)
    assert len(result.left_out) == 5
    assert all(isinstance(name.encode(), bytes) for name in result.left_out)


# Others, and afterwards


def test_killing_others(box):
    """It sees its own processes only, and a signal to all or to process 1 reaches nobody else."""
    result = box(
        """
        import os, signal
        print(sorted(int(pid) for pid in os.listdir("/proc") if pid.isdecimal()) == [1, os.getpid()])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP):
            os.kill(1, number)
            print(os.getppid())
        for number in (signal.SIGKILL, signal.SIGSTOP):
            try:
                os.kill(-1, number)
            except ProcessLookupError:
                print("nobody")
        print("alive")
        """
    )
    assert result.stdout == "True\n" + "1\n" * 6 + "nobody\nnobody\nalive\n", result.stderr
    assert result.exit_code == 0


def test_kill_all_of_the_shell():
    """``kill -9 -1`` ends the run itself at most."""
    result = asyncio.run(
        run_shell("kill -9 -1; echo still", allowed=True, limits=TIGHT, sandbox=Bubblewrap())
    )
    assert result.exit_code in {0, 1, 137}


def test_signals_to_our_process_miss(refused):
    """Our process has no number inside."""
    refused(f"os.kill({os.getpid()}, 0)" if os.getpid() > 50 else "os.kill(9999, 0)", "import os")


def test_daemons_do_not_survive(box):
    """Children in sessions of their own, twice forked and deaf to signals, end with the code that made them."""
    result = box(
        """
        import os, signal, time
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
                    time.sleep(3600)
                os._exit(0)
        print("done")
        """
    )
    assert (result.stdout, result.exit_code, result.limit_hit) == ("done\n", 0, None)
    assert result.seconds < 10


def test_tracers_trace_the_code_alone(box):
    """Python's own tracing works inside and sees nothing of process 1."""
    result = box(
        """
        import sys
        lines = []
        sys.settrace(lambda frame, *_: lines.append(frame.f_code.co_filename))
        def f(): return 1
        f()
        sys.settrace(None)
        print(any("inside" in name for name in lines), len(lines) > 0)
        """
    )
    assert result.stdout == "False True\n"


def test_terminal_sequences_are_data(box):
    """What a terminal would obey comes back as it was written, and without it where people will see it."""
    result = box(r"print('\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \x9b31mC1 a\rb\x08 \u202eevil')")
    assert "\x1b]0;title\x07\x1b[2J" in result.stdout
    shown = result.printable()
    assert shown.startswith("red C1 a")
    assert all(sign.isprintable() or sign == "\n" for sign in shown)


def test_names_that_lead_out_are_refused():
    """Files are given by plain names inside the folder; nothing is run otherwise."""
    from coreto.errors import InvalidRequestError

    for name in (
        "../x",
        "/etc/x",
        "a/../../x",
        "",
        ".",
        "a//b",
        "a/",
        "..",
        "x\0y",
        "x\ny",
        "main.py",
        "a\\..\\b",
    ):
        with pytest.raises(InvalidRequestError):
            asyncio.run(run_python("print(1)", files={name: b"x"}, sandbox=Bubblewrap()))
    with pytest.raises(InvalidRequestError):
        asyncio.run(run_python("print(1)", files={"a": b"x", "a/b": b"x"}, sandbox=Bubblewrap()))


def test_files_of_the_folder_swapped_for_links(box):
    """A given file or folder that the code replaces by a link does not make us read what the link names."""
    result = box(
        """
        import os, shutil
        os.unlink("given.txt"); os.symlink("/inside.py", "given.txt")
        shutil.rmtree("folder"); os.symlink("/", "folder")
        os.unlink("main.py"); os.symlink("/proc/1/environ", "main.py")
        """,
        files={"given.txt": b"x", "folder/a.txt": b"y"},
    )
    assert result.files == {}
    assert set(result.left_out) == {"given.txt", "folder"}


def test_a_report_cannot_be_forged(box):
    """The pipe to process 1 is not there to be written to; a fake report on the streams is output."""
    result = box(
        """
        import os, struct
        fake = b'{"exit": 0, "limit": null, "names": ["../evil"], "sizes": [1], "left_out": []}'
        frame = struct.pack(">Q", len(fake)) + fake + b"x"
        for fd in range(0, 64):
            try:
                os.write(fd, b"+" + frame)
            except OSError:
                pass
        raise SystemExit(7)
        """
    )
    assert result.exit_code == 7
    assert result.files == {}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_cancelling_leaves_nothing(loop):
    """A cancelled run has no process left when the cancelled call returns, at whatever moment that happens."""
    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None

    async def go():
        before = children()
        code = "import os, time\nfor _ in range(4): os.fork()\nos.setsid() if os.fork() == 0 else 0\ntime.sleep(3600)"
        limits = SandboxLimits()
        for moment in (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4):
            task = asyncio.create_task(run_python(code, limits=limits, sandbox=Bubblewrap()))
            await asyncio.sleep(moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # what bubblewrap's death makes an orphan is dying, but may not be buried yet
            assert eventually(lambda: children() <= before, 3.0), moment

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(go())


def test_a_timeout_around_it_works():
    """``asyncio.timeout`` ends a run like any other await."""

    async def go():
        async with asyncio.timeout(0.3):
            await run_python("while True: pass", sandbox=Bubblewrap())

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(go())
    assert time.monotonic() - started < 5


PARENT = """
import asyncio, sys
from coreto.tools.sandbox import run_python
from coreto.tools.sandbox.bubblewrap import Bubblewrap
code = '''
import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
if os.fork() == 0:
    os.setsid()
time.sleep(3600)
'''
asyncio.run(run_python(code, sandbox=Bubblewrap()))
"""


def descendants(pid: int) -> set[int]:
    found = set()
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, thread.read_text().split()):
            found |= {child} | descendants(child)
    return found


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_killing_the_parent_leaves_nothing(sign):
    """When our process is killed in the middle of a run, everything of the run dies with it, in a moment."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # bubblewrap, process 1, the code and its child
    assert eventually(lambda: len(descendants(parent.pid)) == 4, 20)
    handles = [os.pidfd_open(pid) for pid in descendants(parent.pid)]
    parent.send_signal(sign)
    parent.wait(10)
    end = time.monotonic() + 3.0  # 0.14 s at most in 750 runs on a quiet machine
    try:
        for handle in handles:
            assert select.select([handle], [], [], max(0.0, end - time.monotonic()))[0], "survives"
    finally:
        for handle in handles:
            os.close(handle)


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.33, 0.36, 0.4])
def test_killing_the_parent_at_any_moment(delay):
    """A parent that is killed while the sandbox is being made leaves nothing either."""
    before = children()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(delay)
    parent.kill()
    parent.wait(10)
    assert eventually(lambda: children() <= before, 5.0)


def test_from_a_thread_with_its_own_loop(box):
    """A run started by another thread's loop lives as long as that loop, not only as its first breath."""
    results = []
    thread = threading.Thread(target=lambda: results.append(box("import time; time.sleep(0.3); print('ok')")))
    thread.start()
    thread.join()
    assert results[0].stdout == "ok\n"
