"""`Attaching`: channels come and go: their topics joined, the log's head read, live topics rejoined apart.

Source: the Supabase sheet, sections 4, 8 and 11; D17, D28.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.codes import Closing
from chatkit.adapters.supabase.entering import Entering
from chatkit.adapters.supabase.hearing import Hearing
from chatkit.adapters.supabase.joining import Joining
from chatkit.adapters.supabase.members import Members
from chatkit.adapters.supabase.wire import Object
from chatkit.core import backoff
from chatkit.errors import AuthenticationError, ChatkitError, RateLimited
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Attachment, SessionClosed
from chatkit.ports.context import Observer, RandomSource
from chatkit.ports.log import Log

READY: Final = 3.0
"""Seconds for the word that what the database commits is broadcast; older servers never say it."""
ROSTER: Final = 10.0
"""Seconds for the service to tell who is there; then whoever comes and goes is shown without that."""
AGAIN: Final = 5.0
"""Seconds after which the log is looked at once more where that word did not come."""
BOTH: Final = 49
"""Channels of one connection that have two topics each; the service takes a hundred topics."""
ALONE: Final = 98
"""Channels of one connection that have one."""


class Attaching:
    """Of one connection.

    Args:
        hearing: Passes on what comes.
        joining: Joins topics.
        entering: Tells who is there.
        log: Whose heads are read; `None`: there is none.
        announced: The database announces what it commits.
        private: Whether topics are private.
        random: For backoff.
        observer: Told what goes wrong beside the engine.
        spawn: Runs a task until the connection ends.
        end: Ends the connection.
    """

    def __init__(
        self,
        hearing: Hearing,
        joining: Joining,
        entering: Entering,
        *,
        log: Log | None,
        announced: bool,
        private: bool,
        random: RandomSource,
        observer: Observer,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        end: Callable[[Closing], None],
    ) -> None:
        self._hearing = hearing
        self._joining = joining
        self._entering = entering
        self._log = log
        self._announced = announced
        self._private = private
        self._random = random
        self._observer = observer
        self._spawn = spawn
        self._end = end
        self._most = ALONE if log is None else BOTH
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def attach(self, channel: str, *, presence: bool) -> Attachment:
        """Receive a channel from now on; nothing is vouched for that came before.

        Raises:
            NotAllowed, AuthenticationError, ConfigError: Not with this credential, or not so.
            RateLimited: No room.
            TransportError: No answer.
            SessionClosed: The connection ended meanwhile.
        """
        async with self._turn(channel):
            one = self._hearing.channels.get(channel)
            if one is None:
                one = await self._begin(channel, presence=presence)
            elif one.presence != presence:
                self._cancel(one)
                await self._join_live(one, presence=presence)
            elif presence and one.members.known:
                await self._hearing.put(one, self._hearing.roster(one))
            return Attachment(channel, resumed=False, start=await self._head(one), may_publish=None)

    async def detach(self, channel: str) -> None:
        """Receive it no longer; when it returns no more signals of it follow."""
        one = self._hearing.channels.get(channel)
        if one is not None:
            one.left = True
            await self._forget(one)

    async def lost(self, one: Attached, topic: str, why: Closing) -> bool:
        """A topic of a channel was closed. Says whether the channel is lost with it.

        A live topic that stands beside one that announces is joined again apart: its end costs no message.
        """
        if topic == one.main:
            await self._forget(one, but=topic)
            return True
        self._observer.point("supabase.live_lost", channel=one.channel, error=type(why.error).__name__)
        self._cancel(one)
        one.rejoining = self._spawn(self._rejoin(one, why), "supabase-rejoin")
        return False

    # -- inside

    def _turn(self, channel: str) -> asyncio.Lock:
        """Return what is held while a channel's topics are joined: whoever was given up may be at it yet."""
        return self._turns.setdefault(channel, asyncio.Lock())

    async def _begin(self, channel: str, *, presence: bool) -> Attached:
        if len(self._hearing.channels) >= self._most:
            raise RateLimited("a connection has no room for another channel", channel=channel)
        one = Attached(channel, logged=self._log is not None, presence=presence)
        self._hearing.begin(one)
        try:
            if one.log is not None:
                await self._joining.join(one.log, channel, self._config(announced=self._announced))
            await self._join_live(one, presence=presence)
            if self._announced:
                await self._wait_ready(one)
        except BaseException:  # given up as well
            one.left = True
            await self._forget(one)
            raise
        return one

    async def _join_live(self, one: Attached, *, presence: bool) -> None:
        one.begin_live(presence=presence)
        await self._joining.join(one.live, one.channel, self._config(presence=presence))
        if presence:
            _ = self._spawn(self._await_roster(one, one.members), "supabase-roster")

    async def _await_roster(self, one: Attached, members: Members) -> None:
        await asyncio.sleep(ROSTER)
        if not members.known and one.members is members and not one.left:
            members.replace({})
            await self._hearing.put(one, self._hearing.roster(one))

    def _config(self, *, announced: bool = False, presence: bool = False) -> Object:
        broadcast: Object = {"ack": not self._announced, "self": False}
        if announced:
            broadcast["replication_ready"] = True
        return {
            "private": self._private,
            "broadcast": broadcast,
            "presence": {"enabled": presence, "key": ""},
        }

    async def _wait_ready(self, one: Attached) -> None:
        """Wait until what is committed is broadcast; else go on, and have the log looked at once more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READY):
                await one.ready.wait()
                return
        one.gone_on = True
        self._observer.point("supabase.not_ready", channel=one.channel)
        _ = self._spawn(self._look_again(one), "supabase-look")

    async def _look_again(self, one: Attached) -> None:
        await asyncio.sleep(AGAIN)
        if not one.ready.is_set():
            await self._hearing.look(one, "replication")

    async def _head(self, one: Attached) -> OrderKey | None:
        """Return where live begins: read once it has, so that nothing lies between."""
        if self._log is None:
            return None
        try:
            state = (await self._log.heads([one.channel]))[one.channel]
        except BaseException:
            one.left = True
            await self._forget(one)
            raise
        await self._hearing.begin_after(one, state)
        return OrderKey(state.epoch, state.head or "")

    async def _rejoin(self, one: Attached, why: Closing) -> None:
        """Join a live topic again until it is joined, or refused for good."""
        failures, error = 0, why.error
        while True:
            after = error.retry_after if isinstance(error, RateLimited) else None
            await asyncio.sleep(max(backoff.delay(failures, self._random.random()), after or 0.0))
            try:
                await self._join_live(one, presence=one.presence)
                await self._entering.again(one)
            except SessionClosed:
                return None
            except AuthenticationError as refused:  # the engine gets a fresh token with another connection
                return self._end(Closing(refused, "reauthenticate", whole=True))
            except ChatkitError as refused:
                point = self._observer.point
                point("supabase.live_lost", channel=one.channel, error=type(refused).__name__)
                if not refused.retryable:
                    return None
                failures, error = failures + 1, refused
            else:
                return None

    async def _forget(self, one: Attached, *, but: str | None = None) -> None:
        self._cancel(one)
        self._hearing.end(one)
        for topic in one.topics:
            if topic != but:
                await self._joining.leave(topic)

    def _cancel(self, one: Attached) -> None:
        task, one.rejoining = one.rejoining, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
