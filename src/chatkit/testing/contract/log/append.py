"""The contract of logs: numbers, the fence, and what is kept of what they are handed (D3, D9, D17)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chatkit.errors import InvalidMessage, MessageNotFound, NotAllowed, Rejected
from chatkit.model.order import OrderKey
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Outgoing
from chatkit.testing.contract.log.kit import (
    SUPPORT,
    LogKit,
    append,
    key,
    outcomes,
    refusal,
    serial,
    state,
    texts,
)
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, text_of, wish


class AppendContract(LogPart):
    """Every entry once, in order, at a place of its own."""

    needs = frozenset({"append", "fence"})

    async def test_entries_are_numbered_in_order(self, kit: LogKit) -> None:
        """Serials are 20 digits, one after another, and an answer says where the log stands (D3, D18)."""
        async with kit.opened() as log:
            appended = await log.append(SUPPORT, [wish(1), wish(2)])

            assert [(ack.ident, ack.outcome, ack.key) for ack in appended.acks] == [
                (wish(1).ident, "new", OrderKey(1, serial(1))),
                (wish(2).ident, "new", OrderKey(1, serial(2))),
            ]
            assert (appended.state.head, appended.state.floor, appended.state.epoch) == (serial(2), None, 1)

    async def test_an_ack_says_when_its_entry_came(self, kit: LogKit) -> None:
        """By the log's clock, as its stamp does for everyone who reads it (D9)."""
        async with kit.opened() as log:
            before = (await state(log)).now
            appended = await log.append(SUPPORT, [wish(1), wish(2)])

            found = await log.entries(SUPPORT, after=None, limit=10)
            assert [ack.sent_at for ack in appended.acks] == [item.stamp.at for item in found.items]
            after = (await state(log)).now
            assert all(before <= item.stamp.at <= after for item in found.items)
            assert {item.stamp.at.utcoffset() for item in found.items} == {timedelta(0)}

    async def test_nothing_appended_changes_nothing(self, kit: LogKit) -> None:
        """A batch of nothing is answered by nothing, and makes no channel."""
        async with kit.opened() as log:
            appended = await log.append(SUPPORT, [])

            assert (appended.acks, appended.state.head, appended.state.floor) == ((), None, None)

    async def test_each_channel_has_numbers_of_its_own(self, kit: LogKit) -> None:
        """One channel's traffic leaves no hole in another's (D17)."""
        async with kit.opened() as log:
            await append(log, wish(1))

            (ack,) = await append(log, wish(2, channel="sales"), channel="sales")

            assert (ack.key, ack.prev) == (key(1), "")

    async def test_an_entry_names_its_predecessor(self, kit: LogKit) -> None:
        """`prev` is the serial before it, empty for the first, in the ack as in the entry (D17)."""
        async with kit.opened() as log:
            acks = await append(log, wish(1), wish(2))
            acks += await append(log, wish(3), wish(2), wish(1))

            found = await log.entries(SUPPORT, after=None, limit=10)
            assert [item.stamp.prev for item in found.items] == ["", serial(1), serial(2)]
            assert [ack.prev for ack in acks] == ["", serial(1), serial(2), serial(1), ""]

    async def test_an_entry_is_kept_as_it_was_written(self, kit: LogKit) -> None:
        """To the byte, with the log's id and the attested sender in its stamp (D7)."""
        async with kit.opened() as log:
            odd = wish(1, future="kept", body={"type": "text", "text": "a\u2028\U0001f600 \\ \" '"})
            spaced = wish(2)._replace(data=wish(2).data.replace(b", ", b",\n  "))
            await append(log, odd, spaced)

            found = await log.entries(SUPPORT, after=None, limit=10)
            log_id = (await state(log)).log_id
            assert [item.data for item in found.items] == [odd.data, spaced.data]
            assert [item.data for item in (await log.messages(SUPPORT, limit=10)).items] == [
                odd.data,
                spaced.data,
            ]
            assert {(item.stamp.log_id, item.stamp.user) for item in found.items} == {(log_id, "ada")}

    async def test_time_never_steps_back(self, kit: LogKit) -> None:
        """Whatever comes later bears a time that is not earlier."""
        async with kit.opened() as log:
            for number in range(1, 20):
                await append(log, wish(number))

            found = await log.entries(SUPPORT, after=None, limit=100)
            times = [item.stamp.at for item in found.items]
            assert times == sorted(times)

    # -- what is known already

    async def test_a_repeat_is_a_duplicate_with_its_place(self, kit: LogKit) -> None:
        """A retry is answered with the first one's serial, time and predecessor, and appended once (D9)."""
        async with kit.opened() as log:
            (first,) = await append(log, wish(1))
            await kit.later(log)

            (again,) = await append(log, wish(1))

            assert again.outcome == "duplicate"
            assert again._replace(outcome="new") == first
            assert (await state(log)).head == serial(1)

    async def test_a_repeat_within_a_batch_is_a_duplicate(self, kit: LogKit) -> None:
        """Each row sees those before it."""
        async with kit.opened() as log:
            assert await outcomes(log, wish(1), wish(1), wish(2)) == ["new", "duplicate", "new"]

    async def test_another_body_under_the_same_id_is_a_conflict(self, kit: LogKit) -> None:
        """The first one stands, and the answer says where (D1)."""
        async with kit.opened() as log:
            (first,) = await append(log, wish(1))

            (ack,) = await append(log, wish(1, body={"type": "text", "text": "else"}))

            assert ack == first._replace(outcome="conflict")
            assert texts(await log.messages(SUPPORT, limit=10)) == ["text 1"]

    async def test_the_same_body_written_otherwise_is_a_duplicate(self, kit: LogKit) -> None:
        """A message made anew under its key has another time and number, and is the same message (D14)."""
        async with kit.opened() as log:
            await append(log, wish(1))

            again = wish(1, seq=9, body={"text": "text 1", "type": "text"}, at="2026-02-02T00:00:00.000Z")

            assert await outcomes(log, again) == ["duplicate"]

    async def test_the_same_id_of_another_user_is_another_message(self, kit: LogKit) -> None:
        """A member who repeats someone's id swallows nothing, before or after (D1)."""
        async with kit.opened() as log:
            assert await outcomes(log, wish(1, user="bob"), wish(1)) == ["new", "new"]
            assert await outcomes(log, wish(1, user="eve")) == ["new"]
            assert [item.ident.user for item in (await log.messages(SUPPORT, limit=10)).items] == [
                "bob",
                "ada",
                "eve",
            ]

    async def test_the_same_id_in_another_channel_is_another_message(self, kit: LogKit) -> None:
        """Identity is channel, user and id (D1)."""
        async with kit.opened() as log:
            await append(log, wish(1))

            assert await outcomes(log, wish(1, channel="sales"), channel="sales") == ["new"]

    # -- deadlines

    async def test_a_late_entry_is_refused_by_its_deadline(self, kit: LogKit) -> None:
        """Past its own `not_after`, in the log's time, an entry is certain never to appear (D9)."""
        async with kit.opened() as log:
            now = (await state(log)).now
            await kit.later(log)

            assert await outcomes(
                log, wish(1, not_after=now), wish(2, not_after=now + timedelta(hours=1)), wish(3)
            ) == ["too_late", "new", "new"]
            assert (await log.find(SUPPORT, [wish(1).ident])).items == {}

    async def test_an_accepted_entry_is_known_past_its_deadline(self, kit: LogKit) -> None:
        """What is known is answered as a duplicate first: it did appear (D9)."""
        async with kit.opened() as log:
            now = (await state(log)).now
            await append(log, wish(1))
            await kit.later(log)

            assert await outcomes(log, wish(1, not_after=now)) == ["duplicate"]

    async def test_what_came_too_late_is_no_part_of_its_lane(self, kit: LogKit) -> None:
        """The number it took stays free: the next one of the lane is new (D9)."""
        async with kit.opened() as log:
            now = (await state(log)).now
            await kit.later(log)
            await append(log, wish(5, not_after=now))

            assert await outcomes(log, wish(4)) == ["new"]

    # -- lanes

    async def test_a_late_attempt_of_a_lane_is_superseded(self, kit: LogKit) -> None:
        """Once number 2 of a lane is in, number 1 can no longer slip in behind it (D9)."""
        async with kit.opened() as log:
            await append(log, wish(2))

            assert await outcomes(log, wish(1), wish(3)) == ["superseded", "new"]
            assert (await log.find(SUPPORT, [wish(1).ident])).items == {}

    async def test_one_number_of_a_lane_is_used_once(self, kit: LogKit) -> None:
        """Another message under a number that is in use comes from a copy of the store (D27)."""
        async with kit.opened() as log:
            await append(log, wish(2))

            assert await outcomes(log, wish(9, seq=2)) == ["superseded"]

    @pytest.mark.parametrize("other", [{"device": "device2"}, {"user": "bob"}])
    async def test_lanes_of_other_devices_and_users_are_apart(
        self, kit: LogKit, other: dict[str, Any]
    ) -> None:
        """The fence is per channel, user and device (D9)."""
        async with kit.opened() as log:
            await append(log, wish(5))

            assert await outcomes(log, wish(1, **other)) == ["new"]

    async def test_lanes_of_other_channels_are_apart(self, kit: LogKit) -> None:
        """The same device may be at another number elsewhere (D9)."""
        async with kit.opened() as log:
            await append(log, wish(5))

            assert await outcomes(log, wish(1, channel="sales"), channel="sales") == ["new"]

    async def test_a_web_page_without_numbers_is_not_fenced(self, kit: LogKit) -> None:
        """`seq` may be missing (D5)."""
        async with kit.opened() as log:
            await append(log, wish(5))

            assert await outcomes(log, wish(1, seq=None), wish(6)) == ["new", "new"]

    # -- refusals

    async def test_a_bad_row_fails_alone(self, kit: LogKit) -> None:
        """One answer a row, in order, whatever the others are (D9)."""
        async with kit.opened() as log:
            broken = wish(2)._replace(data=b"{")
            orphan = change(3, "message.update", wish(99))

            answers = await outcomes(log, wish(1), broken, orphan, wish(1), wish(4))

            assert answers == ["new", "refused", "refused", "duplicate", "new"]
            assert (await state(log)).head == serial(2)

    async def test_a_refused_row_is_no_part_of_its_lane(self, kit: LogKit) -> None:
        """What never happened overtakes nothing (D9)."""
        async with kit.opened() as log:
            await refusal(log, change(5, "message.update", wish(99)))

            assert await outcomes(log, wish(4)) == ["new"]

    async def test_an_unreadable_envelope_is_refused(self, kit: LogKit) -> None:
        """The error is the envelope's own and names the field."""
        async with kit.opened() as log:
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
    async def test_an_envelope_says_what_it_is_handed_over_as(self, kit: LogKit, entry: Outgoing) -> None:
        """Channel, sender and id inside are those outside (D2)."""
        async with kit.opened() as log:
            assert isinstance(await refusal(log, entry), NotAllowed)

    @pytest.mark.parametrize("kind", ["state.read", "typing", "presence.status", "x.wave"])
    async def test_a_log_keeps_log_kinds_only(self, kit: LogKit, kind: str) -> None:
        """Registers and passing signals never become entries (D25)."""
        async with kit.opened() as log:
            assert isinstance(await refusal(log, wish(1, kind=kind)), Rejected)

    async def test_a_log_keeps_bodies_and_no_claim_checks(self, kit: LogKit) -> None:
        """What stands for a body in a frame stands for the one that is here (D29)."""
        async with kit.opened() as log:
            claim = {"type": "claim", "bytes": 20_000, "summary": "Minutes"}
            assert isinstance(await refusal(log, wish(1, body=claim)), Rejected)

    async def test_a_refusal_is_final_for_its_attempt(self, kit: LogKit) -> None:
        """A copy that comes when it would pass is refused as the first was: `refused` is certain (D9)."""
        async with kit.opened() as log:
            created = wish(1, user="bob")
            early = change(2, "reaction.add", created)
            first = await refusal(log, early)
            await append(log, created)

            again = await refusal(log, early)

            assert (type(again), str(again)) == (type(first), str(first))
            assert isinstance(again, MessageNotFound)

    async def test_a_refusal_outlives_its_deadline_and_what_its_lane_did_since(self, kit: LogKit) -> None:
        """The copy is refused, neither late nor overtaken: made anew it would be taken behind its target (D9, D27)."""
        async with kit.opened() as log:
            created = wish(1, user="bob")
            early = change(2, "reaction.add", created)
            first = await refusal(log, early)
            await append(log, created, wish(3))
            overtaken = await refusal(log, early)
            now = (await state(log)).now
            await kit.later(log)

            late = await refusal(log, early._replace(not_after=now))

            assert {type(error) for error in (first, overtaken, late)} == {MessageNotFound}
            assert {str(error) for error in (first, overtaken, late)} == {str(first)}

    async def test_a_manual_retry_after_a_refusal_is_weighed_anew(self, kit: LogKit) -> None:
        """It takes a new number, and so is another attempt (D7)."""
        async with kit.opened() as log:
            created = wish(1, user="bob")
            await refusal(log, change(2, "reaction.add", created))
            await append(log, created)

            assert await outcomes(log, change(2, "reaction.add", created, seq=3)) == ["new"]

    async def test_errors_hold_no_text(self, kit: LogKit) -> None:
        """A refusal names channel and message, never the body (I16)."""
        async with kit.opened() as log:
            secret = {"type": "text", "text": "open sesame"}
            created = wish(1)
            await append(log, created)
            for entry in (
                change(2, "message.update", created, user="bob", body=secret),
                wish(3, channel="sales", body=secret),
                wish(4, kind="typing", body=secret),
                wish(5)._replace(data=wish(5, body=secret).data[:-1]),
            ):
                error = await refusal(log, entry)
                assert "sesame" not in f"{error} {error!r} {error.hint}"

    # -- many at once

    async def test_writers_at_once_lose_double_and_shuffle_nothing(self, kit: LogKit) -> None:
        """Overlapping retries of several lanes through several doors: dense serials, each lane in order (D9)."""
        lanes, each = 4, 12

        async def write(log: Log, lane: int) -> None:
            def entry(number: int) -> Outgoing:
                return wish(lane * 100 + number, device=f"device{lane}", seq=number)

            done = 0
            while done < each:
                group = [entry(number) for number in range(max(1, done - 1), min(each, done + 3) + 1)]
                one, other = await asyncio.gather(append(log, *group), append(log, *group))
                assert {ack.outcome for ack in (*one, *other)} <= {"new", "duplicate"}
                assert [a.key for a in one] == [b.key for b in other]
                done = min(each, done + 3)

        async with kit.opened() as one, kit.opened() as other:
            await asyncio.gather(*(write((one, other)[lane % 2], lane) for lane in range(lanes)))

            kept = (await one.entries(SUPPORT, after=None, limit=1000)).items
        assert [item.stamp.key for item in kept] == [key(number) for number in range(1, lanes * each + 1)]
        assert [item.stamp.prev for item in kept] == ["", *(item.stamp.key.serial for item in kept[:-1])]
        for lane in range(lanes):
            mine = [text_of(item.data) for item in kept if f"device{lane}" in item.data.decode()]
            assert mine == [f"text {lane * 100 + number}" for number in range(1, each + 1)]
