"""The death of a process, for a client that shares its process with the test.

What dies with a process dies here: tasks where they stand, the store with all it had not committed, sockets
without a goodbye. What outlives one stays: the file with its last commit, and what was already on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from chatkit.engine.tasks import Tasks

if TYPE_CHECKING:
    from chatkit.client import Chat

GRACE: Final = 10.0
"""Seconds in which tasks that were cancelled are to end; a machine that does much else needs some."""


@runtime_checkable
class Mortal(Protocol):
    """A store that can be let go of as at the death of its process; all of chatkit's can."""

    def abandon(self) -> None:
        """Write nothing more, and free what the kernel would free."""
        ...


class _Void(Tasks):
    """What a timer of the dead client starts ends before its first step."""

    def task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = super().task(work, name)
        task.cancel()
        return task


async def kill(chat: Chat, *own: asyncio.Task[Any]) -> None:
    """End a client where it stands: nothing is flushed, noted or said. Another one may then take its store.

    Args:
        chat: Open; not to be used any more.
        own: The app's tasks that die with it.

    Raises:
        AssertionError: A task did not end.
    """
    context = chat.engine.context
    assert isinstance(context.store, Mortal)
    dying, context.tasks = context.tasks, _Void(lambda _name, _error: None)
    context.tasks.closing = True  # what asks whether the client ends, as handlers do, asks here
    for task in own:
        task.cancel()
    context.store.abandon()
    await context.adapter.aclose()
    left = await dying.aclose(GRACE)
    for link in chat.engine.links:
        await link.aclose()  # its timers would keep the dead client for two minutes
    left += await context.tasks.aclose(GRACE)
    if context.opened is not None:
        await context.opened.aclose()  # in the middle of a call it would not go by itself
    if own:
        _, pending = await asyncio.wait(own, timeout=GRACE)
        left += tuple(task.get_name() for task in pending)
    assert not left, f"still alive: {sorted(left)}"
