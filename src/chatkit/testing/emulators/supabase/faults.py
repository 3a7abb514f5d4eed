"""What is to go wrong with what clients ask, scripted beforehand.

The faults that know nothing of a protocol (`chatkit.testing.emulators.faults`) hold here too; these know what
was asked, so that an answer can be lost while what was asked is done.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic.dataclasses import dataclass

from chatkit.testing.emulators.faults import CHECKED, Seconds, Skip, Times, Waiting

Deed = Literal["drop", "delay", "abort", "stall", "crash"]
"""To what was asked: lose it or its answer, do it late, cut or silence the connection at it, or let the
channel crash: `phx_error`."""

EVENTS: Final = frozenset({"", "heartbeat", "phx_join", "phx_leave", "broadcast", "presence", "access_token"})


@dataclass(kw_only=True, config=CHECKED)
class Fault:
    """One thing that goes wrong.

    Attributes:
        does: What.
        event: To this event of clients: `heartbeat`, `phx_join`, `phx_leave`, `broadcast`, `presence`,
            `access_token`; empty is any.
        moment: `before`: it has no effect; `after`: it has, and its answer is lost. Of `drop`, `abort` and
            `stall`.
        topic: Of this topic alone, without its prefix; empty is any.
        socket: Of this connection alone, by its id; empty is any.
        skip: Events that match and pass before it begins.
        times: Events that it strikes, then it is over.
        seconds: How long `delay` holds the whole connection.
    """

    does: Deed
    event: str = ""
    moment: Literal["before", "after"] = "before"
    topic: str = ""
    socket: str = ""
    skip: Skip = 0
    times: Times = 1
    seconds: Seconds = 0.0

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise ValueError(f"no event {self.event!r}: one of {', '.join(sorted(EVENTS - {''}))}, or empty")
        if self.moment == "after" and self.does in {"delay", "crash"}:
            raise ValueError(f"{self.does} comes before: moment is for drop, abort and stall")
        if self.does == "crash" and self.event in {"heartbeat", "phx_join"}:
            raise ValueError(
                "only a channel that is joined crashes: another event than heartbeat and phx_join"
            )


class Faults(Waiting[Fault]):
    """Those that wait; one strikes an event."""

    def strike(self, event: str, topic: str, socket: str) -> Fault | None:
        """The fault that strikes this event now, used up by one."""
        for fault in self._waiting:
            if fault.event in {"", event} and fault.topic in {"", topic} and fault.socket in {"", socket}:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
