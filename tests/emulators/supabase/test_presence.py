"""Presence: state, diffs, limits, and who is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulators.supabase.raw import Raw, serving

pytestmark = pytest.mark.realtime


def enabled(key: str = "", **more: Any) -> dict[str, Any]:
    return {"presence": {"enabled": True, "key": key}, **more}


async def present(raw: Raw, event: str, payload: Any = None, name: str = "room") -> Any:
    told = {"type": "presence", "event": event, **({} if payload is None else {"payload": payload})}
    return await raw.answer(f"realtime:{name}", "presence", told)


async def test_members_come_change_and_go_by_their_refs(database: str) -> None:
    """A change leaves the old meta and joins the new one; what is the same again is no change."""
    async with serving(database) as raws:
        ann, ben = await raws.open(), await raws.open()
        await ann.join("room", enabled("ann"))
        assert await ann.hear_only("presence_state") == {}
        assert await present(ann, "TRACK", {"mood": "good"}) == ("ok", {})
        joined = await ann.hear_only("presence_diff")
        meta = joined["joins"]["ann"]["metas"][0]
        assert (meta["mood"], joined["leaves"]) == ("good", {})

        await ben.join("room", enabled("ann"))  # another device of hers
        assert await ben.hear_only("presence_state") == {"ann": {"metas": [meta]}}
        assert await present(ben, "track", {"mood": "bad"}) == ("ok", {})
        for raw in (ann, ben):
            await raw.hear_only("presence_diff")
        assert await present(ann, "track", {"mood": "good"}) == ("ok", {})
        assert await present(ann, "track", {"mood": "odd"}) == ("ok", {})
        changed = await ann.hear_only("presence_diff")
        new = changed["joins"]["ann"]["metas"][0]
        assert (new["phx_ref_prev"], changed["leaves"]) == (meta["phx_ref"], {"ann": {"metas": [meta]}})
        assert await ben.hear_only("presence_diff") == changed

        await ann.socket.close()
        assert (await ben.hear_only("presence_diff"))["leaves"] == {"ann": {"metas": [new]}}
        assert await present(ben, "untrack") == ("ok", {})
        await ben.hear_only("presence_diff")
        assert await present(ben, "untrack") == ("ok", {})
        await ben.nothing_more()


async def test_who_did_not_enable_presence_gets_diffs_and_no_state(database: str) -> None:
    """Also by tracking; without a key the server makes one."""
    async with serving(database) as raws:
        ann, ben = await raws.open(), await raws.open()
        await ann.join("room", enabled())
        await ann.hear_only("presence_state")
        await ben.join("room")
        await present(ann, "track")
        await ann.hear_only("presence_diff")
        (key,) = (await ben.hear_only("presence_diff"))["joins"]
        assert len(key) == 36
        await present(ben, "track", {})
        assert (await ben.hear_only("presence_diff"))["leaves"] == {}
        await ben.nothing_more()


async def test_what_presence_cannot_take_is_answered(database: str) -> None:
    """No map, an event that it does not know; without an event it does nothing."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room")
        reason = {"reason": "Presence track payload must be a map"}
        assert await present(raw, "track", [1]) == ("error", reason)
        assert await present(raw, "jump") == ("error", {})
        assert await raw.answer("realtime:room", "presence", {}) == ("ok", {})


async def test_the_sixth_call_in_thirty_seconds_closes_the_channel(database: str) -> None:
    """Repeats count as well; another window starts afresh."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room", enabled("a"))
        await raw.hear_only("presence_state")
        for _ in range(2):
            for step in range(5):
                assert await present(raw, "track", {}) == ("ok", {})
                if step == 0 and not _:
                    await raw.hear_only("presence_diff")
            raws.emulator.clock.advance(31.0)
        for _ in range(5):
            await present(raw, "track", {})
        await raw.say("realtime:room", "presence", {"event": "untrack"})
        assert (await raw.hear_only("system"))["message"] == "Client presence rate limit exceeded"
        await raw.hear_only("phx_close")
        await raw.nothing_more()


async def test_too_much_presence_closes_the_channel(database: str) -> None:
    """A payload that is too large, and the project's rate."""
    async with serving(database, payload_kb=1, presence_events_per_second=2) as raws:
        raw = await raws.open()
        await raw.join("room")
        await raw.say("realtime:room", "presence", {"event": "track", "payload": {"x": "y" * 1_500}})
        assert (await raw.hear_only("system"))["message"] == "Track message size exceeded"
        await raw.hear_only("phx_close")
        await raw.join("room")
        raws.emulator.project.presence_events.count(30)
        raws.emulator.clock.advance(5.0)
        await raw.say("realtime:room", "presence", {"event": "track", "payload": {}})
        assert (await raw.hear_only("system"))["message"] == "Too many presence messages per second"


async def test_policies_tell_presence_from_broadcasts(database: str) -> None:
    """Who may not read presence is not told; who may not write it is refused; it is asked when first needed."""
    policy = """
        CREATE POLICY "see" ON realtime.messages FOR SELECT TO authenticated
          USING (extension = 'broadcast' OR auth.jwt() ->> 'sees' = 'yes');
        CREATE POLICY "be" ON realtime.messages FOR INSERT TO authenticated
          WITH CHECK (extension = 'presence' AND auth.jwt() ->> 'sees' = 'yes');
    """
    async with serving(database, policy=policy) as raws:
        try:
            seer, blind = await raws.open(key=raws.token(sees="yes")), await raws.open()
            await blind.join("room", enabled("b", private=True))
            assert await present(blind, "track", {}) == ("error", {})
            await seer.join("room", {"private": True, "presence": {"key": "s"}})
            assert await present(seer, "track", {}) == ("ok", {})
            assert list((await seer.hear_only("presence_diff"))["joins"]) == ["s"]
            await blind.nothing_more()
            await seer.broadcast("room", "e", 1)
            await seer.nothing_more()
            await blind.nothing_more()
        finally:
            await raws.sql('DROP POLICY "see" ON realtime.messages; DROP POLICY "be" ON realtime.messages')
