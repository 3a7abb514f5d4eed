"""Reactions by annotations and by messages, over every transport, while everything breaks: all show the same (I5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Final

import pytest

import chatkit
from chatkit.testing.death import kill
from chatkit.testing.emulators.ably import Aim, Fault
from chatkit.testing.emulators.ably.publishing import Origin, fresh_id
from chatkit.testing.emulators.ably.summaries import CREATE, DELETE
from tests.adapters.ably.app import PATIENCE, App, until
from tests.adapters.ably.tokens import KEY, SECRET

pytestmark = [pytest.mark.realtime]

RULE: Final = "&namespace=mutable&history=72h"
NATIVE: Final = f"{RULE}&native_edits=1"
CLIENTS: Final = {
    "ada": RULE,
    "ada's phone": NATIVE,
    "bob": RULE,
    "bob's phone": NATIVE,
    "eve": f"{RULE}&transport=sse",
    "eve's phone": f"{NATIVE}&transport=sse",
    "dan": f"{RULE}&transport=poll&poll=0.3",
    "dan's phone": f"{NATIVE}&transport=poll&poll=0.3",
}
"""Users, each with a client without the option and one with it: two by sockets, one by streams, one polls."""
LATE: Final = {"zoe": RULE, "zoe's phone": NATIVE}
"""Clients that read it all at the end."""
EMOJIS: Final = ("👍", "👍🎉")
MESSAGES: Final = (1, 2)
STEPS: Final = 60
UNHURRIED: Final = 0.6
"""How often a reaction is waited for before the next thing happens."""


class Everybody:
    """All clients of one app, and what happens to them.

    Args:
        app: The app.
        random: Decides.
        folder: Of stores, which outlive a client.
    """

    def __init__(self, app: App, random: Random, folder: Path) -> None:
        self.app = app
        self.random = random
        self.chats: dict[str, chatkit.Chat] = {}
        self.channels: dict[str, chatkit.Channel] = {}
        self.emojis = random.choice(EMOJIS)
        self.messages: list[chatkit.Message] = []
        self.given: list[chatkit.Delivery] = []
        self._folder = folder

    async def come(self, name: str) -> None:
        """Open a client, with its channel."""
        self.app._config = {**CLIENTS, **LATE}[name]
        chat = self.app.member(name.partition("'")[0], store=self._folder / f"{name}.db")
        self.chats[name] = await chat.__aenter__()
        channel = self.channels[name] = self.chats[name].channel("support")
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)

    async def settle(self) -> None:
        """Wait until what was given has come, whoever is cut off."""
        self.hurry()
        for delivery in self.given:
            _ = await delivery.wait("sent", timeout=PATIENCE)
        self.given.clear()

    def hurry(self) -> None:
        """Have those that are cut off try at once, however often they were."""
        for chat in self.chats.values():
            if chat.connection.state != "connected":
                chat.connection.retry_now()

    async def leave(self) -> None:
        """Close all clients."""
        for chat in self.chats.values():
            await chat.__aexit__(None, None, None)

    # -- what happens

    async def react(self) -> None:
        """Give a reaction, or take one back, by any client; mostly it is waited for."""
        channel, message = self.random.choice(list(self.channels.values())), self.random.choice(self.messages)
        react = channel.react if self.random.random() < 0.6 else channel.unreact
        self.given.append(await react(message, self.random.choice(self.emojis)))
        if self.random.random() < UNHURRIED:
            await self.settle()

    async def react_elsewhere(self) -> None:
        """Annotate as somebody without chatkit does, be it what stands already."""
        emulated = self.app.emulator.app
        access = emulated.authority.by_key(f"{KEY}:{SECRET}")
        user = self.random.choice(("ada", "bob", "eve", "dan"))
        origin = Origin(access=access, client_id=user, connection_id=None, base=fresh_id())
        annotation = {
            "messageSerial": self.random.choice(self.messages).serial,
            "type": "reaction:distinct.v1",
            "name": self.random.choice(self.emojis),
            "action": self.random.choice((CREATE, DELETE)),
        }
        _ = emulated.publisher.annotate(emulated.channel("mutable:support"), [annotation], origin)

    async def cut(self) -> None:
        """End the sockets of a user's clients."""
        self.app.cut(self.random.choice(("ada", "bob")))

    async def cut_and_refuse(self) -> None:
        """End the sockets of a user's clients; one is not gone on with."""
        self.app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))
        await self.cut()

    async def forget(self) -> None:
        """End the sockets of a user's clients, and vouch for nothing that came before."""
        _ = self.app.emulator.deeds.lose_continuity(Aim())
        await self.cut()

    async def detach(self) -> None:
        """Take the channel away from who hears it by a socket."""
        _ = self.app.emulator.deeds.detach(Aim(client=self.random.choice(("ada", "bob"))))

    async def end_streams(self) -> None:
        """End the event streams."""
        _ = self.app.emulator.deeds.end_streams(Aim())

    async def die(self) -> None:
        """Have a client die where it stands, and live again on what it left."""
        name = self.random.choice(list(CLIENTS))
        await self.settle()  # the wishes of the dead are the next life's: nobody waits for them
        await kill(self.chats[name])
        await self.come(name)


CHANCES: Final[dict[Callable[[Everybody], Awaitable[None]], int]] = {
    Everybody.react: 50,
    Everybody.react_elsewhere: 20,
    Everybody.cut: 12,
    Everybody.cut_and_refuse: 4,
    Everybody.forget: 3,
    Everybody.detach: 3,
    Everybody.end_streams: 5,
    Everybody.die: 3,
}


def given(channel: chatkit.Channel) -> list[dict[str, list[str]]]:
    """Return the reactions of each message that a channel shows."""
    return [
        {emoji: sorted(users) for emoji, users in message.reactions.items()}
        for message in channel.timeline.view.messages
    ]


async def tell(seed: int, folder: Path) -> None:
    """Tell the story, and find that all show the same, in their timelines and in pages of history."""
    random = Random(seed)
    async with App() as app:
        everybody = Everybody(app, random, folder)
        try:
            for name in CLIENTS:
                await everybody.come(name)
            size = random.choice(MESSAGES)
            for number in range(size):
                sent = await everybody.channels["ada"].send(f"message {number}")
                everybody.messages.append(await sent.wait("sent", timeout=PATIENCE))
            await until(
                lambda: all(len(given(one)) == size for one in everybody.channels.values()),
                "all have them",
            )
            for _ in range(STEPS):
                (deed,) = random.choices(list(CHANCES), list(CHANCES.values()))
                await deed(everybody)
            await everybody.settle()
            for name in LATE:
                await everybody.come(name)
            await until(
                lambda: len({str(given(one)) for one in everybody.channels.values()}) == 1,
                "all show the same",
            )
            for channel in everybody.channels.values():
                page = await channel.history()
                shown = [
                    {emoji: sorted(users) for emoji, users in message.reactions.items()}
                    for message in page.items[::-1]
                ]
                assert shown == given(everybody.channels["ada"])
        finally:
            await everybody.leave()


@pytest.mark.parametrize(
    "seed",
    [
        *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4)),
        *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(4, 40)),
    ],
)
async def test_all_show_the_same_whatever_breaks(seed: int, tmp_path: Path) -> None:
    """Given by annotation or message, heard by socket, stream or look, cut, killed or read later (I2, I5)."""
    await tell(seed, tmp_path)
