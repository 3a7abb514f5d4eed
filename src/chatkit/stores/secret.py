"""The key from which ids are made where the caller gives one (D14)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from chatkit.errors import StoreError, StoreLocked
from chatkit.ports.context import RandomSource
from chatkit.sqlite.files import make_directory, sync_directory
from chatkit.stores.faults import explain

LENGTH: Final = 32
_NAME: Final = "secret"
_PATIENCE: Final = 10.0
"""Seconds to wait for another process that is making it."""


def new_secret(random: RandomSource) -> bytes:
    """Return a fresh one."""
    return random.getrandbits(LENGTH * 8).to_bytes(LENGTH, "big")


def shared_secret(directory: Path, random: RandomSource) -> bytes:
    """Return the one of a store directory; the first process makes both.

    Raises:
        StoreError: It cannot be made or read.
    """
    path = directory / _NAME
    try:
        make_directory(directory)
        with FileLock(f"{path}.lock", timeout=_PATIENCE, thread_local=False):
            if not path.exists():
                _write(path, new_secret(random))
            secret = path.read_bytes()
    except Timeout:
        raise StoreLocked(
            f"{directory.name}/{_NAME} is being made by another process", hint="Connect again."
        ) from None
    except OSError as error:
        raise explain(error, f"{directory.name}/{_NAME}") from error
    if len(secret) != LENGTH:
        raise StoreError(
            f"{directory.name}/{_NAME} is damaged",
            hint="Restore it from a copy: without it keys given to `send()` before get other message ids.",
        )
    return secret


def _write(path: Path, secret: bytes) -> None:
    # Whole or not at all, and on disk before anything is made from it.
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, secret)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync_directory(path.parent)
