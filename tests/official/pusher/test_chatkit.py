"""A page on pusher-js beside two clients of chatkit: one of a backend, one that asks the app."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import chatkit
from chatkit.model.values import format_time

if TYPE_CHECKING:
    from pathlib import Path

    from tests.official.pusher.clients import Client
    from tests.official.pusher.kit import Kit

PATIENCE: Final = 30.0


def written(kind: str, room: str, body: Any = None, **fields: Any) -> dict[str, Any]:
    """Return an envelope as a page writes it (docs/wire.md)."""
    now = time.time()
    envelope = {
        "v": 1,
        "id": str(uuid4()),
        "kind": kind,
        "channel": room,
        "sender": {"user": "page", "device": "browser1"},
        "hlc": f"{int(now * 1000):012x}-0000",
        "at": format_time(datetime.fromtimestamp(now, UTC)),
        "body": body,
        **fields,
    }
    return {name: value for name, value in envelope.items() if value is not None}


def heard(page: Client, kind: str) -> list[dict[str, Any]]:
    """Return the envelopes of a kind that a page was given."""
    events = [each["data"] for each in page.seen if each["saw"] == "event"]
    found = [json.loads(each) if isinstance(each, str) else each for each in events if each]
    return [each for each in found if each.get("kind") == kind]


async def until(done: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not done():
                await asyncio.sleep(0.02)
    assert done(), what


async def sees_members(page: Client, name: str, count: int) -> None:
    """Wait until a page counts so many members: each is told of whoever comes in its own time."""
    async with asyncio.timeout(PATIENCE):
        while (await asyncio.to_thread(page.do, "members", name))["count"] != count:
            await asyncio.sleep(0.02)


async def sees_the_page(channel: chatkit.Channel) -> None:
    """Wait until a client shows what the page did."""
    await until(lambda: "page" in channel.typing.users, "the page types")
    await until(lambda: _shown(channel)[-1] == "from the page, edited", "the edit is shown")
    await until(lambda: bool(channel.timeline.view.messages[0].reactions), "the reaction, too")


def test_a_page_takes_part(kit: Kit) -> None:
    """Messages, edits, reactions, typing and presence pass between all three, by the envelope alone (D2)."""
    room = kit.name()
    page = kit.client(user="page", info="{}").subscribe(f"presence-{room}")
    where = f"host={kit.server.host}&port={kit.server.port}&tls=0"

    async def auth(request: chatkit.AuthRequest) -> dict[str, Any]:
        member = {"user_id": request.user}
        found: dict[str, Any] = kit.official.authenticate(
            request.params["channel_name"], request.params["socket_id"], member
        )
        return found

    async def say(envelope: dict[str, Any]) -> None:
        sent = await asyncio.to_thread(page.do, "trigger", f"presence-{room}", "client-chatkit", envelope)
        assert sent is True

    async def story() -> None:
        backend = chatkit.connect(
            f"pusher://app-key:app-secret@local/1001?{where}", user="desk", store=":memory:"
        )
        member = chatkit.connect(
            f"pusher://app-key@local/1001?{where}", user="ada", store=":memory:", auth=auth
        )
        async with backend, member:
            mine, theirs = backend.channel(room), member.channel(room)
            _ = mine.timeline, theirs.timeline
            await mine.attach(timeout=PATIENCE)
            await theirs.attach(timeout=PATIENCE)
            await until(lambda: {"page", "desk", "ada"} <= set(theirs.presence.members), "all are there")
            await sees_members(page, f"presence-{room}", 3)

            first = await (await mine.send("from the backend")).wait("sent", timeout=PATIENCE)
            second = await (await theirs.send("from a member")).wait("sent", timeout=PATIENCE)
            await until(lambda: len(heard(page, "message.create")) == 2, "the page hears both")
            hello = written("message.create", room, {"type": "text", "text": "from the page"})
            await say(hello)
            await until(lambda: _texts(mine) == _texts(theirs) == 3 * [True], "both hear the page")

            ref = {"id": first.message_id, "user": "desk"}
            await say(written("reaction.add", room, {"type": "reaction", "emoji": "👍"}, ref=ref))
            await say(
                written(
                    "message.update",
                    room,
                    {"type": "text", "text": "from the page, edited"},
                    ref={"id": hello["id"], "user": "page"},
                )
            )
            await say(written("typing", room, {"type": "typing", "active": True}, ttl=6_000))
            for channel in (mine, theirs):
                await sees_the_page(channel)

            _ = await theirs.react(second, "🎉")
            _ = await mine.edit(first, "from the backend, edited")
            await mine.typing.keystroke()
            await until(lambda: len(heard(page, "reaction.add")) == 1, "the page hears a reaction")
            await until(lambda: len(heard(page, "message.update")) == 1, "and an edit")
            await until(lambda: len(heard(page, "typing")) >= 1, "and who types")
            assert [m.attested for m in theirs.timeline.view.messages] == ["backend", "provider", "provider"]

            await say({**hello, "id": str(uuid4()), "sender": {"user": "desk", "device": "browser1"}})
            await until(
                lambda: member.health().checks["counters"].get("foreign:forged_sender") == 1, "forged"
            )

    asyncio.run(story())


def test_a_page_sees_a_message_that_is_too_large_for_it(kit: Kit, tmp_path: Path) -> None:
    """Who sent it, how it begins and how large it is: its backend has the log, and the rest (D29)."""
    room = kit.name()
    page = kit.client(user="page", info="{}").subscribe(f"presence-{room}")
    where = f"host={kit.server.host}&port={kit.server.port}&tls=0"
    minutes = "Minutes: " + "so it was said. " * 2_000

    async def story() -> None:
        backend = chatkit.connect(
            f"pusher://app-key:app-secret@local/1001?{where}",
            user="desk",
            store=":memory:",
            log=f"sqlite:///{tmp_path}/log.db",
        )
        async with backend:
            _ = await (await backend.channel(room).send(minutes)).wait("sent", timeout=PATIENCE)
            await until(lambda: len(heard(page, "message.create")) == 1, "the page hears of it")

    asyncio.run(story())
    (told,) = heard(page, "message.create")
    assert told["sender"]["user"] == "desk"
    assert told["body"]["type"] == "claim"
    assert told["body"]["summary"] == minutes[:200]
    assert told["body"]["bytes"] > len(minutes)


def _shown(channel: chatkit.Channel) -> list[str]:
    return [message.text for message in channel.timeline.view.messages]


def _texts(channel: chatkit.Channel) -> list[bool]:
    said = ["from the backend", "from a member", "from the page"]
    return [text in said for text in _shown(channel)]
