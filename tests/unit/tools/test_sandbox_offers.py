"""Which sandbox is taken, and that none means nothing is run."""

import asyncio

import pytest

from coreto.errors import CoretoError
from coreto.testing.sandbox import TrustingSandbox
from coreto.tools.sandbox import (
    Job,
    Offers,
    SandboxKind,
    SandboxRefusedError,
    SandboxUnavailableError,
    offers,
    run_python,
    run_shell,
)
from coreto.tools.sandbox.bubblewrap import Bubblewrap
from coreto.tools.sandbox.streams import Meter, read_most


class Counting(TrustingSandbox):
    """Counts how often it was tried."""

    tried = 0

    async def obstacle(self):
        self.tried += 1
        return await super().obstacle()


def test_offers_the_strongest_that_holds():
    """The first that holds is taken, and those behind it are not even tried."""
    strong, weak = Counting(), Counting(SandboxKind.INTERPRETER)
    assert asyncio.run(Offers([strong, weak]).strongest()) is strong
    assert (strong.tried, weak.tried) == (1, 0)
    strong.fault = "no namespaces"
    assert asyncio.run(Offers([strong, weak]).strongest()) is weak


def test_offers_are_tried_once():
    """What was found is kept: neither a second run nor a second question tries again."""
    strong, weak = Counting(fault="no"), Counting(SandboxKind.INTERPRETER)
    found = Offers([strong, weak])

    async def go():
        await found.strongest()
        await found.strongest()
        return await found.obstacles()

    assert asyncio.run(go()) == {SandboxKind.BUBBLEWRAP: "no", SandboxKind.INTERPRETER: None}
    assert (strong.tried, weak.tried) == (1, 1)


def test_offers_none():
    """Where none holds, the error is the strongest's obstacle."""
    found = Offers(
        [TrustingSandbox(fault="install this"), TrustingSandbox(SandboxKind.INTERPRETER, fault="or that")]
    )
    with pytest.raises(SandboxUnavailableError, match="install this"):
        asyncio.run(found.strongest())


def test_offers_belong_to_the_process_and_can_be_forgotten():
    """The same ones serve the whole process, until a test clears them."""
    first = offers()
    assert offers() is first
    offers.cache_clear()
    assert offers() is not first


def test_no_bubblewrap_says_what_to_install():
    """Without the program nothing is run, and one line says how to get it."""
    missing = Bubblewrap(command="no-such-bwrap")
    with pytest.raises(SandboxUnavailableError) as caught:
        asyncio.run(run_python("print(1)", sandbox=missing))
    assert isinstance(caught.value, CoretoError)
    assert "apt install bubblewrap" in caught.value.message
    assert "\n" not in caught.value.message
    assert asyncio.run(missing.obstacle()) == caught.value.message


@pytest.mark.parametrize(
    "script", ["exit 1", "echo 'setting up uid map: Permission denied' >&2; exit 1", "exec cat", "exec true"]
)
def test_a_bubblewrap_that_cannot_is_not_trusted(tmp_path, script):
    """A program that starts but makes no sandbox (namespaces may be forbidden) is found out, and says why."""
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    sandbox = Bubblewrap(command=str(fake))
    if script == "exec cat":  # takes the request and answers nothing: ended by the closing pipe
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(sandbox.run(Job("print(1)")), 0.2))
        return
    obstacle = asyncio.run(sandbox.obstacle())
    assert "cannot make a sandbox here" in obstacle
    assert "apt install bubblewrap" in obstacle
    assert ("Permission denied" in obstacle) == ("Permission denied" in script)


def test_shell_takes_permission():
    """A shell script is run for who has allowed it only, whatever the sandbox."""
    with pytest.raises(SandboxRefusedError, match="allowed=True"):
        asyncio.run(run_shell("echo hi", sandbox=TrustingSandbox()))


def test_default_message_says_what_to_install():
    """Even an error without words of its own names the package."""
    assert "apt install bubblewrap" in SandboxUnavailableError().message


def test_meter_shares_one_allowance():
    """Two streams have one allowance; beyond it the alarm rings once and the rest is read and dropped."""
    rang = []

    async def go():
        meter = Meter(10, lambda: rang.append(1))
        streams = asyncio.StreamReader(), asyncio.StreamReader()
        for stream in streams:
            stream.feed_data(b"1234567")
            stream.feed_eof()
        return [await meter.read(stream) for stream in streams], meter.full

    assert asyncio.run(go()) == ([b"1234567", b"123"], True)
    assert rang == [1]


def test_meter_exactly_full_is_not_too_much():
    """The last byte of the allowance is allowed."""

    async def go():
        meter = Meter(3, lambda: pytest.fail("rang"))
        stream = asyncio.StreamReader()
        stream.feed_data(b"123")
        stream.feed_eof()
        return await meter.read(stream), meter.full

    assert asyncio.run(go()) == (b"123", False)


def test_read_most_drops_what_is_too_much():
    """An answer beyond its allowance is none."""
    rang = []

    async def go(most):
        stream = asyncio.StreamReader()
        stream.feed_data(b"12345")
        stream.feed_eof()
        return await read_most(stream, most, lambda: rang.append(most))

    assert asyncio.run(go(5)) == b"12345"
    assert asyncio.run(go(4)) == b""
    assert rang == [4]
