"""One owner a data directory, whatever becomes of it."""

import os
import signal
import stat
import subprocess
import sys

from coreto.owner import OwnerCard, OwnerLock, find_owner

HOLD = """
import sys
from pathlib import Path
from coreto.owner import OwnerCard, OwnerLock
import os
lock = OwnerLock(Path(sys.argv[1]))
print(lock.acquire(OwnerCard(os.getpid(), "d", "http://127.0.0.1:1", "k")), flush=True)
sys.stdin.readline()
"""


def holder(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip() == "True"


def end(process):
    process.stdin.close()
    process.stdout.close()
    process.wait(10)


def test_owner_lock_in_one_process(tmp_path):
    """One of two gets it; after its release the other does; releasing twice is harmless."""
    one, two = OwnerLock(tmp_path), OwnerLock(tmp_path)
    card = OwnerCard(os.getpid(), "digest")
    assert find_owner(tmp_path) is None
    assert one.acquire(card)
    assert one.held
    assert not two.acquire(card)
    assert find_owner(tmp_path) == card
    one.announce(OwnerCard(os.getpid(), "digest", "http://127.0.0.1:9", "key"))
    assert find_owner(tmp_path).url == "http://127.0.0.1:9"
    one.release()
    one.release()
    assert find_owner(tmp_path) is None
    assert two.acquire(card)
    two.release()


def test_owner_lock_key_is_this_users(tmp_path):
    """The card, which holds a key, can be read by this user only."""
    lock = OwnerLock(tmp_path)
    lock.acquire(OwnerCard(1, "d", None, "key"))
    try:
        mode = stat.S_IMODE((tmp_path / "locks" / "owner.json").stat().st_mode)
        assert mode == 0o600
    finally:
        lock.release()


def test_owner_lock_between_processes_and_after_kill(tmp_path):
    """While another process holds it nobody else gets it; killed, it has let go at once."""
    process, got = holder(tmp_path)
    try:
        assert got
        mine = OwnerLock(tmp_path)
        assert not mine.acquire(OwnerCard(1, "d"))
        assert find_owner(tmp_path) == OwnerCard(process.pid, "d", "http://127.0.0.1:1", "k")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert find_owner(tmp_path) is None
        assert mine.acquire(OwnerCard(1, "d"))
        second, got_too = holder(tmp_path)
        end(second)
        assert not got_too
        mine.release()
    finally:
        end(process)
