"""`Blocks`: users of whom nothing is seen."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from chatkit.model.names import check_user
from chatkit.moderation.listing import Listing


class Blocks(Listing):
    """Hides users everywhere: `chat.use(Blocks(["mallory"]))`.

    Their messages, reactions, typing, presence, receipts and events are neither shown nor told, live or from
    the log, in pages or hits, and do not count as unread. All of it is received and keeps its place all the
    same: no gap, no cursor and no mark is another for it, and what they wrote shows again once they are
    unblocked. They are not told. One's own user is never hidden.

    Args:
        users: Who is blocked at first, at most 10,000.
        file: Where the list is kept; once it exists it holds instead of `users`.

    Raises:
        ConfigError: Too many, or the file holds no list.
        InvalidMessage: A user id cannot be one.
    """

    def __init__(self, users: Iterable[str] = (), *, file: str | PathLike[str] | None = None) -> None:
        super().__init__(file, users=(check_user, users))

    @property
    def users(self) -> frozenset[str]:
        """Who is blocked."""
        return self._names("users")

    async def block(self, *users: str) -> None:
        """Hide users; safe on return where there is a file. What is shown is drawn anew at once.

        Raises:
            ConfigError: More than 10,000 would be blocked.
            InvalidMessage: A user id cannot be one.
            StoreError: The file could not be written; nothing changed.
        """
        await self._change("users", add=users)

    async def unblock(self, *users: str) -> None:
        """Show users again, with what they wrote meanwhile; as `block`."""
        await self._change("users", remove=users)

    def hides(self, user: str) -> bool:
        """Whether a user is blocked."""
        return user in self._names("users")
