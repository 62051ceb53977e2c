"""A PostgreSQL database of one's own: on the server of this machine, else on a private one."""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

HOST = "127.0.0.1"
PORT = 5432
USER = "postgres"
MISSING = (
    f"these tests need PostgreSQL: neither a server that trusts {USER!r} at {HOST}:{PORT} nor the programs "
    "`initdb` and `postgres` were found; install PostgreSQL (Debian, Ubuntu: apt-get install postgresql)"
)


@contextlib.contextmanager
def postgres_url() -> Iterator[str]:
    """The URL of a new, empty database, dropped at the end."""
    with contextlib.ExitStack() as stack:
        port = PORT if _answers(PORT) else stack.enter_context(_private_server())
        name = f"coreto_test_{secrets.token_hex(6)}"
        _run(port, f"CREATE DATABASE {name}")
        stack.callback(_run, port, f"DROP DATABASE {name} WITH (FORCE)")
        yield f"postgresql://{USER}@{HOST}:{port}/{name}"


def _answers(port: int) -> bool:
    try:
        _run(port, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _run(port: int, statement: str) -> None:
    with psycopg.connect(
        host=HOST, port=port, user=USER, dbname="postgres", autocommit=True, connect_timeout=5
    ) as connection:
        connection.execute(statement)


@contextlib.contextmanager
def _private_server() -> Iterator[int]:
    initdb, server = _program("initdb"), _program("postgres")
    # the server refuses to run as root
    owner = next((u.pw_name for u in pwd.getpwall() if u.pw_name in {USER, "nobody"}), None)
    as_user = owner if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="coreto-pg-") as base:
        data = Path(base) / "data"
        if as_user is not None:
            shutil.chown(base, as_user)
        created = [initdb, "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(created, user=as_user, check=True, cwd=base, capture_output=True)
        port = _free_port()
        options = [
            f"-clisten_addresses={HOST}",
            f"-cport={port}",
            "-cunix_socket_directories=",
            "-cfsync=off",
        ]
        process = subprocess.Popen(
            [server, "-D", str(data), *options],
            user=as_user,
            cwd=base,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "ready to accept connections" in line:
                    break
            else:
                raise RuntimeError("PostgreSQL did not start: " + "".join(lines[-5:]))
            yield port
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _program(name: str) -> str:
    found = shutil.which(name)
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found is None and not candidates:
        raise RuntimeError(MISSING)
    return str(candidates[-1]) if candidates else str(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
