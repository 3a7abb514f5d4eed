"""`Beside`: what a channel has beside its messages: typing, receipts, presence, roles, pins, threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatkit.engine.presence import PresenceFeed
from chatkit.engine.receipt_sync import ReceiptSync
from chatkit.engine.receipts import ReceiptBook
from chatkit.engine.register_sync import RegisterSync
from chatkit.engine.threads import Threads
from chatkit.engine.typists import TypingFeed

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.reach import Reach
    from chatkit.engine.reading import Passing
    from chatkit.ports import Session


class Beside:
    """Makes these parts of one channel, and tells them what becomes of it.

    Args:
        host: The channel.
        parts: Of the channel.
        keep: Messages kept of a thread.
        session: Returns the live session that the channel belongs to, or `None`.
        reach: The way to the others.
        presence: The app wants to know who is there.
        wake: Called when the channel has something to do.
    """

    def __init__(
        self,
        host: ChannelEngine,
        parts: ChannelParts,
        *,
        keep: int,
        session: Callable[[], Session | None],
        reach: Reach,
        presence: bool,
        wake: Callable[[], None],
    ) -> None:
        self.threads = Threads(host, parts, keep=keep, reach=reach)
        self.typing = TypingFeed(parts)
        self.receipts = ReceiptBook(parts, lambda: host.attached and host.caught_up)
        self.marks = ReceiptSync(parts, self.receipts, attached=lambda: host.attached, reach=reach)
        self.presence = PresenceFeed(
            parts, self.receipts, wanted=presence, session=session, device=reach.device, emit=reach.emit
        )
        self.receipts.present = lambda: self.presence.present
        self.registers = RegisterSync(parts, attached=lambda: host.attached, reach=reach, on_known=wake)

    async def restore(self) -> None:
        """Take up what the store holds of it."""
        await self.receipts.restore()
        for user in self.receipts.modes:
            self.marks.joined(user)

    def connected(self) -> None:
        """There is a connection again."""
        self.marks.connected()
        self.registers.connected()
        self.threads.connected()

    def began(self) -> None:
        """Live begins, and it is settled whether anything was missed."""
        self.marks.began()
        self.registers.began()
        self.threads.attached()

    def caught_up(self) -> None:
        """The log was read."""
        self.marks.moved()
        self.threads.look()

    def left(self, *, detached: bool) -> None:
        """The channel is not received any more."""
        self.typing.left()
        self.threads.left()
        self.presence.left(detached=detached)

    def moderated(self) -> None:
        """Moderators answer otherwise now."""
        self.typing.moderated()
        self.receipts.changed()
        self.threads.moderated()
        self.presence.changed()

    def take_register(self, passing: Passing) -> None:
        """Take a register that passes by."""
        self.marks.take_in(passing)
        self.presence.marked(passing)

    async def say(self) -> None:
        """Let out what its users have read and wished, before the client ends."""
        _ = await asyncio.gather(*(part.flush() for part in self._savers()))

    async def save(self) -> None:
        """Write what the store does not have."""
        for part in self._savers():
            await part.save()

    def _savers(self) -> list[ReceiptSync | RegisterSync]:
        return [self.marks, self.registers, *(feed.marks for feed in self.threads.all())]
