"""`Joining`: the topics that one connection is in, joined one at a time and not too fast.

The service does nothing else of a connection while it deals with a join, and a refusal takes it five seconds:
whoever asks for several at once would wait for all of them, and so would heartbeats.

Source: the Supabase sheet, section 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from chatkit.adapters.supabase.access import Access
from chatkit.adapters.supabase.codes import Closing, join_refused
from chatkit.adapters.supabase.pace import Turns
from chatkit.adapters.supabase.protocol import Protocol, Refused
from chatkit.adapters.supabase.wire import Object
from chatkit.errors import AuthenticationError, RateLimited, TransportError
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Clock, RandomSource

JOIN: Final = 20.0
"""Seconds for the answer to a join; the service takes five to refuse one."""
RATE: Final = 8.0
"""Joins a second in the long run; with `BURST` never more than ten in one."""
BURST: Final = 2


class Joining:
    """Joins and leaves.

    Args:
        protocol: Of the connection.
        access: Gives the token that goes with a join.
        clock: For the pace.
        random: For pauses.
        write: Writes a frame; raises `SessionClosed` where the connection has ended.
        end: Ends the connection, for what a refusal says of it.
    """

    def __init__(
        self,
        protocol: Protocol,
        access: Access,
        clock: Clock,
        random: RandomSource,
        *,
        write: Callable[[str], Awaitable[None]],
        end: Callable[[Closing], None],
    ) -> None:
        self._protocol = protocol
        self._access = access
        self._clock = clock
        self._random = random
        self._write = write
        self._end = end
        self._turns = Turns(RATE, BURST)
        self._one = asyncio.Lock()
        self._asked: dict[str, asyncio.Future[Refused | None]] = {}

    @property
    def busy(self) -> bool:
        """Whether the service is dealing with a join."""
        return bool(self._asked)

    @property
    def waiting(self) -> list[asyncio.Future[Refused | None]]:
        """Who waits for an answer of the service."""
        return list(self._asked.values())

    def answered(self, topic: str, refusal: Refused | None) -> None:
        """Tell who waits."""
        waiter = self._asked.get(topic)
        if waiter is not None and not waiter.done():
            waiter.set_result(refusal)

    async def join(self, topic: str, channel: str, config: Object) -> None:
        """Join a topic, or join it anew.

        Raises:
            NotAllowed, AuthenticationError, ConfigError: Not with this credential, or not so.
            RateLimited: There is no room now.
            TransportError: No answer, or none that will last.
            SessionClosed: The connection ended meanwhile.
        """
        async with self._one:
            wait = self._turns.turn(self._clock.monotonic())
            await asyncio.sleep(wait or 0.0)
            token = await self._access.token()
            refusal = await self._ask(topic, channel, config, token)
        if refusal is None:
            return
        why = join_refused(refusal.reason, channel, self._random)
        if isinstance(why.error, AuthenticationError):
            self._access.refused()
            # Without a token the connection's own is at fault, and only another one has another.
            why = why._replace(whole=not self._access.renewable)
        if why.whole:
            self._end(why)
        raise why.error

    async def leave(self, topic: str) -> None:
        """Leave, or give an answer up; nothing where the connection has ended."""
        frame = self._protocol.leave(topic)
        if frame is not None:
            with suppress(SessionClosed):
                await self._write(frame)

    async def _ask(self, topic: str, channel: str, config: Object, token: str | None) -> Refused | None:
        """Ask for a topic and wait for the answer: `None` is yes."""
        waiter: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
        self._asked[topic] = waiter
        try:
            await self._write(self._protocol.join(topic, config, token))
            async with asyncio.timeout(JOIN):
                return await waiter
        except TimeoutError:
            raise TransportError(f"no answer to a join within {JOIN:g} s", channel=channel) from None
        except OverflowError as error:
            raise RateLimited(f"the connection has {error}", channel=channel) from None
        finally:
            del self._asked[topic]
            if not waiter.done() or waiter.cancelled():
                waiter.cancel()
                await self.leave(topic)
