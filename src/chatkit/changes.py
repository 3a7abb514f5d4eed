"""`Change`: what became of a wish that is no message: a role, a pin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from chatkit.engine.holding import unanswered
from chatkit.errors import StateError
from chatkit.stream import within

if TYPE_CHECKING:
    from chatkit.engine.register_wishes import Wish
    from chatkit.errors import ChatkitError
    from chatkit.shared import Shared


class Change:
    """One change of a channel's registers and its fate; `channel.grant`, `pin` and the like return it.

    It is safe when it is returned, shows at once and survives a restart, but is no entry of the outbox: of
    several about the same thing the newest counts, and the others are `discarded` (D25).

    Args:
        wish: What is wanted.
        channel: Where.
        owner: The life of the client.
    """

    def __init__(self, wish: Wish, channel: str, owner: Shared) -> None:
        self._wish = wish
        self._channel = channel
        self._owner = owner

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._channel

    @property
    def status(self) -> Literal["queued", "sent", "failed", "discarded"]:
        """Where it is: `queued`; or `sent`: the log has it; `failed`; `discarded`: a newer one counts."""
        return self._wish.status

    @property
    def error(self) -> ChatkitError | None:
        """Why it failed."""
        return self._wish.error

    async def wait(self, *, timeout: float | None = None) -> None:
        """Wait until the log has it.

        Args:
            timeout: Seconds; `None` waits for ever.

        Raises:
            NotAllowed: The log refused it; what it had changed here is as before.
            StateError: It was discarded, since a newer change counts; or the client was closed.
            WaitTimeout: Not yet; it stays queued. Says what it waits for; `__cause__` is the error behind
                that, if there is one.
        """
        self._owner.check_loop()
        await within(
            timeout,
            self._ended,
            "the log did not have it",
            channel=self._channel,
            why=lambda: unanswered(self._owner.engine.link, self._wish.met, "the log"),
        )
        if self._wish.error is not None:
            raise self._wish.error
        if self.status == "discarded":
            raise StateError("a newer change of the same counts", channel=self._channel)

    async def _ended(self) -> None:
        closed = asyncio.ensure_future(self._owner.closed.wait())
        ended = asyncio.ensure_future(self._wish.ended.wait())
        try:
            _ = await asyncio.wait({closed, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            ended.cancel()
        if self.status == "queued":
            raise StateError(
                "the client is closed",
                channel=self._channel,
                hint="Call connect() again; a store file still holds what was queued.",
            )

    def __repr__(self) -> str:
        return f"Change(channel={self._channel!r}, status={self.status!r})"
