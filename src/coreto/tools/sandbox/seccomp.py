"""The system calls that code in the sandbox cannot make, as a BPF program for the kernel.

Namespaces decide what the code sees; this decides how much of the kernel it can try its luck with. Denied are
calls that reach other processes, mounts, devices, keys and new namespaces, that hold memory which no limit of a
process counts (``memfd_create``, System V shared memory, message queues), and sockets of every family but
``AF_UNIX``: ``AF_VSOCK`` does not care about network namespaces, and loopback TCP may hold ten megabytes a
socket in the kernel.

The rest is allowed: a list of what a Python with packages needs would break with every new C library.
"""

import errno
import struct
from dataclasses import dataclass

# Classic BPF (linux/bpf_common.h) and what a filter returns (linux/seccomp.h).
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

# Offsets in struct seccomp_data; arguments are 64 bits wide, the low half first on both machines.
_NUMBER, _MACHINE, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32

_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""

_X32 = 0x40000000
"""x86_64 has a second set of numbers from here on."""

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOL_SOCKET, _SO_SNDBUF = 1, 7
"""With it a socket holds as much in the kernel as the host allows, 16 MB on some."""

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
"""They type into a terminal as if its user had."""


@dataclass(frozen=True, slots=True)
class Machine:
    """System call numbers of one architecture; ``newest``: the last one that this list has looked at."""

    audit: int
    clone: int
    socket: int
    ioctl: int
    prlimit: int
    setsockopt: int
    denied: tuple[int, ...]
    clone3: int = 435
    newest: int = 450


# The same numbers on every architecture since 2019: pidfd_getfd, process_madvise, process_mrelease, open_tree,
# move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, quotactl_fd, io_uring_setup, io_uring_enter,
# io_uring_register, memfd_secret, set_mempolicy_home_node.
_COMMON = (438, 440, 448, 428, 429, 430, 431, 432, 433, 442, 443, 425, 426, 427, 447, 450)

# fmt: off
_X86_64 = (
    101, 310, 311, 312,            # ptrace, process_vm_readv, process_vm_writev, kcmp
    165, 166, 155, 161, 167, 168,  # mount, umount2, pivot_root, chroot, swapon, swapoff
    169, 170, 171, 153, 163,       # reboot, sethostname, setdomainname, vhangup, acct
    175, 313, 176, 246, 320,       # init_module, finit_module, delete_module, kexec_load, kexec_file_load
    164, 227, 305, 159,            # settimeofday, clock_settime, clock_adjtime, adjtimex
    250, 248, 249,                 # keyctl, add_key, request_key
    321, 298, 323,                 # bpf, perf_event_open, userfaultfd
    272, 308,                      # unshare, setns
    300, 301, 212, 303, 304,       # fanotify_init, fanotify_mark, lookup_dcookie, name_to_handle_at, open_by_handle_at
    103, 179, 180,                 # syslog, quotactl, nfsservctl
    172, 173, 154, 134, 136, 139, 156,  # iopl, ioperm, modify_ldt, uselib, ustat, sysfs, _sysctl
    319,                           # memfd_create
    29, 30, 31, 67,                # shmget, shmat, shmctl, shmdt
    68, 69, 70, 71,                # msgget, msgsnd, msgrcv, msgctl
    64, 65, 66, 220,               # semget, semop, semctl, semtimedop
    240, 241, 242, 243, 244, 245,  # mq_open … mq_getsetattr
    135, 279, 237, 256, 238,       # personality, move_pages, mbind, migrate_pages, set_mempolicy
)
_AARCH64 = (
    117, 270, 271, 272,
    40, 39, 41, 51, 224, 225,
    142, 161, 162, 58, 89,
    105, 273, 106, 104, 294,
    170, 112, 266, 171,
    219, 217, 218,
    280, 241, 282,
    97, 268,
    262, 263, 18, 264, 265,
    116, 60, 42,
    279,
    194, 196, 195, 197,
    186, 189, 188, 187,
    190, 193, 191, 192,
    180, 181, 182, 183, 184, 185,
    92, 239, 235, 238, 237,
)  # the order of the list above
# fmt: on

MACHINES = {
    "x86_64": Machine(
        0xC000003E, clone=56, socket=41, ioctl=16, prlimit=302, setsockopt=54, denied=(*_X86_64, *_COMMON)
    ),
    "aarch64": Machine(
        0xC00000B7, clone=220, socket=198, ioctl=29, prlimit=261, setsockopt=208, denied=(*_AARCH64, *_COMMON)
    ),
}
"""By the names of :func:`os.uname`."""


def program(machine: Machine) -> bytes:
    """The filter for ``machine``, as ``bwrap --seccomp`` reads it.

    1. another architecture's calls (32-bit ones on x86_64): the process is killed
    2. calls newer than this list, x32's, and ``clone3``, whose flags a filter cannot see: ``ENOSYS``, on which
       C libraries fall back
    3. the denied ones: ``EPERM``
    4. ``clone`` with a new namespace, ``prlimit`` on others, typing into a terminal: ``EPERM``
    5. a larger send buffer: ``EPERM``; ``socket``: IP is answered with "network is unreachable", other families but ``AF_UNIX`` are not there
    6. everything else is allowed
    """
    refused = _refuse(errno.EPERM)
    steps = [
        _load(_MACHINE), _jump(_EQUAL, machine.audit, 1, 0), _give(_KILL_PROCESS),  # 1
        _load(_NUMBER),
        _jump(_AT_LEAST, min(_X32, machine.newest + 1), 0, 1), _refuse(errno.ENOSYS),  # 2
        _jump(_EQUAL, machine.clone3, 0, 1), _refuse(errno.ENOSYS),
    ]  # fmt: skip
    for number in machine.denied:  # 3
        steps += [_jump(_EQUAL, number, 0, 1), refused]
    steps += _call(machine.clone, [_load(_FIRST), _jump(_ANY_BIT, _NAMESPACES, 0, 1), refused])  # 4
    steps += _call(machine.prlimit, [_load(_FIRST), _jump(_EQUAL, 0, 1, 0), refused])
    ioctl = [_load(_SECOND), _jump(_EQUAL, _TIOCSTI, 1, 0), _jump(_EQUAL, _TIOCLINUX, 0, 1), refused]
    steps += _call(machine.ioctl, ioctl)
    larger = [
        _load(_SECOND),
        _jump(_EQUAL, _SOL_SOCKET, 0, 3),
        _load(_THIRD),
        _jump(_EQUAL, _SO_SNDBUF, 0, 1),
        refused,
    ]
    steps += _call(machine.setsockopt, larger)  # 5
    steps += _call(
        machine.socket,
        [
            _load(_FIRST),
            _jump(_EQUAL, _AF_UNIX, 4, 0),
            _jump(_EQUAL, _AF_INET, 2, 0),
            _jump(_EQUAL, _AF_INET6, 1, 0),
            _refuse(errno.EAFNOSUPPORT),
            _refuse(errno.ENETUNREACH),
        ],
    )
    return b"".join([*steps, _give(_ALLOW)])  # 6


def _call(number: int, steps: list[bytes]) -> list[bytes]:
    """``steps`` for the call ``number``, which is allowed when they come to no end; the number is loaded."""
    return [_jump(_EQUAL, number, 0, len(steps) + 1), *steps, _give(_ALLOW)]


def _load(offset: int) -> bytes:
    return _step(_LOAD, 0, 0, offset)


def _jump(kind: int, value: int, when: int, otherwise: int) -> bytes:
    """Skip ``when`` steps if the loaded word compares with ``value``, else ``otherwise`` steps."""
    return _step(kind, when, otherwise, value)


def _give(answer: int) -> bytes:
    return _step(_RETURN, 0, 0, answer)


def _refuse(code: int) -> bytes:
    return _give(_ERRNO | code)


def _step(code: int, when: int, otherwise: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, when, otherwise, value)
