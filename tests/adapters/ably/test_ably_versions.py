"""What versions of messages mean, what is remembered of them, and how history is read with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import pytest

from chatkit.adapters.ably.access import KeyAccess
from chatkit.adapters.ably.changing import Change, Changing, is_change
from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.pages import FIRSTS
from chatkit.adapters.ably.places import Trail, behind, key_of, moment, version_key
from chatkit.adapters.ably.recall import CHANGED, Recall
from chatkit.adapters.ably.rest import Page, Rest
from chatkit.adapters.ably.versions import pack, version_of
from chatkit.adapters.ably.whereabouts import PLACES
from chatkit.core.raw_page import CREATE
from chatkit.errors import (
    ChatkitError,
    MessageNotFound,
    MessageTooLarge,
    NotAllowed,
    Rejected,
    TransportError,
)
from chatkit.model.entry import Entry, Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.context import Unobserved
from chatkit.ports.outgoing import Ack, Outgoing

AT = 1_700_000_000_000


def serial(number: int) -> str:
    """Return the serial of the message, or version, of a number."""
    return f"{AT + number * 1_000:014d}-000@a:000"


def envelope(kind: str = CREATE, *, text: str | None = "Hello", user: str = "ada", **more: Any) -> Envelope:
    """Return an envelope; a change is of `message(1)`."""
    fields: dict[str, Any] = {
        "v": 1,
        "id": f"00000000-0000-7000-8000-{1 if kind == CREATE else 99:012d}",
        "kind": kind,
        "channel": "support",
        "sender": {"user": user, "device": "device01"},
        "at": "2026-11-23T10:00:00.000Z",
        "ref": None if kind == CREATE else {"id": "00000000-0000-7000-8000-000000000001", "user": "ada"},
        "body": None if text is None else {"type": "text", "text": text},
    }
    return Envelope.from_dict(fields | more)


def message(number: int, data: str | None, *, version: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a message of history; `version`: of which number, else its first."""
    item: dict[str, Any] = {"serial": serial(number), "action": 0, "name": "chatkit", "clientId": "ada"}
    item |= {"timestamp": AT + number * 1_000, "data": data}
    if version is not None:
        item["action"] = 1
        item["version"] = {"serial": serial(version), "timestamp": AT + version * 1_000, "clientId": "ada"}
    return item | more


def changed(kind: str = "message.update", text: str | None = "Hello!", **more: Any) -> dict[str, Any]:
    """Return `message(1)` as chatkit changes it, in version 5."""
    frame = pack(serial(1), envelope(kind, text=text, **more), envelope(), user="ada")
    version = {**frame["version"], "serial": serial(5), "timestamp": AT + 5_000}
    return {**message(1, None), **frame, "version": version}


def said(item: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    """Return what a version changes: kind, text, id."""
    version = version_of(item)
    assert version is not None
    now = version.creation("support") or version.creation_from(envelope())
    found = [Envelope.parse(entry.data) for entry in version.changes(now)]
    return [(one.kind, None if one.body is None else str(one.body["text"]), one.id) for one in found]


def test_what_chatkit_changes_comes_back_as_it_was_sent() -> None:
    """The envelope of the change in its own bytes, at a place behind its version's serial (D1, D7)."""
    sent = envelope(
        "message.update", text="Hello!", mentions=["bob"], meta={"a": "b"}, seq=7, hlc="0193581fa2c0-0003"
    )
    item = {**changed(), **pack(serial(1), sent, envelope(), user="ada")}
    item["version"] = {**item["version"], "serial": serial(5)}
    version = version_of(item)
    assert version is not None
    now = version.creation("support")
    assert now is not None

    restored, update = version.changes(now)

    assert (update.data, update.stamp.user) == (sent.encode(), "ada")
    assert update.stamp.key == restored.stamp.key == version_key(serial(5))
    assert key_of(serial(5)) < update.stamp.key < behind(serial(5).partition(":")[0])
    assert Envelope.parse(restored.data).kind == "message.restore"
    assert version.as_entry(now).stamp.key == key_of(serial(1))
    assert "Hello!" not in repr(version)


def test_a_delete_leaves_no_text() -> None:
    """Neither in what is sent nor in what is read, whoever deleted (D26)."""
    ours = changed("message.delete", text=None)
    theirs = message(1, envelope(text="a secret").encode().decode(), version=5, action=2)

    assert "text" not in json.loads(ours["data"]).get("body", {})
    for item in (ours, theirs):
        version = version_of(item)
        assert version is not None
        now = version.creation("support")
        assert now is not None
        entries = [version.as_entry(now), *version.changes(now)]
        assert b"a secret" not in b"".join(entry.data for entry in entries)
        assert [kind for kind, _, _ in said(item)] == ["message.delete"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("by hand", "by hand"),
        ('{"text":"of Ably Chat"}', "of Ably Chat"),
        ('{"other":1}', '{"other":1}'),
        (envelope(text="its body alone").encode().decode(), "its body alone"),
        ("nul \u0000 is not sent", ""),
        (None, ""),
    ],
)
def test_what_others_write_is_an_edit_of_the_author(data: str | None, text: str) -> None:
    """Everybody who hears of it calls it the same (I2, I5)."""
    item = message(1, data, version=5)

    assert [(kind, shown) for kind, shown, _ in said(item)] == [
        ("message.restore", None),
        ("message.update", text),
    ]
    assert said(item) == said({**item, "name": None})
    assert said(item)[1][2] != said(message(1, data, version=6))[1][2]


@pytest.mark.parametrize(
    "more",
    [
        {"user": "eve"},
        {"channel": "other"},
        {"ref": {"id": "00000000-0000-7000-8000-000000000002", "user": "ada"}},
    ],
)
def test_a_version_that_tells_of_something_else_is_one_of_others(more: dict[str, Any]) -> None:
    """What its metadata says is believed of its own message and its own writer alone (D2)."""
    item = changed(**more)

    (_, _, restore), (kind, text, id) = said(item)

    assert (kind, text) == ("message.update", "Hello!")
    assert id not in {restore, envelope("message.update").id}


def test_a_version_that_another_made_is_not_what_its_author_said() -> None:
    """Be it that who moderates repeats the author's own words in its metadata (D2)."""
    item = changed()
    item["version"]["clientId"] = "eve"

    (_, _, restore), (kind, text, id) = said(item)

    assert (kind, text) == ("message.update", "Hello!")
    assert id not in {restore, envelope("message.update").id}


@pytest.mark.parametrize(
    "item",
    [
        message(1, "x"),
        message(1, "x", version=5, action=4),
        message(1, "x", version=5, action=5),
        message(1, "x", version=5, clientId=None),
        message(1, "x", version=5) | {"version": None},
    ],
)
def test_what_is_no_version(item: dict[str, Any]) -> None:
    """First versions, summaries, slices, and what nobody vouches for."""
    assert version_of(item) is None


@pytest.mark.parametrize(
    "data", [b"", b"{}", envelope().encode(), envelope("message.restore", text=None).encode()]
)
def test_what_goes_as_a_message_of_its_own(data: bytes) -> None:
    """All but edits and deletes."""
    assert not is_change(data)
    assert is_change(envelope("message.update").encode())
    assert is_change(envelope("message.delete", text=None).encode())


def test_a_trail_goes_on_behind_a_change() -> None:
    """The place of a change is that of its version, not of the old message that it is about (D17)."""
    trail = Trail("00000000000100-000@a")
    trail.step("00000000000200-000@a:000", "00000000000200-000@a")
    trail.step(version_key("00000000000300-000@a:000").serial, "00000000000300-000@a")
    trail.step("00000000000400-000@a:000", "00000000000400-000@a")

    assert trail.back_to(version_key("00000000000300-000@a:000")) == "00000000000300-000@a"


# -- what is remembered


def change(number: int, *, size: int = 1) -> tuple[Entry, ...]:
    """Return a change at the place of a number."""
    return (Entry(b"x" * size, Stamp(version_key(serial(number)), None, None, "ada", moment(AT))),)


def test_of_each_message_the_newest_change_is_remembered() -> None:
    """Whichever comes first."""
    recall = Recall()
    assert not recall.has_changes("support")
    for number in (5, 7, 6):
        recall.change("support", serial(1), change(number))
    recall.change("other", serial(1), change(9))

    assert recall.since("support", key_of(serial(1))) == list(change(7))
    assert recall.since("support", version_key(serial(7))) == []
    assert recall.newest("support", serial(1)) == change(7)
    assert recall.newest("support", serial(2)) == ()
    assert recall.has_changes("support")
    assert not recall.has_changes("third")


def test_what_is_remembered_is_bounded_and_says_so() -> None:
    """By number and by size; what was forgotten is to be looked for (I10)."""
    recall = Recall()
    for number in range(CHANGED + 1):
        recall.change("support", serial(number), change(number))
    for number in range(PLACES + 1):
        recall.places.note("support", Ident("ada", str(number)), serial(number))

    assert not recall.reaches(key_of(serial(0)))
    assert recall.reaches(version_key(serial(0)))
    assert recall.newest("support", serial(0)) == ()
    assert recall.places.serial_of("support", Ident("ada", "0")) is None
    assert recall.places.serial_of("support", Ident("ada", "1")) == serial(1)
    for number in range(3):
        recall.change("large", serial(number), change(CHANGED + number, size=6_000_000))
    assert recall.newest("large", serial(0)) == ()
    assert recall.newest("large", serial(2)) != ()


# -- history


def memory_of() -> Memory:
    """Return what an adapter remembers."""
    return Memory(lambda: AT / 1_000 + 3_600)


class Kept:
    """An account's answers, without a network.

    Args:
        items: Of history, oldest first.
        size: Of an answer.
    """

    def __init__(self, items: list[dict[str, Any]], size: int = 1_000) -> None:
        self.items = items
        self.size = size
        self.meanwhile: Any = lambda: None
        self.firsts: dict[str, dict[str, Any]] = {}
        self.asked = 0

    async def history(self, name: str, access: object, params: Mapping[str, str]) -> Page:
        del name, access
        found = self.items if params["direction"] == "forwards" else self.items[::-1]
        start, end = int(params.get("start", 0)), int(params.get("end", 2**60))
        self._left = [item for item in found if start <= item["timestamp"] <= end]
        return await self.page("", object())

    async def page(self, path: str, access: object) -> Page:
        del path, access
        now, self._left = self._left[: self.size], self._left[self.size :]
        self.meanwhile()
        return Page(now, "more" if self._left else None)

    async def versions(self, name: str, number: str, access: object, params: Mapping[str, str]) -> Page:
        del name, access, params
        self.asked += 1
        return Page([self.firsts[number]] if number in self.firsts else [], None)


def history(kept: Kept, memory: Memory, **config: Any) -> AblyHistory:
    """Return the log over an account's answers."""
    return AblyHistory(
        cast("Rest", kept),
        KeyAccess("app.key", "secret"),
        memory,
        AblyConfig(credential="app.key", history=86_400.0, **config),
        realm="ably://app",
        observer=Unobserved(),
        now=lambda: AT / 1_000 + 3_600,
    )


def plain(number: int, **more: Any) -> dict[str, Any]:
    """Return a message that was only created."""
    id = f"00000000-0000-7000-8000-{number:012d}"
    return message(number, envelope(text=f"message {number}", id=id).encode().decode(), **more)


def edited(number: int, version: int) -> dict[str, Any]:
    """Return a message that somebody edited."""
    id = f"00000000-0000-7000-8000-{number:012d}"
    return message(number, envelope(text=f"edit {version}", id=id).encode().decode(), version=version)


async def test_changes_stand_where_they_were_made() -> None:
    """Each in its place among what follows, page by page, and none twice in one (D17, I14)."""
    kept = Kept([edited(1, 45), *(plain(n) for n in range(2, 100)), edited(100, 150)])
    log = history(kept, memory_of(), native_edits=True)

    found: list[Entry] = []
    head: str | None = None
    after: OrderKey | datetime | None = key_of(serial(40))
    more = True
    while more:
        got = await log.entries("support", after=after, limit=10)
        more = got.more
        assert [entry.stamp.key for entry in got.items] == sorted(entry.stamp.key for entry in got.items)
        found += got.items
        after = found[-1].stamp.key
        head = got.state.head

    kinds = [(Envelope.parse(entry.data).kind, entry.stamp.key.serial[:14]) for entry in found]
    assert kinds[4:8] == [
        (CREATE, serial(45)[:14]),
        ("message.restore", serial(45)[:14]),
        ("message.update", serial(45)[:14]),
        (CREATE, serial(46)[:14]),
    ]
    assert kinds[-2:] == [("message.restore", serial(150)[:14]), ("message.update", serial(150)[:14])]
    assert len(found) == len(set(found)) == 64
    assert head == version_key(serial(150)).serial


@pytest.mark.parametrize("native", [True, False])
async def test_a_time_is_a_place_like_others(native: bool) -> None:  # a parameter
    """Changes since then are looked for where the option, or what was heard, says that there are any (D17)."""
    kept = Kept([edited(1, 45), plain(2), plain(50)])
    log = history(kept, memory_of(), native_edits=native)

    first = await log.entries("support", after=moment(AT + 40_000), limit=10)
    again = await log.entries("support", after=moment(AT + 40_000), limit=10)

    changed = version_key(serial(45))
    keys = [changed, changed, key_of(serial(50))]
    assert [entry.stamp.key for entry in first.items] == (keys if native else keys[2:])
    assert [entry.stamp.key for entry in again.items] == (keys if native else keys[2:])
    _ = await log.messages("support", limit=10)
    heard = await log.entries("support", after=moment(AT + 40_000), limit=10)
    assert [entry.stamp.key for entry in heard.items] == keys


async def test_what_is_told_while_a_page_is_read_is_not_said_to_be_in_it() -> None:
    """Else a change that comes then would count as one that the page has, and be lost (I7)."""
    memory = memory_of()
    kept = Kept([plain(1), plain(2), edited(3, 8)], size=2)
    memory.note("support", serial(4))
    kept.meanwhile = lambda: memory.note("support", serial(9))

    page = await history(kept, memory).messages("support", limit=10)
    small = await history(kept, memory_of()).messages("support", limit=1)

    assert page.as_of == version_key(serial(8))
    assert page.state.head == serial(9)
    assert [folded.changed for folded in small.items] == [version_key(serial(8))]


async def test_what_changed_after_the_first_answer_is_not_said_to_be_in() -> None:
    """A message of an earlier answer may have been changed since it was read (I7)."""
    kept = Kept([edited(1, 8), plain(2), plain(3)], size=1)

    page = await history(kept, memory_of()).messages("support", limit=10)

    assert page.as_of == key_of(serial(3))
    assert [folded.version for folded in page.items] == [2, 1, 1]


async def test_a_page_that_lags_does_not_take_back_what_came_live() -> None:
    """A version that is known counts, though history does not have it yet (I7)."""
    memory, first = memory_of(), Kept([edited(1, 8)])
    _ = await history(first, memory).messages("support", limit=10)

    page = await history(Kept([edited(1, 5)]), memory).messages("support", limit=10)

    (folded,) = page.items
    assert folded.changed == version_key(serial(8))
    assert folded.edit is not None
    assert b"edit 8" in folded.edit


async def test_a_message_that_others_wrote_over_is_asked_for_its_first_version() -> None:
    """A bounded number of times in one read; others are left out (I10)."""
    count = FIRSTS + 1
    kept = Kept([message(n, f"by hand {n}", version=200 + n) for n in range(1, count + 1)])
    kept.firsts = {serial(n): plain(n) for n in range(1, count + 1)}
    log = history(kept, memory_of())

    page = await log.messages("support", limit=1_000)

    assert len(page.items) == kept.asked == FIRSTS
    assert {folded.edit is not None for folded in page.items} == {True}
    found = await log.find("support", [Ident("ada", "00000000-0000-7000-8000-000000000002")])
    assert list(found.items.values()) == [key_of(serial(2))]
    del kept.firsts[serial(count)]
    page = await log.messages("support", limit=1)
    assert [folded.stamp.key for folded in page.items] == [key_of(serial(count - 1))]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_versions_are_read_as_far_as_is_asked(newest_first: bool) -> None:  # a parameter
    """Whichever way they come; newest first no further than to a time (D10)."""
    items = [message(1, "x", version=number) for number in range(2, 12)]
    pages = [items[at : at + 2] for at in range(0, 10, 2)]
    if newest_first:
        pages = [page[::-1] for page in pages[::-1]]

    class Account(Kept):
        async def versions(self, name: str, number: str, access: object, params: Mapping[str, str]) -> Page:
            return await self.page("0", access)

        async def page(self, path: str, access: object) -> Page:
            self.asked += 1
            at = int(path)
            return Page(pages[at], str(at + 1) if at + 1 < len(pages) else None)

    account = Account([])
    found = await history(account, memory_of()).pages.versions("support", serial(1), since=AT + 9_000)

    numbers = [item["version"]["serial"] for item in found]
    assert numbers[:3] == [serial(11), serial(10), serial(9)]
    assert account.asked == (2 if newest_first else 5)


# -- changes


def outgoing(change: Envelope) -> Outgoing:
    """Return a change on its way out."""
    return Outgoing(Ident(change.sender.user, change.id), "device01", 1, change.encode(), None)


def changing(kept: Kept, *, for_all: bool = False) -> Changing:
    """Return what prepares changes of what an account keeps."""
    memory = memory_of()
    return Changing(history(kept, memory, native_edits=True), memory, for_all=for_all)


def account(*items: dict[str, Any]) -> Kept:
    """Return an account that keeps messages, each in one version."""
    kept = Kept(list(items))
    kept.firsts = {item["serial"]: item for item in items}
    return kept


async def test_a_change_is_written_into_what_the_message_is() -> None:
    """Wherever it is found; who speaks for all says whose it is."""
    edit = envelope("message.update", text="Hello!")

    change = await changing(account(plain(1)), for_all=True).prepare("support", outgoing(edit))

    assert isinstance(change, Change)
    assert change.frame == pack(serial(1), edit, Envelope.parse(plain(1)["data"].encode()), user="ada")
    assert "Hello!" not in repr(change)
    done = changing(account()).done("support", outgoing(edit), change, None)
    assert (done.outcome, done.key) == ("new", None)


@pytest.mark.parametrize(
    ("kept", "edit", "error"),
    [
        (account(), envelope("message.update"), MessageNotFound),
        (Kept([plain(1)]), envelope("message.update"), MessageNotFound),
        (account(plain(1)), envelope("message.update", text="x" * 65_000), MessageTooLarge),
    ],
)
async def test_what_cannot_be_changed_is_refused(
    kept: Kept, edit: Envelope, error: type[ChatkitError]
) -> None:
    """For good, with the channel and the id (D12)."""
    found = await changing(kept).prepare("support", outgoing(edit))

    assert isinstance(found, Ack)
    assert (found.outcome, found.again, type(found.error)) == ("refused", "never", error)
    assert found.error is not None
    assert (found.error.channel, found.error.message_id) == ("support", edit.id)


@pytest.mark.parametrize(
    ("raised", "outcome", "again", "hint"),
    [
        (NotAllowed("no right"), "unsent", "reauthenticate", "message-update-own"),
        (Rejected("strange", code="40030"), "refused", "never", ""),
        (TransportError("no answer"), None, None, ""),
    ],
)
async def test_what_a_refused_look_means(
    raised: ChatkitError, outcome: str | None, again: str | None, hint: str
) -> None:
    """A right may be given meanwhile; no answer is no refusal (D12)."""

    class Refusing(Kept):
        async def versions(self, name: str, number: str, access: object, params: Mapping[str, str]) -> Page:
            raise raised

    prepare = changing(Refusing([plain(1)])).prepare("support", outgoing(envelope("message.update")))

    if outcome is None:
        with pytest.raises(TransportError):
            _ = await prepare
        return
    found = await prepare
    assert isinstance(found, Ack)
    assert (found.outcome, found.again) == (outcome, again)
    assert found.error is not None
    assert hint in found.error.hint
    assert found.error.channel == "support"


@pytest.mark.parametrize("user", ["ada", "eve"])
async def test_a_change_of_anothers_message_is_a_message_of_its_own(user: str) -> None:
    """Ably's own would be taken for the author's."""
    edit = envelope("message.update", user=user)

    found = await changing(account(plain(1))).prepare("support", outgoing(edit))

    assert (found is None) == (user == "eve")


async def test_a_change_that_is_there_is_not_made_again() -> None:
    """Its version is the answer, also where another one came after it (D10)."""
    kept = Kept([plain(1)])
    kept.firsts = {serial(1): changed()}
    edit = envelope("message.update", text="Hello!")

    found = await changing(kept).prepare("support", outgoing(edit))

    assert found == Ack(Ident("ada", edit.id), "duplicate", version_key(serial(5)), moment(AT + 5_000))


async def test_an_edit_of_a_deleted_message_is_a_message_of_its_own() -> None:
    """As Ably's own it would bring the message back; a delete of it is one all the same (I7)."""
    kept = Kept([plain(1)])
    kept.firsts = {serial(1): changed("message.delete", text=None)}
    edit, delete = (
        envelope(kind, text=text, id="00000000-0000-7000-8000-000000000098")
        for kind, text in (("message.update", "Hello?"), ("message.delete", None))
    )

    assert await changing(kept).prepare("support", outgoing(edit)) is None
    assert isinstance(await changing(kept).prepare("support", outgoing(delete)), Change)


# -- history


async def test_the_first_read_after_a_loss_begins_before_the_mark() -> None:
    """By 30 seconds, of which it tells all once: a lower place may have come after a higher one (D17, D30)."""
    memory = memory_of()
    log = history(Kept([plain(n) for n in (5, 15, 35, 40, 45)]), memory)
    told: list[list[str]] = []
    for broken in (False, True, False):
        if broken:
            memory.broke("support")
        got = await log.entries("support", after=key_of(serial(40)), limit=10)
        told.append([entry.stamp.key.serial for entry in got.items])

    assert told == [[serial(45)], [serial(15), serial(35), serial(45)], [serial(45)]]


async def test_a_page_that_does_not_reach_the_head_is_provisional() -> None:
    """What changed its messages later may not be in it (D24)."""
    log = history(Kept([plain(n) for n in range(1, 10)]), memory_of())

    inside = await log.messages("support", after=key_of(serial(2)), limit=3)
    newest = await log.messages("support", limit=3)

    assert (inside.provisional, inside.as_of) == (True, None)
    assert not newest.provisional
    assert newest.as_of is not None
