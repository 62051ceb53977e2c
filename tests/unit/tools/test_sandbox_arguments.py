"""What bubblewrap is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.tools.sandbox.arguments import Host, arguments, environment, spare_uid
from coreto.tools.sandbox.python import Fitted, Python, fit

USR = Fitted("/usr/bin/python3.11", (), ("/usr/lib/python3/dist-packages",))


def host(**changes):
    given = {"program": "/usr/bin/bwrap", "uid": None, "links": {"/lib": "usr/lib"}, "folders": ["/lib64"]}
    return Host(**{**given, "inside": "/src/inside.py", **changes})


def told(fitted=USR, **changes):
    return arguments(host(**changes), fitted, box_bytes=1000, seccomp=7)


def after(words, option):
    """The pairs that follow each ``option``."""
    return [tuple(words[at + 1 : at + 3]) for at, word in enumerate(words) if word == option]


def test_arguments_bind_nothing_for_writing():
    """All of the host that is there is read-only; the devices are those without a memory."""
    words = told()
    assert not {"--bind", "--bind-try", "--dev", "--share-net", "--file"} & set(words)
    assert after(words, "--ro-bind") == [
        ("/usr", "/usr"),
        ("/lib64", "/lib64"),
        ("/src/inside.py", "/inside.py"),
    ]
    assert {source for source, _ in after(words, "--dev-bind")} == {
        "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
    }  # fmt: skip
    assert {source for source, _ in after(words, "--ro-bind-try")} == {
        "/etc/ld.so.cache",
        "/etc/alternatives",
    }


def test_arguments_leave_nothing_unlimited():
    """Every file system in memory has a size, and what cannot have one is made read-only at the end."""
    words = told()
    for at, word in enumerate(words):
        if word == "--tmpfs":
            assert words[at - 2] == "--size"
    assert [pair[0] for pair in after(words, "--remount-ro")] == [
        "/usr/lib/python3/dist-packages",
        "/dev",
        "/",
    ]
    assert words.index("--remount-ro") > words.index("--tmpfs")
    assert words[words.index("/box") - 2] == "1000"


def test_arguments_take_everything_away():
    """Every namespace is new, the environment empty, capabilities gone, the session its own."""
    words = told()
    for option in ("pid", "net", "ipc", "uts", "user", "cgroup-try"):
        assert f"--unshare-{option}" in words
    assert {"--new-session", "--as-pid-1", "--clearenv", "--disable-userns"} <= set(words)
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert "--cap-add" not in words
    assert words[words.index("--seccomp") + 1] == "7"


def test_arguments_for_root_change_the_user_instead():
    """Root keeps two capabilities to become a nobody, and needs no user namespace for the rest."""
    words = told(uid=70000)
    assert "--unshare-user" not in words
    assert [pair[0] for pair in after(words, "--cap-add")] == ["CAP_SETUID", "CAP_SETGID"]
    assert words[words.index("--cap-drop") + 1] == "ALL"


def test_arguments_end_in_a_fixed_command():
    """What is started is process 1's file; code is no part of it."""
    words = told()
    assert words[words.index("--") + 1 :] == ["/usr/bin/python3.11", "-I", "-S", "/inside.py"]


def test_python_of_the_system_stays_where_it_is():
    """A Python in /usr is there already; its packages are covered."""
    there = {"/usr/lib/python3/dist-packages", "/usr/local/lib/python3.11/dist-packages"}
    fitted = fit(Python("/usr", "python3.11"), packages=False, exists=lambda path: path in there)
    assert fitted == Fitted("/usr/bin/python3.11", (), tuple(sorted(there)))
    assert "LD_LIBRARY_PATH" not in environment(fitted)


def test_python_of_a_user_moves():
    """A Python in a home is bound under a name that says nothing of the home, its program and libraries only."""
    prefix = "/home/ana/.pyenv/versions/3.12.1"
    there = {f"{prefix}/bin/python3.12", f"{prefix}/lib", f"{prefix}/lib/python3.12/site-packages"}
    fitted = fit(Python(prefix, "python3.12"), packages=False, exists=lambda path: path in there)
    assert fitted.executable == "/python/bin/python3.12"
    assert fitted.binds == (
        (f"{prefix}/bin/python3.12", "/python/bin/python3.12"),
        (f"{prefix}/lib", "/python/lib"),
    )
    assert fitted.covered == ("/python/lib/python3.12/site-packages",)
    words = told(fitted)
    insides = [inside for _, inside in after(words, "--ro-bind")]
    assert not any("ana" in inside for inside in insides)
    assert not any("ana" in value for value in environment(fitted).values())


def test_python_packages_of_a_virtual_environment_are_bound_when_asked_for():
    """They lie where the installation has its own, which nobody asked for."""
    python = Python("/opt/py", "python3.11", ("/venv/lib/python3.11/site-packages",), virtual=True)
    fitted = fit(
        python, packages=True, exists=lambda path: "lib64" not in path and "dist-packages" not in path
    )
    assert ("/venv/lib/python3.11/site-packages", "/python/lib/python3.11/site-packages") in fitted.binds
    assert fitted.covered == ()


def test_python_packages_without_a_virtual_environment():
    """Asked for, those of the installation itself are not covered."""
    fitted = fit(Python("/usr/local", "python3.11"), packages=True, exists=lambda _: True)
    assert fitted.covered == ()
    assert fit(Python("/usr/local", "python3.11"), packages=False, exists=lambda _: True).covered != ()


def test_python_of_this_process():
    """It is the one that runs us, by its real folder."""
    import sys
    from pathlib import Path

    python = Python.current()
    assert Path(python.prefix).is_dir()
    assert python.version == f"python3.{sys.version_info.minor}"
    assert python.packages


@pytest.mark.parametrize(
    "uid_map",
    [
        "         0          0 4294967295",
        "0 1000 1\n1 100000 65536\n",
        "0 0 65536",
        "0 100000 1000",
    ],
)
@given(entropy=st.integers(0, 2**32 - 1))
def test_spare_user_is_nobody(uid_map, entropy):
    """The number is one that the map has, is neither root's nor a first user's, and fits into 31 bits."""
    uid = spare_uid(uid_map, entropy)
    rows = [tuple(map(int, row.split())) for row in uid_map.strip().splitlines()]
    first, _, count = max(rows, key=lambda row: row[2])
    assert first < uid < first + count
    assert 0 < uid < 2**31
    if count > 65000:
        assert uid > 10_000
        assert uid != 65534


def test_spare_user_where_root_is_alone():
    """In a namespace with one user root is somebody else outside, and nobody else can be had."""
    assert spare_uid("0 1000 1", 5) is None
