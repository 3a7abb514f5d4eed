"""What is done on the disk before SQLite comes in."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_OTHERS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def make_directory(path: Path) -> None:
    """Make a directory and its parents, so that they outlive a power cut.

    Raises:
        OSError: One of them cannot be made.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Put the names in a directory on disk, where the system can."""
    with suppress(OSError):  # some systems do not open directories, some filesystems do not sync them
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def can_be(path: str) -> bool:
    """Say whether the system could have a file of this name: not empty, no NUL, no lone surrogate."""
    try:
        return bool(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def other_at(path: str) -> str | None:
    """Return what lies at a path if it is something else than a file: SQLite would make files beside it."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # a name too long for any file is none
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else _OTHERS.get(stat.S_IFMT(mode), "no file")
