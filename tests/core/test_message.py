"""A public message shows what the envelopes say, and nothing that was erased (D4, D23, D26)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chatkit.core.fact import Fact
from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.message import ERASED, build, build_pending, build_told
from chatkit.core.overlay import Wish
from chatkit.errors import NotAllowed
from chatkit.model.bodies import Text, UnknownBody
from chatkit.model.cursor import Spot, decode_cursor
from chatkit.model.envelope import Envelope
from chatkit.model.message import Message, Sender, Status
from chatkit.model.order import Ident
from tests.core.folding import CHANNEL, LOG, change, create, envelope, fact, key, timeline, told, uuid


def message(*facts: Fact, viewer: str = "me") -> Message:
    """The first message that these facts make."""
    return next(iter(timeline(*facts, viewer=viewer)))


def wish(made: Envelope, order: int = 1, status: Status = "queued", **fields: Any) -> Wish:
    ref = made.ref
    target = Ident("ada", made.id) if ref is None else Ident(ref.user, ref.id)
    creates = made.kind == "message.create"
    return Wish(f"e{order}", made.id, target, made.encode(), creates, order, status, **fields)


def pending(*wishes: Wish) -> Message:
    return build_pending(wishes, channel=CHANNEL, viewer="ada")


def test_a_message_shows_who_wrote_what_when_and_where_it_stands() -> None:
    """All that its creation says."""
    found = message(create(3, "ada", "Hello", meta={"trace": "t1"}, topic="news"), viewer="ada")

    assert (found.text, found.body, found.channel) == ("Hello", Text(text="Hello"), CHANNEL)
    assert (found.sender, found.own, found.status) == (Sender(user="ada", device="k3v9x2"), True, "sent")
    assert found.at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert found.sent_at == datetime(2026, 11, 23, 10, 0, 3, tzinfo=UTC)
    assert (found.key, found.attested, found.meta, found.topic) == (
        key(3),
        "provider",
        {"trace": "t1"},
        "news",
    )
    assert found.cursor is not None
    assert decode_cursor(found.cursor) == Spot(LOG, CHANNEL, key(3))


def test_what_nothing_has_changed_is_built_the_short_way_and_the_same() -> None:
    """Field by field what the long way makes, which a wish without any effect asks for."""
    about: dict[str, Any] = {"ref": {"id": uuid(9), "user": "eve"}, "thread": {"id": uuid(8), "user": "bob"}}
    made = create(3, "ada", "Hi", topic="news", mentions=["bob"], meta={"trace": "t1"}, suspect=True, **about)
    fold = MessageFold.created(made, Voucher("backend", LOG, stamped=True))
    over = wish(change(4, "add", made).envelope, status="failed", settled=True)
    seen: dict[str, Any] = {"channel": CHANNEL, "viewer": "ada", "replies": 7}

    short, long = build(fold, **seen), build(fold, wishes=(over,), **seen)

    assert short.to_dict() == long.to_dict()
    assert short == long
    assert (short.replies, short.flags, short.own) == (7, frozenset({"clock_suspect"}), True)


def test_a_quote_a_thread_and_mentions_are_shown() -> None:
    """`ref` of a creation is the message it quotes."""
    about: dict[str, Any] = {"ref": {"id": uuid(9), "user": "eve"}, "thread": {"id": uuid(8), "user": "bob"}}

    found = message(create(1, mentions=["bob", "*"], **about))

    assert (found.reply_to, found.thread, found.mentions) == (uuid(9), uuid(8), ("bob", "*"))


@pytest.mark.parametrize(("given", "shown"), [((), ("bob",)), (("eve",), ("eve",))])
def test_an_edit_that_mentions_nobody_leaves_the_mentions(
    given: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    """One that does names anew."""
    hello = create(1, mentions=["bob"])

    assert message(hello, change(2, "update", hello, mentions=given)).mentions == shown


def test_an_edited_message_keeps_all_but_its_body() -> None:
    """Its writer, its place, its time."""
    hello = create(1, topic="news")

    found = message(hello, change(5, "update", hello))

    assert (found.text, found.edited, found.version) == ("edit 5", True, 2)
    assert (found.topic, found.key, found.sent_at) == ("news", key(1), hello.sent_at)


def test_a_deleted_message_is_a_tombstone() -> None:
    """It keeps its place and shows no body (D26)."""
    hello = create(1, text="Hello")

    found = message(hello, change(2, "delete", hello))

    assert (found.deleted, found.edited, found.text) == (True, False, "")
    assert found.body == UnknownBody(type="deleted", data={"type": "deleted"})
    assert found.to_dict()["body"] == {"type": "deleted"}


def test_a_restored_message_has_no_body_to_show() -> None:
    """It was erased (D26)."""
    hello = create(1, text="Hello")

    found = message(hello, change(2, "delete", hello), change(3, "restore", hello))

    assert (found.deleted, found.text, found.body) == (False, "", ERASED)


def test_a_body_of_an_unknown_type_arrives_with_its_words() -> None:
    """Never as an error."""
    found = message(create(1, body={"type": "poll.v7", "fallback": "A poll", "options": [1]}))

    assert isinstance(found.body, UnknownBody)
    assert (found.body.type, found.text) == ("poll.v7", "A poll")


@pytest.mark.parametrize(
    ("body", "words"), [({"type": "text", "fallback": "Update me"}, "Update me"), (None, "")]
)
def test_a_message_of_a_later_version_shows_its_fallback(body: dict[str, Any] | None, words: str) -> None:
    """What else it holds has a meaning that is not ours (wire rules, `min`)."""
    fields = {} if body is None else {"body": body}
    later = envelope("message.create", uuid(1), "ada", min=2, thread={"id": uuid(9), "user": "bob"}, **fields)

    found = message(fact(1, later))

    assert isinstance(found.body, UnknownBody)
    assert (found.body.type, found.text, found.thread) == ("unreadable", words, None)


@pytest.mark.parametrize(("incomplete", "shown"), [(True, True), (False, False), ("yes", False)])
def test_a_growing_message_says_that_it_broke_off(incomplete: object, shown: bool) -> None:
    """Its body does."""
    assert (
        message(create(1, body={"type": "text", "text": "So", "incomplete": incomplete})).incomplete is shown
    )


def test_nothing_in_a_message_can_be_written_to() -> None:
    """Public values are frozen."""
    hello = create(1, meta={"a": "b"})
    found = message(hello, change(2, "add", hello))

    for mapping in (found.reactions, found.meta):
        with pytest.raises(TypeError):
            mapping["x"] = "y"  # type: ignore[index]


def test_a_message_of_a_page_needs_no_timeline() -> None:
    """History and search show it the same way."""
    hello = create(1, "ada")
    voucher = Voucher("provider", LOG, stamped=True)

    found = build_told(told(hello, replies=3), voucher, channel=CHANNEL, viewer="ada", as_of=key(9))

    assert (found.text, found.replies, found.own, found.flags) == ("text 1", 3, True, frozenset())


# -- pending


def test_a_pending_message_has_no_place() -> None:
    """Nobody accepted it yet."""
    found = pending(wish(create(1, "ada", "Hello").envelope, status="sending"))

    assert (found.text, found.own, found.status, found.key, found.sent_at, found.cursor) == (
        "Hello",
        True,
        "sending",
        None,
        None,
        None,
    )
    assert (found.attested, found.version, found.flags) == ("none", 1, frozenset())


def test_a_failed_message_says_why() -> None:
    """It stays visible until it is sent again or pruned (D23)."""
    error = NotAllowed("muted")

    found = pending(wish(create(1, "ada").envelope, status="failed", error=error))

    assert (found.status, found.error) == ("failed", error)


def test_pending_changes_show_on_a_pending_message() -> None:
    """Written, edited, reacted to, all before the network is back (D23)."""
    hello = create(1, "ada")
    words = [hello, change(2, "update", hello), change(3, "add", hello, "ada")]

    found = pending(*(wish(one.envelope, order) for order, one in enumerate(words)))

    assert (found.text, found.edited, found.reactions) == ("edit 2", True, {"👍": frozenset({"ada"})})


@pytest.mark.parametrize(
    ("words", "deleted", "text", "edited"),
    [
        (["delete"], True, "", False),
        (["delete", "restore"], False, "", False),
        (["update", "delete"], True, "", False),
        (["delete", "update", "restore"], False, "edit 11", True),
    ],
)
def test_pending_changes_show_as_they_will_when_they_are_confirmed(
    words: list[str], deleted: bool, text: str, edited: bool
) -> None:
    """A delete erases at once, and a restore brings nothing back (D23, D26)."""
    hello = create(1, "ada")
    facts = [change(10 + at, word, hello) for at, word in enumerate(words)]
    wishes = [wish(one.envelope, order) for order, one in enumerate([hello, *facts])]

    optimistic, confirmed = pending(*wishes), message(hello, *facts)

    for found in (optimistic, confirmed):
        assert (found.deleted, found.text, found.edited) == (deleted, text, edited)
    assert optimistic.body == confirmed.body


def test_taking_back_a_reaction_shows_at_once() -> None:
    """The last of an emoji takes it away."""
    hello = create(1, "ada")
    words = [hello, change(2, "add", hello, "ada"), change(3, "remove", hello, "ada")]

    found = pending(*(wish(one.envelope, order) for order, one in enumerate(words)))

    assert found.reactions == {}


def test_a_failed_change_shows_no_effect_but_its_reason() -> None:
    """It is rolled back (D23)."""
    hello = create(1, "ada")
    error = NotAllowed("too late")
    edit = wish(change(2, "update", hello).envelope, 2, "failed", error=error)

    found = pending(wish(hello.envelope), edit)

    assert (found.text, found.status, found.error) == ("text 1", "failed", error)
