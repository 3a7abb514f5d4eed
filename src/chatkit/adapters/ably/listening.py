"""`Listening`: channels heard without a socket: by event streams, one a channel, and by looks into history.

History is looked into in either case: often where it is polled and until a stream has brought something,
then twice a minute, and whenever a stream broke or brought less than a whole message. So what a stream loses
is told all the same, and told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

import httpx

from chatkit.adapters.ably import envelopes
from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.annotations import summary_of
from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.hosts import Hosts
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.places import key_of, moment, place_at
from chatkit.adapters.ably.rest import PAGE, Rest
from chatkit.adapters.ably.streams import opened
from chatkit.adapters.ably.telling import Telling, Told
from chatkit.adapters.ably.versions import version_of
from chatkit.adapters.ably.ways import ATTEMPTS, Way, Ways
from chatkit.adapters.ably.wire import Frame, as_text
from chatkit.errors import AuthenticationError, ChatkitError, RateLimited, TransportError
from chatkit.model.order import OrderKey, Place
from chatkit.ports.adapter import Alive, Lost, Parts, Signal
from chatkit.transport import Item, Line, Poller, Source

CHANNELS: Final = 200
"""Channels of one session."""
BESIDE: Final = 30.0
"""Seconds between two looks into a channel once an event stream has brought something, be it a comment."""
MARGIN: Final = 30.0
"""Seconds before the newest message that are read again: a lower place may come after a higher (D30)."""
UNSURE: Final = 5.0
"""Seconds by which the service's clock is known at worst: what it numbers next stands behind that time."""
PAGES: Final = 5
"""Answers of the service that one look reads at most; what lies beyond is for the next."""
CHANGED: Final = 100
"""Messages, the newest, that are looked through for changes where there may be any."""
SELDOM: Final = 15.0
"""Seconds after which they are, too, where none is known to have changed: the first one may have."""
DOUBTED: Final = 10
"""Messages, in each look, that are asked about though nothing shows; a stream that broke asks about all."""
PAUSE: Final = 0.2
"""Seconds before a stream is opened again; doubled each time it brings nothing."""


class Shared(NamedTuple):
    """What the sessions of an adapter share."""

    config: AblyConfig
    parts: Parts
    where: str
    """The server, without key or secret."""
    trusted: bool
    access: Access
    rest: Rest
    history: AblyHistory
    hosts: Hosts
    http: httpx.AsyncClient
    """Carries event streams."""
    memory: Memory
    ways: Ways
    now: Callable[[], float]
    """The service's clock, in seconds since 1970."""


class Heard(Source):
    """One channel.

    Args:
        name: At Ably.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Its stream stands."""
        self.begun = asyncio.Event()
        """It is known after which place all is told."""
        self.task: asyncio.Task[None] | None = None
        self.looked = float("-inf")
        """When older messages were looked through for changes."""


class Listening:
    """The channels of one session.

    Args:
        way: By what they are heard.
        shared: With other sessions.
        line: Where what is heard waits.
        is_mine: Says whether an ephemeral message is one of the session's own.
        spawn: Runs a task until the session ends.
        end: Ends the session, for an error of the connection.
    """

    def __init__(
        self,
        way: Way,
        shared: Shared,
        line: Line,
        *,
        is_mine: Callable[[Frame], bool],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        end: Callable[[ChatkitError], None],
    ) -> None:
        parts = shared.parts
        self._streams = way == "sse"
        self._shared = shared
        self._rest = shared.rest
        self._access = shared.access
        self._memory = shared.memory
        self._logged = parts.log is not None
        self._clock = parts.clock
        self._began = parts.clock.monotonic(), shared.now()
        self._line = line
        self._is_mine = is_mine
        self._spawn = spawn
        self._end = end
        self._poller = Poller[Told](
            self._look,
            self._found,
            self.alive,
            self._refused,
            every=shared.config.poll,
            margin=MARGIN,
            clock=parts.clock,
        )
        self._telling = Telling(shared.history, shared.memory, parts.observer, logged=self._logged)
        self.channels: dict[str, Heard] = {}
        _ = spawn(self._poll(), "ably-looks")

    async def attach(self, channel: str) -> OrderKey:
        """Hear a channel; returns the place after which all is told.

        Raises:
            RateLimited: Too many channels.
            TransportError: No answer.
            ChatkitError: Not with this credential; or the session ended.
        """
        one = Heard(name_of(channel, self._shared.config.namespace))
        self.forget(channel)
        if len(self.channels) >= CHANNELS:
            raise RateLimited("a connection has no room for another channel", retry_after=PAUSE)
        self.channels[channel] = one
        try:
            if self._streams:
                one.task = self._spawn(self._listen(channel, one), "ably-stream")
                await one.opened
            start = await self._begin(channel, one)
        except BaseException:
            if self.channels.get(channel) is one:
                self.forget(channel)
            raise
        one.begun.set()
        return start

    def forget(self, channel: str) -> None:
        """Hear a channel no longer."""
        one = self.channels.pop(channel, None)
        if one is None:
            return
        one.left = True
        self._poller.leave(channel)
        self._memory.ended(channel)
        if one.task is not None and one.task is not asyncio.current_task():
            one.task.cancel()

    def close(self, error: Callable[[], ChatkitError]) -> None:
        """Let whoever attaches know that the session ended."""
        for channel, one in self.channels.items():
            self._memory.parted(channel, self._poller.silent_for(channel))
            if not one.opened.done():
                one.opened.set_exception(error())
                _ = one.opened.exception()  # known to be seen: who waits may be busy with something else

    def alive(self) -> None:
        """Take note of a sign of life."""
        if self._line.empty:
            self._line.push(Alive(self._clock.monotonic()))

    # -- looks

    async def _begin(self, channel: str, one: Heard) -> OrderKey:
        """Have a channel looked into from now on; returns the place after which all is told."""
        page = await self._rest.history(one.name, self._access, {"direction": "backwards", "limit": "1"})
        now = self._server_time()
        least = max(self._memory.given(channel), place_at(int((now - UNSURE) * 1_000)).serial)
        head = key_of(max([least, *[as_text(item.get("serial")) or "" for item in page.items]]))
        start = await self._poller.follow(channel, head, moment(int(now * 1_000)))
        if self.channels.get(channel) is not one:
            raise TransportError("something else was asked of the channel meanwhile", channel=channel)
        self._memory.broke(channel)
        self._memory.note(channel, start.serial)
        self._memory.unbroken(channel, start.serial)
        return start

    def _server_time(self) -> float:
        """Return the service's clock, by a clock of this machine that does not jump."""
        then, told = self._began
        return told + self._clock.monotonic() - then

    async def _look(self, channel: str, after: Place) -> list[Item[Told]]:
        """Read what stands behind a time, oldest first."""
        assert isinstance(after, datetime)  # noqa: S101  # with a margin it is one
        one = self.channels.get(channel)
        if one is None:
            return []
        start = max(0, int(after.timestamp() * 1_000))
        params = {"direction": "forwards", "start": str(start), "limit": str(PAGE)}
        page = await self._rest.history(one.name, self._access, params, renew=False)
        items = list(page.items)
        for _ in range(PAGES - 1):
            if page.next is None:
                break
            page = await self._rest.page(page.next, self._access, renew=False)
            items += page.items
        found = [told for item in items for told in await self._telling.told(channel, item, whole=True)]
        often = self._shared.config.native_edits or self._memory.recall.has_changes(channel)
        if often or self._clock.monotonic() - one.looked >= SELDOM:
            params = {"direction": "backwards", "limit": str(CHANGED)}
            page = await self._rest.history(one.name, self._access, params, renew=False)
            versions = [item for item in page.items if version_of(item) or summary_of(item) is not None]
            doubted = self._telling.doubted(channel, versions, CHANGED if self._streams else DOUBTED)
            changed = [
                told
                for item in versions
                for told in await self._telling.told(
                    channel, item, whole=False, doubted=as_text(item.get("serial")) in doubted
                )
            ]
            found += [told for told in changed if told.at >= after]
            one.looked = self._clock.monotonic()
        return sorted(dict.fromkeys(found), key=lambda told: told.key)

    async def _found(self, channel: str, item: Item[Told]) -> None:
        for signal in item.what:
            await self._put(channel, signal)

    async def _put(self, channel: str, signal: Signal) -> None:
        one = self.channels.get(channel)
        if one is not None:
            await self._line.put(one, signal)

    async def _poll(self) -> None:
        try:
            await self._poller.run()
        except ChatkitError as error:
            self._end(error)

    def _refused(self, channel: str, error: ChatkitError) -> None:
        """A channel cannot be heard: that is the end of it, or of the connection."""
        if isinstance(error, AuthenticationError | RateLimited | TransportError):
            self._end(error)
        elif channel in self.channels:
            self.forget(channel)
            self._line.push(Lost(channel, error, "later" if error.retryable else "never", None))

    # -- event streams

    async def _listen(self, channel: str, one: Heard) -> None:
        """Hear a channel by a stream, which is opened again when it breaks."""
        failures = 0

        def heard() -> None:
            nonlocal failures
            failures = 0
            self._poller.pace(BESIDE)
            self.alive()

        while self.channels.get(channel) is one:
            authorization = await self._access.header()
            try:
                await self._hear_stream(channel, one, authorization, heard)
            except TransportError as error:
                self._shared.parts.observer.point("ably.stream_lost", channel=channel, why=str(error.args[0]))
            except AuthenticationError as error:
                if await self._access.header() == authorization:  # else it ended with a token of old
                    return self._cannot(channel, one, error)
            except ChatkitError as error:
                return self._cannot(channel, one, error)
            failures += 1
            if failures >= ATTEMPTS:
                return await self._no_stream()
            one.looked = float("-inf")
            self._poller.pace(self._shared.config.poll)  # until one brings something
            self._poller.prompt(channel)
            await asyncio.sleep(PAUSE * 2 ** (failures - 1))
        return None

    async def _hear_stream(
        self, channel: str, one: Heard, authorization: str, heard: Callable[[], None]
    ) -> None:
        """Open a stream and pass on what it brings, to its end."""
        config = self._shared.config
        url = f"{'https' if config.tls else 'http'}://{self._shared.hosts.for_calls()[0]}"
        async with opened(self._shared.http, url, one.name, authorization, heard) as messages:
            if one.begun.is_set():  # what came between two streams is told before what the new one brings
                if not await self._poller.look(channel):
                    raise TransportError("history cannot be read")
            elif not one.opened.done():
                one.opened.set_result(None)
            await one.begun.wait()
            async for message in messages:
                await self._take(channel, message)

    async def _take(self, channel: str, message: Frame) -> None:
        """Take a message of a stream; one without a place only says that there is something to be read."""
        if envelopes.is_passing(message):
            if not self._is_mine(message):
                await self._put(channel, envelopes.signal_of(channel, message, logged=self._logged))
            return
        told = await self._telling.told(channel, message, whole=False)
        if not told:
            self._poller.prompt(channel)
        for item in told:
            if self._poller.is_news(channel, item):
                await self._found(channel, item)

    def _cannot(self, channel: str, one: Heard, error: ChatkitError) -> None:
        """A stream was refused: whoever attaches is told, or the reader."""
        if one.opened.done():
            self._refused(channel, error)
        else:
            one.opened.set_exception(error)

    async def _no_stream(self) -> None:
        """Streams bring nothing: that is so because nothing passes, or because they do not."""
        with suppress(ChatkitError):
            _ = await self._rest.time()
            self._shared.ways.no_streams()
        self._end(TransportError("event streams bring nothing"))
