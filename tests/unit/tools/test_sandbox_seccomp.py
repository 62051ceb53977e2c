"""The filter of system calls, run by a small machine for such programs."""

import errno
import struct

import pytest

from coreto.tools.sandbox.seccomp import MACHINES, program

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
SIZE_OF_A_PIPE = 4096


def outcome(machine, number, *arguments, audit=None):
    """What the filter answers to a call, by the rules of classic BPF (load, jumps, return)."""
    data = struct.pack(
        "<IIQ6Q", number, machine.audit if audit is None else audit, 0, *(*arguments, *[0] * 6)[:6]
    )
    steps = list(struct.iter_unpack("=HBBI", program(machine)))
    at, word = 0, 0
    for _ in range(len(steps)):
        code, when, otherwise, value = steps[at]
        at += 1
        if code == 0x20:
            (word,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            holds = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[code]
            at += when if holds else otherwise
    raise AssertionError("the program does not end")


@pytest.fixture(params=sorted(MACHINES))
def machine(request):
    """Each architecture."""
    return MACHINES[request.param]


def test_filter_ordinary_calls_pass(machine):
    """Every call that is not on the list is allowed, with any arguments of its own."""
    special = {
        machine.clone,
        machine.socket,
        machine.ioctl,
        machine.prlimit,
        machine.setsockopt,
        machine.clone3,
        *machine.denied,
    }
    for number in set(range(machine.newest + 1)) - special:
        assert outcome(machine, number, 2**32 - 1, 2**64 - 1) == ALLOW


def test_filter_denied_calls_fail(machine):
    """Every call on the list is refused."""
    for number in machine.denied:
        assert outcome(machine, number) == ERRNO | errno.EPERM


def test_filter_lists_each_call_once():
    """No number is there twice, and both architectures deny the same calls but x86's seven own."""
    for machine in MACHINES.values():
        assert len(set(machine.denied)) == len(machine.denied)
    assert len(MACHINES["x86_64"].denied) - len(MACHINES["aarch64"].denied) == 7


def test_filter_other_architectures_are_killed(machine):
    """A call by another architecture's rules ends the process, even one that is allowed."""
    for audit in (0x40000003, 0x40000028, 0):  # i386, arm
        assert outcome(machine, 1, audit=audit) == KILL


def test_filter_unknown_calls_are_not_there(machine):
    """Calls that this list has not seen, x32's and ``clone3`` answer that they do not exist."""
    for number in (machine.clone3, machine.newest + 1, 9999, 0x40000000, 0x40000000 | 101, 2**32 - 1):
        assert outcome(machine, number) == ERRNO | errno.ENOSYS


def test_filter_new_namespaces_are_refused(machine):
    """Processes and threads can be made, but no namespace with them."""
    assert outcome(machine, machine.clone, 0x01200011) == ALLOW  # fork, as glibc asks for it
    assert outcome(machine, machine.clone, 0x003D0F00) == ALLOW  # a thread
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert outcome(machine, machine.clone, flag | 17) == ERRNO | errno.EPERM


def test_filter_limits_of_others(machine):
    """A process can set its own limits, and nobody else's."""
    assert outcome(machine, machine.prlimit, 0) == ALLOW
    assert outcome(machine, machine.prlimit, 1) == ERRNO | errno.EPERM


def test_filter_typing_into_terminals(machine):
    """Control calls pass, but those that type for the user."""
    assert outcome(machine, machine.ioctl, 0, 0x5401) == ALLOW
    for request in (0x5412, 0x541C):
        assert outcome(machine, machine.ioctl, 0, request) == ERRNO | errno.EPERM


def test_filter_larger_buffers(machine):
    """A socket's options are free but for a larger send buffer."""
    assert outcome(machine, machine.setsockopt, 3, 1, 7) == ERRNO | errno.EPERM
    assert outcome(machine, machine.setsockopt, 3, 1, 8) == ALLOW
    assert outcome(machine, machine.setsockopt, 3, 2, 7) == ALLOW


def test_filter_sockets(machine):
    """Sockets between its own processes are allowed, IP is unreachable, the rest is not known."""
    answers = {1: ALLOW, 2: ERRNO | errno.ENETUNREACH, 10: ERRNO | errno.ENETUNREACH}
    for family in range(64):
        assert outcome(machine, machine.socket, family) == answers.get(family, ERRNO | errno.EAFNOSUPPORT)


def test_filter_fits_into_a_pipe(machine):
    """It is written into a pipe before anybody reads."""
    assert len(program(machine)) < SIZE_OF_A_PIPE
