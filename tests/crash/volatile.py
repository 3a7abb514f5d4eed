"""A disk that keeps what was synced, and forgets the rest when its process dies: as at a power cut.

A file system of SQLite's own (VFS), under the store's connection factory. What is written stays in the memory
of the process until it is synced; the file on the real disk is what a machine would find after the cut. The
standard `sqlite3` takes no such file system, hence `apsw`. Shared memory (`-shm`) is rebuilt by whoever
comes next, and deleting a file counts as done at once.
"""

from __future__ import annotations

import itertools
from random import Random
from typing import Final

import apsw

from chatkit.sqlite.connection import Connection, Mode

_NUMBERS: Final = itertools.count(1)
_FLAGS: Final[dict[Mode, int]] = {
    "rwc": apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
    "rw": apsw.SQLITE_OPEN_READWRITE,
    "ro": apsw.SQLITE_OPEN_READONLY,
}


class _Content:
    """What a file holds as its process sees it, and which ranges of that the disk may not have."""

    def __init__(self, synced: bytes) -> None:
        self.bytes = bytearray(synced)
        self.dirty: list[tuple[int, int]] = []


class _File(apsw.VFSFile):
    """An open file: the synced part lies below, all of it in its content."""

    def __init__(self, disk: VolatileDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        found = None if path is None else disk.contents.get(path)
        if found is None:
            size = super().xFileSize()
            found = _Content(super().xRead(size, 0) if size else b"")
            if path is not None:
                disk.contents[path] = found
        self._content = found
        self._early = disk.early

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  # SQLite's name
        return bytes(self._content.bytes[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # likewise
        content = self._content.bytes
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data
        self._content.dirty.append((offset, len(data)))
        if self._early is not None and self._early.random() < 0.5:
            super().xWrite(bytes(data[: self._early.randint(1, len(data))]), offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802  # likewise
        del self._content.bytes[newsize:]

    def xFileSize(self) -> int:  # noqa: N802  # likewise
        return len(self._content.bytes)

    def xSync(self, flags: int) -> None:  # noqa: N802  # likewise
        dirty, self._content.dirty = self._content.dirty, []
        for offset, length in dirty:
            data = bytes(self._content.bytes[offset : offset + length])
            if data:
                super().xWrite(data, offset)
        if super().xFileSize() != len(self._content.bytes):
            super().xTruncate(len(self._content.bytes))
        super().xSync(flags)


class VolatileDisk(apsw.VFS):
    """Makes connections whose unsynced writes die with the process.

    Args:
        early: Lets about half of the writes reach the disk before they are synced, in part or whole: a disk
            may write when it likes. `None`: none does.
    """

    def __init__(self, early: Random | None = None) -> None:
        self._name = f"volatile-{next(_NUMBERS)}"
        self.early = early
        self.contents: dict[str, _Content] = {}
        """By path; a file that is closed keeps what was written, as long as the machine lives."""
        super().__init__(self._name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite's name
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802  # likewise
        self.contents.pop(filename, None)
        super().xDelete(filename, syncdir)

    def connect(self, path: str, /, *, mode: Mode) -> Connection:
        """The `ConnectionFactory` of a store on this disk."""
        connection: Connection = apsw.Connection(path, flags=_FLAGS[mode], vfs=self._name)
        return connection
