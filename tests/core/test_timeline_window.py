"""A window is an ordered stretch of a channel within its bounds (I10)."""

from __future__ import annotations

import gc
import gzip
import json
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_order import Ordered
from chatkit.core.timeline_window import Window
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident
from tests.core.folding import (
    CHANNEL,
    LOG,
    create,
    key,
    moment,
    page,
    timeline,
    told,
    uuid,
)

VOUCHER = Voucher("provider", LOG, stamped=True)
USERS = ("ada", "bob", "cleo")

# -- order


def message(serial: int, user: str = "ada") -> MessageFold:
    return MessageFold.created(create(serial, user), VOUCHER)


@given(st.lists(st.integers(1, 60), unique=True), st.randoms(use_true_random=False))
def test_messages_stand_in_order_whatever_is_put_in_and_taken_out(serials: list[int], random: Random) -> None:
    """However the list is cut into pieces (D3)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatkit.core.timeline_order._CHUNK", 2)
        ordered = Ordered()
        kept: list[MessageFold] = []
        for fold in map(message, serials):
            ordered.add(fold)
            kept.append(fold)
            if random.random() < 0.3:
                gone = kept.pop(random.randrange(len(kept)))
                ordered.remove(gone)
            elif random.random() < 0.2:
                kept.remove(oldest := min(kept, key=lambda fold: fold.place))
                assert ordered.pop_first() is oldest

            kept.sort(key=lambda fold: fold.place)
            assert list(ordered) == kept
            assert len(ordered) == len(kept)
            assert (ordered.first, ordered.last) == (kept[0] if kept else None, kept[-1] if kept else None)


def test_two_messages_in_one_place_stand_by_user() -> None:
    """A hostile number cannot make the order depend on arrival (I5)."""
    ordered = Ordered()
    bob, ada = message(1, "bob"), message(1, "ada")

    ordered.add(bob)
    ordered.add(ada)

    assert list(ordered) == [ada, bob]


# -- the window


def test_messages_of_one_id_are_told_apart_by_their_users() -> None:
    """Each is found and taken out by itself; the last one leaves nothing behind (D1)."""
    window = Window()
    folds = [MessageFold.created(create(n, user, number=1), VOUCHER) for n, user in enumerate(USERS, 1)]
    for fold in folds:
        window.add(fold)

    assert [window.find(fold.ident) for fold in folds] == folds
    assert window.find(Ident("dora", uuid(1))) is None
    for count, fold in enumerate(folds, 1):
        window.remove(fold)
        assert window.find(fold.ident) is None
        assert list(window.named(uuid(1))) == folds[count:]
    assert window._named == {}


def test_a_message_outside_the_window_is_told_and_not_kept() -> None:
    """With older messages missing, nothing below the first is put in: there would be a hole."""
    room = timeline(create(5), create(6), create(7), keep=2)

    (applied,) = room.apply(create(1))

    assert (applied.outcome, applied.kept) == ("created", False)
    assert [message.serial for message in room] == [key(6).serial, key(7).serial]


def test_after_a_jump_newer_messages_are_told_and_not_kept() -> None:
    """The window is a stretch further down until its reader comes back."""
    room = timeline()
    room.load(page([create(1), create(2)], 9), as_of=key(9), has_older=True, has_newer=True)

    (applied,) = room.apply(create(10))

    assert (applied.outcome, applied.kept, len(room)) == ("created", False, 2)


def test_older_pages_extend_the_window_up_to_its_most() -> None:
    """A reader who scrolls up keeps what was read; beyond the bound a jump is needed (I10)."""
    facts = [create(serial) for serial in range(1, 10)]
    room = timeline(*facts[7:], keep=2, most=4)

    first = room.load(page(facts[5:7], 9), as_of=key(9), extend=True)
    second = room.load(page(facts[3:5], 9), as_of=key(9), extend=True)

    assert (first.messages, second.messages) == (2, 0)
    assert [message.serial for message in room] == [one.key.serial for one in facts[5:]]


def test_an_older_page_without_leave_to_extend_falls_out_again() -> None:
    """The bound holds (I10)."""
    room = timeline(create(8), create(9), keep=2)

    loaded = room.load(page([create(1)], 9), as_of=key(9), has_older=False)

    assert (loaded.messages, len(room), room.window.has_older) == (0, 2, True)


def test_a_shrunk_window_returns_to_its_bound_with_the_next_message() -> None:
    """The reader has gone back to the newest."""
    facts = [create(serial) for serial in range(1, 6)]
    room = timeline(*facts[3:], keep=2, most=9)
    room.load(page(facts[:3], 9), as_of=key(9), extend=True)

    room.window.shrink()
    room.apply(create(6))

    assert len(room) == 2


def test_an_emptied_window_takes_what_is_loaded_next_up_to_its_bound() -> None:
    """A jump starts anew."""
    older = [create(serial) for serial in range(1, 5)]
    room = timeline(create(5), create(6), create(7), keep=2)
    room.load(page(older, 9), as_of=key(9), extend=True)

    room.unload()
    loaded = room.load(page(older, 9), as_of=key(9), has_newer=True)

    assert (loaded.messages, len(room)) == (2, 2)


# -- memory


@pytest.mark.long
def test_a_hundred_thousand_plain_messages_take_less_than_80_megabytes() -> None:
    """800 bytes for each of 20,000 real messages, as measured by the allocator (I10)."""
    corpus = Path(__file__).parents[1] / "data" / "ubuntu-irc.jsonl.gz"
    with gzip.open(corpus, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["kind"] == "message"][:20_000]
    sent = [written(serial, row["user"], row["text"]) for serial, row in enumerate(rows, 1)]
    room: Timeline | None = timeline(keep=len(sent))
    assert room is not None

    tracemalloc.start()
    try:
        for serial, data in enumerate(sent, 1):
            received = bytes(bytearray(data))
            made, at = Envelope.parse(received), moment(serial)
            room.apply(
                Fact(made, received, Ident(made.sender.user, made.id), key(serial), True, at, "provider", LOG)
            )
        kept = len(room)
        gc.collect()
        with_it, _ = tracemalloc.get_traced_memory()
        room = None
        gc.collect()
        without, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept == 20_000
    assert 400 < (with_it - without) / kept < 800


def written(serial: int, user: str, text: str) -> bytes:
    """An envelope with all that a sender writes."""
    clock = {"seq": serial, "pred": serial - 1, "hlc": f"{serial:012x}-0000", "epoch": 1}
    about = {"v": 1, "min": 1, "id": uuid(serial), "kind": "message.create", "channel": CHANNEL}
    sender = {"sender": {"user": user, "device": "k3v9x2m4p7"}, "at": "2026-11-23T10:00:00.000Z"}
    fields = {**about, **sender, **clock, "body": {"type": "text", "text": text}}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_oldest_are_taken_out_to_the_last_piece() -> None:
    """However the list is cut into pieces (I10)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatkit.core.timeline_order._CHUNK", 2)
        ordered = Ordered()
        folds = [message(serial) for serial in range(1, 8)]
        for fold in folds:
            ordered.add(fold)

        assert [ordered.pop_first() for _ in folds] == folds
        assert (len(ordered), ordered.first, list(reversed(ordered))) == (0, None, [])


def test_what_falls_out_leaves_others_of_its_id_to_be_found() -> None:
    """The same id from another user is another message (D1)."""
    channel = timeline(keep=2)
    users = ("ada", "bob", "eve")
    for serial, user in enumerate(users, 1):
        channel.apply(create(serial, user, number=7))

    assert [fold.user for fold in channel.window.named(uuid(7))] == ["bob", "eve"]
    channel.apply(create(4))
    channel.apply(create(5))
    assert channel.window.named(uuid(7)) == ()


def test_a_message_that_only_a_log_changed_falls_out_and_is_read_again_whole() -> None:
    """All that a log told of it the log will tell again: nothing is in doubt (D22)."""
    made = create(1)
    channel = timeline(keep=1)
    channel.load([told(made, version=3, changed=key(2))], as_of=key(3), has_older=False)
    channel.apply(create(4))

    assert [fold.key for fold in channel.window] == [key(4)]
    channel.unload()
    channel.load([told(made, version=3, changed=key(2))], as_of=key(4))
    (again,) = channel.window
    assert "provisional" not in again.flags
