"""What may lie at a path and is no file."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import chdir, contextmanager
from pathlib import Path


@contextmanager
def other(folder: Path, kind: str) -> Generator[Path]:
    """Give the path of a device, a pipe, a socket or a directory."""
    path = folder / "other"
    match kind:
        case "a device":
            yield Path("/dev/null")
        case "a pipe":
            os.mkfifo(path)
            yield path
        case "a socket":
            with socket.socket(socket.AF_UNIX) as listening:
                with chdir(folder):  # the whole path may be too long for a socket
                    listening.bind(path.name)
                yield path
        case _:
            path.mkdir()
            yield path


def names(*folders: Path) -> list[str]:
    """Return what lies in folders, those of the system that others use but for what SQLite makes."""
    return sorted(
        found.name
        for folder in folders
        for found in folder.iterdir()
        if folder != Path("/dev") or found.name.startswith("null")
    )
