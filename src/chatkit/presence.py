"""`Presence`: who is in a channel, and being there myself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from chatkit.core.attachment import State
from chatkit.core.said import Said, packed_data
from chatkit.engine.holding import unanswered
from chatkit.errors import ChatkitError, InvalidMessage, StateError
from chatkit.given import is_mapping
from chatkit.model.views import Member, PresenceView
from chatkit.stream import Stream, Watched, within

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.shared import Shared

_STATUSES: Final[dict[str, Literal["online", "away"]]] = {"online": "online", "away": "away"}


class Presence:
    """Who is there in one channel (D32). Entering is a wish: kept offline, and renewed after each reconnect.

    Args:
        owner: The life of the client.
        channel: The channel's machinery.
        user: Who enters here.
    """

    def __init__(self, owner: Shared, channel: ChannelEngine, user: str) -> None:
        self._owner = owner
        self._channel = channel
        self._feed = channel.presence
        self._user = user
        self._watched: Watched[PresenceView] = Watched(self._view)
        self._feed.listeners.add(self)

    @property
    def members(self) -> Mapping[str, Member]:
        """Everybody known here, by user: who is there, and as `offline` who was or left another sign.

        At once and without I/O. The latter are those seen leaving, at most 1,000, and whoever wrote one of
        the newest 1,000 loaded messages or has a read mark: `last_seen` says when.
        """
        self._owner.check_loop()
        self._channel.wake()
        return MappingProxyType(self._feed.members)

    @property
    def synced(self) -> bool:
        """Whether the provider's whole set is in; `False` while the channel is not received."""
        return self._feed.synced

    @property
    def error(self) -> ChatkitError | None:
        """Why nobody can be seen here, or I am not let in: a `CapabilityError` where the provider cannot."""
        return self._feed.error(self._user)

    async def enter(
        self, *, status: Literal["online", "away"] = "online", data: Mapping[str, Any] | None = None
    ) -> None:
        """Be there from now on: recorded at once, told when the channel is received. Wishes the attach.

        A client that is asked nothing for five minutes shows its user as away instead of online until it is.

        Args:
            status: What I am.
            data: JSON-ready, at most 1,024 bytes.

        Raises:
            CapabilityError: The provider has no presence, or no room; in the latter case the wish stays.
            InvalidMessage: The status or the data cannot be sent.
            StateError: The channel was asked for without presence.
        """
        self._owner.check_use()
        self._enter(Said(self._status(status), self._data(data)))

    async def update(
        self, *, status: Literal["online", "away"] | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        """Change what I am; what is `None` stays. Enters where I was not. Raises as `enter`."""
        self._owner.check_use()
        before = self._feed.wish(self._user) or Said()
        data_now = before.data if data is None else self._data(data)
        self._enter(Said(before.status if status is None else self._status(status), data_now))

    async def leave(self) -> None:
        """Be there no longer; nothing where I was not. Raises as `enter`."""
        self._owner.check_use()
        self._feed.leave(self._user)

    async def wait_synced(self, *, timeout: float | None = None) -> Mapping[str, Member]:
        """Wait until all who are there are known, and return `members`. Wishes the attach.

        Raises:
            ChatkitError: It cannot be known: the channel's, the connection's or the provider's reason.
            StateError: The client was closed.
            WaitTimeout: Not within `timeout` seconds. Says what it waits for; `__cause__` is the error behind
                that, if there is one.
        """
        stream = self.watch()

        async def wait() -> Mapping[str, Member]:
            async for view in stream:
                if view.synced:
                    return view.members
                reason = self._why_never()
                if reason is not None:
                    raise reason
            raise StateError("the client was closed", channel=self._channel.name)

        try:
            return await within(
                timeout,
                wait,
                "who is present was not known",
                channel=self._channel.name,
                why=lambda: unanswered(self._owner.engine.link, self._channel.error),
            )
        finally:
            await stream.aclose()

    def watch(self) -> Stream[PresenceView]:
        """Follow who is there: those of now first, then the newest after each change. Wishes the attach."""
        self._owner.check_loop()
        self._channel.want()
        self._feed.look()
        return self._watched.watch()

    # -- for the library --------------------------------------------------------------------------------

    def changed(self) -> None:
        """Tell those who watch, and who wait and may wait in vain."""
        self._watched.changed()

    def close(self) -> None:
        """End what watches."""
        self._watched.close()

    # -- inside -----------------------------------------------------------------------------------------

    def _why_never(self) -> ChatkitError | None:
        """Return why it will not be known who is there, if it will not."""
        failed = self._channel.error if self._channel.state is State.FAILED else None
        return self._feed.refused or self._owner.over() or failed

    def _view(self) -> PresenceView:
        return PresenceView(
            members=MappingProxyType(self._feed.members), synced=self.synced, error=self.error
        )

    def _enter(self, said: Said) -> None:
        self._channel.want()
        self._feed.enter(self._user, said)

    def _status(self, given: str) -> Literal["online", "away"]:
        found = _STATUSES.get(given) if isinstance(given, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if found is None:
            raise InvalidMessage("status: is neither 'online' nor 'away'", channel=self._channel.name)
        return found

    def _data(self, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
        if given is not None and not is_mapping(given):
            raise InvalidMessage(
                "data: is no mapping", hint='Write {"name": value}.', channel=self._channel.name
            )
        try:
            return packed_data(given or {})
        except InvalidMessage as error:
            error.channel = self._channel.name
            raise
