"""The provider: a notice board in this process. Yours is elsewhere, and you cannot change it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from math import inf
from typing import Any, Final

from chatkit.ports import Clock

Frame = dict[str, Any]
WINDOW: Final = 60.0
"""Seconds for which it knows again: a notice by its id, and a client that lost its connection."""
KEPT: Final = 1_000
"""Notices of a channel, ids and lost clients that it keeps."""


class Closed(Exception):
    """The connection has ended, or there was none to be had."""

    def __init__(self, code: int, after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.after = after


class Connection:
    """One client's socket."""

    def __init__(self, board: Board, user: str, client: str, ticket: str) -> None:
        self.user = user
        self.ticket = ticket
        self.client = client
        self.frames: asyncio.Queue[Frame | Closed] = asyncio.Queue()
        self.attached: dict[str, int] = {}
        self.ended: Closed | None = None
        self.silent = False
        self._board = board
        self._end = asyncio.Event()

    async def ask(self, op: str, **fields: Any) -> Frame:
        """Send a request and return its answer."""
        await asyncio.sleep(0)
        if self.ended is None and not self.silent:
            answer = self._board.answer(self, op, fields)
            if answer is not None:
                return answer
        await self._end.wait()
        raise self.ended or Closed(1006)

    def push(self, frame: Frame) -> None:
        if not self.silent and self.ended is None:
            self.frames.put_nowait(frame)

    def close(self, why: Closed) -> None:
        if self.ended is None:
            self.ended = why
            self._end.set()
            self.frames.put_nowait(why)
            self._board.left(self)


class Board:
    """The server."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.connections: list[Connection] = []
        self.kept: dict[str, deque[Frame]] = {}
        self.count: dict[str, int] = {}
        self.known: dict[tuple[str, str, str], tuple[float, Frame]] = {}
        self.lost: dict[tuple[str, str], float] = {}
        self.void: set[str] = set()
        # What goes wrong, for tests.
        self.down: set[str] = set()
        self.forbidden: set[str] = set()
        self.refusing: dict[str, Frame] = {}
        self.mute: set[str] = set()

    async def connect(self, user: str, client: str, ticket: str) -> Connection:
        await asyncio.sleep(0)
        if user in self.down:
            raise Closed(1006)
        if ticket in self.void:
            raise Closed(4401)
        connection = Connection(self, user, client, ticket)
        self.connections.append(connection)
        return connection

    def each(self, user: str, do: Callable[[Connection], object]) -> None:
        for connection in [c for c in self.connections if c.user == user]:
            do(connection)

    def left(self, connection: Connection) -> None:
        self.connections.remove(connection)
        for channel in connection.attached:
            self.lost[connection.client, channel] = self.clock.monotonic()
        while len(self.lost) > KEPT:
            del self.lost[next(iter(self.lost))]

    def answer(self, connection: Connection, op: str, fields: Frame) -> Frame | None:
        """Do what is asked; `None`: it is done, and the answer is lost."""
        if op == "ping":
            connection.push({"op": "pong"})
            return {}
        if op == "attach":
            return self._attach(connection, **fields)
        if op == "detach":
            connection.attached.pop(fields["channel"], None)
            return {}
        answer = self._speak(connection, op=op, **fields)
        if op == "publish" and connection.user in self.mute:
            self.mute.discard(connection.user)
            return None
        return answer

    def _attach(self, connection: Connection, *, channel: str, number: int, after: int | None) -> Frame:
        if connection.user in self.forbidden:
            return {"error": "denied"}
        head = self.count.get(channel, 0)
        lost = self.lost.pop((connection.client, channel), -inf)
        back = self.clock.monotonic() - lost <= WINDOW
        connection.attached[channel] = number
        resumed = back and after is not None and max(0, head - KEPT) <= after <= head
        if resumed and after is not None:
            for notice in list(self.kept.get(channel, ())):
                if notice["number"] > after:
                    connection.push({**notice, "attach": number})
        return {"resumed": resumed, "start": after if resumed else head}

    def _speak(self, connection: Connection, *, op: str, channel: str, rows: list[Frame]) -> Frame:
        refused = self.refusing.get(connection.user)
        if op == "publish" and refused is not None:
            return {"rows": [refused for _ in rows]}
        said = [{"channel": channel, "user": connection.user, "data": row["data"]} for row in rows]
        if op == "pass":
            for frame in said:
                self._tell({"op": "passing", **frame}, but=connection)
            return {}
        return {"rows": [self._pin(frame, row["id"]) for frame, row in zip(said, rows, strict=True)]}

    def _pin(self, frame: Frame, id: str) -> Frame:
        """Number one notice and tell it to everybody who is attached."""
        channel, now = frame["channel"], self.clock.monotonic()
        when, answer = self.known.get((channel, frame["user"], id), (-inf, {}))
        if answer and now - when <= WINDOW:
            return {**answer, "known": True}
        number = self.count[channel] = self.count.get(channel, 0) + 1
        answer = {"number": number, "at": self.clock.wall().isoformat()}
        self.known[channel, frame["user"], id] = now, answer
        while len(self.known) > KEPT:
            del self.known[next(iter(self.known))]
        notice = {"op": "notice", **frame, **answer}
        self.kept.setdefault(channel, deque(maxlen=KEPT)).append(notice)
        self._tell(notice)
        return answer

    def _tell(self, frame: Frame, *, but: Connection | None = None) -> None:
        for connection in self.connections:
            if connection is not but and frame["channel"] in connection.attached:
                connection.push({**frame, "attach": connection.attached[frame["channel"]]})

    # -- for tests

    def inject(self, channel: str, data: bytes) -> None:
        """Say something as a member whom nobody knows."""
        self._tell({"op": "passing", "channel": channel, "user": None, "data": data})

    def revoke(self, user: str, channel: str) -> None:
        def take(connection: Connection) -> None:
            number = connection.attached.pop(channel, None)
            connection.push({"op": "revoked", "channel": channel, "attach": number})

        self.each(user, take)

    def cut(self, user: str, *, half_open: bool) -> None:
        if half_open:
            self.each(user, lambda connection: setattr(connection, "silent", True))
            return
        self.down.add(user)
        self.each(user, lambda connection: connection.close(Closed(1006)))

    def kick(self, user: str, code: int, after: float | None) -> None:
        if code == 4401:
            self.each(user, lambda connection: self.void.add(connection.ticket))
        self.each(user, lambda connection: connection.close(Closed(code, after)))


BOARDS: Final[dict[str, Board]] = {}


def board(name: str, clock: Clock) -> Board:
    """Return the board of this name."""
    return BOARDS.setdefault(name, Board(clock))


def instant(text: str) -> datetime:
    """Read a time that the board wrote."""
    return datetime.fromisoformat(text)
