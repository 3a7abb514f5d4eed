"""What every emulator can do wrong that knows nothing of its protocol: to frames, to calls, to sockets."""

from __future__ import annotations

import re
from inspect import getsource
from typing import Any, Final, get_args

from chatkit.testing.emulators.control import Control
from chatkit.testing.emulators.faults import CallDeed, FrameDeed
from chatkit.testing.emulators.serving import Emulator

FRAMES: Final[dict[str, dict[str, Any]]] = {
    "drop": {},
    "duplicate": {},
    "delay": {"seconds": 3.0},
    "replace": {"text": "no frame of this protocol"},
    "abort": {},
    "stall": {},
    "close": {"code": 1011},
}
"""What a fault of WebSockets needs."""
CALLS: Final[dict[str, dict[str, Any]]] = {
    "fail": {"status": 503},
    "reset": {},
    "delay": {"seconds": 3.0},
}
"""What a fault of calls needs."""
SOCKETS: Final = ("close", "abort", "stall", "resume", "deafen")
"""What the control endpoint does to a socket."""


def none_is_left_out() -> None:
    """Assert that each is known here."""
    route = re.search(r"deed:([a-z|]+)", getsource(Control.routes))

    assert set(get_args(FrameDeed)) == FRAMES.keys()
    assert set(get_args(CallDeed)) == CALLS.keys()
    assert route is not None
    assert set(route[1].split("|")) == set(SOCKETS)


def do_to_sockets(emulator: Emulator[Any], deed: str) -> None:
    """Do what a test in another language does to sockets; `resume` ends a stall of five seconds."""
    for socket in list(emulator.sockets.values()):
        match deed:
            case "close":
                socket.close(1011)
            case "abort":
                socket.abort()
            case "stall":
                socket.stall()
            case "deafen":
                socket.deaf = True
            case _:
                socket.stall()
                _ = emulator.clock.call_later(5.0, socket.resume)
