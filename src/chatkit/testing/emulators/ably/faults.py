"""What is to go wrong in the protocol itself, scripted beforehand.

The faults that know nothing of a protocol (`chatkit.testing.emulators.faults`) hold here too; these can be
aimed at a channel, a connection, a client or a parameter of the socket's URL, and know Ably's own deeds.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Final, Literal

from pydantic.dataclasses import dataclass

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.wire import Action
from chatkit.testing.emulators.faults import CHECKED, Seconds, Skip, Times, Waiting

Deed = Literal[
    "drop", "duplicate", "delay", "replace", "abort", "stall", "nack", "disconnect", "error", "refuse"
]
"""To a frame: lose it, take or send it twice, hold it and all behind it, send another instead, cut or silence
the transport at it (the frame is lost), NACK it, answer it by DISCONNECTED or by ERROR, or, of a connection
that would be resumed, make a new one with `error`."""

CONNECT: Final = "CONNECT"
"""The action by which the opening of a socket, before CONNECTED, is meant; its `way` is `in`."""

ANSWERED: Final = ("MESSAGE", "PRESENCE", "ANNOTATION", "OBJECT")
"""What is answered by ACK or NACK."""
ACTIONS: Final = frozenset({"", CONNECT, *Action.__members__})


@dataclass(kw_only=True, config=CHECKED)
class ErrorInfo:
    """An error as it is to be told.

    Attributes:
        code: Ably's code.
        status: Its HTTP status; 0 takes that of the code.
        message: Its text; without one what the code means.
    """

    code: int
    status: int = 0
    message: str = ""

    def made(self) -> AblyError:
        """The refusal itself."""
        return AblyError(self.code, self.message or None, status=self.status or None)


@dataclass(kw_only=True, config=CHECKED)
class Fault:
    """One thing that goes wrong.

    Attributes:
        does: What.
        action: At frames of this action, by its name (`ACK`, `ATTACH`), or `CONNECT`; empty is any frame.
        way: `in` from clients or `out` to them.
        channel: Of this channel alone; empty is any.
        connection: Of this connection's id alone; empty is any.
        client: Of this client id alone; empty is any.
        query: Of sockets whose URL has these parameters alone.
        skip: Frames that match and pass before it begins.
        times: Frames that it strikes, then it is over.
        seconds: How long `delay` holds.
        error: What `nack`, `disconnect`, `error` and `refuse` say; `disconnect` may say none.
        frame: What `replace` sends, as a protocol message.
        after: For `abort`: whether the frame still gets through before the transport is cut.
    """

    does: Deed
    action: str = ""
    way: Literal["in", "out"] = "in"
    channel: str = ""
    connection: str = ""
    client: str = ""
    query: dict[str, str] = field(default_factory=dict[str, str])
    skip: Skip = 0
    times: Times = 1
    seconds: Seconds = 0.0
    error: ErrorInfo | None = None
    frame: dict[str, Any] = field(default_factory=dict[str, Any])
    after: bool = False

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(
                f"no action {self.action!r}: one of {', '.join(sorted(ACTIONS - {''}))}, or empty"
            )
        if self.does == "nack" and (self.way != "in" or self.action not in ANSWERED):
            raise ValueError(f"nack answers a frame on the way in: action is one of {', '.join(ANSWERED)}")
        if self.does == "refuse" and (self.way != "in" or self.action != CONNECT):
            raise ValueError(f"refuse answers an opening: action is {CONNECT}, way is in")
        if self.does == "replace" and (self.way != "out" or not isinstance(self.frame.get("action"), int)):
            raise ValueError("replace is for the way out, and frame is a protocol message with its action")
        if self.action == CONNECT and (self.way != "in" or self.does in {"duplicate", "delay"}):
            raise ValueError(f"{CONNECT} is on the way in, and neither doubled nor delayed")

    def concerns(self, way: str, action: str, channel: str, who: Who) -> bool:
        """Whether it is about this frame."""
        return (
            self.way == way
            and self.action in {"", action}
            and self.channel in {"", channel}
            and self.connection in {"", who.connection_id}
            and self.client in {"", who.client_id}
            and all(who.query.get(name) == value for name, value in self.query.items())
        )

    @property
    def refusal(self) -> AblyError:
        """Its error, or one that says only that it was wanted."""
        return (self.error or ErrorInfo(code=50000)).made()


@dataclass(frozen=True, kw_only=True)
class Who:
    """Whose frame it is."""

    connection_id: str
    client_id: str
    query: dict[str, str]


class Faults(Waiting[Fault]):
    """Those of this protocol; one strikes a frame."""

    def strike(self, way: str, action: str, channel: str, who: Who) -> Fault | None:
        """The fault that strikes this frame now, used up by one."""
        for fault in self._waiting:
            if fault.concerns(way, action, channel, who):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
