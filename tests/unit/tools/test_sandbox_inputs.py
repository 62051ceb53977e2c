"""What a sandbox takes: names, limits, jobs; and which limit a failure speaks of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import InvalidRequestError
from coreto.tools.sandbox.jobs import Job, SandboxKind, SandboxLimits, SandboxResult
from coreto.tools.sandbox.names import conflict, safe
from coreto.tools.sandbox.verdict import spoken_limit


@pytest.mark.parametrize(
    "name", ["a", "a.txt", "data/in.csv", "a b/ç.txt", "...", ".hidden", "a/..b", "日本.txt"]
)
def test_sandbox_plain_names_are_safe(name):
    """Relative names of ordinary files are taken, with spaces, dots and letters of every script."""
    assert safe(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b", "../a", "a/../b", "a/..", "a\0b", "a\nb",
        "\x1b[31m", "a\u202eb", "\ud800", "a\\b", "x" * 201, "/".join("x" * 9 for _ in range(101)),
    ],
)  # fmt: skip
def test_sandbox_other_names_are_not(name):
    """Names that lead elsewhere, that are no text, that a terminal obeys or that are too long are not taken."""
    assert not safe(name)


@given(st.text(max_size=30))
def test_sandbox_safe_names_stay_inside(name):
    """Whatever its characters, a safe name stays below the folder that it is joined to."""
    import posixpath

    if safe(name):
        joined = posixpath.normpath(posixpath.join("/folder", name))
        assert joined == f"/folder/{name}"


def test_sandbox_names_that_exclude_each_other():
    """A name cannot be there twice, nor be a file and a folder."""
    assert conflict(["a", "b/c", "b/d"]) is None
    assert "'a'" in conflict(["a", "a"])
    assert "'b' cannot be" in conflict(["b/c", "b"])


@pytest.mark.parametrize(
    "field",
    [
        "cpu_seconds",
        "memory_bytes",
        "processes",
        "output_bytes",
        "files_bytes",
        "files_count",
        "wall_seconds",
    ],
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_sandbox_limits_allow_something(field, value):
    """A limit of nothing is a mistake that is named."""
    with pytest.raises(InvalidRequestError, match=field):
        SandboxLimits(**{field: value})


def test_sandbox_jobs_that_are_too_much():
    """More files, or more bytes with code and input, than the limits allow are refused before anything runs."""
    Job("x" * 50, files={"a": b"y" * 50}, limits=SandboxLimits(files_bytes=100))
    with pytest.raises(InvalidRequestError, match="101 bytes"):
        Job("x" * 50, files={"a": b"y" * 50}, stdin=b"z", limits=SandboxLimits(files_bytes=100))
    with pytest.raises(InvalidRequestError, match="2 files"):
        Job("", files={"a": b"", "b": b""}, limits=SandboxLimits(files_count=1))
    with pytest.raises(InvalidRequestError, match="NUL"):
        Job("print('\0')")


def test_sandbox_code_has_its_own_name():
    """The code's file is ``main.py``, the script's ``main.sh``, and no other file can be that."""
    with pytest.raises(InvalidRequestError, match=r"main\.py"):
        Job("", files={"main.py": b""})
    with pytest.raises(InvalidRequestError, match=r"main\.sh"):
        Job("", "shell", files={"main.sh": b""})
    assert Job("", "shell", files={"main.py": b""}).program == "main.sh"


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("MemoryError", "memory"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB for an array", "memory"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "processes"),
        ("RuntimeError: can't start new thread", "processes"),
        ("main.sh: 1: Cannot fork", "processes"),
        ("OSError: [Errno 27] File too large", "files"),
        ("OSError: [Errno 28] No space left on device", "files"),
        ("ValueError: no", None),
    ],
)
def test_sandbox_last_line_names_the_limit(line, limit):
    """A failed run's last line says which limit refused it; a successful run has hit none."""
    assert spoken_limit(f"Traceback\n{line}\n", 1) == limit
    assert spoken_limit(f"Traceback\n{line}\n", 0) is None
    assert spoken_limit(f"{line}\nValueError: other\n", 1) is None
    assert spoken_limit("", 1) is None


def test_sandbox_result_is_ok_without_failure_or_limit():
    """``ok`` is exit code 0 and no limit; ``printable`` is both streams, without what a terminal obeys."""
    result = SandboxResult(SandboxKind.BUBBLEWRAP, "\x1b[1mout\n", "err\x07\n", 0, 0.1)
    assert result.ok
    assert result.printable() == "out\n\nerr\n"
    assert not SandboxResult(SandboxKind.BUBBLEWRAP, "", "", 3, 0.1).ok
    assert not SandboxResult(SandboxKind.BUBBLEWRAP, "", "", 0, 0.1, limit_hit="output").ok
