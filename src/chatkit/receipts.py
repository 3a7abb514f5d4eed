"""`Receipts`: what a user has read, what others have, and what is still unread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, get_args

from chatkit.core.timeline_view import Reader
from chatkit.delivery import Delivery
from chatkit.engine.receipts import Mode
from chatkit.errors import ChatkitError, MessageNotFound, StateError, WaitTimeout
from chatkit.model.message import Message
from chatkit.model.registers import DELIVERED, READ
from chatkit.model.views import Unread
from chatkit.refs import MessageRef
from chatkit.stream import Stream, Watched

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.engine import Engine
    from chatkit.engine.thread import ThreadFeed
    from chatkit.shared import Shared

MODES: Final[frozenset[str]] = frozenset(get_args(Mode))


class Receipts:
    """The receipts of one user in one channel, or thread; `channel.receipts`, `thread.receipts`.

    Marks are last-value registers beside the messages. They work offline, survive restarts and never go back;
    the user's other devices follow. They are announced at most every 2 seconds a user, and not at all where
    more than 20 users are there or have marks: then the log is asked.

    Args:
        owner: The life of the client.
        channel: The machinery of the channel, or of the thread.
        user: Whose they are.
        mode: Which marks others are told.
        get: Returns a message that is named by its id.
    """

    def __init__(
        self,
        owner: Shared,
        channel: ChannelEngine | ThreadFeed,
        user: str,
        mode: Mode,
        get: Callable[[MessageRef], Awaitable[Message]],
    ) -> None:
        self._owner = owner
        self._channel = channel
        self._book = channel.receipts
        self._user = user
        self.mode: Final[Mode] = mode
        """Which marks others are told."""
        self._get = get
        self._watched: Watched[Unread] = Watched(lambda: self.unread)
        channel.marks.join(user, mode, self)

    @property
    def unread(self) -> Unread:
        """What the user has not read: messages of others in the channel itself, or the thread, not deleted.

        At once and without I/O, from what is loaded or what the log said last; `exact=False`: at least so
        many, as far as this client knows. That is so offline, without a log that keeps marks, until the log
        was asked, and where more is unread than is loaded, until the log has counted it.
        """
        self._owner.check_loop()
        self._channel.wake()
        self._channel.marks.look()
        return self._book.unread(self._user)

    async def mark_read(self, message: MessageRef | None = None) -> None:
        """Take note that the user has read up to a message; safe on return, offline too.

        A mark never goes back: an older message changes nothing but what `mark_unread` said.

        Args:
            message: The last one read; `None`: the newest shown.

        Raises:
            MessageNotFound: There is no such message.
            StateError: The message was not accepted yet, so that it has no place.
            StoreError: The store could not keep it.
        """
        self._owner.check_use()
        await self._channel.restored()
        found = self._newest() if message is None else await self._located(message)
        if found is not None and found.key is not None and self._book.counts(found.origin):
            self._book.learn(found.origin)
            await self._channel.marks.read(self._user, found.key, found.message_id)

    async def mark_unread(self, message: MessageRef) -> None:
        """Count a message and all after it as unread again, until it is marked read; safe on return.

        Only the user's own devices know: the mark that others see stays where it is.

        Raises:
            MessageNotFound, StateError, StoreError: As for `mark_read`.
        """
        self._owner.check_use()
        await self._channel.restored()
        found = await self._located(message)
        if found.key is not None and self._book.counts(found.origin):
            self._book.learn(found.origin)
            await self._channel.marks.unread_from(self._user, found.key)

    def read_by(self, message: MessageRef) -> frozenset[str]:
        """Return who has read a message, as far as known here; its author is left out.

        No I/O: where the log was not asked for a while it is asked now, and what it says is told as
        `ReceiptAdvanced`, and by the next call.

        Raises:
            MessageNotFound: It is named by an id that is not loaded.
        """
        return self._reached(message, READ)

    def delivered_to(self, message: MessageRef) -> frozenset[str]:
        """Return on whose devices a message has arrived, as far as known here; its author is left out.

        Who has read it has received it. Others are known where their channel has
        `receipts="read+delivered"`. Else as `read_by`.
        """
        return self._reached(message, READ, DELIVERED)

    def watch(self) -> Stream[Unread]:
        """Follow the count: the present one, then the newest after each change; attaches the channel."""
        self._owner.check_loop()
        self._channel.want()
        return self._watched.watch()

    # -- for the library --------------------------------------------------------------------------------

    async def arrived(self, message: Message, over: Callable[[], ChatkitError | None]) -> None:
        """Wait until a device of somebody else has a message.

        Args:
            message: With its place.
            over: Returns why nothing will be heard any more.

        Raises:
            ChatkitError: What `over` returned.
        """
        changes = self.watch()
        while not self.delivered_to(message):
            reason = over()
            if reason is not None:
                raise reason
            try:
                _ = await changes.next(timeout=self._owner.engine.context.staleness)
            except WaitTimeout:
                continue  # in a crowd nothing is announced: the log is asked again
            except StopAsyncIteration:
                continue  # the client was closed, as `over` knows by now

    async def known(self) -> Unread:
        """Return what is unread as far as this client can say, what its store holds included."""
        await self._channel.restored()
        return self.unread

    @property
    def followed(self) -> bool:
        """Whether somebody watches the count."""
        return self._watched.followed

    def changed(self) -> None:
        """Tell those who watch."""
        self._watched.changed()

    def close(self) -> None:
        """End what watches."""
        self._watched.close()

    # -- inside -----------------------------------------------------------------------------------------

    def _newest(self) -> Message | None:
        messages = self._channel.view.read(Reader()).messages
        return next((message for message in reversed(messages) if message.key is not None), None)

    async def _located(self, message: MessageRef) -> Message:
        """Return a message with its place."""
        known = message
        if not (isinstance(known, Message) and known.key is not None and known.channel == self._channel.name):
            known = await self._get(message)
        if known.key is None:
            raise StateError(
                "the message has no place yet",
                hint="Wait for it first: `await delivery.wait()`.",
                channel=self._channel.name,
                message_id=known.message_id,
            )
        return known

    def _reached(self, message: MessageRef, *names: str) -> frozenset[str]:
        self._owner.check_loop()
        self._channel.wake()
        self._channel.marks.look(everyone=True)
        found = message.message if isinstance(message, Delivery) else message
        if not isinstance(found, Message):
            known = self._channel.timeline.find(found)
            if known is None:
                raise MessageNotFound(
                    "the message is not loaded here",
                    hint="Read it first: `await channel.get(message_id)`.",
                    channel=self._channel.name,
                    message_id=found,
                )
            found = known
        if found.key is None:  # as it was while it was queued
            found = self._channel.timeline.get(found.ident) or found
        if found.channel != self._channel.name:
            raise MessageNotFound(
                "the message is of another channel",
                channel=self._channel.name,
                message_id=found.message_id,
            )
        if self.mode == "off" or found.key is None or not self._book.counts(found.origin):
            return frozenset()
        reached = self._book.marks.reached(found.key, *names)
        if DELIVERED in names and self._channel.above is not None:  # who has what the channel brought has it
            reached |= self._channel.above.marks.reached(found.key, READ, DELIVERED)
        return self._book.seen(reached - {found.sender.user})


async def count_all(engine: Engine, user: str, receipts: Mapping[str, Receipts]) -> Mapping[str, Unread]:
    """Count what a user has not read in each of some channels, in one question to the log."""
    found = {name: await one.known() for name, one in receipts.items()}
    log = engine.context.log
    try:
        turns: dict[str, int] = {}
        for name, known in found.items():
            channel = engine.channels[name]
            alone = known.exact or channel.receipts.moderated
            turn = None if alone else await channel.marks.countable(user)
            if turn is not None:
                turns[name] = turn
        if turns and log is not None:
            counted = await engine.context.read(lambda: log.unread(user, list(turns)))
            for name, turn in turns.items():
                engine.channels[name].receipts.answered(user, turn, counted[name])
                found[name] = counted[name]
    except ChatkitError:  # what is known here must do, and says of itself that it is not exact
        pass
    return found
