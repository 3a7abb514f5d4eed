"""What blocks and mutes are made of: middleware that lists users and channels, in a file if one is given."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakMethod

from chatkit.errors import ChatkitError, ConfigError, StoreError
from chatkit.given import is_text
from chatkit.model import ijson

if TYPE_CHECKING:
    from chatkit.model.events import Event
    from chatkit.model.options import Draft

MOST: Final = 10_000
"""Users, and channels, of one list."""
_LARGEST: Final = 16_000_000
"""Bytes of a file that are read: more than the largest lists take."""


class Listing:
    """A moderator's lists, by name. Belongs to the loop of the clients that use it.

    Args:
        file: Where they are kept; without one they end with the process.
        lists: Of each list what checks a name and brings it to its one form, and whom it holds at first:
            while there is no file yet.

    Raises:
        ConfigError: A list is too long, or the file holds none.
        InvalidMessage: What is listed is no name.
    """

    def __init__(
        self, file: str | PathLike[str] | None, **lists: tuple[Callable[[str], str], Iterable[str]]
    ) -> None:
        self._checks = {name: check for name, (check, _) in lists.items()}
        self._file = None if file is None else Path(file)
        kept = None if self._file is None else self._read(self._file)
        self._lists = self._checked(kept or {name: given for name, (_, given) in lists.items()})
        self._followers: list[WeakMethod[Callable[[], None]]] = []
        self._writing = asyncio.Lock()

    # -- as middleware ----------------------------------------------------------------------------------

    async def outgoing(self, draft: Draft) -> Draft:
        """Let it pass."""
        return draft

    async def incoming(self, event: Event) -> Event | None:
        """Let it pass: what of it is shown and told is asked of `hides` and `silences`."""
        return event

    @property
    def active(self) -> bool:
        """Whether anything is listed."""
        return any(self._lists.values())

    def hides(self, user: str) -> bool:  # noqa: ARG002  # what a block says
        """Hide nobody."""
        return False

    def silences(self, channel: str, user: str, *, mentioned: bool) -> bool:  # noqa: ARG002  # what a mute says
        """Silence nobody."""
        return False

    def follow(self, changed: Callable[[], None]) -> None:
        """Call a client's method after each change, for as long as there is the client."""
        self._followers.append(WeakMethod(changed))

    # -- changing it ------------------------------------------------------------------------------------

    def _names(self, name: str) -> frozenset[str]:
        return self._lists[name]

    async def _change(self, name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Change a list, in the file first; cancelling the caller does not stop it half-way.

        Raises:
            ConfigError: The list is full.
            InvalidMessage: What is to be listed is no name.
            StoreError: The file could not be written; nothing changed.
        """
        await asyncio.shield(asyncio.ensure_future(self._apply(name, frozenset(add), frozenset(remove))))

    async def _apply(self, name: str, add: frozenset[str], remove: frozenset[str]) -> None:
        async with self._writing:
            gone = frozenset(map(self._checks[name], remove))
            lists = self._checked({**self._lists, name: (self._lists[name] | add) - gone})
            if lists == self._lists:
                return
            if self._file is not None:
                await asyncio.to_thread(_write, self._file, lists)
            self._lists = lists
        calls = [(follower, follower()) for follower in self._followers]
        self._followers = [follower for follower, changed in calls if changed is not None]
        for _, changed in calls:
            if changed is not None:
                changed()

    # -- the file ---------------------------------------------------------------------------------------

    def _checked(self, lists: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for name, check in self._checks.items():
            if is_text(lists[name]):
                raise ConfigError(f"{name}: is no list", hint=f'Write {name}=["..."].')
            found[name] = frozenset(map(check, lists[name]))
            if len(found[name]) > MOST:
                raise ConfigError(f"{name}: at most {MOST:,} are listed, not {len(found[name]):,}")
        return found

    def _read(self, file: Path) -> Mapping[str, Iterable[str]] | None:
        """Return what a file holds; `None`: there is none yet."""
        try:
            found = ijson.loads(file.read_bytes(), limit=_LARGEST)
        except FileNotFoundError:
            return None
        except (OSError, ChatkitError) as error:
            raise _unusable(file) from error
        for name in self._checks:
            names: object = found.get(name)
            if not isinstance(names, list) or not all(map(is_text, cast("list[object]", names))):
                raise _unusable(file)
        return found


def _unusable(file: Path) -> ConfigError:
    return ConfigError(
        f"{file.name} cannot be read as lists of users",
        hint="Give a file that blocks or mutes wrote, or one that does not exist yet.",
    )


def _write(file: Path, lists: Mapping[str, frozenset[str]]) -> None:
    """Put a new file in the place of the old one, so that a crash leaves one of both; for the owner alone."""
    data = ijson.dumps({name: sorted(names) for name, names in lists.items()})
    try:
        handle, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "wb") as new:
                new.write(data)
                new.flush()
                os.fsync(new.fileno())
            Path(made).replace(file)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"{file.name} could not be written: {error.strerror}; nothing changed",
            hint="Check the folder and the disk, then call again.",
        ) from error
