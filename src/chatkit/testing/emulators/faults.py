"""What is to go wrong: scripted beforehand, used up frame by frame and call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Annotated, Final, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

FrameDeed = Literal["drop", "duplicate", "delay", "replace", "abort", "stall", "close"]
"""To a frame: lose it, send it twice, hold it and all behind it, send another text, or end the connection at
it: without a goodbye, by silence, or with a close code. A frame at which a connection ends is lost."""

CallDeed = Literal["fail", "reset", "delay"]
"""To a call by HTTP: answer with an error, cut the connection without an answer, answer late."""

MOST: Final = 1_000
"""Faults that wait at a time."""

Times = Annotated[int, Field(ge=1)]
Skip = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

CHECKED: Final = ConfigDict(extra="forbid", strict=True)
"""A fault that could never strike is an error where it is made."""


@dataclass(kw_only=True, config=CHECKED)
class FrameFault:
    """What happens to frames of WebSockets.

    Attributes:
        does: What happens.
        way: `out` to clients, `in` from them.
        only: Frames of this label alone (the event's or action's name; see the emulator); `None` is any.
        socket: Frames of this connection alone, by its id; `None` is any.
        skip: Frames that match and pass before the fault begins.
        times: Frames that it strikes, then it is over.
        seconds: How long `delay` holds.
        text: What `replace` sends.
        code: With which `close` closes.
        reason: Likewise.
        when: From Python alone: a further condition on the frame.
    """

    does: FrameDeed
    way: Literal["out", "in"] = "out"
    only: str | None = None
    socket: str | None = None
    skip: Skip = 0
    times: Times = 1
    seconds: Seconds = 0.0
    text: str = ""
    code: int = 1011
    reason: str = ""
    when: Callable[[str | bytes], bool] | None = None

    def strikes(self, way: str, label: str, socket: str, frame: str | bytes) -> bool:
        """Whether it concerns this frame; each time it says so it is used up by one."""
        return (
            self.way == way
            and self.only in {None, label}
            and self.socket in {None, socket}
            and (self.when is None or self.when(frame))
            and _use_up(self)
        )


@dataclass(kw_only=True, config=CHECKED)
class CallFault:
    """What happens to calls by HTTP.

    Attributes:
        does: What happens.
        moment: `before`: the call has no effect; `after`: it has, and its caller does not learn it.
        method: Calls of this method alone; `None` is any.
        path: Calls whose path contains this; empty is any.
        authorization: Calls whose header of that name contains this; empty is any.
        skip: Calls that match and pass before the fault begins.
        times: Calls that it strikes, then it is over.
        status: With which `fail` answers.
        body: Likewise; plain text.
        headers: Likewise.
        seconds: How long `delay` waits.
    """

    does: CallDeed
    moment: Literal["before", "after"] = "before"
    method: str | None = None
    path: str = ""
    authorization: str = field(default="", repr=False)
    skip: Skip = 0
    times: Times = 1
    status: int = 500
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    seconds: Seconds = 0.0

    def strikes(self, method: str, path: str, authorization: str) -> bool:
        """Whether it concerns this call; each time it says so it is used up by one."""
        return (
            self.method in {None, method}
            and self.path in path
            and self.authorization in authorization
            and _use_up(self)
        )


Fault = FrameFault | CallFault
F = TypeVar("F")
G = TypeVar("G", bound=Fault)


def _use_up(fault: Fault) -> bool:
    if fault.times <= 0:
        return False
    if fault.skip > 0:
        fault.skip -= 1
        return False
    fault.times -= 1
    return True


class Waiting(Generic[F]):
    """Faults that wait, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[F] = []

    def add(self, fault: F) -> F:
        """Let it wait for what it concerns; the same object tells how much of it is left.

        Raises:
            ValueError: Too many wait.
        """
        if len(self._waiting) >= MOST:
            raise ValueError(f"more than {MOST} faults wait: clear() them first")
        self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._waiting.clear()

    def __iter__(self) -> Iterator[F]:
        return iter(self._waiting)

    def __bool__(self) -> bool:
        return bool(self._waiting)


class Faults(Waiting[Fault]):
    """Those of frames and of calls; more than one may strike the same."""

    def frame(self, way: str, label: str, socket: str, frame: str | bytes) -> list[FrameFault]:
        """What strikes this frame now."""
        waiting = [fault for fault in self if isinstance(fault, FrameFault)]
        return self._spent([fault for fault in waiting if fault.strikes(way, label, socket, frame)])

    def call(self, method: str, path: str, authorization: str) -> list[CallFault]:
        """What strikes this call now."""
        waiting = [fault for fault in self if isinstance(fault, CallFault)]
        return self._spent([fault for fault in waiting if fault.strikes(method, path, authorization)])

    def _spent(self, struck: list[G]) -> list[G]:
        if struck:
            self._waiting = [fault for fault in self._waiting if fault.times > 0]
        return struck
