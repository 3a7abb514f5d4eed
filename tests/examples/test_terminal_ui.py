"""`examples/terminal_ui.py` as somebody at its keyboard meets it; without a terminal."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, ListView, Static

import chatkit
from chatkit.adapters.memory.hubs import forget_hub

if TYPE_CHECKING:
    from textual.app import App
    from textual.pilot import Pilot

PROGRAM = Path(__file__).parents[2] / "examples" / "terminal_ui.py"
NAME = "terminal-ui"

pytestmark = pytest.mark.realtime  # Textual keeps time by the system's clock


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """An empty provider, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATKIT_URL", f"memory://{NAME}")
    yield
    forget_hub(NAME)


class Screen:
    """What the program shows."""

    def __init__(self, app: App[None], pilot: Pilot[None]) -> None:
        self.app: Any = app
        self.pilot = pilot

    @property
    def rows(self) -> list[str]:
        rows = self.app.query_one(ListView).children
        return [str(row.query_one(Static).render()) for row in rows]

    def text(self, place: str) -> str:
        return str(self.app.query_one(place, Static).render())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the program shows it."""
        async with asyncio.timeout(30):
            while not holds():
                await self.pilot.pause()

    async def type(self, text: str) -> None:
        box = self.app.query_one(Input)
        box.focus()
        box.insert_text_at_cursor(text)
        await self.pilot.pause()


@asynccontextmanager
async def running() -> AsyncGenerator[Screen]:
    app: App[None] = runpy.run_path(str(PROGRAM))["ChatApp"]()
    async with app.run_test() as pilot:
        yield Screen(app, pilot)
        await app.action_quit()  # as Ctrl-Q does


async def test_two_people_talk() -> None:
    """What was said before shows, then what each says, who types, and that nothing is unread any more."""
    async with chatkit.connect(user="bob", store=":memory:") as bob:
        room = bob.channel("support")
        await room.attach(timeout=10)
        await (await room.send("before")).wait(timeout=10)
        async with running() as screen:
            await screen.until(lambda: screen.rows == ["bob: before"])
            await screen.until(lambda: screen.text("#banner").split() == ["connected", "0", "unread"])
            await screen.type("hi")
            await screen.until(lambda: room.typing.users == {"ada"})
            await screen.pilot.press("enter")
            await screen.until(lambda: screen.rows == ["bob: before", "ada: hi"])
            assert screen.app.query_one(Input).value == ""

            await room.typing.keystroke()
            await screen.until(lambda: screen.text("#typing") == "bob typing")
            hostile = await room.send("[/b] [red]what [link")
            await screen.until(lambda: screen.rows[2:] == ["bob: [/b] [red]what [link"])
            await screen.until(lambda: screen.text("#typing") == "")
            await room.edit(hostile, "what")
            await screen.until(lambda: screen.rows[2:] == ["bob: what"])
        report = screen.app.chat.report
        assert (report.clean, report.queued) == (True, 0)


async def test_what_fails_is_marked_and_sent_again_when_chosen() -> None:
    """Its status stands beside it; what cannot be sent at all stays in the box, and nothing falls over."""
    async with running() as screen:
        await screen.until(lambda: screen.text("#banner").startswith("connected"))
        network = screen.app.chat._setup.context.adapter._hub.network
        network.refuse("ada", chatkit.Rejected("no"), calls={"publish"})
        await screen.type("hi")
        await screen.pilot.press("enter")
        await screen.until(lambda: screen.rows == ["ada: hi [failed]"])
        network.refuse("ada", None, calls={"publish"})
        rows = screen.app.query_one(ListView)
        rows.focus()
        rows.index = 0
        await screen.pilot.press("enter")
        await screen.until(lambda: screen.rows == ["ada: hi"])

        await screen.type("")
        await screen.pilot.press("enter")
        await screen.until(lambda: bool(screen.app._notifications))
        assert screen.rows == ["ada: hi"]


async def test_offline_it_shows_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, with what was written since beside it, queued."""
    async with running() as screen:
        await screen.type("hi")
        await screen.pilot.press("enter")
        await screen.until(lambda: screen.rows == ["ada: hi"])
        await asyncio.wait_for(screen.app.chat.outbox.flush(), 10)
    monkeypatch.setenv("CHATKIT_URL", f"memory://{NAME}?offline=1")
    monkeypatch.setattr(chatkit, "connect", partial(chatkit.connect, drain=0))  # no time is waited out
    async with running() as screen:
        await screen.until(lambda: screen.rows == ["ada: hi"])
        await screen.type("later")
        await screen.pilot.press("enter")
        await screen.until(lambda: len(screen.rows) == 2)
        assert screen.rows[1].startswith("ada: later [")
