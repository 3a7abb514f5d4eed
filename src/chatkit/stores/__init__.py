"""Local stores: what this device keeps over restarts."""

from __future__ import annotations

import os
from pathlib import Path

from chatkit.model.options import OutboxLimits
from chatkit.ports.context import Clock, Observer, RandomSource, Unobserved
from chatkit.ports.store import Store
from chatkit.sqlite.connection import ConnectionFactory, Durability, connect
from chatkit.sqlite.worker import InlineWorker, ThreadWorker, Worker
from chatkit.stores.directory import DirectoryStore
from chatkit.stores.location import Location, resolved
from chatkit.stores.memory import MemoryStore
from chatkit.stores.sqlite import SqliteStore

__all__ = ["DirectoryStore", "Durability", "MemoryStore", "SqliteStore", "open_store"]


def open_store(
    spec: str | os.PathLike[str] | Store | None,
    *,
    durability: Durability,
    limits: OutboxLimits,
    clock: Clock,
    random: RandomSource,
    inline: bool = False,
    connect: ConnectionFactory = connect,
    index: bool = True,
    observer: Observer | None = None,
) -> Store:
    """Make the store that `store=` names; nothing is read or written before its `open`.

    Args:
        spec: `None` or `":memory:"`; a path ending in `/`, or an existing directory; a path or a `file:` URI;
            a store, which is returned as it is.
        durability: What a commit survives: `power` (cut) or (death of the) `process`.
        limits: How much may wait in the outbox.
        clock: The source of time.
        random: The source of chance.
        inline: Do all work in the caller instead of on a thread: for simulations.
        connect: Makes SQLite connections.
        index: Keep the words of cached messages, so that search works offline.
        observer: Told of the labelled points of a file or directory, on the thread that does the work.

    Raises:
        ConfigError: The text is no path.
    """
    if spec is None or spec == ":memory:":
        return MemoryStore(limits=limits, clock=clock, random=random, index=index)
    if not isinstance(spec, (str, os.PathLike)):
        return spec
    text = os.fspath(spec)
    watcher = observer or Unobserved()
    # `Path.is_dir` raises where a name is too long for any file.
    if text.endswith(("/", os.sep)) or os.path.isdir(text):  # noqa: PTH112
        directory = Path(resolved(text))
        return DirectoryStore(
            directory,
            durability=durability,
            limits=limits,
            clock=clock,
            random=random,
            worker=_worker(directory.name, inline=inline),
            connect=connect,
            index=index,
            observer=watcher,
        )
    location = Location.parse(text)
    return SqliteStore(
        location,
        durability=durability,
        limits=limits,
        clock=clock,
        random=random,
        worker=_worker(location.name, inline=inline),
        connect=connect,
        index=index,
        observer=watcher,
    )


def _worker(name: str, *, inline: bool) -> Worker:
    return InlineWorker() if inline else ThreadWorker(f"chatkit-store-{name}")
