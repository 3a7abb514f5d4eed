"""What annotations mean, what is remembered of reactions, and when they are listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from chatkit.adapters.ably import reacted as bounds
from chatkit.adapters.ably import whereabouts
from chatkit.adapters.ably.annotations import (
    TYPE,
    Reaction,
    annotation_of,
    pack,
    reactions_of,
    summary_of,
)
from chatkit.adapters.ably.changing import Changing, is_change
from chatkit.adapters.ably.hearing import Hearing
from chatkit.adapters.ably.listing import LISTED
from chatkit.adapters.ably.places import annotation_key, behind, key_of, version_key
from chatkit.adapters.ably.protocol import Annotated as Heard
from chatkit.adapters.ably.reacted import Reacted
from chatkit.adapters.ably.reacting import Reacted as Made
from chatkit.adapters.ably.rest import Page
from chatkit.adapters.ably.whereabouts import Whereabouts
from chatkit.errors import MessageNotFound, NotAllowed, Rejected, TransportError
from chatkit.model.entry import Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.adapter import Received
from chatkit.ports.outgoing import Ack
from tests.adapters.ably.frames import connected
from tests.adapters.ably.test_ably_versions import (
    Kept,
    account,
    changing,
    envelope,
    history,
    memory_of,
    outgoing,
    plain,
    serial,
)

TARGET = Ident("ada", "00000000-0000-7000-8000-000000000001")


def reaction(kind: str = "reaction.add", emoji: str = "👍", *, user: str = "bob", **more: Any) -> Envelope:
    """Return a reaction to `message(1)`."""
    return envelope(kind, user=user, body={"type": "reaction", "emoji": emoji}, **more)


def annotation(number: int, name: str = "👍", **more: Any) -> dict[str, Any]:
    """Return an annotation as another client makes it."""
    made = {"action": 0, "type": TYPE, "name": name, "messageSerial": serial(1), "clientId": "bob"}
    return made | {"serial": serial(number)} | more


def told(item: dict[str, Any]) -> Reaction:
    """Return what an annotation says of `message(1)`."""
    found = annotation_of(item)
    assert found is not None
    said = found.reaction("support", TARGET)
    assert said is not None
    return said


def test_what_chatkit_gives_comes_back_as_it_was_sent() -> None:
    """The envelope in its own bytes, at a place behind its annotation's serial (D1, D7)."""
    sent = reaction(seq=7, hlc="0193581fa2c0-0003", meta={"a": "b"})
    (frame,) = pack(serial(1), sent, ["👍"], user="bob")

    found = told({**frame, "serial": serial(5)})

    assert found.entry.data == sent.encode()
    assert (found.id, found.register, found.given) == (sent.id, ("👍", "bob"), True)
    assert found.entry.stamp.key == annotation_key(serial(5))
    assert key_of(serial(5)) < annotation_key(serial(5)) < version_key(serial(5))
    assert annotation_key(serial(5)) < behind(serial(5).partition(":")[0])
    assert "reaction" not in repr(found)
    assert "reaction" not in repr(annotation_of({**frame, "serial": serial(5)}))


@pytest.mark.parametrize(
    "said",
    [
        reaction(user="eve"),
        reaction("reaction.remove"),
        reaction(emoji="🎉"),
        reaction(channel="other"),
        reaction(ref={"id": "00000000-0000-7000-8000-000000000002", "user": "ada"}),
        envelope(user="bob"),
        "{",
        None,
    ],
)
def test_an_annotation_that_tells_of_something_else_is_one_of_others(said: Envelope | str | None) -> None:
    """What its data says is believed of its own message and its own sender alone (D2)."""
    data = said.encode().decode() if isinstance(said, Envelope) else said

    found = told(annotation(5, data=data))

    made = Envelope.parse(found.entry.data)
    assert (made.kind, made.emoji, made.sender.user, made.channel) == ("reaction.add", "👍", "bob", "support")
    assert made.ref is not None
    assert Ident(made.ref.user, made.ref.id) == TARGET
    assert made.id == told(annotation(5)).id
    assert not isinstance(said, Envelope) or made.id != said.id


@pytest.mark.parametrize(
    "item",
    [
        annotation(5, type="reaction:unique.v1"),
        annotation(5, action=2),
        annotation(5, clientId=None),
        annotation(5) | {"name": None},
        annotation(5, messageSerial=7),
    ],
)
def test_what_is_no_reaction(item: dict[str, Any]) -> None:
    """Other types, what is neither made nor taken back, and what nobody vouches for."""
    assert annotation_of(item) is None


@pytest.mark.parametrize("name", ["x" * 65, "\\x00", "\\ufe0f"])
def test_a_name_that_is_no_emoji_is_none(name: str) -> None:
    """It says nothing of any message, and stands in no summary."""
    found = annotation_of(annotation(5, name.encode().decode("unicode_escape")))
    assert found is not None
    assert found.reaction("support", TARGET) is None
    assert summary_of(summed({name.encode().decode("unicode_escape"): ["bob"]})) == frozenset()


def summed(given: Mapping[str, list[str]], **more: Any) -> dict[str, Any]:
    """Return a message that says what reactions stand."""
    told = {name: {"total": len(users), "clientIds": users, **more} for name, users in given.items()}
    return {"serial": serial(1), "action": 4, "annotations": {"summary": {TYPE: told}}}


def test_what_stands_is_counted_by_emoji() -> None:
    """However it is written; what is cut short is what nobody knows."""
    assert summary_of(summed({"❤": ["ada"], "❤️": ["bob", "ada"]})) == frozenset({("❤", "ada"), ("❤", "bob")})
    assert summary_of(summed({})) == frozenset()
    assert summary_of({"annotations": {"summary": {"other:flag.v1": {}}}}) is None
    assert summary_of({"annotations": {}}) is None
    assert summary_of(summed({"❤": ["ada"]}, clipped=True)) == frozenset({("❤", "")})
    assert summary_of({"annotations": {"summary": {TYPE: {"❤": 1}}}}) == frozenset()


def test_the_first_annotation_of_an_id_stands() -> None:
    """One that was made twice, for its answer was lost, does not win over what came between (D1)."""
    sent = reaction()
    (frame,) = pack(serial(1), sent, ["👍"], user=None)
    listed = [
        {**frame, "serial": serial(9), "clientId": "bob"},
        annotation(7, action=1),
        {**frame, "serial": serial(5), "clientId": "bob"},
    ]
    annotations = [found for item in listed if (found := annotation_of(item)) is not None]

    said = reactions_of("support", TARGET, annotations)

    assert [(one.given, one.entry.stamp.key) for one in said] == [
        (True, annotation_key(serial(5))),
        (False, annotation_key(serial(7))),
    ]


# -- what is remembered


def test_the_last_of_each_reaction_is_remembered() -> None:
    """Whichever comes first, and each is passed on once."""
    known = Reacted()
    for number, action in ((7, 1), (5, 0)):
        known.note("support", serial(1), [told(annotation(number, action=action))])
    known.note("support", serial(1), [told(annotation(6, "🎉"))])
    known.note("other", serial(1), [told(annotation(9))])

    after = known.since("support", key_of(serial(6)))
    assert sorted(one.stamp.key for one in after) == [annotation_key(serial(6)), annotation_key(serial(7))]
    assert known.since("support", annotation_key(serial(7))) == []
    assert len(known.of("support", serial(1))) == len(known.untold("support", serial(1))) == 2
    assert known.untold("support", serial(1)) == []
    assert known.untold("support", serial(2)) == []
    assert known.has_any("support")
    assert not known.has_any("third")


def test_a_message_is_listed_where_it_is_not_known_what_stands() -> None:
    """Or where something may have been missed that summaries do not show."""
    known, stands = Reacted(), frozenset({("👍", "bob")})
    assert known.is_whole("support", serial(1), None, "s1")
    assert not known.is_whole("support", serial(1), stands, "s1")

    known.note("support", serial(1), [told(annotation(5))])
    assert not known.is_whole("support", serial(1), stands, "s1")
    known.listed("support", serial(1), "s1")

    assert known.is_whole("support", serial(1), stands, "s1")
    assert not known.is_whole("support", serial(1), stands, "s2")
    assert not known.is_whole("support", serial(1), stands, None)
    assert not known.is_whole("support", serial(1), frozenset(), "s1")
    assert known.is_whole("support", serial(1), frozenset({("👍", "")}), "s1")  # as far as it names users
    assert not known.is_whole("support", serial(1), frozenset({("🎉", "")}), "s1")
    known.note("support", serial(1), [told(annotation(6, action=1))])
    assert known.is_whole("support", serial(1), frozenset(), "s1")


def test_a_summary_tells_of_what_came_once() -> None:
    """The next one that says the same tells of what did not come."""
    known, stands = Reacted(), frozenset({("👍", "bob")})
    assert not known.is_told("support", serial(1), stands)
    known.note("support", serial(1), [told(annotation(5))])
    known.came("support", serial(1))
    assert not known.is_told("support", serial(1), stands)  # nobody passed it on

    _ = known.untold("support", serial(1))

    assert not known.is_told("support", serial(1), frozenset())
    assert known.is_told("support", serial(1), stands)
    assert not known.is_told("support", serial(1), stands)


def test_a_summary_that_was_heard_vouches_for_what_came_before_it_alone() -> None:
    """What stands then may come about in another way before the next."""
    known, stands = Reacted(), frozenset({("👍", "bob")})
    known.note("support", serial(1), [told(annotation(5))])
    known.came("support", serial(1))
    _ = known.untold("support", serial(1))

    assert not known.hear("support", serial(1), frozenset())
    assert not known.hear("support", serial(1), stands)


def test_a_summary_that_is_told_of_is_what_a_list_is_compared_with() -> None:
    """After a cut older ones come again, which say what no list does any more."""
    known, stands = Reacted(), frozenset({("👍", "bob")})
    known.note("support", serial(1), [told(annotation(5))])
    _ = known.untold("support", serial(1))
    assert not known.hear("support", serial(1), frozenset())
    assert known.want("support", serial(1), frozenset())
    before = known.wanted("support", serial(1))
    assert before is not None

    known.came("support", serial(1))
    assert known.hear("support", serial(1), stands)

    assert known.wanted("support", serial(1)) == before._replace(summary=stands)


def test_a_message_that_is_to_be_listed_is_not_whole_for_a_reader() -> None:
    """Though what is known of it is what stands: something came, which may be another."""
    known, stands = Reacted(), frozenset({("👍", "bob")})
    known.note("support", serial(1), [told(annotation(5))])
    known.listed("support", serial(1), "s1")
    assert known.is_whole("support", serial(1), stands, "s1")

    assert known.want("support", serial(1), stands)

    assert not known.is_whole("support", serial(1), stands, "s1")


def test_what_nobody_read_before_a_connection_ended_is_passed_on_by_the_next() -> None:
    """Ably brings it again, which is no repeat to who lost it (I2, I6)."""
    memory = memory_of()
    frame = Heard("support", serial(5).partition(":")[0], [annotation(5)])
    memory.recall.places.note("support", TARGET, serial(1))

    def heard() -> Hearing:
        hearing = Hearing(connected(), memory, namespace="", logged=False, native=True)
        _ = hearing.attach("support", presence=False, behind=None)
        hearing.annotated(frame)
        hearing.annotated(frame)
        return hearing

    def places(hearing: Hearing) -> list[OrderKey]:
        stamps = [signal.stamp for signal in hearing.ready if isinstance(signal, Received)]
        return [stamp.key for stamp in stamps if isinstance(stamp, Stamp)]

    lost = heard()
    following = heard()

    assert [places(one) for one in (lost, following)] == [[annotation_key(serial(5))]] * 2
    _ = following.detach("support")  # takes what waits with it
    _ = following.attach("support", presence=False, behind=None)
    following.annotated(frame)
    assert places(following) == [annotation_key(serial(5))]


def test_what_is_remembered_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """By messages, by reactions of one, by size; what was forgotten is to be looked for (I10)."""
    monkeypatch.setattr(bounds, "MESSAGES", 3)
    monkeypatch.setattr(bounds, "OF_ONE", 2)
    known = Reacted()
    for number, name in enumerate("abc", 5):
        known.note("support", serial(1), [told(annotation(number, name))])
    assert [one.stamp.key for one in known.of("support", serial(1))] == [
        annotation_key(serial(6)),
        annotation_key(serial(7)),
    ]
    assert not known.reaches(key_of(serial(5)))
    assert known.reaches(annotation_key(serial(5)))

    for number in (2, 3, 4):
        known.note("support", serial(number), [told(annotation(number + 10))])
    assert known.of("support", serial(1)) == ()
    assert not known.reaches(annotation_key(serial(6)))
    assert known.reaches(annotation_key(serial(7)))
    monkeypatch.setattr(bounds, "BYTES", 100)
    known.note("support", serial(5), [told(annotation(20))])
    assert known.of("support", serial(4)) == ()
    assert known.has_any("whichever")


def test_messages_that_wait_to_be_listed_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are remembered until they were, or the channel is left (I10)."""
    monkeypatch.setattr(bounds, "WANTED", 2)
    known = Reacted()
    assert [known.want("support", serial(number), None) for number in (1, 2, 3, 1)] == [
        True,
        True,
        False,
        True,
    ]
    assert known.wanted_of("support") == [serial(1), serial(2)]
    known.unwant("support", serial(1))
    assert known.wanted_of("support") == [serial(2)]
    known.unwant("support")
    assert known.wanted_of("support") == []
    for number in range(3):
        known.goes_plain(Ident("ada", str(number)))
    assert [known.is_plain(Ident("ada", str(number))) for number in range(3)] == [False, True, True]


def test_of_messages_that_came_it_is_known_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways; the first copy of one stands; what is no message is none (D1, I10)."""
    places = Whereabouts()
    text = envelope().encode().decode()
    for number in (1, 2):
        places.heard("support", serial(number), "ada", text)
    places.heard("support", serial(3), "ada", "{" + TARGET.id)
    places.heard("support", serial(4), "bob", reaction().encode().decode())
    places.heard("other", serial(5), "ada", text)

    assert places.serial_of("support", TARGET) == serial(1)
    assert places.ident_of("support", serial(1)) == TARGET
    assert places.ident_of("support", serial(3)) is None
    assert places.ident_of("support", serial(4)) is None
    assert places.serial_of("support", Ident("bob", TARGET.id)) is None
    monkeypatch.setattr(whereabouts, "HEARD", 2)
    places = Whereabouts()
    for number in range(4):
        places.heard("support", serial(number), "ada", text)
    assert places.ident_of("support", serial(1)) is None
    assert places.ident_of("support", serial(2)) == TARGET
    monkeypatch.setattr(whereabouts, "BYTES", 10)
    places.heard("support", serial(9), "ada", text)
    assert places.ident_of("support", serial(9)) is None


# -- listing


class Annotated(Kept):
    """An account whose messages have annotations."""

    def __init__(self, items: list[dict[str, Any]], annotations: Mapping[str, list[dict[str, Any]]]) -> None:
        super().__init__(items)
        self.annotated = annotations
        self.listed: list[str] = []
        self.refusal: Exception | None = None

    async def annotations(self, name: str, number: str, access: object) -> Page:
        del name, access
        self.listed.append(number)
        if self.refusal is not None:
            raise self.refusal
        return Page(self.annotated.get(number, []), None)


def reacted_to(count: int) -> Annotated:
    """Return an account with so many messages to which bob reacted."""
    stands = summed({"👍": ["bob"]})["annotations"]
    numbers = range(1, count + 1)
    return Annotated(
        [plain(number, annotations=stands) for number in numbers],
        {serial(n): [annotation(1_000 + n, messageSerial=serial(n))] for n in numbers},
    )


async def test_a_page_shows_reactions_and_lists_no_more_than_it_must() -> None:
    """Each message is asked about once while the channel is heard (D24)."""
    account = reacted_to(20)
    memory = memory_of()
    memory.unbroken("support", serial(0))
    log = history(account, memory)

    page = await log.messages("support", limit=5)
    again = await log.messages("support", limit=5)

    for found in (page, again):
        assert [item.reactions for item in found.items] == [{"👍": ("bob",)}] * 5
    assert len(account.listed) == len(set(account.listed)) == 8
    assert page.as_of is not None
    assert page.as_of < annotation_key(serial(1_020))  # what comes live meanwhile is not in
    memory.ended("support")
    _ = await log.messages("support", limit=5)
    assert len(account.listed) == 16


async def test_entries_bring_the_reactions_of_older_messages() -> None:
    """In the order of their places, as facts (D17, D19)."""
    account = reacted_to(3)
    log = history(account, memory_of(), native_edits=True)

    found = await log.entries("support", after=key_of(serial(3)), limit=10)

    assert [entry.stamp.key for entry in found.items] == [
        annotation_key(serial(1_000 + n)) for n in (1, 2, 3)
    ]


async def test_a_read_ends_before_it_asks_about_too_many() -> None:
    """The next one goes on there, and nothing is left out (I10, I14)."""
    account = reacted_to(LISTED + 30)
    log = history(account, memory_of())

    newest = await log.messages("support", limit=1_000)
    older = await log.messages("support", limit=1_000, before=newest.before)

    assert len(newest.items) == LISTED
    assert len(older.items) == 30
    assert older.before is None
    assert all(item.reactions for item in (*older.items, *newest.items))


async def test_without_the_right_a_page_has_all_else() -> None:
    """It is asked for once in a read, not for each message."""
    account = reacted_to(40)
    account.refusal = NotAllowed("no right")

    page = await history(account, memory_of()).messages("support", limit=1_000)

    assert [len(page.items), page.items[0].reactions] == [40, {}]
    assert len(account.listed) == 8


@pytest.mark.parametrize(("refusal", "raised"), [(TransportError("none"), True), (Rejected("gone"), False)])
async def test_without_an_answer_there_is_no_page(refusal: Exception, raised: bool) -> None:  # a parameter
    """One that showed no reactions would be a lie; a message that is gone has none."""
    account = reacted_to(1)
    account.refusal = refusal
    reading = history(account, memory_of()).messages("support", limit=10)

    if raised:
        with pytest.raises(TransportError):
            _ = await reading
    else:
        assert (await reading).items[0].reactions == {}


# -- finding


def test_what_goes_as_an_annotation() -> None:
    """Reactions, given and taken back."""
    assert is_change(reaction().encode())
    assert is_change(reaction("reaction.remove").encode())
    assert not is_change(reaction(min=9).encode())


def at_ably(*said: Envelope | None) -> Annotated:
    """Return an account with `message(1)`, and what bob made of it, in order; `None`: he took it back elsewhere."""
    made = list[dict[str, Any]]()
    for number, one in enumerate(said, 5):
        frames = [annotation(number, action=1)] if one is None else pack(serial(1), one, ["👍"], user="bob")
        made += [{**frame, "serial": serial(number)} for frame in frames]
    return Annotated([plain(1)], {serial(1): made})


@pytest.mark.parametrize("later", [(), (None,)], ids=["it stands", "taken back since"])
async def test_a_reaction_that_is_there_is_not_made_again(later: tuple[None, ...]) -> None:
    """Whatever came after it: an attempt without an answer does not win over that (D10)."""
    given = reaction()

    found = await changing(at_ably(given, *later)).prepare("support", outgoing(given))

    assert isinstance(found, Ack)
    assert (found.outcome, found.key) == ("duplicate", annotation_key(serial(5)))


@pytest.mark.parametrize(
    ("said", "change", "natively"),
    [
        ([], reaction(), True),
        ([reaction(), None], reaction(id="00000000-0000-7000-8000-000000000098"), True),
        ([reaction()], reaction("reaction.remove", id="00000000-0000-7000-8000-000000000098"), True),
        ([reaction()], reaction(id="00000000-0000-7000-8000-000000000098"), False),
        ([], reaction("reaction.remove"), False),
        ([reaction(), None], reaction("reaction.remove", id="00000000-0000-7000-8000-000000000098"), False),
    ],
)
async def test_an_annotation_changes_what_stands(
    said: list[Envelope | None], change: Envelope, natively: bool
) -> None:
    """What would not is a message of its own, at each attempt, though something came since (D7)."""
    kept = at_ably(*said)
    prepares = changing(kept)

    first = await prepares.prepare("support", outgoing(change))
    assert isinstance(first, Made) if natively else first is None

    kept.annotated = at_ably(*said, None if change.kind == "reaction.add" else reaction()).annotated
    if not natively:
        assert await prepares.prepare("support", outgoing(change)) is None


async def test_a_search_goes_on_where_it_had_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond one read is not missing: the next attempt looks further back."""
    monkeypatch.setattr("chatkit.adapters.ably.pages.PAGES", 2)
    kept = account(*(plain(number) for number in range(1, 100)))
    kept.size = 20
    prepares = changing(kept)

    found, looks = await at_last(prepares, envelope("message.update"))

    assert getattr(found, "serial", None) == serial(1)
    assert looks > 2
    gone = envelope("message.update", ref={"id": "00000000-0000-7000-8000-000000009999", "user": "ada"})
    missing, looks_for_gone = await at_last(prepares, gone)
    assert isinstance(getattr(missing, "error", None), MessageNotFound)
    assert looks_for_gone == looks


async def at_last(prepares: Changing, change: Envelope) -> tuple[object, int]:
    """Return what a change is prepared as, and at which attempt."""
    for attempt in range(1, 20):
        try:
            return await prepares.prepare("support", outgoing(change)), attempt
        except TransportError as error:
            if "further back" not in str(error):
                raise
    raise AssertionError("it goes on for ever")
