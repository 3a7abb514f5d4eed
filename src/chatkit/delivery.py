"""`Delivery`: one accepted wish and its fate. It is the outbox entry itself, found again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from chatkit.errors import CapabilityError, ChatkitError, DeliveryFailed
from chatkit.model.values import jsonable
from chatkit.stream import Stream, Watched, within

if TYPE_CHECKING:
    from chatkit.engine.outbox import Outbox, OutboxEntry
    from chatkit.model.message import Message, Status


class Delivery:
    """What became of a `send`, `edit`, `delete`, `react` or `unreact`.

    Args:
        entry: The outbox entry.
        outbox: Where it lies.
        message: Returns the message it makes or changes, as it is now.
        broken: Returns why nothing will be sent any more, if the connection failed for good.
    """

    def __init__(
        self,
        entry: OutboxEntry,
        outbox: Outbox,
        message: Callable[[], Message],
        broken: Callable[[], ChatkitError | None],
    ) -> None:
        self._entry = entry
        self._outbox = outbox
        self._message = message
        self._broken = broken
        self._news = asyncio.Event()
        self._watched: Watched[Status] = Watched(lambda: self.status)

    @property
    def id(self) -> str:
        """Of the entry: what `chat.outbox.get` takes."""
        return self._entry.row.entry_id

    @property
    def message_id(self) -> str:
        """Of the message that it makes; of a change, the change's own id."""
        return self._entry.row.ident.id

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._entry.row.channel

    @property
    def kind(self) -> Literal["create", "update", "delete", "restore", "reaction"]:
        """What was wished."""
        return cast("Literal['create', 'update', 'delete', 'restore', 'reaction']", self._entry.row.kind)

    @property
    def message(self) -> Message:
        """The message that it makes or changes, as it is now."""
        return self._message()

    @property
    def status(self) -> Status:
        """Where it is: `queued`, `sending`, or final: `sent`, `failed`, `expired`, `discarded`."""
        return self._entry.state.status

    @property
    def done(self) -> bool:
        """Whether the status is final; an uncertain one may still turn into `sent` (I1)."""
        return self._entry.state.done

    @property
    def in_doubt(self) -> bool:
        """An attempt was written and has no answer."""
        return self._entry.state.value == "in_doubt"

    @property
    def certain(self) -> bool:
        """Whether a final status is known rather than assumed."""
        return self._entry.row.certain

    @property
    def error(self) -> ChatkitError | None:
        """Why it ended, or what the last attempt met."""
        return self._entry.error

    @property
    def attempts(self) -> int:
        """How often it was written."""
        return self._entry.row.attempts

    @property
    def maybe_duplicate(self) -> bool:
        """It was written again where nobody could say whether the first copy arrived (D10)."""
        return self._entry.maybe_duplicate

    @property
    def progress(self) -> float | None:
        """Share of an upload that is done; `None`: there is none."""
        return None

    @property
    def queued_at(self) -> datetime:
        """When it was accepted here, UTC."""
        return self._entry.row.queued_at

    async def wait(
        self, until: Literal["sent", "delivered"] = "sent", *, timeout: float | None = None
    ) -> Message:
        """Wait until it is sent.

        Args:
            until: `"sent"`; `"delivered"` needs receipts.
            timeout: Seconds; `None` waits for ever.

        Returns:
            The message with its serial and server time, as far as the provider tells them.

        Raises:
            DeliveryFailed: It failed, expired or was discarded; `__cause__` is why.
            WaitTimeout: Not yet; it stays queued.
            ChatkitError: The connection failed for good, with its reason; it stays queued.
            CapabilityError: `"delivered"` where no receipts are kept.
        """
        if until == "delivered":
            raise CapabilityError("nobody keeps delivery receipts here", channel=self.channel)
        await within(timeout, self._finished, f"message {self.message_id} was not sent")
        if self.status != "sent":
            failed = DeliveryFailed(f"the delivery {self.status}", delivery=self)
            raise failed from self.error
        return self.message

    async def discard(self) -> bool:
        """Withdraw it; `False`: too late, it was attempted or has ended.

        Raises:
            StoreError: It is withdrawn, but the store could not take note: a restart may send it.
        """
        return await self._outbox.discard(self._entry)

    async def retry(self) -> None:
        """Send a failed or expired one again, under the same message id; nothing for any other."""
        await self._outbox.retry(self._entry)

    def watch(self) -> Stream[Status]:
        """Follow the status; ends after a final one."""
        stream = self._watched.watch()
        if self.done:
            self._watched.close()
        return stream

    def to_dict(self) -> dict[str, Any]:
        """Return what names it and where it stands, JSON-ready."""
        names = ("id", "message_id", "channel", "kind", "status", "certain", "attempts", "queued_at", "error")
        return {name: jsonable(getattr(self, name)) for name in names}

    def __repr__(self) -> str:
        return f"Delivery(message_id={self.message_id!r}, channel={self.channel!r}, status={self.status!r})"

    def changed(self) -> None:
        """Tell who waits for it or watches it; called by the client."""
        self._news.set()
        self._watched.changed()

    async def _finished(self) -> None:
        while not self.done:
            reason = self._broken()
            if reason is not None:
                raise reason
            self._news.clear()
            await self._news.wait()
