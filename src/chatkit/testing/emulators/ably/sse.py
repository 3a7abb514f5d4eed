"""Event streams: subscribing by one long HTTP answer.

Source: ably/docs protocols/sse.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import web

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.channel import Entry
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.names import Rewind, parse_name, parse_rewind
from chatkit.testing.emulators.ably.wire import Action, Format, Wire, is_object, render

WAITING: Final = 10_000
"""Events that wait for one reader; with more its stream ends, and it comes back by its last event."""
KEEP_ALIVE: Final = 10.0
"""Seconds of silence before a comment keeps the stream open."""


class Stream:
    """One reader of one or more channels.

    Args:
        app: Where they are.
        names: The channels, each perhaps with a qualifier.
        enveloped: Whether events carry whole messages, or only their data.
    """

    def __init__(self, app: Application, names: list[str], *, enveloped: bool) -> None:
        self._app = app
        self._enveloped = enveloped
        self._names = {parse_name(name).base: name for name in names}
        self._channels = {base: app.channel(base) for base in self._names}
        self._marks = {base: channel.serials.head for base, channel in self._channels.items()}
        self._events: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._over = asyncio.Event()
        app.streams.add(self)

    def open(self, marks: dict[str, str], rewind: Rewind | None) -> None:
        """Begin: after the last event seen of each channel, or so far back, or now."""
        for base, mark in marks.items():
            if base in self._channels:
                missed = self._channels[base].since(mark)
                if missed is None:
                    self._put(
                        b"event: error\ndata: " + json.dumps(AblyError(90003).wire()).encode() + b"\n\n"
                    )
                for entry in missed or ():
                    self.hear(base, entry)
        if rewind is not None:
            for base, channel in self._channels.items():
                for entry in channel.rewound(rewind)[1]:
                    self.hear(base, entry)
        for base, channel in self._channels.items():
            channel.listeners.append(_Ear(self, base))

    def close(self) -> None:
        """Hear no more, and give no more."""
        self._over.set()
        self._app.streams.discard(self)
        for channel in self._channels.values():
            channel.listeners[:] = [
                ear for ear in channel.listeners if getattr(ear, "stream", None) is not self
            ]

    async def next(self) -> bytes | None:
        """The next event, or a comment after a while of silence; `None` at the end."""
        event = asyncio.ensure_future(self._events.get())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({event, over}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
            if event.done():
                return event.result()
            return None if over.done() else b":keepalive\n\n"
        finally:
            event.cancel()
            over.cancel()

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
            kind = "message" if self._enveloped else str(shown.get("name") or "message")
            lines = "\n".join(f"data: {line}" for line in data.split("\n"))
            self._put(f"id: {mark}\nevent: {kind}\n{lines}\n\n".encode())

    def _put(self, event: bytes) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self._over.set()


class _Ear:
    def __init__(self, stream: Stream, base: str) -> None:
        self.stream = stream
        self._base = base

    def hear(self, entry: Entry) -> None:
        self.stream.hear(self._base, entry)


async def serve(app: Application, request: web.Request) -> web.StreamResponse:
    """Answer `GET /sse` and `/event-stream` until the reader goes."""
    query = dict(request.query)
    try:
        access = app.authority.by_header(request.headers.get("Authorization"), query)
        names = [name for name in (query.get("channels") or query.get("channel") or "").split(",") if name]
        if not names:
            raise AblyError(40000, "channels is missing")
        for name in names:
            access.demand("subscribe", parse_name(name).base)
        last = query.get("lastEvent") or request.headers.get("Last-Event-ID")
        rewind = parse_rewind(query["rewind"]) if "rewind" in query else None
        marks = _marks(last)
        stream = Stream(app, names, enveloped=query.get("enveloped") != "false")
    except AblyError as error:
        return web.json_response({"error": error.wire()}, status=error.status)
    stream.open(marks, None if last else rewind)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    try:
        await response.prepare(request)
        while (event := await stream.next()) is not None:
            if access.expires is not None and access.expires <= app.now():
                break
            await response.write(event)
    except ConnectionError:
        pass  # the reader went
    finally:
        stream.close()
    return response


def _marks(last: str | None) -> dict[str, str]:
    try:
        value = json.loads(last or "{}")
    except ValueError as error:
        raise AblyError(40003, "the last event is none of this server's") from error
    return {name: str(mark) for name, mark in value.items()} if is_object(value) else {}
