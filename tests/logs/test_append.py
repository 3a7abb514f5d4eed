"""`append`: numbering, the fence and rights (D9)."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from chatkit.errors import (
    ChatkitError,
    InvalidMessage,
    MessageNotFound,
    NotAllowed,
    Rejected,
    VersionConflict,
)
from chatkit.logs.memory import MemoryLog
from chatkit.model.order import OrderKey
from chatkit.ports.outgoing import Outgoing
from chatkit.testing.clock import VirtualClock
from tests.logs.wishes import change, text_of, wish


def serial(number: int) -> str:
    return f"{number:020d}"


async def outcomes(log: MemoryLog, *entries: Outgoing, channel: str = "support") -> list[str]:
    return [ack.outcome for ack in (await log.append(channel, entries)).acks]


async def refusal(log: MemoryLog, entry: Outgoing, channel: str = "support") -> ChatkitError:
    (ack,) = (await log.append(channel, [entry])).acks
    assert ack.outcome == "refused"
    assert ack.error is not None
    return ack.error


async def test_entries_are_numbered_in_order(log: MemoryLog, clock: VirtualClock) -> None:
    """Serials are 20 digits, one after another, and an answer says where the log stands (D3, D18)."""
    appended = await log.append("support", [wish(1), wish(2)])

    assert [(ack.outcome, ack.key) for ack in appended.acks] == [
        ("new", OrderKey(1, serial(1))),
        ("new", OrderKey(1, serial(2))),
    ]
    assert [ack.sent_at for ack in appended.acks] == [clock.wall()] * 2
    assert (appended.state.head, appended.state.floor, appended.state.epoch) == (serial(2), None, 1)


async def test_each_channel_has_numbers_of_its_own(log: MemoryLog) -> None:
    """One channel's traffic leaves no hole in another's (D17)."""
    await log.append("support", [wish(1)])

    appended = await log.append("sales", [wish(2, channel="sales")])

    assert appended.acks[0].key == OrderKey(1, serial(1))


async def test_an_entry_names_its_predecessor(log: MemoryLog) -> None:
    """`prev` is the serial before it, empty for the first (D17)."""
    await log.append("support", [wish(1), wish(2)])

    found = await log.entries("support", after=None, limit=10)

    assert [item.stamp.prev for item in found.items] == ["", serial(1)]


async def test_time_never_steps_back(log: MemoryLog, clock: VirtualClock) -> None:
    """A time is a place in the log even if somebody sets the clock back."""
    await log.append("support", [wish(1)])
    before = clock.wall()
    clock.jump(-3600)

    (ack,) = (await log.append("support", [wish(2)])).acks

    assert ack.sent_at == before


async def test_a_repeat_is_a_duplicate_with_its_place(log: MemoryLog) -> None:
    """A retry is answered with the first one's serial and time, and appended once (D9)."""
    first = await log.append("support", [wish(1)])

    again = await log.append("support", [wish(1)])

    assert again.acks[0]._replace(outcome="new") == first.acks[0]
    assert again.acks[0].outcome == "duplicate"
    assert again.state.head == serial(1)


async def test_another_body_under_the_same_id_is_a_conflict(log: MemoryLog) -> None:
    """The first one stands, and the answer says where (D1)."""
    await log.append("support", [wish(1)])

    (ack,) = (await log.append("support", [wish(1, body={"type": "text", "text": "else"})])).acks

    assert (ack.outcome, ack.key) == ("conflict", OrderKey(1, serial(1)))
    found = await log.messages("support", limit=10)
    assert [text_of(item.data) for item in found.items] == ["text 1"]


async def test_the_same_body_written_otherwise_is_a_duplicate(log: MemoryLog) -> None:
    """A message made anew under its key has another time and number, and is the same message (D14)."""
    await log.append("support", [wish(1)])

    again = wish(1, seq=9, body={"text": "text 1", "type": "text"}, at="2026-02-02T00:00:00.000Z")

    assert await outcomes(log, again) == ["duplicate"]


async def test_the_same_id_of_another_user_is_another_message(log: MemoryLog) -> None:
    """A member who repeats someone's id swallows nothing (D1)."""
    assert await outcomes(log, wish(1), wish(1, user="bob")) == ["new", "new"]


async def test_a_late_entry_is_refused_by_its_deadline(log: MemoryLog, clock: VirtualClock) -> None:
    """Past its own `not_after`, in the log's time, an entry is certain never to appear (D9)."""
    deadline = clock.wall() + timedelta(seconds=10)
    clock.advance(10)
    assert await outcomes(log, wish(1, not_after=deadline)) == ["new"]
    clock.advance(0.001)

    assert await outcomes(log, wish(2, not_after=deadline)) == ["too_late"]


async def test_an_accepted_entry_is_known_past_its_deadline(log: MemoryLog, clock: VirtualClock) -> None:
    """What is known is answered as a duplicate first: it did appear (D9)."""
    entry = wish(1, not_after=clock.wall())
    await log.append("support", [entry])
    clock.advance(60)

    assert await outcomes(log, entry) == ["duplicate"]


async def test_a_late_attempt_of_a_lane_is_superseded(log: MemoryLog) -> None:
    """Once number 2 of a lane is in, number 1 can no longer slip in behind it (D9)."""
    await log.append("support", [wish(2)])

    assert await outcomes(log, wish(1), wish(3)) == ["superseded", "new"]


@pytest.mark.parametrize("other", [{"device": "device2"}, {"user": "bob"}])
async def test_lanes_of_other_devices_and_users_are_apart(log: MemoryLog, other: dict[str, Any]) -> None:
    """The fence is per channel, user and device (D9)."""
    await log.append("support", [wish(5)])

    assert await outcomes(log, wish(1, **other)) == ["new"]


async def test_lanes_of_other_channels_are_apart(log: MemoryLog) -> None:
    """The same device may be at another number elsewhere (D9)."""
    await log.append("support", [wish(5)])

    assert await outcomes(log, wish(1, channel="sales"), channel="sales") == ["new"]


async def test_a_web_page_without_numbers_is_not_fenced(log: MemoryLog) -> None:
    """`seq` may be missing (D5)."""
    await log.append("support", [wish(5)])

    assert await outcomes(log, wish(1, seq=None)) == ["new"]


async def test_a_bad_row_fails_alone(log: MemoryLog) -> None:
    """One answer a row, in order, whatever the others are (D9)."""
    broken = wish(2)._replace(data=b"{")
    orphan = change(3, "message.update", wish(99))

    answers = await outcomes(log, wish(1), broken, orphan, wish(1), wish(4))

    assert answers == ["new", "refused", "refused", "duplicate", "new"]
    assert (await log.heads(["support"]))["support"].head == serial(2)


async def test_an_unreadable_envelope_is_refused(log: MemoryLog) -> None:
    """The error is the envelope's own and names the field."""
    assert isinstance(await refusal(log, wish(1)._replace(data=b"{}")), InvalidMessage)


@pytest.mark.parametrize(
    "entry",
    [
        wish(1, channel="sales"),
        wish(1)._replace(ident=wish(1, user="bob").ident),
        wish(1)._replace(ident=wish(2).ident),
        wish(1)._replace(device="device2"),
    ],
    ids=["channel", "user", "id", "device"],
)
async def test_an_envelope_says_what_it_is_handed_over_as(log: MemoryLog, entry: Outgoing) -> None:
    """Channel, sender and id inside are those outside (D2)."""
    assert isinstance(await refusal(log, entry), NotAllowed)


@pytest.mark.parametrize("kind", ["state.read", "typing", "presence.status", "x.wave"])
async def test_a_log_keeps_log_kinds_only(log: MemoryLog, kind: str) -> None:
    """Registers and passing signals never become entries (D25)."""
    assert isinstance(await refusal(log, wish(1, kind=kind)), Rejected)


async def test_an_unknown_kind_is_kept(log: MemoryLog) -> None:
    """What a newer writer sends is stored and ignored, never dropped (wire envelope)."""
    assert await outcomes(log, wish(1, kind="poll.open")) == ["new"]
    assert (await log.messages("support", limit=10)).items == ()
    assert len((await log.entries("support", after=None, limit=10)).items) == 1


async def test_a_change_for_newer_readers_is_kept_unread(log: MemoryLog) -> None:
    """Whoever may interpret it will: this version neither checks nor folds it (wire envelope)."""
    created = wish(1)
    newer = change(2, "message.update", created, user="bob", v=2, min=2)

    assert await outcomes(log, created, newer) == ["new", "new"]
    assert [item.version for item in (await log.messages("support", limit=10)).items] == [1]


async def test_its_author_edits_a_message(log: MemoryLog) -> None:
    """Within one batch too: each row sees those before it (D2)."""
    created = wish(1)

    assert await outcomes(log, created, change(2, "message.update", created)) == ["new", "new"]


@pytest.mark.parametrize(
    ("kind", "user", "allowed"),
    [
        ("message.update", "bob", False),
        ("message.update", "mona", False),
        ("message.delete", "ada", True),
        ("message.delete", "bob", False),
        ("message.delete", "mona", True),
        ("message.restore", "ada", True),
        ("message.restore", "bob", False),
        ("message.restore", "mona", True),
        ("reaction.add", "bob", True),
        ("reaction.remove", "bob", True),
    ],
)
async def test_rights(log: MemoryLog, kind: str, user: str, *, allowed: bool) -> None:
    """Edit = author; delete and restore = author or moderator; reactions = anyone's own (D2)."""
    created = wish(1)
    await log.append("support", [created])

    (ack,) = (await log.append("support", [change(2, kind, created, user=user)])).acks

    assert ack.outcome == ("new" if allowed else "refused")
    assert isinstance(ack.error, NotAllowed) is not allowed


async def test_a_moderator_of_one_channel_is_none_elsewhere(log: MemoryLog) -> None:
    """Rights are asked for by channel (D2)."""
    created = wish(1, channel="sales")
    await log.append("sales", [created])

    error = await refusal(log, change(2, "message.delete", created, user="mona", channel="sales"), "sales")

    assert isinstance(error, NotAllowed)


async def test_without_a_callable_nobody_moderates(clock: VirtualClock) -> None:
    """Moderators are the app's to name."""
    log = MemoryLog(clock, Random(1))
    created = wish(1)
    await log.append("support", [created])

    assert isinstance(await refusal(log, change(2, "message.delete", created, user="mona")), NotAllowed)


async def test_a_change_needs_its_target(log: MemoryLog) -> None:
    """An unknown target is named as such (D9)."""
    error = await refusal(log, change(2, "reaction.add", wish(1)))

    assert isinstance(error, MessageNotFound)
    assert error.message_id == wish(2).ident.id


async def test_a_stale_edit_is_a_conflict(log: MemoryLog) -> None:
    """`base` is the version edited from; another one has won by then (D9)."""
    created = wish(1)
    await log.append("support", [created, change(2, "message.update", created, base=1)])

    error = await refusal(log, change(3, "message.update", created, base=1))

    assert isinstance(error, VersionConflict)
    assert await outcomes(log, change(4, "message.update", created, base=2)) == ["new"]


async def test_a_refusal_is_final_for_its_attempt(log: MemoryLog) -> None:
    """A copy that comes when it would pass is refused as the first was: `refused` is certain (D9)."""
    created = wish(1, user="bob")
    early = change(2, "reaction.add", created)
    first = await refusal(log, early)
    await log.append("support", [created])

    assert await refusal(log, early) is first


async def test_a_manual_retry_after_a_refusal_is_weighed_anew(log: MemoryLog) -> None:
    """It takes a new number, and so is another attempt (D7)."""
    created = wish(1, user="bob")
    await refusal(log, change(2, "reaction.add", created))
    await log.append("support", [created])

    assert await outcomes(log, change(2, "reaction.add", created, seq=3)) == ["new"]


async def test_errors_hold_no_text(log: MemoryLog) -> None:
    """A refusal names channel and message, never the body (I16)."""
    secret = {"type": "text", "text": "open sesame"}
    created = wish(1)
    await log.append("support", [created])
    for entry in (
        change(2, "message.update", created, user="bob", body=secret),
        wish(3, channel="sales", body=secret),
        wish(4, kind="typing", body=secret),
    ):
        error = await refusal(log, entry)
        assert "sesame" not in f"{error} {error!r} {error.hint}"
