"""Event streams: subscribing by one long HTTP answer.

Source: ably/docs protocols/sse.
"""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from typing import Final

from aiohttp import web

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.auth import Access
from chatkit.testing.emulators.ably.channel import Entry
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.names import Rewind, parse_name, parse_rewind
from chatkit.testing.emulators.ably.plain import is_object
from chatkit.testing.emulators.ably.rest import refused
from chatkit.testing.emulators.ably.wire import Action, Format, Wire, render
from chatkit.testing.emulators.clock import Timer

WAITING: Final = 10_000
"""Events that wait for one reader; with more its stream ends, and it comes back by its last event."""
KEEP_ALIVE: Final = 10.0
"""Seconds of silence before a comment keeps the stream open."""
LINE_END: Final = re.compile(r"\r\n|\r|\n")
"""What ends a line of an event stream."""


class Stream:
    """One reader of one or more channels.

    Args:
        app: Where they are.
        access: With what it came; the stream ends with it.
        names: The channels, each perhaps with a qualifier.
        enveloped: Whether events carry whole messages, or only their data.

    Raises:
        AblyError: 40010, 40111, 40114, 40160 or 90010.
    """

    def __init__(self, app: Application, access: Access, names: list[str], *, enveloped: bool) -> None:
        app.demand_room()
        self.access = access
        self._app = app
        self._enveloped = enveloped
        self._names = {parse_name(name).base: name for name in names}
        if len(self._names) > app.settings.connection_channels:
            raise AblyError(90010)
        for base in self._names:
            access.demand("subscribe", base)
        self._channels = {base: app.channel(base) for base in self._names}
        self._marks = {base: channel.serials.present() for base, channel in self._channels.items()}
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ended = False
        self._timers: dict[str, Timer] = {}

    def open(self, marks: dict[str, str], rewind: Rewind | None) -> None:
        """Begin: after the last event seen of each channel, or so far back, or now."""
        for base, channel in self._channels.items():
            missed = channel.since(marks[base]) if base in marks else []
            if missed is None:
                self._put(f"event: error\ndata: {json.dumps(AblyError(90003).wire())}\n\n")
            elif rewind is not None:
                missed = channel.rewound(rewind)[1]
            for entry in missed or ():
                self.hear(base, entry)
            channel.listeners[self] = partial(self.hear, base)
            self._app.occupancy.changed(channel)
        self._app.streams.add(self)
        if self.access.expires is not None:
            left = (self.access.expires - self._app.now()) / 1000
            self._timers["expiry"] = self._app.clock.call_later(left, self.close)
        self._keep_alive()

    def fail(self, error: AblyError) -> None:
        """Say an error, and end."""
        self._put(f"event: error\ndata: {json.dumps(error.wire())}\n\n")
        self.close()

    @property
    def channels(self) -> list[str]:
        """What it reads."""
        return list(self._channels)

    def close(self) -> None:
        """Hear no more, and give no more than what was heard; harmless when that is done."""
        if self._ended:
            return
        self._ended = True
        for timer in self._timers.values():
            timer.cancel()
        self._app.streams.discard(self)
        for channel in self._channels.values():
            channel.listeners.pop(self, None)
            channel.touched = self._app.now()
            self._app.occupancy.changed(channel)
        self._events.put_nowait(None)

    async def next(self) -> bytes | None:
        """The next event, or a comment after a while of silence; `None` at the end."""
        return await self._events.get()

    def hear(self, base: str, entry: Entry) -> None:
        """Take a new entry of a channel."""
        if entry.action is not Action.MESSAGE:
            return
        if entry.serial:
            self._marks[base] = entry.serial
        mark = json.dumps(self._marks, separators=(",", ":"))
        for item in entry.items:
            shown = render(item, Format.JSON)
            wire: Wire = {**shown, "channel": self._names[base]}
            data = json.dumps(wire, ensure_ascii=False) if self._enveloped else str(shown.get("data", ""))
            kind = "message" if self._enveloped else LINE_END.sub(" ", shown.get("name") or "message")
            lines = "\n".join(f"data: {line}" for line in LINE_END.split(data))
            self._put(f"id: {mark}\nevent: {kind}\n{lines}\n\n")

    def _put(self, event: str) -> None:
        if self._events.qsize() >= WAITING:
            self.close()
        elif not self._ended:
            self._events.put_nowait(event.encode())
            self._keep_alive()

    def _keep_alive(self) -> None:
        if "alive" in self._timers:
            self._timers["alive"].cancel()
        self._timers["alive"] = self._app.clock.call_later(KEEP_ALIVE, partial(self._put, ":keepalive\n\n"))


async def serve(app: Application, request: web.Request) -> web.StreamResponse:
    """Answer `GET /sse` and `/event-stream` until the reader goes."""
    query = dict(request.query)
    try:
        access = app.authority.by_header(request.headers.get("Authorization"), query)
        if not query.get("v"):
            raise AblyError(40017, "stateless connections must specify a protocol version (e.g. ?v=1.2)")
        names = [name for name in (query.get("channels") or query.get("channel") or "").split(",") if name]
        if not names:
            raise AblyError(40000, "channels is missing")
        last = query.get("lastEvent") or request.headers.get("Last-Event-ID")
        rewind = parse_rewind(query["rewind"]) if "rewind" in query and not last else None
        marks = _marks(last)
        stream = Stream(app, access, names, enveloped=query.get("enveloped") != "false")
    except AblyError as error:
        return refused(error, Format.JSON, request)
    stream.open(marks, rewind)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    try:
        await response.prepare(request)
        while (event := await stream.next()) is not None:
            await response.write(event)
    except ConnectionError:
        pass  # the reader went
    finally:
        stream.close()
    return response


def _marks(last: str | None) -> dict[str, str]:
    try:
        value = json.loads(last or "{}")
    except (ValueError, RecursionError) as error:
        raise AblyError(40003, "the last event is none of this server's") from error
    return {name: str(mark) for name, mark in value.items()} if is_object(value) else {}
