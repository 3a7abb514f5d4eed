"""The program that changes its provider, over emulators of both, beside one log in PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pusher
import pytest

import chatkit
from chatkit import CustomEvent, ForeignFrame
from chatkit.logs.postgres import migrate, migrate_supabase
from chatkit.testing.emulators.ably import Fault
from chatkit.testing.emulators.supabase import SupabaseEmulator
from tests.adapters.ably.app import PATIENCE, texts, until
from tests.adapters.ably.app import App as AblyApp
from tests.adapters.ably.tokens import KEY, SECRET
from tests.adapters.pusher.app import App as PusherApp
from tests.examples.test_examples import EXAMPLES, environment
from tests.logs import postgres_server

pytestmark = [pytest.mark.long, pytest.mark.realtime]


@pytest.fixture
def log() -> Generator[str]:
    """An empty log."""
    with postgres_server.server() as dsn, postgres_server.database(dsn) as found:
        migrate(found)
        yield found


class Program:
    """The example in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[str] = []

    async def line(self, text: str) -> None:
        """Wait until it says this."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while text not in self.said:
                line = await self._process.stdout.readline()
                assert line, self.said
                self.said.append(line.decode().rstrip())

    async def end(self) -> int:
        """Ask it to end; returns its code."""
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), 30)


@asynccontextmanager
async def program(folder: Path, url: str, secret: str, log: str) -> AsyncGenerator[Program]:
    """The example, listening; it ends cleanly."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "switch_provider.py"),
        cwd=folder,
        env=environment(folder, url) | {"CHATKIT_SECRET": secret, "CHATKIT_LOG": log},
        stdout=asyncio.subprocess.PIPE,
    )
    found = Program(process)
    try:
        await found.line("listening")
        yield found
        assert await found.end() == 0
    finally:
        if process.returncode is None:
            process.kill()
            _ = await process.wait()


async def test_what_was_said_at_pusher_is_there_at_ably(log: str, tmp_path: Path) -> None:
    """The same program, store and log: messages of both are in one timeline, events of the app's own pass both
    ways, and what an old page said is taken over once, however often its frame came (D14, D27, I2).
    """
    async with PusherApp() as app, app.backend("bob", log=log) as bob:
        channel = bob.channel("support")
        ticks = channel.events(CustomEvent)
        await channel.attach(timeout=PATIENCE)
        async with program(tmp_path, app.url(), "app-secret", log) as running:
            assert running.said[0] == "{'history': 'emulated', 'resume': 'emulated', 'presence': 'emulated'}"
            assert dict((await ticks.next(timeout=PATIENCE)).data) == {"eur": 12}
            page = pusher.Pusher(
                "1001", "app-key", "app-secret", host="127.0.0.1", port=app.emulator.port, ssl=False
            )
            _ = await asyncio.to_thread(page.trigger, "presence-support", "new-comment", "from an old page")
            await running.line("said: from an old page")
            _ = await channel.send("at Pusher")
            await channel.emit("price-tick", {"eur": 13})
            await running.line("said: at Pusher")
            await running.line("price: 13")

    async with AblyApp() as other, other.backend("bob", log=log) as bob:
        channel = bob.channel("support")
        _ = channel.timeline
        ticks, strays = channel.events(CustomEvent), channel.events(ForeignFrame)
        await channel.attach(timeout=PATIENCE)
        async with program(tmp_path, other.url, SECRET, log) as running:
            assert running.said[1:3] == ["so far: from an old page", "so far: at Pusher"]
            assert dict((await ticks.next(timeout=PATIENCE)).data) == {"eur": 12}
            other.emulator.add_fault(Fault(does="duplicate", way="out", action="MESSAGE", times=2))  # to each
            async with httpx.AsyncClient(base_url=other.emulator.url, auth=(KEY, SECRET)) as page:
                comment = {"name": "new-comment", "data": "from the same page"}
                _ = (await page.post("/channels/support/messages", json=comment)).raise_for_status()
            first, again = [await strays.next(timeout=PATIENCE) for _ in range(2)]
            assert first.event_id == again.event_id
            await running.line("said: from the same page")
            _ = await channel.send("at Ably")
            await channel.emit("price-tick", {"eur": 14})
            await running.line("said: at Ably")
            await running.line("price: 14")

            said = ["from an old page", "at Pusher", "from the same page", "at Ably"]
            await until(lambda: texts(channel) == said, "all is in one timeline")
            assert [line for line in running.said if line.startswith("said")] == [
                "said: from the same page",
                "said: at Ably",
            ]


async def test_both_at_once_read_what_the_other_appended(tmp_path: Path) -> None:
    """One log, a client at each provider: nobody tells the other, who looks within `staleness` (D16)."""
    log = f"sqlite:///{tmp_path}/log.db"
    async with (
        PusherApp() as app,
        AblyApp() as other,
        app.backend("ada", log=log, staleness=1) as ada,
        other.backend("bob", log=log, staleness=1) as bob,
    ):
        mine, theirs = ada.channel("support"), bob.channel("support")
        for channel in (mine, theirs):
            _ = channel.timeline
            await channel.attach(timeout=PATIENCE)
        _ = await mine.send("at Pusher")
        await until(lambda: texts(theirs) == ["at Pusher"], "who is at Ably reads it")
        _ = await theirs.send("at Ably")
        await until(lambda: texts(mine) == ["at Pusher", "at Ably"], "and is read at Pusher")


async def test_a_log_in_a_projects_database_is_that_of_supabase(log: str, tmp_path: Path) -> None:
    """The same store moves from Ably to Supabase; what was said there is here, and what goes on being said (D16)."""
    store = tmp_path / "ada.db"
    async with AblyApp() as app, SupabaseEmulator(database=log) as supabase:
        async with app.backend("ada", log=log, store=store) as ada:
            _ = await (await ada.channel("support").send("at Ably")).wait("sent", timeout=PATIENCE)
        migrate_supabase(log)
        url = f"supabase://{supabase.authority.service_key}@127.0.0.1:{supabase.port}?tls=0"
        async with (
            chatkit.connect(url, user="ada", store=store, rebind=True) as ada,
            app.backend("bob", log=log, staleness=1) as bob,
        ):
            mine, theirs = ada.channel("support"), bob.channel("support")
            for channel in (mine, theirs):
                _ = channel.timeline
                await channel.attach(timeout=PATIENCE)
            _ = await mine.send("at Supabase")
            await until(lambda: texts(theirs) == ["at Ably", "at Supabase"], "it is read at Ably")
            _ = await theirs.send("at Ably again")

            said = ["at Ably", "at Supabase", "at Ably again"]
            await until(lambda: texts(mine) == said, "and is heard at Supabase")
