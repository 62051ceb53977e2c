"""Process 1's own decisions, without a sandbox around them."""

import os
import resource
import signal

import pytest

from coreto.tools.sandbox.jobs import MIB

inside = pytest.importorskip(
    "coreto.tools.sandbox.inside", reason="process 1 is for Linux", exc_type=ImportError
)

LIMITS = {"cpu_seconds": 2.5, "memory_bytes": 64 * MIB, "processes": 4, "files_bytes": 100, "files_count": 5}


def collected(folder, before=None, **limits):
    names, contents, left_out = inside.collect(str(folder), before or {}, {**LIMITS, **limits}, "main.py")
    return dict(zip(names, contents, strict=True)), left_out


def test_inside_new_and_changed_files_are_collected(tmp_path):
    """Files that are as they were given are left where they are, and so is the code."""
    for name, content in {"same": b"1", "changed": b"2", "new": b"3", "main.py": b"4"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "main.py").write_bytes(b"5")
    files, left_out = collected(tmp_path, {"same": b"1", "changed": b"1"})
    assert files == {"changed": b"2", "new": b"3", "folder/main.py": b"5"}
    assert left_out == []


def test_inside_what_is_no_file_is_left_out(tmp_path):
    """Links are not followed, pipes not opened, and what is too big not read."""
    (tmp_path / "secret").write_bytes(b"s")
    work = tmp_path / "work"
    work.mkdir()
    (work / "link").symlink_to(tmp_path / "secret")
    (work / "folder").symlink_to(tmp_path)
    os.mkfifo(work / "pipe")
    (work / "big").write_bytes(b"x" * 101)
    (work / "fits").write_bytes(b"x" * 100)
    files, left_out = collected(work)
    assert files == {"fits": b"x" * 100}
    assert sorted(left_out) == ["big", "folder", "link", "pipe"]


def test_inside_files_are_collected_up_to_the_limits(tmp_path):
    """Together they are at most as many and as large as allowed; the rest is named."""
    for number in range(8):
        (tmp_path / str(number)).write_bytes(b"x" * 10)
    files, left_out = collected(tmp_path)
    assert (sorted(files), left_out) == (["0", "1", "2", "3", "4"], ["5", "6", "7"])
    files, left_out = collected(tmp_path, files_bytes=25)
    assert (sorted(files), len(left_out)) == (["0", "1"], 6)


def test_inside_ceilings_are_above_what_is_watched():
    """The kernel's limits leave room for the watch to see that the real ones are passed."""
    ceilings = inside.ceilings({"limits": LIMITS, "box_bytes": 200})
    assert ceilings[resource.RLIMIT_CPU] == 4
    assert ceilings[resource.RLIMIT_NPROC] == 6
    assert ceilings[resource.RLIMIT_DATA] == 64 * MIB
    assert ceilings[resource.RLIMIT_FSIZE] == 200
    assert ceilings[resource.RLIMIT_CORE] == 0


@pytest.mark.parametrize(
    ("status", "code"), [(0, 0), (3 << 8, 3), (255 << 8, 255), (9, 137), (6 | 0x80, 134)]
)
def test_inside_exit_codes_are_a_shells(status, code):
    """A wait status becomes the exit code, or 128 + n for signal n, with or without a core."""
    assert inside.code_of(status) == code


def test_inside_memory_of_a_process():
    """The exact memory of a process is read, and of none is nothing."""
    assert MIB < inside.proportional(str(os.getpid())) < 4096 * MIB
    assert inside.proportional("0") == 0


def test_inside_reaps_everybody(tmp_path):
    """Every child that has ended is buried, and the one asked for tells its status."""
    others = [os.spawnv(os.P_NOWAIT, "/bin/true", ["true"]) for _ in range(3)]
    child = os.spawnv(os.P_NOWAIT, "/bin/sh", ["sh", "-c", "exit 7"])
    found = None
    while found is None:
        signal.sigtimedwait([signal.SIGUSR2], 0.001)
        found = inside.reaped(child)
    assert inside.code_of(found) == 7
    for other in others:
        while True:
            try:
                os.waitpid(other, 0)
            except ChildProcessError:
                break
