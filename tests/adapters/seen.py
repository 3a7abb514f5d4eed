"""What a user of a whole client sees, of whichever provider: texts, reactions, who is there, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import chatkit
from chatkit import MessageCreated

PATIENCE: Final = 30.0
"""Seconds within which what must come has come."""


def texts(channel: chatkit.Channel) -> list[str]:
    """Return what a channel's timeline shows, in order."""
    return [message.text for message in channel.timeline.view.messages]


def reactions(channel: chatkit.Channel) -> dict[str, set[str]]:
    """Return who reacted how to the first message."""
    first = channel.timeline.view.messages[0]
    return {emoji: set(users) for emoji, users in first.reactions.items()}


def there(channel: chatkit.Channel) -> set[str]:
    """Return who is there."""
    return {user for user, member in channel.presence.members.items() if member.status != "offline"}


async def heard(events: chatkit.Stream[Any], count: int) -> list[str]:
    """Return the texts of the next events, none of which is a gap."""
    found: list[str] = []
    for _ in range(count):
        event = await events.next(timeout=PATIENCE)
        assert isinstance(event, MessageCreated), event
        found.append(event.message.text)
    return found


async def until(done: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not done():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE} s for: {what}") from None
