"""I16: no body, token or secret in log lines, errors, reprs, points, warnings or health, whatever happens."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from pydantic import BaseModel, field_validator

import chatkit
from chatkit.adapters.memory import MemoryConfig, new_hub
from chatkit.connecting import Secrets
from chatkit.engine.accepting import Acceptor
from chatkit.engine.system import logger
from chatkit.errors import AuthenticationError, NotAllowed, Rejected, TransportError
from chatkit.model import bodies
from chatkit.model.entry import Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.message import Message
from chatkit.model.order import OrderKey
from chatkit.ports import Foreign, Moved, Present, Received
from chatkit.testing.clock import settle
from chatkit.testing.death import kill
from tests.spying import Canaries, Spy

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.adapters.memory.hub import Hub
    from chatkit.ports import Row
    from chatkit.testing.clock import VirtualClock

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


@chatkit.message_type("test.secrecy.v1")
class Ballot(BaseModel):
    """A body of the app's own that quotes what it refuses."""

    choice: str

    @field_validator("choice")
    @classmethod
    def _known(cls, choice: str) -> str:
        if choice.startswith("kanari-refused"):
            raise ValueError(f"no such choice: {choice}")
        return choice


class Nosy:
    """Middleware that breaks."""

    async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        if draft.meta.get("refuse"):
            raise NotAllowed("not today")
        return draft

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        raise RuntimeError("middleware breaks, in words of its own")


class Story:
    """A day of a client on which all goes wrong; everything private in it is a canary.

    Args:
        clock: Its time.
        folder: For stores and logs.
    """

    def __init__(self, clock: VirtualClock, folder: Path) -> None:
        self.say = Canaries()
        self.spy = Spy(self.say)
        self._clock = clock
        self._folder = folder
        self._hub: Hub = new_hub("stage", clock=clock, random=random.Random(1))

    def _chat(self, user: str, **options: Any) -> chatkit.Chat:
        config = MemoryConfig(hub=self._hub, secret=self.say.config_secret)
        known: dict[str, Any] = {"store": self._folder / f"{user}.db", "seed": 1, "observer": self.spy}
        return chatkit.connect(config, user=user, clock=self._clock, **(known | options))

    async def tell(self) -> list[str]:
        """Tell it, and return what was let out."""
        with self.spy.listening():
            await self._set_up()
            await self._talk()
            await self._with_a_log()
            await self._on_a_broken_file()
        return self.spy.found

    async def _set_up(self) -> None:
        """Secrets in URL, environment, `auth=`; set-ups that are refused."""
        spy, say = self.spy, self.say
        urls = (
            f"pusher://KEY:{say.url_secret}@eu/app",
            f"memory://x:{say.url_secret}",
            f"memory://{say.url_secret}@x",
            f"pusher//{say.url_secret}",
            f"nothing://k:{say.url_secret}@x?{say.url_secret}=1",
        )
        for url in urls:
            await spy.failing(partial(_connecting, url))
        dsn = f"postgresql://ada:{say.dsn_password}@127.0.0.1:port/x"
        for log in (dsn, f"mysql://ada:{say.dsn_password}@h/x", f"sqlite://{say.dsn_password}@h/x"):
            await spy.failing(partial(_connecting, "memory://secrecy", log=log))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHATKIT_SECRET", say.env_secret)
            patch.setenv("CHATKIT_URL", f"pusher://KEY:{say.url_secret}@eu/app")
            spy.reprs(
                chatkit.Config.from_env(), chatkit.Config.from_url("pusher://KEY@eu/1").with_environment()
            )
            await spy.failing(partial(_connecting, None))
        spy.reprs(MemoryConfig(secret=say.config_secret, credential=say.credential))

        async def token(request: chatkit.AuthRequest) -> chatkit.Token:
            return chatkit.Token(value=say.token)

        secrets = Secrets("ada", say.url_secret, token)
        spy.reprs(secrets, await secrets.get(), chatkit.Token(value=say.token))
        await spy.failing(partial(_connecting, "memory://secrecy", auth=say.token))

    async def _talk(self) -> None:  # noqa: PLR0915  # one long day
        spy, say, hub = self.spy, self.say, self._hub
        network = hub.network
        ada, bob = self._chat("ada", on_error=None), self._chat("bob")
        ada.use(Nosy())
        async with ada, bob:
            channel, there = ada.channel("support"), bob.channel("support")
            for one in (channel, there):
                await one.attach(timeout=5)

            @channel.on(chatkit.MessageCreated)
            async def breaks(event: chatkit.MessageCreated) -> None:
                raise RuntimeError("the handler breaks, in words of its own")

            stream = channel.events(overflow="gap")
            tiny = channel.events(chatkit.MessageCreated, buffer=1)

            # What goes well.
            first = await channel.send(say.body, key="k", meta={"trace": say.meta}, topic="tea")
            message = await first.wait("sent", timeout=5)
            card = chatkit.Card(title=say.title, fields={"a": say.field}, text=say.card)
            media = chatkit.Image(source=say.source, caption=say.caption, name=say.name)
            for content in (card, media, Ballot(choice=say.choice), chatkit.Embed(url=say.embed)):
                _ = await (await channel.send(content)).wait("sent", timeout=5)
            edit = await channel.edit(message, say.edited)
            _ = await edit.wait("sent", timeout=5)
            other = await (await there.send(say.others)).wait("sent", timeout=5)
            _ = await channel.react(other, "👍")
            _ = await channel.send(say.reply, reply_to=other)
            _ = await channel.thread(other).send(say.threaded)
            _ = await channel.pin(other)
            _ = await channel.send_stream(_chunks(say.chunk), every=0.1)
            await channel.presence.enter(data={"mood": say.presence})
            _ = await channel.emit("wave", {"to": say.ephemeral})
            await channel.receipts.mark_read()
            _ = await (await channel.send(say.scheduled, send_at=self._clock.wall())).wait("sent", timeout=5)
            gone = await (await channel.send(say.deleted)).wait("sent", timeout=5)
            _ = await (await channel.delete(gone)).wait("sent", timeout=5)
            await settle()

            # What is refused before it is queued.
            await spy.failing(lambda: channel.send(f"{say.nul}\0"))
            await spy.failing(lambda: channel.send(f"{say.surrogate}\ud800"))
            await spy.failing(lambda: channel.send(say.huge * 100_000))
            await spy.failing(lambda: channel.send(say.body, meta={"refuse": say.refused_meta}))
            await spy.failing(lambda: channel.send(say.body, meta={"long": say.meta * 100}))
            await spy.failing(lambda: channel.send(cast("Any", {"a": say.strange})))
            await spy.failing(
                lambda: channel.send(chatkit.Card(title=say.title, fields=cast("Any", {"a": 1})))
            )
            await spy.failing(lambda: channel.send(Ballot.model_construct(choice=cast("Any", object()))))
            await spy.failing(lambda: channel.presence.update(data={"x": say.presence * 100}))
            await spy.failing(lambda: channel.edit(message, say.stale + "\0"))
            await spy.failing(lambda: channel.get("018f6c1e-7b3a-7c11-9d3e-0123456789ab"))
            await spy.failing(lambda: channel.history(before=chatkit.Cursor(say.cursor)))
            await spy.failing(lambda: channel.search(say.query, after=chatkit.Cursor(say.cursor)))
            await spy.failing(lambda: channel.send_stream(_breaking(say.chunk)))

            # What fails on its way.
            network.refuse("ada", Rejected("the provider says no", code="1"), calls={"publish"}, count=1)
            failed = await channel.send(say.rejected)
            await spy.failing(lambda: failed.wait("sent", timeout=60))
            network.refuse("ada", AuthenticationError("wrong key"), calls={"publish"}, count=1)
            _ = await channel.send(say.paused)
            await asyncio.sleep(30)
            network.lose_ack("ada", 1)
            _ = await channel.send(say.doubtful)
            conflict = await channel.edit(message, say.conflict, expected_version=1)
            await spy.failing(lambda: conflict.wait("sent", timeout=60))
            network.cut("ada")
            waiting = await channel.send(say.queued)
            _ = await channel.send(say.expired, expires_in=1.0)
            await spy.failing(lambda: waiting.wait("sent", timeout=5))
            network.refuse("ada", TransportError("gone"), calls={"read"}, count=50)
            await spy.failing(lambda: channel.history(limit=5))
            network.refuse("ada", None)
            spy.hear("health", ada.health().to_json())
            network.heal("ada")
            ada.connection.retry_now()
            await asyncio.sleep(120)

            # What strangers send.
            for frame in self._strange_frames():
                hub.inject("support", frame)
            await settle()
            spy.hear("health", ada.health().to_json())

            # What a program prints.
            await spy.failing(lambda: _drained(tiny))
            async with stream:
                for _ in range(20):
                    spy.reprs(await stream.next(timeout=5))
            view = channel.timeline.view
            spy.reprs(
                ada, channel, channel.thread(other), channel.topic("tea"), channel.presence, channel.receipts
            )
            ours = (
                one.body for one in view.messages if not isinstance(one.body, Ballot)
            )  # that one is the app's
            spy.reprs(view, *view.messages, *ours, channel.timeline)
            spy.reprs(
                ada.outbox, first, failed, *(await ada.outbox.entries()), await channel.history(limit=5)
            )
            spy.reprs(
                *channel.presence.members.values(), await channel.pins(), await channel.thread(other).info()
            )
            spy.reprs(
                await channel.search("kanari"), await channel.versions(message), channel.receipts.unread
            )
            spy.reprs(chatkit.Draft(channel="support", content=say.draft, meta={"a": say.meta}))
            spy.reprs(
                ada.capabilities, ada.connection, chatkit.UnknownBody(type="x", data={"a": say.unknown})
            )
            engine = ada.engine
            spy.reprs(engine.context, *engine.channels.values(), *(await engine.context.store.rows()))
            spy.reprs(*(await engine.context.store.cached("support", before=None, limit=50)))
            spy.reprs(*(await hub.log.entries("support", after=None, limit=50)).items)
            spy.reprs(*(Envelope.parse(row.data) for row in await engine.context.store.rows()))
        spy.reprs(ada.report)
        spy.hear("health", ada.health().to_json())

    def _strange_frames(self) -> list[Any]:
        say = self.say
        sound = {
            "v": 1,
            "id": "018f6c1e-7b3a-7c11-9d3e-0123456789ab",
            "kind": "message.create",
            "channel": "support",
            "sender": {"user": "mallory", "device": "k3v9x2"},
            "at": "2026-11-23T10:00:00.000Z",
        }
        claim = {"type": "claim", "bytes": 9, "summary": say.summary, "fallback": say.fallback}
        claimed = Envelope.from_dict(sound | {"body": claim}).encode()
        stamp = Stamp(OrderKey(7, "9" * 20), None, "other", "mallory", NOON)
        forged = claimed.replace(b"mallory", b"bob")
        raw = [claimed, forged, say.raw.encode(), claimed[:-5], claimed.replace(b'"v":1', b'"v":[]')]
        frames: list[Any] = [
            Received("support", data, "mallory", "provider", stamp, unforgeable=unforgeable)
            for data in raw
            for unforgeable in (False, True)
        ]
        present = Present(
            "mallory", "phone", {"status": 7, "data": {"mood": say.presence}, "x": say.presence}
        )
        return [
            *frames,
            Foreign("support", "event", say.foreign, "not ours"),
            Moved("support", "enter", present),
        ]

    async def _with_a_log(self) -> None:
        """A log of the app's own that breaks, and a client that is killed."""
        spy, say = self.spy, self.say
        path = self._folder / "log.db"
        chat = await self._chat("cleo", log=f"sqlite:///{path}")
        channel = chat.channel("support")
        await channel.attach(timeout=5)
        _ = await (await channel.send(say.logged)).wait("sent", timeout=5)
        _drop(path, "entries")
        broken = await channel.send(say.unlogged)
        await spy.failing(lambda: broken.wait("sent", timeout=60))
        await spy.failing(lambda: channel.history(limit=5))
        spy.hear("health", chat.health().to_json())
        spy.reprs(broken, chat.engine.context.log)
        await kill(chat)

    async def _on_a_broken_file(self) -> None:
        """A store file that is somebody else's, and one that breaks while it is used."""
        spy, say = self.spy, self.say
        await spy.failing(lambda: _opened(self._chat("bob", store=self._folder / "ada.db")))
        (self._folder / "dan.db").write_bytes(say.file.encode() * 100)
        await spy.failing(lambda: _opened(self._chat("dan")))
        chat = await self._chat("eve")
        channel = chat.channel("support")
        _ = await channel.send(say.kept)
        _drop(self._folder / "eve.db", "outbox")
        await spy.failing(lambda: channel.send(say.unkept))
        spy.hear("health", chat.health().to_json())
        spy.reprs(chat, chat.engine.context.store)
        await kill(chat)


def _drop(path: Path, table: str) -> None:
    """Break a file under its owner's hands."""
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"DROP TABLE {table}")


async def _opened(chat: chatkit.Chat) -> None:
    _ = await chat


async def _connecting(url: str | None, **options: Any) -> None:
    _ = chatkit.connect(url, user="ada", store=":memory:", **options)


async def _drained(stream: chatkit.Stream[Any]) -> None:
    while True:
        _ = await stream.next(timeout=5)


async def _chunks(text: str) -> AsyncIterator[str]:
    for _ in range(3):
        yield f"{text} "
        await asyncio.sleep(0.2)


async def _breaking(text: str) -> AsyncIterator[str]:
    yield text
    raise RuntimeError("the app's own words")


async def test_nothing_private_is_let_out(clock: VirtualClock, tmp_path: Path) -> None:
    """Neither to a log at DEBUG nor in an error, a repr, a point, a warning or health."""
    story = Story(clock, tmp_path)

    assert await story.tell() == []

    kinds = {where.split()[0] for where, _ in story.spy.heard}
    assert {"log", "point", "repr", "traceback", "health"} <= kinds
    assert len(story.spy.heard) > 500
    assert len(story.say.planted) > 40


# -- the spy hears


def _log_rows(keep: Callable[..., Any], self: Acceptor, *rows: Row) -> Any:
    logger.debug("keeping %s", [row.data for row in rows])
    return keep(self, *rows)


def _tell_rows(keep: Callable[..., Any], self: Acceptor, *rows: Row) -> Any:
    self._context.observer.point("outbox.keeping", data=str(rows[0].data))
    return keep(self, *rows)


def _warn(encode: Callable[..., Any], text: str) -> Any:
    warnings.warn(f"text of odd looks: {text}", stacklevel=2)
    return encode(text)


def _quote(encode: Callable[..., Any], text: str) -> Any:
    if "\0" in text:
        raise chatkit.InvalidMessage(f"body.text: {text!r} holds U+0000")
    return encode(text)


def _chain(encode: Callable[..., Any], text: str) -> Any:
    if "\0" in text:
        try:
            raise ValueError(text)
        except ValueError:
            raise chatkit.InvalidMessage("body.text: holds U+0000") from None
    return encode(text)


@pytest.mark.long
@pytest.mark.parametrize(
    ("owner", "name", "leak", "where"),
    [
        (Acceptor, "_keep", _log_rows, "log chatkit DEBUG"),
        (Acceptor, "_keep", _tell_rows, "point outbox.keeping"),
        (bodies, "_encode_text", _warn, "warning"),
        (bodies, "_encode_text", _quote, "traceback of InvalidMessage"),
        (bodies, "_encode_text", _chain, "ValueError behind InvalidMessage"),
        (Message, "__repr__", lambda _, message: f"Message({message.text})", "repr of Message"),
    ],
    ids=["log", "point", "warning", "error", "chain", "repr"],
)
async def test_a_leak_is_heard(
    clock: VirtualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    leak: Callable[..., Any],
    where: str,
) -> None:
    """The test above turns red for each way out: the same story, with a leak in the library."""
    sound = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: leak(sound, *given))

    found = await Story(clock, tmp_path).tell()

    assert any(f" in {where}" in one for one in found), found
