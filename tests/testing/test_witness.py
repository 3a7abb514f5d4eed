"""`WitnessHub`: what it refuses stays refused, as with a log that remembers (D9)."""

from __future__ import annotations

import json
from random import Random

from chatkit.adapters.memory.pace import Pace
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.profiles import tailor
from chatkit.model.order import Ident
from chatkit.ports import Outgoing
from chatkit.testing.clock import VirtualClock
from chatkit.testing.history import Accepted, History
from chatkit.testing.witness import WitnessHub


def entry(number: int, *, seq: int | None = None) -> Outgoing:
    ident = Ident("ada", f"018f6c1e-0000-7000-8000-{number:012d}")
    said = {
        "v": 1,
        "id": ident.id,
        "kind": "message.create",
        "channel": "red",
        "sender": {"user": "ada", "device": "k3v9x2"},
        "seq": seq or number,
        "at": "2026-11-23T10:00:00.000Z",
        "body": {"type": "text", "text": "Hello"},
    }
    return Outgoing(ident, "k3v9x2", seq or number, json.dumps(said).encode(), None)


def test_an_entry_refused_in_a_batch_is_refused_at_each_attempt() -> None:
    """The same attempt has the same answer; under a number of its own it is another attempt (D7, D9)."""
    history = History()
    hub = WitnessHub("hub", clock=VirtualClock(), random=Random(1), history=history)
    caller = Caller("ada", True, tailor("memory", {}, trusted=True, log=False), Pace(None))
    batch = [entry(1), entry(2), entry(3)]

    def outcomes(entries: list[Outgoing]) -> list[str]:
        return [ack.outcome for ack in hub.append(caller, "red", entries).acks]

    hub.refuse_one = True
    assert outcomes(batch) == ["new", "refused", "new"]
    assert outcomes(batch) == ["duplicate", "refused", "duplicate"]
    assert outcomes([entry(2, seq=4)]) == ["new"]
    assert len([one for one in history.records if isinstance(one, Accepted)]) == 3


def test_what_is_taken_already_is_not_refused() -> None:
    """To refuse what the log has would be a lie: the refusal waits for an entry that is new."""
    hub = WitnessHub("hub", clock=VirtualClock(), random=Random(1), history=History())
    caller = Caller("ada", True, tailor("memory", {}, trusted=True, log=False), Pace(None))
    batch = [entry(1), entry(2)]
    assert [ack.outcome for ack in hub.append(caller, "red", batch).acks] == ["new", "new"]
    hub.refuse_one = True
    assert [ack.outcome for ack in hub.append(caller, "red", batch).acks] == ["duplicate", "duplicate"]
    assert hub.refuse_one
