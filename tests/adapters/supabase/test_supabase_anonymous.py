"""Nobody signs in: what a project opens to anybody is read by its public key alone."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.adapters.supabase import factory
from chatkit.model.config import Config
from tests.adapters.supabase.app import PATIENCE, App, until
from tests.adapters.supabase.kit import SupabaseKit

pytestmark = pytest.mark.realtime

_NUMBERS: Final = count(1)


@pytest.fixture
def name() -> str:
    """A channel that nobody has used before."""
    return f"news-{next(_NUMBERS)}"


def visitor(app: App, key: str | None = None) -> chatkit.Chat:
    """A client of nobody."""
    return chatkit.connect(f"{app.url(key)}&anonymous=1", user="visitor", store=":memory:")


async def told(events: chatkit.Stream[MessageCreated | Discontinuity], number: int) -> list[str]:
    """What so many messages say; a gap is one."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < number:
            event = await anext(events)
            found.append(event.message.text if isinstance(event, MessageCreated) else event.reason)
    return found


@pytest.mark.parametrize("kind", ["anon", "publishable"])
async def test_what_is_open_to_anybody_is_read(database: str, name: str, kind: str) -> None:
    """Its history, what is live, what was missed, and what is searched for; by keys of both kinds."""
    async with App(database) as app, app.member("ada") as ada:
        await app.sql(f"SELECT chatkit.add_member('{name}', '', writes => false)")
        news = ada.channel(name)
        _ = await (await news.send("before")).wait("sent", timeout=PATIENCE)
        key = None if kind == "anon" else app.emulator.settings.publishable_key
        async with visitor(app, key) as chat:
            channel = chat.channel(name)
            events = channel.events(MessageCreated, Discontinuity)
            await channel.attach(timeout=PATIENCE)
            before = [message.text for message in (await channel.history()).items]
            _ = await (await news.send("live")).wait("sent", timeout=PATIENCE)
            live = await told(events, 1)
            await app.cut()
            for number in range(3):
                _ = await (await news.send(f"away {number}")).wait("sent", timeout=PATIENCE)
            away = await told(events, 3)
            hits = [message.text for message in (await channel.search("away")).items]

    assert before == ["before"]
    assert live == ["live"]
    assert away == ["away 0", "away 1", "away 2"]
    assert hits == away[::-1]


async def test_what_nobody_sends_is_refused(database: str, name: str) -> None:
    """The delivery says that nobody is signed in; nothing stays queued, and reading goes on."""
    async with App(database) as app, app.member("ada") as ada, visitor(app) as chat:
        await app.sql(f"SELECT chatkit.add_member('{name}', '', writes => false)")
        channel = chat.channel(name)
        events = channel.events(MessageCreated, Discontinuity)
        await channel.attach(timeout=PATIENCE)

        delivery = await channel.send("let me in")
        with pytest.raises(chatkit.DeliveryFailed):
            await delivery.wait("sent", timeout=PATIENCE)
        _ = await (await ada.channel(name).send("news")).wait("sent", timeout=PATIENCE)

        assert isinstance(delivery.error, chatkit.NotAllowed)
        assert "nobody is signed in" in str(delivery.error)
        assert "auth=" in delivery.error.hint
        assert await told(events, 1) == ["news"]
        assert chat.outbox.depth == 0


async def test_what_is_open_to_users_alone_is_closed_to_nobody_else(database: str, name: str) -> None:
    """`--everyone` means whoever is signed in."""
    async with App(database) as app, visitor(app) as chat:
        channel = chat.channel(name)
        with pytest.raises(chatkit.NotAllowed):
            await channel.attach(timeout=PATIENCE)
        with pytest.raises(chatkit.NotAllowed):
            await channel.history()


async def test_nobody_is_present(database: str, name: str) -> None:
    """A visitor sees who is there, and is not there."""
    async with App(database) as app, app.member("ada") as ada, visitor(app) as chat:
        await app.sql(f"SELECT chatkit.add_member('{name}', '', writes => false)")
        theirs, mine = ada.channel(name), chat.channel(name)
        await theirs.presence.enter()
        await mine.presence.enter()
        await until(lambda: set(mine.presence.members) >= {"ada"}, "ada is there")
        await until(lambda: isinstance(mine.presence.error, chatkit.NotAllowed), "it is told")

        assert "visitor" not in theirs.presence.members


async def test_without_the_option_a_token_is_asked_for(database: str) -> None:
    """Whoever forgot `auth=` is told so, instead of being nobody."""
    async with App(database) as app:
        with pytest.raises(chatkit.ConfigError, match="asks for a token"):
            async with chatkit.connect(app.url(), user="ada", store=":memory:") as chat:
                await chat.channel("news").attach(timeout=PATIENCE)


@pytest.mark.parametrize(("anonymous", "user"), [(False, "ada"), (True, None)])
async def test_a_token_alone_proves_who_it_is(database: str, *, anonymous: bool, user: str | None) -> None:
    """A name beside a key is the client's own word (D2)."""
    kit = SupabaseKit(database, mode="database", anonymous=anonymous)
    async with kit.serving():
        adapter = kit.adapter("ada")
        session = await adapter.open()
        await adapter.aclose()

    assert session.user == user


def test_private_broadcasts_are_heard_likewise() -> None:
    """Where policies of the app's own let anybody hear."""
    found = factory.configure(Config.from_url("supabase://KEY@abc?mode=broadcast&private=1&anonymous=1"))

    assert found.anonymous
