"""What is said to process 1 and what it answers."""

import json
import os
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.tools.sandbox import wire
from coreto.tools.sandbox.jobs import Job, SandboxLimits

inside = pytest.importorskip(
    "coreto.tools.sandbox.inside", reason="process 1 is for Linux", exc_type=ImportError
)

START = wire.Start(["/python", "main.py"], {"A": "b"}, ["/box/work"], control=9, uid=None, box_bytes=5)
BLOBS = st.dictionaries(
    st.text(st.characters(whitelist_categories=["Ll"]), min_size=1, max_size=5), st.binary(max_size=50)
)


def through(write, read):
    """What ``read`` makes of what ``write`` puts into a pipe."""
    readable, writable = os.pipe()

    def put():
        with os.fdopen(writable, "wb", buffering=0):
            write(writable)

    thread = threading.Thread(target=put)
    thread.start()
    try:
        return read(readable)
    finally:
        os.close(readable)
        thread.join()


def answered(**changes):
    head = {"exit": 0, "limit": None, "names": ["a"], "sizes": [1], "left_out": [], **changes}
    text = json.dumps(head).encode()
    return struct.pack(">Q", len(text)) + text + b"x"


def test_wire_request_arrives():
    """Process 1 reads the job as it was: files in order, the code among them, then standard input."""
    job = Job(
        "print(1)", files={"é/a": b"\0\xff", "b": b""}, stdin=b"in", limits=SandboxLimits(cpu_seconds=0.5)
    )
    head, blobs = through(lambda file: os.write(file, wire.request(job, START)), inside.receive)
    assert dict(zip(head["names"], blobs, strict=False)) == {
        "main.py": b"print(1)",
        "é/a": b"\0\xff",
        "b": b"",
    }
    assert blobs[-1] == b"in"
    assert head["limits"]["cpu_seconds"] == 0.5
    assert (head["argv"], head["control"], head["uid"], head["work"]) == (
        ["/python", "main.py"],
        9,
        None,
        "/box/work",
    )


@given(BLOBS, st.integers(0, 255))
def test_wire_report_arrives(files, code):
    """What process 1 hands back is what was there."""
    head = {"exit": code, "limit": None, "names": list(files), "left_out": ["l"]}
    answer = through(
        lambda file: inside.send(file, head, list(files.values())),
        lambda file: b"".join(iter(lambda: os.read(file, 9), b"")),
    )
    assert wire.report(answer) == wire.Report(code, None, files, ("l",))


def test_wire_request_that_ends_early():
    """When the outside dies in the middle of its request, process 1 ends."""
    whole = wire.request(Job("x"), START)
    for cut in (0, 4, 20, len(whole) - 1):
        with pytest.raises(EOFError):
            through(lambda file, cut=cut: os.write(file, whole[:cut]), inside.receive)


@given(st.binary(max_size=200))
def test_wire_garbage_is_no_report(answer):
    """Whatever bytes come, they are a report or nothing, never an error."""
    assert wire.report(answer) is None or answer


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"+", answered()[:-1], answered() + b"y", answered(sizes=[-1]), answered(sizes=[]), answered(sizes=["x"]),
        answered(names=None), answered(exit="x"), struct.pack(">Q", 2) + b"[]", struct.pack(">Q", 1 << 40), answered(sizes=[2**70]),
    ],
)  # fmt: skip
def test_wire_a_broken_report_is_none(answer):
    """A report that does not add up is none at all."""
    assert wire.report(answer) is None


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "\x1b[31m", "\ud800"])
def test_wire_names_that_lead_out_are_left_out(name):
    """Files with such names are named as left out, in characters that can be shown, and not handed on."""
    report = wire.report(answered(names=[name]))
    assert report.files == {}
    assert len(report.left_out) == 1
    report.left_out[0].encode()
