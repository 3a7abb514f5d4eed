"""`Player`: one device in a simulation, and what its user may do next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal

from chatkit.errors import ChatkitError
from chatkit.model.cursor import START
from chatkit.model.events import MessageCreated, TypingChanged
from chatkit.testing.history import Paged, Raised, Retried
from chatkit.testing.simulation.fuse import Fuse, StoreFaults

if TYPE_CHECKING:
    from chatkit.channel import Channel
    from chatkit.client import Chat
    from chatkit.delivery import Delivery
    from chatkit.model.message import Message
    from chatkit.stream import Stream
    from chatkit.testing.places import Place
    from chatkit.testing.simulation.stage import Stage

CHANNELS: Final = ("red", "blue")
EMOJI: Final = "👍🎉👎"

VERBS: Final[Mapping[str, float]] = {
    "send": 22,
    "send_again": 2,
    "send_expiring": 1,
    "send_later": 1,
    "send_stream": 1,
    "edit": 6,
    "delete": 2,
    "undelete": 1,
    "react": 4,
    "unreact": 2,
    "mark_read": 3,
    "mark_unread": 1,
    "type": 1,
    "come": 2,
    "go": 1,
    "attach": 3,
    "detach": 1,
    "listen": 3,
    "stop_listening": 2,
    "page": 1,
    "look_back": 1,
    "retry": 1,
    "discard": 1,
}
"""What users do, and how often."""


class PlannedError(Exception):
    """What a handler raises as planned."""


class Player:
    """One device: its client of the moment, its disk, and what it remembers of what it did.

    Args:
        stage: Where it plays.
        chance: The source of all its choices.
        place: What outlives its clients.
    """

    def __init__(self, stage: Stage, chance: Random, place: Place) -> None:
        self.stage = stage
        self.chance = chance
        self.place = place
        self.turn = asyncio.Lock()
        """Its process starts, ends and dies one after the other."""
        self.disk = StoreFaults()
        self.fuse = Fuse(lambda _point: None)
        self.streams: list[Stream[Any]] = []
        self.deliveries: list[Delivery] = []
        self.keys: list[tuple[str, str, str]] = []
        self.raises = 0
        self.blocks = 0
        self.count = 0

    @property
    def name(self) -> str:
        """Of the device."""
        return self.place.name

    @property
    def chat(self) -> Chat | None:
        """The client that is open."""
        return self.place.chat

    def started(self, chat: Chat) -> None:
        """Do what a program does that starts: listen, with a handler that is not perfect."""
        self.streams, self.deliveries = [], []
        life = 0 if self.place.follower is None else self.place.follower.life
        for name in CHANNELS:
            channel = chat.channel(name, keep=200)

            @channel.on(MessageCreated)
            async def nervous(_event: MessageCreated) -> None:
                if self.blocks:
                    self.blocks -= 1
                    self.stage.clock.advance(1.0)
                if self.raises:
                    self.raises -= 1
                    self.stage.history.note(Raised(self.stage.now, life, nervous.__qualname__))
                    raise PlannedError

            @channel.on(TypingChanged)
            async def hanging(_event: TypingChanged) -> None:
                await asyncio.Event().wait()

    # -- verbs ------------------------------------------------------------------------------------------

    def act(self) -> tuple[str, Awaitable[Any]] | None:
        """Choose what the user does next; `None`: there is nothing to do it with."""
        chat = self.chat
        if chat is None:
            return None
        verb = self.chance.choices(tuple(VERBS), tuple(VERBS.values()))[0]
        channel = chat.channels[self.chance.choice(CHANNELS)]
        doing: Callable[[Channel], Awaitable[Any] | None] = getattr(self, f"_{verb}")
        found = doing(channel)
        return None if found is None else (verb, found)

    def _text(self) -> str:
        self.count += 1
        return f"{self.name} {self.count}"

    def _send(self, channel: Channel) -> Awaitable[Any]:
        options: dict[str, Any] = {}
        if self.chance.random() < 0.15:
            key = f"k{self.chance.randrange(10**6)}"
            options["key"] = key
            self.keys.append((channel.name, key, self._text()))
            return self._kept(channel.send(self.keys[-1][2], key=key))
        message = self._any(channel) if self.chance.random() < 0.1 else None
        if message is not None:
            options["reply_to"] = message
        return self._kept(channel.send(self._text(), **options))

    def _send_again(self, channel: Channel) -> Awaitable[Any] | None:
        known = [(key, text) for name, key, text in self.keys if name == channel.name]
        if not known:
            return None
        key, text = self.chance.choice(known)
        return self._kept(channel.send(text, key=key))

    def _send_expiring(self, channel: Channel) -> Awaitable[Any]:
        return self._kept(channel.send(self._text(), expires_in=self.chance.uniform(1, 60)))

    def _send_later(self, channel: Channel) -> Awaitable[Any]:
        due = self.stage.clock.wall() + timedelta(seconds=self.chance.uniform(1, 30))
        return self._kept(channel.send(self._text(), send_at=due))

    def _send_stream(self, channel: Channel) -> Awaitable[Any]:
        pause = self.chance.uniform(0.1, 2)

        async def chunks() -> AsyncIterator[str]:
            for _ in range(3):
                yield f"{self._text()} "
                await asyncio.sleep(pause)

        return self._kept(channel.send_stream(chunks(), every=0.3))

    def _edit(self, channel: Channel) -> Awaitable[Any] | None:
        message = self._mine(channel)
        return None if message is None else self._kept(channel.edit(message, self._text()))

    def _delete(self, channel: Channel) -> Awaitable[Any] | None:
        message = self._mine(channel)
        return None if message is None else self._kept(channel.delete(message))

    def _undelete(self, channel: Channel) -> Awaitable[Any] | None:
        message = self._mine(channel, deleted=True)
        return None if message is None else self._kept(channel.undelete(message))

    def _react(self, channel: Channel) -> Awaitable[Any] | None:
        message = self._any(channel)
        return None if message is None else channel.react(message, self.chance.choice(EMOJI))

    def _unreact(self, channel: Channel) -> Awaitable[Any] | None:
        message = self._any(channel)
        return None if message is None else channel.unreact(message, self.chance.choice(EMOJI))

    def _mark_read(self, channel: Channel) -> Awaitable[Any] | None:
        if self.chance.random() < 0.5:
            return channel.receipts.mark_read()
        message = self._any(channel)
        return None if message is None else channel.receipts.mark_read(message)

    def _mark_unread(self, channel: Channel) -> Awaitable[Any] | None:
        message = self._any(channel)
        return None if message is None else channel.receipts.mark_unread(message)

    def _type(self, channel: Channel) -> Awaitable[Any]:
        return channel.typing.keystroke()

    def _come(self, channel: Channel) -> Awaitable[Any]:
        return channel.presence.enter(status=self.chance.choice(("online", "away")), data={"n": self.count})

    def _go(self, channel: Channel) -> Awaitable[Any]:
        return channel.presence.leave()

    def _attach(self, channel: Channel) -> Awaitable[Any]:
        return channel.attach(timeout=self.chance.uniform(0.1, 10))

    def _detach(self, channel: Channel) -> Awaitable[Any]:
        return channel.detach()

    def _listen(self, channel: Channel) -> None:
        follower = self.place.follower
        if follower is None or len(self.streams) > 4:
            return
        since = None
        if self.stage.has_log and self.chance.random() < 0.6:
            message = self._any(channel)
            since = START if message is None or self.chance.random() < 0.4 else message.cursor
        try:
            self.streams.append(follower.listen(channel, since))
        except ChatkitError:
            self.stage.refusals += 1

    def _stop_listening(self, _channel: Channel) -> Awaitable[Any] | None:
        if not self.streams:
            return None
        return self.streams.pop(self.chance.randrange(len(self.streams))).aclose()

    def _page(self, channel: Channel) -> Awaitable[Any] | None:
        if not self.stage.has_log:
            return None
        return self.page(channel, backward=self.chance.random() < 0.5)

    def _look_back(self, channel: Channel) -> Awaitable[Any]:
        return channel.timeline.load_older(self.chance.randrange(1, 50))

    def _retry(self, _channel: Channel) -> Awaitable[Any] | None:
        failed = [one for one in self.deliveries if one.status in ("failed", "expired")]
        return self._again(self.chance.choice(failed)) if failed else None

    def _discard(self, _channel: Channel) -> Awaitable[Any] | None:
        waiting = [one for one in self.deliveries[-20:] if not one.done]
        return self.chance.choice(waiting).discard() if waiting else None

    # -- inside -----------------------------------------------------------------------------------------

    async def page(self, channel: Channel, *, backward: bool) -> None:
        """Read all pages of a channel, while others write."""
        follower = self.place.follower
        assert follower is not None
        began, provisional = self.stage.now, False
        found: list[Message] = []
        if backward:
            page = await channel.history(limit=17)
        else:
            page = await channel.history(after=START, limit=17)
        while True:
            found += page.items
            # A replica that lags ends where it stands: nobody can tell.
            provisional = provisional or page.provisional or self.stage.core.lagging
            if page.next is None:
                break
            place = {"before": page.next} if backward else {"after": page.next}
            page = await channel.history(limit=17, **place)
        idents = tuple(message.ident for message in found)
        direction: Literal["forward", "backward"] = "backward" if backward else "forward"
        self.stage.history.note(
            Paged(self.stage.now, follower.life, channel.name, direction, idents, began, provisional)
        )

    async def _kept(self, sending: Awaitable[Delivery]) -> None:
        self.deliveries.append(await sending)

    async def _again(self, delivery: Delivery) -> None:
        follower = self.place.follower
        assert follower is not None
        self.stage.history.note(Retried(self.stage.now, follower.life, delivery.id))
        await delivery.retry()

    def _any(self, channel: Channel) -> Message | None:
        found = [one for one in channel.timeline.view.messages if one.key is not None]
        return self.chance.choice(found[-30:]) if found else None

    def _mine(self, channel: Channel, *, deleted: bool = False) -> Message | None:
        view = channel.timeline.view.messages
        found = [one for one in view if one.own and one.deleted is deleted and one.status != "failed"]
        return self.chance.choice(found[-30:]) if found else None
