"""Who vouches for a message: the same to whoever sent it and to whoever hears it (D2)."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import pytest

import chatkit
from chatkit.adapters.supabase import SupabaseConfig, factory
from chatkit.logs.memory import MemoryLog
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts
from tests.adapters.supabase.app import PATIENCE, App, until

BROADCAST: Final = "&mode=broadcast&payload=3000"
KEY: Final = "sb_secret_x"


@pytest.mark.parametrize(
    ("fields", "logged", "vouched"),
    [
        ({}, False, "provider"),
        ({"secret": KEY}, False, "provider"),
        ({"mode": "broadcast"}, False, "none"),
        ({"mode": "broadcast", "private": True}, False, "none"),
        ({"mode": "broadcast", "secret": KEY}, False, "none"),
        ({"mode": "broadcast", "secret": KEY}, True, "backend"),
    ],
)
async def test_who_vouches_is_declared(
    clock: VirtualClock, fields: dict[str, Any], logged: bool, vouched: str
) -> None:
    """The database knows who signed in; a broadcast says nothing of who sent it, to nobody, not even the key."""
    config = SupabaseConfig(credential="anon", place="abc", **fields)
    log = MemoryLog(clock, Random(1)) if logged else None

    adapter = factory.build(config, parts("ada", clock, log=log))
    await adapter.aclose()

    assert adapter.capabilities.attested == vouched


@pytest.mark.realtime
@pytest.mark.parametrize(("config", "vouched"), [("", "provider"), (BROADCAST, "none")])
@pytest.mark.parametrize("backend", [False, True])
async def test_my_own_message_counts_as_the_others_have_it(
    database: str, config: str, vouched: str, backend: bool
) -> None:
    """Of broadcasts nobody knows who sent them, so my own are no backend's: that is what the others see."""
    name = f"vouching-{vouched}-{backend}"
    async with App(database, config) as app, app.member("bob") as bob:
        ada = app.backend("ada") if backend else app.member("ada")
        async with ada:
            mine, theirs = ada.channel(name), bob.channel(name)
            for channel in (mine, theirs):
                _ = channel.timeline
                await channel.attach(timeout=PATIENCE)
            _ = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
            await until(lambda: _shown(mine) == _shown(theirs) == [("Hello", "sent")], "both show it")

            assert [_vouched(channel) for channel in (mine, theirs)] == [[vouched], [vouched]]


def _shown(channel: chatkit.Channel) -> list[tuple[str, str]]:
    return [(message.text, message.status) for message in channel.timeline.view.messages]


def _vouched(channel: chatkit.Channel) -> list[str]:
    return [message.attested for message in channel.timeline.view.messages]
