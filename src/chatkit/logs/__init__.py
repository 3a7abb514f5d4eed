"""Shared logs: the memory of channels, and which one a URL names."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import unquote

from chatkit.errors import ConfigError

if TYPE_CHECKING:
    from chatkit.ports.context import Clock, Observer, RandomSource
    from chatkit.ports.log import Log
    from chatkit.sqlite.connection import Durability

_POSTGRES: Final = ("postgresql", "postgres")
_HINT: Final = "Write sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://USER@HOST/DATABASE."


def open_log(
    url: str,
    *,
    clock: Clock,
    random: RandomSource,
    durability: Durability = "power",
    inline: bool = False,
    observer: Observer | None = None,
) -> Log:
    """Make the log that `log=` names; nothing is read or written before its first call.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or ``postgresql://...``.
        clock: The source of time, where the log has no clock of its own.
        random: The source of chance.
        durability: Of a file: what an acknowledged append survives, `power` (cut) or death of the `process`.
        inline: Of a file: work in the caller instead of on threads, for simulations.
        observer: Of a file: told of its labelled points, on the thread that writes.

    Raises:
        ConfigError: No log has such a URL, or what it needs is not installed. The URL, which may hold a
            password, is not shown.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigError("log: not a URL", hint=_HINT)
    if scheme == "sqlite":
        from chatkit.logs.sqlite.log import SqliteLog

        path = _path_in(rest)
        return SqliteLog(
            path, clock=clock, random=random, durability=durability, inline=inline, observer=observer
        )
    if scheme in _POSTGRES:
        return _postgres(url)
    if scheme == "https":
        raise ConfigError("log: https:// comes with the relay, which this version does not have", hint=_HINT)
    raise ConfigError(f"log: no log for {_shown(scheme)}://", hint=_HINT)


class Restorable(Protocol):
    """A log that keeps what a backup can be made of."""

    async def restored(self) -> str:
        """Give the log a new id, and return it."""
        ...

    async def aclose(self) -> None:
        """Release what is held."""
        ...


async def restored(url: str, *, clock: Clock, random: RandomSource) -> str:
    """Give a log a new id, and return it: a backup was put in its place.

    Clients that saw more than the backup holds are told so for certain (D18).

    Raises:
        ConfigError: As `open_log`.
        TransportError: No answer; safe to repeat.
    """
    log = cast("Restorable", open_log(url, clock=clock, random=random))
    try:
        return await log.restored()
    finally:
        await log.aclose()


def _path_in(rest: str) -> str:
    """Return the absolute path that a URL of a file names, without symbolic links."""
    from chatkit.sqlite.files import can_be, other_at

    if not rest.startswith("/"):
        raise ConfigError("log: sqlite:// names no host", hint="Write three slashes: sqlite:///shop.db.")
    if "?" in rest or "#" in rest:
        raise ConfigError("log: sqlite:// takes no options", hint="Write ? and # of a name as %3F and %23.")
    path = unquote(rest[1:])
    if not can_be(path) or path.endswith("/"):
        raise ConfigError("log: sqlite:// names no file", hint="Name one, as in sqlite:///shop.db.")
    if path == ":memory:":
        raise ConfigError(
            "log: a log in memory is no shared log", hint="Name a file, or use memory:// without log=."
        )
    path = os.path.realpath(path)
    other = other_at(path)
    if other is not None:
        raise ConfigError(
            f"log: {os.path.basename(path)} is {other}, not a file",  # noqa: PTH119  # as for `realpath`
            hint="Name a file, as in sqlite:///shop.db: it is made where there is none.",
        )
    return path


def _postgres(url: str) -> Log:
    try:
        module = importlib.import_module("chatkit.logs.postgres")
    except ImportError as error:
        if (error.name or "").startswith("chatkit"):
            raise ConfigError("log: this version has no log on PostgreSQL", hint=_HINT) from None
        raise ConfigError(
            f"log: postgresql:// needs {error.name or 'a package'}, which is not installed",
            hint="Install the extra that brings it: `pip install 'chatkit-realtime[postgres]'`.",
        ) from error
    return cast("Log", module.PostgresLog(url))


def _shown(scheme: str) -> str:
    """Return a scheme to show; what is none may be a secret."""
    return scheme if scheme.isascii() and scheme.replace("+", "").isalpha() and len(scheme) < 20 else "such"
