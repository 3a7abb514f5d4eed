"""One owner a file: an operating-system lock on `FILE.lock`, held for the store's life (I17, D27)."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from chatkit.errors import StateError, StoreLocked


class OwnerLock:
    """The lock of one store file.

    The kernel frees it when its owner dies, however it dies. `filelock` closes its descriptor in forked
    children, so a child neither holds the file nor keeps it held after its parent.

    Args:
        path: The store file.

    Raises:
        StoreLocked: Another process, or another client of this one, has it.
        OSError: The lock file cannot be made.
    """

    def __init__(self, path: str) -> None:
        name = Path(path).name
        # Taken on one thread and released on another, hence no thread-local state. Without flock a mere file
        # would have to be the lock, and would outlive a killed owner: better to refuse.
        self._lock = FileLock(f"{path}.lock", thread_local=False, fallback_to_soft=False)
        self._pid = os.getpid()
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise StoreLocked(f"{name} is owned by another process or client") from None

    def check(self) -> None:
        """Refuse a forked child, which has neither the lock nor a usable connection.

        Raises:
            StateError: This process is a fork of the one that opened the store.
        """
        if self.forked:
            raise StateError("this store was opened before a fork", hint="Connect anew in the child process.")

    @property
    def forked(self) -> bool:
        """Whether this process is a fork of the one that took the lock."""
        return os.getpid() != self._pid

    def release(self) -> None:
        """Give the file up; the lock file stays, since removing it would let two owners in."""
        self._lock.release()
