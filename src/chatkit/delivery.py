"""`Delivery`: one accepted wish and its fate. It is the outbox entry itself, found again after a restart."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from chatkit.engine.holding import because
from chatkit.errors import ChatkitError, ConfigError, DeliveryFailed, MessageNotFound, StateError
from chatkit.given import target_of
from chatkit.model.values import jsonable
from chatkit.stream import Stream, Watched, within

if TYPE_CHECKING:
    from chatkit.engine.outbox import Outbox, OutboxEntry
    from chatkit.model.message import Message, Status
    from chatkit.model.order import Ident
    from chatkit.shared import Shared

_ENDS: Final = {
    "failed": "the delivery failed",
    "expired": "the delivery expired",
    "discarded": "the delivery was discarded",
}
_HINTS: Final = {"discarded": "It was withdrawn, or a newer edit of the same message replaced it."}
_AGAIN: Final = "`await delivery.retry()` sends the same message again."


class Delivery:
    """What became of a `send`, `edit`, `delete`, `react` or `unreact`.

    Args:
        entry: The outbox entry.
        outbox: Where it lies.
        owner: The life of the client that it belongs to.
    """

    def __init__(
        self,
        entry: OutboxEntry,
        outbox: Outbox,
        owner: Shared,
    ) -> None:
        self._entry = entry
        self._outbox = outbox
        self._owner = owner
        self._about: Message | None = None
        # Made when somebody waits or watches: of most deliveries nobody does.
        self._news: asyncio.Event | None = None
        self._watched: Watched[Status] | None = None

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
        """The message that it makes or changes, as it is now.

        Of a change to a message that is not loaded here: as it was handed in.

        Raises:
            MessageNotFound: It changes a message that is not loaded and was named by its id only.
        """
        try:
            return self._owner.message(self._entry)
        except MessageNotFound:
            if self._about is None:
                raise
            return self._about

    @property
    def target(self) -> Ident:
        """Who wrote the message that it makes or changes, and its id; for the library itself."""
        return target_of(self._entry.row)

    @property
    def status(self) -> Status:
        """Where it is: `queued`, `sending`, or final: `sent`, `failed`, `expired`, `discarded`."""
        return self._entry.shown.status

    @property
    def done(self) -> bool:
        """Whether the status is final; an uncertain one may still turn into `sent` (I1)."""
        return self._entry.shown.done

    @property
    def in_doubt(self) -> bool:
        """An attempt was written and has no answer."""
        return self._entry.shown.value == "in_doubt"

    @property
    def certain(self) -> bool:
        """Whether a final status is known rather than assumed."""
        return self._entry.row.certain or not self.done

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
        """Wait until it is sent, or has arrived.

        Args:
            until: `"sent"`; `"delivered"`: a message is on a device of somebody else, as their receipts say
                (`receipts="read+delivered"` there, else once they have read it).
            timeout: Seconds; `None` waits for ever.

        Returns:
            The message with its serial and server time, as far as the provider tells them.

        Raises:
            DeliveryFailed: It failed, expired or was discarded; `__cause__` is why.
            WaitTimeout: Not yet; it stays queued. Says what holds it up: a pause of all sending, the
                connection, an earlier message; `__cause__` is the error behind that, if there is one.
            ChatkitError: The connection failed for good, with its reason; it stays queued.
            StateError: The client was closed; a store file keeps it for the next life. Or `"delivered"` in a
                channel whose receipts are off, or that was not asked for.
            MessageNotFound: It was sent, but the message that it changes is neither loaded nor in a log.
        """
        self._owner.check_loop()
        if until not in ("sent", "delivered"):
            raise ConfigError(f"until is 'sent' or 'delivered', not {until!r}", channel=self.channel)
        if until == "delivered" and self.kind != "create":
            raise ConfigError("'delivered' is for messages; a change is 'sent'", channel=self.channel)
        began = asyncio.get_running_loop().time()
        await within(
            timeout,
            self._finished,
            "it was not sent",
            channel=self.channel,
            message_id=self.message_id,
            why=lambda: self._owner.held_by(self._entry),
        )
        if self.status != "sent":
            error = self.error
            hint = _HINTS.get(self.status) or (None if error is None else f"{error.hint} {_AGAIN}")
            raise DeliveryFailed(_ENDS[self.status] + because(error), delivery=self, hint=hint) from error
        left = None if timeout is None else began + timeout - asyncio.get_running_loop().time()
        if until == "delivered":
            await within(
                left, self._arrived, "nobody has it", channel=self.channel, message_id=self.message_id
            )
        try:
            return self._owner.message(self._entry)
        except MessageNotFound:
            return await self._read(left)

    async def discard(self) -> bool:
        """Withdraw it; `False`: too late, it was attempted or has ended.

        Raises:
            StoreError: It is withdrawn, but the store could not take note yet: a crash may have it sent.
        """
        self._owner.check_open()
        return await self._outbox.discard(self._entry)

    async def retry(self) -> None:
        """Send a failed or expired one again, under the same message id; nothing for any other."""
        self._owner.check_open()
        await self._outbox.retry(self._entry)

    def watch(self) -> Stream[Status]:
        """Follow the status: the present one first; ends after a final one."""
        self._owner.check_loop()
        if self._watched is None:
            self._watched = Watched(lambda: self.status)
        stream = self._watched.watch()
        if self.done or self._owner.report is not None:
            self._watched.finish()
        return stream

    def to_dict(self) -> dict[str, Any]:
        """Return what names it and where it stands, JSON-ready."""
        names = ("id", "message_id", "channel", "kind", "status", "certain", "attempts", "queued_at", "error")
        return {name: jsonable(getattr(self, name)) for name in names}

    def __repr__(self) -> str:
        return f"Delivery(message_id={self.message_id!r}, channel={self.channel!r}, status={self.status!r})"

    def changes(self, message: Message | None) -> None:
        """Keep the message that it changes, as its caller had it; called by the client."""
        self._about = message

    def changed(self) -> None:
        """Tell who waits for it or watches it; called by the client."""
        if self._news is not None:
            self._news.set()
        if self._watched is not None:
            self._watched.changed()
            if self.done:
                self._watched.finish()

    def close(self) -> None:
        """Tell who waits for it that its client has ended; called by the client."""
        if self._news is not None:
            self._news.set()
        if self._watched is not None:
            self._watched.finish()

    async def _read(self, timeout: float | None) -> Message:
        """Return the changed message from the log, or else as it was handed in."""
        try:
            async with asyncio.timeout(timeout):
                return await self._owner.read(self._entry)
        except (TimeoutError, ChatkitError):
            return self.message

    async def _finished(self) -> None:
        while not self.done:
            reason = self._owner.over()
            if reason is not None:
                raise reason
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()

    async def _arrived(self) -> None:
        receipts = self._owner.places.known_receipts(self.channel, self._entry.row.ident.user)
        if receipts is None or receipts.mode == "off":
            raise StateError(
                "receipts are off in this channel",
                hint="Ask for it with `chat.channel(name)` and the default `receipts=`.",
                channel=self.channel,
                message_id=self.message_id,
            )
        await receipts.arrived(self._owner.message(self._entry), self._owner.over)
