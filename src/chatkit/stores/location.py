"""Where a store file lies: a path or a `file:` URI, and what is done there before SQLite comes in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, get_args
from urllib.parse import parse_qsl, urlsplit

from chatkit.errors import ConfigError, StoreError
from chatkit.sqlite.connection import Mode
from chatkit.sqlite.files import can_be, make_directory, other_at

_COMPANIONS: Final = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Location:
    """An absolute path without symbolic links, so that one file has one lock; and how it may be opened."""

    path: str
    mode: Mode = "rwc"

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> Self:
        """Read a path, or `file:PATH[?mode=ro|rw|rwc]`.

        Raises:
            ConfigError: No path, a host, an option other than `mode`, or a device or pipe lies there.
        """
        spec = os.fspath(text)
        if not spec.startswith("file:"):
            return cls(_no_device(resolved(spec)))
        from urllib.request import url2pathname

        try:
            parts = urlsplit(spec)
            options = dict(parse_qsl(parts.query, keep_blank_values=True))
        except ValueError:  # a host with a bracket, more options than anybody means
            raise _other_uri() from None
        mode = options.pop("mode", "rwc")
        if options or mode not in get_args(Mode) or parts.netloc not in {"", "localhost"}:
            raise _other_uri()
        return cls(_no_device(resolved(url2pathname(parts.path))), mode)  # type: ignore[arg-type]  # one of them, as just seen

    @property
    def name(self) -> str:
        """The file's name, for messages: they show no directory."""
        return Path(self.path).name

    def prepare(self) -> None:
        """Make missing parents, where the file may be created.

        Raises:
            OSError: They cannot be made, or a file that must exist does not.
            StoreError: The path is a directory.
        """
        path = Path(self.path)
        if path.is_dir():
            raise StoreError(
                f"{self.name} is a directory",
                hint="Name a file in it, or end the path with '/' to keep one file a process in it.",
            )
        if self.mode == "rwc":
            make_directory(path.parent)
        else:
            path.stat()

    def remove(self) -> None:
        """Delete the file and SQLite's companions, not the lock file."""
        for suffix in _COMPANIONS:
            Path(self.path + suffix).unlink(missing_ok=True)


def resolved(path: str) -> str:
    """Return the absolute path, without symbolic links.

    Raises:
        ConfigError: It is empty, or no file could have this name.
    """
    if not can_be(path):
        raise ConfigError("store: not a path", hint='Name a file, as in store="ada.db".')
    return os.path.realpath(path)


def _no_device(path: str) -> str:
    """Return a path at which a file can be, before anything is made there."""
    other = other_at(path)
    if other is None or other == "a directory":  # of which `prepare` says more
        return path
    raise ConfigError(
        f"store: {Path(path).name} is {other}, not a file",
        hint='Name a file, as in store="ada.db"; for a store that is not kept say store=":memory:".',
    )


def _other_uri() -> ConfigError:
    return ConfigError(
        "store: a file: URI names a local file and takes no option but mode=ro, rw or rwc",
        hint='For a store that is not kept say store=":memory:".',
    )
