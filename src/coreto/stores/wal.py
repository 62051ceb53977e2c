"""SQLite's write-ahead log: readers go on during a write, and a kill leaves nothing half-written."""

import sqlite3
import time


def use_wal(connection: sqlite3.Connection, within: float) -> None:
    """Turn it on, in ``within`` seconds at most. SQLite does not wait for its lock when it changes to WAL, as
    several first starts at once do. Raises ``sqlite3.OperationalError``."""
    deadline = time.monotonic() + within
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
