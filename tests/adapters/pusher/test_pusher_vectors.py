"""The published vectors of Pusher; tests/javascript runs the same ones."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from chatkit.adapters.pusher import Name, channel_of, frames, name_of
from chatkit.adapters.pusher.hearing import Heard, Hearing
from chatkit.adapters.pusher.protocol import Protocol
from chatkit.adapters.pusher.signing import Signer
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Received, Signal
from chatkit.testing.clock import VirtualClock

VECTORS: Final = json.loads(
    (Path(__file__).parents[2] / "vectors" / "pusher.json").read_text(encoding="ascii")
)


@pytest.mark.parametrize("case", VECTORS["names"], ids=lambda case: case["name"])
def test_names(case: dict[str, Any]) -> None:
    """There and back."""
    assert name_of(case["channel"], case["kind"], cache=case["cache"]) == case["name"]
    assert channel_of(case["name"]) == Name(case["kind"], case["cache"], case["channel"])


@pytest.mark.parametrize("case", VECTORS["events"], ids=lambda case: case["what"])
async def test_events(case: dict[str, Any], clock: VirtualClock) -> None:
    """The envelope to the byte, who is vouched for, and what the log says (D2, D17)."""
    protocol, name, ready = Protocol(), case["frame"]["channel"], deque[Signal]()
    hearing = Hearing(
        protocol, clock, Heard(), stamps=True, cache=False, proves=True, locked=False, secret=_no_secret
    )
    hearing.attach("support", name, None)
    _ = protocol.subscribe(name, "key:signature", None)
    _ = protocol.receive(
        json.dumps({"event": "pusher_internal:subscription_succeeded", "channel": name, "data": "{}"})
    )

    for meaning in protocol.receive(json.dumps(case["frame"])):
        await hearing.take(meaning, ready)

    (heard,) = ready
    stamp = None if case["stamp"] is None else _stamp(case["stamp"])
    assert heard == Received(
        "support", case["envelope"].encode(), case["user"], case["attested"], stamp, stamp is not None
    )


@pytest.mark.parametrize("case", VECTORS["auth"], ids=lambda case: case["channel_name"])
def test_answers_of_an_auth_endpoint(case: dict[str, Any]) -> None:
    """What an app's server signs."""
    permit = Signer("3", VECTORS["key"], VECTORS["secret"], b"0" * 32).permit(
        case["channel_name"], case["socket_id"], case["user"]
    )

    made = {
        "auth": permit.auth,
        "channel_data": permit.channel_data,
        "shared_secret": permit.shared_secret and b64encode(permit.shared_secret).decode(),
    }
    assert {name: value for name, value in made.items() if value is not None} == case["answer"]
    if permit.channel_data is not None:
        assert frames.as_object(permit.channel_data) == {"user_id": case["user"]}


async def _no_secret(_: str, __: str) -> None:
    raise AssertionError("nothing is under lock")


def _stamp(told: dict[str, Any]) -> Stamp:
    at = datetime.fromisoformat(told["at"])
    return Stamp(OrderKey(told["epoch"], told["serial"]), told["prev"], told["log"], told["user"], at)
