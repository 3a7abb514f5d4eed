"""`Joining`: the channels that one connection is in: asked for one at a time, by a permit of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.permits import Permits
from chatkit.adapters.pusher.protocol import Protocol, Refused, Write
from chatkit.adapters.pusher.refusals import EXISTING, subscription_error
from chatkit.adapters.pusher.signing import Permit
from chatkit.adapters.pusher.subscriptions import Input, State
from chatkit.errors import CapabilityError, TransportError
from chatkit.ports.adapter import SessionClosed

SUBSCRIBE: Final = 8.0
"""Seconds for the server to answer a subscription; some refusals have no answer."""


class Joining:
    """Joins and leaves.

    Args:
        protocol: Of the connection.
        permits: Let it into channels.
        write: Writes a frame; raises `SessionClosed` where the connection has ended.
        barrier: Returns when the server has dealt with all that was written before.
        check: Raises `SessionClosed` where the connection has ended.
        unlock: Given the secret of each encrypted channel (name, secret).
        trusted: This side signs by itself.
    """

    def __init__(
        self,
        protocol: Protocol,
        permits: Permits,
        *,
        write: Callable[[str], Awaitable[None]],
        barrier: Callable[[], Awaitable[None]],
        check: Callable[[], None],
        unlock: Callable[[str, bytes | None], None],
        trusted: bool,
    ) -> None:
        self._protocol = protocol
        self._permits = permits
        self._write = write
        self._barrier = barrier
        self._check = check
        self._unlock = unlock
        self._trusted = trusted
        self._asked: dict[str, asyncio.Future[Refused | None]] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def waiting(self) -> Iterable[asyncio.Future[Refused | None]]:
        """Who waits for an answer of the server."""
        return self._asked.values()

    def answered(self, name: str, refusal: Refused | None) -> None:
        """Tell who waits."""
        waiter = self._asked.get(name)
        if waiter is not None and not waiter.done():
            waiter.set_result(refusal)

    async def join(self, name: str, channel: str) -> bool:
        """Subscribe, one at a time; says whether it was not so before.

        Raises:
            NotAllowed, AuthenticationError: Not this user.
            CapabilityError: The channel has as many members as it takes, or the connection as many channels.
            TransportError: No answer.
            SessionClosed: The connection ended meanwhile.
        """
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            state = self._protocol.subscription(name).state
            if state is State.LIVE:
                return False
            if state is State.DOUBT:
                await self._barrier()
                self._protocol.settle(name)
            refusal = await self._ask(name, channel)
            if refusal is None:
                return True
            if refusal.text.startswith(EXISTING):
                await self._write(frames.unsubscribe(name))  # so that the next attempt begins anew
            raise subscription_error(refusal, channel, trusted=self._trusted)

    async def leave(self, name: str, how: Input = Input.UNSUBSCRIBE) -> None:
        """Unsubscribe, or give an answer up (`OVERDUE`); nothing where the connection has ended."""
        with suppress(SessionClosed):
            await self._write_all(self._protocol.end(name, how))

    async def _ask(self, name: str, channel: str) -> Refused | None:
        """Ask for a subscription and wait for the answer: `None` is yes."""
        waiter: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
        self._asked[name] = waiter
        given_up = Input.UNSUBSCRIBE
        try:
            if not self._protocol.want(name):
                permit = await self._permitted(name, channel, waiter)
                self._unlock(name, permit.shared_secret)
                await self._write_all(self._protocol.subscribe(name, permit.auth, permit.channel_data))
            async with asyncio.timeout(SUBSCRIBE):
                return await waiter
        except TimeoutError:
            given_up = Input.OVERDUE
            raise TransportError(
                f"no answer to a subscription within {SUBSCRIBE:g} s", channel=channel
            ) from None
        except OverflowError as error:
            raise CapabilityError(f"the connection has {error}", channel=channel) from None
        finally:
            del self._asked[name]
            if not waiter.done() or waiter.cancelled():
                waiter.cancel()
                await self.leave(name, given_up)

    async def _permitted(self, name: str, channel: str, waiter: asyncio.Future[Refused | None]) -> Permit:
        """Return a permit; one for a connection that ends meanwhile is not waited for, and never used."""
        asking = asyncio.ensure_future(self._permits.permit(name, channel, self._protocol.socket_id))
        try:
            _ = await asyncio.wait((asking, waiter), return_when=asyncio.FIRST_COMPLETED)
            self._check()
            return await asking
        finally:
            if not asking.cancel() and not asking.cancelled():
                _ = asking.exception()  # known to be seen

    async def _write_all(self, writes: Iterable[Write]) -> None:
        for each in writes:
            await self._write(each.frame)
