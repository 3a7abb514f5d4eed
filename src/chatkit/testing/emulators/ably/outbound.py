"""What leaves on one transport: acknowledgements gathered into runs, and frames that a delay holds."""

from __future__ import annotations

from chatkit.testing.emulators.ably.connection import Answer
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.wire import Action, Wire
from chatkit.testing.emulators.sockets import MOST_WAITING, Socket


class Line:
    """The way to the socket, where frames can be held; they leave in the order in which they came.

    Args:
        socket: Where they leave.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._held: list[str | bytes] | None = None

    def put(self, frame: str | bytes) -> None:
        """Send a frame, after those that are held."""
        if self._held is not None:
            self._held.append(frame)
            if len(self._held) > MOST_WAITING:
                self._socket.abort()
        else:
            self._socket.send(frame)

    def hold(self) -> None:
        """Keep what comes from now on."""
        self._held = [] if self._held is None else self._held

    def release(self) -> None:
        """Let it go."""
        held, self._held = self._held, None
        for frame in held or ():
            self._socket.send(frame)


class Answers:
    """The answers to frames of one transport that are not yet sent, in the order in which they were made."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Answer]] = []

    def add(self, serial: int, answer: Answer) -> bool:
        """Let an answer wait; whether it is the first to."""
        self._waiting.append((serial, answer))
        return len(self._waiting) == 1

    def take(self) -> list[Wire]:
        """All that wait: a NACK each, and an ACK for each run of msgSerials that follow one another."""
        waiting, self._waiting = self._waiting, []
        frames: list[Wire] = []
        run: list[tuple[int, list[str]]] = []
        for serial, answer in waiting:
            if run and (isinstance(answer, AblyError) or serial != run[-1][0] + 1):
                frames.append(_ack(run))
                run = []
            if isinstance(answer, AblyError):
                frames.append(_nack(serial, answer))
            else:
                run.append((serial, answer))
        return [*frames, _ack(run)] if run else frames


def _ack(run: list[tuple[int, list[str]]]) -> Wire:
    results = [{"serials": serials} for _, serials in run]
    return {"action": int(Action.ACK), "msgSerial": run[0][0], "count": len(run), "res": results}


def _nack(serial: int, error: AblyError) -> Wire:
    return {"action": int(Action.NACK), "msgSerial": serial, "count": 1, "error": error.wire()}
