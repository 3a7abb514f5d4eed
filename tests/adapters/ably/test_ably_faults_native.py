"""Every fault that the emulator of Ably offers, at each step of edits, deletes and reactions that are Ably's own.

As `test_ably_faults`: the cases are made from the emulator's lists, and time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

import pytest

import chatkit
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.ably import AblyEmulator
from chatkit.testing.emulators.ably.faults import Deed
from chatkit.testing.emulators.faults import CallFault
from tests.adapters.ably.app import App
from tests.adapters.ably.test_ably_faults import NATIVE as STEPS
from tests.adapters.ably.test_ably_faults import TIMES, fault
from tests.adapters.ably.test_ably_reactions import NATIVE, PLAIN, opened, stored
from tests.adapters.faults import CALLS
from tests.adapters.talk import LONG

LISTENERS: Final = {"native": NATIVE, "plain": PLAIN}
FRAMES: Final = sorted({*STEPS, ("MESSAGE", "in"), ("MESSAGE", "out"), ("ACK", "out")})
"""Annotations, updates and deletes; versions and summaries; answers."""
CALLED: Final = {
    "lists": ("GET", "/annotations", "websocket"),
    "lists by poll": ("GET", "/annotations", "poll"),
    "versions": ("GET", "/versions", "websocket"),
    "annotate": ("POST", "/annotations", "poll"),
    "change": ("PATCH", "/messages", "poll"),
}
"""What is done over HTTP: method, path, and by which transport both are connected."""


def faults() -> Iterator[Any]:
    """Give each fault of the protocol with each step that takes it."""
    for does in get_args(Deed):
        for action, way in FRAMES:
            try:
                _ = fault(does, action, way)
            except ValueError:
                continue  # the emulator has no such thing
            for listener in LISTENERS:
                quick = (does, listener) == ("abort", "plain")
                yield pytest.param(does, action, way, listener, marks=[] if quick else pytest.mark.long)


def shown(channel: chatkit.Channel) -> list[tuple[str | None, dict[str, list[str]]]]:
    """Return what a channel shows: text, or that it is deleted, and reactions."""
    return [
        (
            None if message.deleted else message.text,
            {emoji: sorted(users) for emoji, users in message.reactions.items()},
        )
        for message in channel.timeline.view.messages
    ]


async def tell(
    clock: VirtualClock, strike: Callable[[AblyEmulator], Any], *, listener: str, transport: str = "websocket"
) -> None:
    """Tell the story: each change is at Ably once, and both show what came of it.

    Args:
        clock: Of the test.
        strike: What goes wrong, from when messages are there.
        listener: Whether the one who listens has the option.
        transport: By which both are connected.
    """
    async with App(f"{NATIVE}&transport={transport}&poll=2", clock=clock) as app, app.member("ada") as ada:
        app._config = f"{LISTENERS[listener]}&transport={transport}&poll=2"
        async with app.member("bob") as bob:
            mine, theirs = await opened(ada, bob)
            sent = [await mine.send(text) for text in ("reacted to", "edited", "deleted")]
            reacted, edited, deleted = [await one.wait("sent", timeout=LONG) for one in sent]
            await asyncio.sleep(60)
            strike(app.emulator)

            done = [
                await mine.react(reacted, "👍"),
                await mine.edit(edited, "edited!"),
                await mine.react(reacted, "🎉"),
                await mine.delete(deleted),
                await mine.unreact(reacted, "👍"),
            ]
            for one in done:
                _ = await one.wait("sent", timeout=LONG)
            await asyncio.sleep(60)
            for channel in (mine, theirs):
                _ = await (await channel.send("after")).wait("sent", timeout=LONG)
            _ = await (await mine.react(reacted, "🚀")).wait("sent", timeout=LONG)
            await asyncio.sleep(60)

            said = {"🎉": ["ada"], "🚀": ["ada"]}
            wanted = [("reacted to", said), ("edited!", {}), (None, {}), ("after", {}), ("after", {})]
            assert [shown(channel) for channel in (mine, theirs)] == [wanted] * 2
            made = [(one["name"], one["action"]) for one in stored(app).annotations]
            assert made == [("👍", 0), ("🎉", 0), ("👍", 1), ("🚀", 0)], "each once (D10)"
            kept = app.emulator.app.channel("mutable:support").store._messages.values()
            assert [len(one.versions) for one in kept] == [1, 2, 2, 1, 1], "likewise, and none as a message"


@pytest.mark.parametrize(("does", "action", "way", "listener"), list(faults()))
async def test_a_fault_breaks_no_change_of_ablys_own(
    does: str, action: str, way: str, listener: str, clock: VirtualClock
) -> None:
    """Of frames: made once, and shown by all (I2, I5, D10)."""
    made = fault(does, action, way)

    await tell(clock, lambda ably: ably.add_fault(made), listener=listener)

    assert made.times < TIMES, "it struck"


@pytest.mark.long
@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", CALLED)
@pytest.mark.parametrize("does", CALLS)
async def test_a_fault_of_calls_breaks_none_either(
    does: Any, call: str, moment: Any, listener: str, clock: VirtualClock
) -> None:
    """Lists before a change and after it, and changes that go by calls."""
    method, path, transport = CALLED[call]
    made = CallFault(does=does, moment=moment, method=method, path=path, times=TIMES, **CALLS[does])

    await tell(clock, lambda ably: ably.faults.add(made), listener=listener, transport=transport)

    assert made.times < TIMES, "it struck"
