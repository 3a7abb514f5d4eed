"""`Mutes`: users and channels that are shown and make no noise."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from unicodedata import normalize

from chatkit.errors import InvalidMessage
from chatkit.model.names import channel_problem, check_user
from chatkit.moderation.listing import Listing


class Mutes(Listing):
    """Silences users and channels: `chat.use(Mutes(channels=["random"]))`.

    What they say is shown and told as ever, but as no news: its events are `silent`, so that a program which
    notifies can pass over them, and it does not count as unread. In a muted channel a message that mentions
    the user by name is news all the same; of a muted user nothing is. One's own messages are never silent.

    Args:
        users: Who is muted at first, at most 10,000.
        channels: Which channels are, at most 10,000; of direct channels their `name`.
        file: Where the lists are kept; once it exists it holds instead of `users` and `channels`.

    Raises:
        ConfigError: Too many, or the file holds no lists.
        InvalidMessage: A user id or a channel name cannot be one.
    """

    def __init__(
        self,
        users: Iterable[str] = (),
        *,
        channels: Iterable[str] = (),
        file: str | PathLike[str] | None = None,
    ) -> None:
        super().__init__(file, users=(check_user, users), channels=(_check_channel, channels))

    @property
    def users(self) -> frozenset[str]:
        """Who is muted."""
        return self._names("users")

    @property
    def channels(self) -> frozenset[str]:
        """Which channels are muted."""
        return self._names("channels")

    async def mute(self, *users: str) -> None:
        """Silence users; safe on return where there is a file.

        Raises:
            ConfigError: More than 10,000 would be muted.
            InvalidMessage: A name cannot be one.
            StoreError: The file could not be written; nothing changed.
        """
        await self._change("users", add=users)

    async def unmute(self, *users: str) -> None:
        """Let users make noise again; as `mute`."""
        await self._change("users", remove=users)

    async def mute_channel(self, *channels: str) -> None:
        """Silence channels, by name; as `mute`."""
        await self._change("channels", add=channels)

    async def unmute_channel(self, *channels: str) -> None:
        """Let channels make noise again; as `mute`."""
        await self._change("channels", remove=channels)

    def silences(self, channel: str, user: str, *, mentioned: bool) -> bool:
        """Whether what a user says in a channel is no news."""
        return user in self._names("users") or (channel in self._names("channels") and not mentioned)


def _check_channel(name: str) -> str:
    """Return the name of a channel of any kind, in normal form C."""
    normal = normalize("NFC", name)
    problem = channel_problem(normal)
    if problem is not None:
        raise InvalidMessage(f"channel: {problem}", hint="Give the channel's `name`.")
    return normal
