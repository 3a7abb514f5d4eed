"""`Protocol` without a network: what frames mean, and what is said to the service."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.adapters.ably.acks import Pending
from chatkit.adapters.ably.config import Form
from chatkit.adapters.ably.protocol import (
    Answered,
    AskedForToken,
    Attached,
    Came,
    Closed,
    Closing,
    Connected,
    Detached,
    Ended,
    Moved,
    Present,
    Protocol,
    Refused,
    Resume,
    Settled,
    Write,
)
from chatkit.adapters.ably.wire import ErrorInfo, decode, encode
from tests.adapters.ably.frames import PLAIN, attached, connected, hear, member, said


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_a_publish_is_a_frame_in_either_format(form: Form) -> None:
    """Numbered from 0, with its messages; answers name the number."""
    protocol = connected(form)

    first = said(protocol.publish("support", [{"id": "b:0", "data": "{}"}], "one"), form)
    second = said(protocol.publish("sales", [{"id": "c:0", "data": "{}"}], "two"), form)

    assert first == {
        "action": 15,
        "channel": "support",
        "msgSerial": 0,
        "messages": [{"id": "b:0", "data": "{}"}],
    }
    assert (second["msgSerial"], second["channel"]) == (1, "sales")
    ack = {"action": 1, "msgSerial": 0, "count": 2, "res": [{"serials": ["s1"]}, {"serials": [None]}]}
    assert hear(protocol, **ack) == [
        Settled("one", ["s1"], None, unknown=False),
        Settled("two", [None], None, unknown=False),
    ]


def test_refusals_name_their_frames() -> None:
    """A NACK covers a range as an ACK does; its number may be left out when it is 0."""
    protocol = connected()
    for what in ("one", "two", "three"):
        _ = protocol.publish("support", [], what)

    error = {"code": 42911, "statusCode": 429, "message": "of no concern"}
    refused = hear(protocol, action=2, count=2, error=error)

    assert refused == [Settled(what, [], ErrorInfo(42911, 429), unknown=False) for what in ("one", "two")]
    assert protocol.unsettled() == ["three"]


def test_what_an_answer_passes_over_is_unknown() -> None:
    """A later frame is answered and an earlier one is not: nobody can say what became of it (D11)."""
    protocol = connected()
    for what in ("one", "two"):
        _ = protocol.publish("support", [], what)

    assert hear(protocol, action=1, msgSerial=1, count=1, res=[{"serials": ["s2"]}]) == [
        Settled("one", [], None, unknown=True),
        Settled("two", ["s2"], None, unknown=False),
    ]
    assert hear(protocol, action=1, msgSerial=1, count=1) == []


def test_an_answer_that_comes_again_with_more_gives_each_its_own_serial() -> None:
    """Of a range whose beginning was answered before the later serials are those of the rest."""
    protocol = connected()
    for what in ("one", "two"):
        _ = protocol.publish("support", [], what)

    _ = hear(protocol, action=1, msgSerial=0, count=1, res=[{"serials": ["s1"]}])
    again = hear(protocol, action=1, msgSerial=0, count=2, res=[{"serials": ["s1"]}, {"serials": ["s2"]}])

    assert again == [Settled("two", ["s2"], None, unknown=False)]


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=12),
)
def test_each_frame_is_settled_once(publishes: list[int], answers: list[tuple[int, int]]) -> None:
    """Whatever answers come, doubled, overlapping or of the future: each frame once, in order."""
    pending, found = Pending[int](), list[int]()
    for count in publishes:
        for _ in range(count):
            assert pending.add(pending.next) == pending.next - 1
        for first, span in answers:
            answer = pending.settle(first, span)
            assert all(number < first for number in answer.skipped)
            expected = [*range(first + answer.known, first + span)][: len(answer.settled)]
            assert answer.settled == expected
            found += [*answer.skipped, *answer.settled]
    found += pending.clear()
    assert found == [*range(sum(publishes))]


def test_a_connection_goes_on_under_its_own_numbers() -> None:
    """The same connection counts on; a new one begins at 0."""
    before = connected()
    for what in ("one", "two"):
        _ = before.publish("support", [], what)
    resume = before.resume
    assert resume == Resume("c1!k1", "c1", 2)

    same, other = connected(resume=resume), connected(resume=resume, connection="c9")

    assert said(same.publish("support", [], "three"))["msgSerial"] == 2
    assert said(other.publish("support", [], "three"))["msgSerial"] == 0
    assert "k1" not in repr(resume)


def test_a_later_connected_renews_the_key_alone() -> None:
    """It answers AUTH, and may come unasked."""
    protocol = connected()
    assert said(protocol.authenticate("token")) == {"action": 17, "auth": {"accessToken": "token"}}

    renewed = hear(protocol, action=4, connectionId="c1", connectionDetails={"connectionKey": "c1!k2"})

    assert renewed == [Connected(resumed=True)]
    assert protocol.resume == Resume("c1!k2", "c1", 0)
    assert protocol.client_id == "ada"


@pytest.mark.parametrize(
    ("frame", "meanings"),
    [
        ({"action": 0}, []),
        ({"action": 0, "id": "b1"}, [Answered("b1")]),
        ({"action": 6}, [Closing(None, fatal=False)]),
        ({"action": 6, "error": {"code": 80003}}, [Closing(ErrorInfo(80003, 400), fatal=False)]),
        (
            {"action": 9, "error": {"code": 40142, "statusCode": 401}},
            [Closing(ErrorInfo(40142, 401), fatal=True)],
        ),
        ({"action": 9, "error": None}, [Closing(None, fatal=True)]),
        ({"action": 8}, [Closed()]),
        ({"action": 17}, [AskedForToken()]),
        ({"action": 22}, []),
        ({"action": "MESSAGE"}, []),
        ({"action": 19, "channel": "support", "state": [1]}, []),
        ({"action": 15, "channel": "strange", "messages": [{"data": "x"}]}, []),
        ({"action": 13, "channel": "strange"}, []),
        ({"action": 9, "channel": "strange", "error": {"code": 1}}, []),
    ],
)
def test_frames_of_the_connection(frame: dict[str, Any], meanings: list[object]) -> None:
    """What is not understood, or about nothing known, means no more than that the service lives."""
    assert hear(connected(), **frame) == meanings


@pytest.mark.parametrize(
    "raw", ["", "null", "[]", "{", '{"action":15', "\ud800", b"", b"\xc1", b"\x93", b"\xff" * 9, b"[" * 5_000]
)
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_what_is_no_frame_ends_nothing(raw: str | bytes, form: Form) -> None:
    """It means nothing."""
    assert connected(form).receive(raw) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    *("channel", "channelSerial", "id", "msgSerial", "count", "flags", "res", "messages", "presence"),
    *("error", "connectionId", "connectionDetails", "timestamp"),
)


@pytest.mark.long
@given(
    st.lists(
        st.fixed_dictionaries({"action": st.integers(0, 23)}, optional=dict.fromkeys(FIELDS, JSON)),
        max_size=6,
    )
)
def test_no_frame_breaks_the_protocol(frames: list[dict[str, Any]]) -> None:
    """Whatever its fields hold: an answer or nothing, never an exception (I16)."""
    protocol = connected()
    _ = protocol.attach("support", presence=True, behind=None)
    _ = hear(protocol, **attached())
    _ = protocol.publish("support", [{}], "one")
    for frame in frames:
        _ = protocol.receive(encode({"channel": "support", **frame}, "json"))


def attach(protocol: Protocol[Any], *, presence: bool = False, behind: str | None = None) -> dict[str, Any]:
    return said(protocol.attach("support", presence=presence, behind=behind))


def test_attaching_asks_for_what_is_needed() -> None:
    """To hear, speak and enter, and who is there only where that is asked for; from where to go on."""
    protocol = connected()

    assert attach(protocol) == {"action": 10, "channel": "support", "flags": PLAIN}
    asked = attach(protocol, presence=True, behind="s7")

    assert (asked["flags"], asked["channelSerial"]) == (PLAIN | 524_288, "s7")


def test_a_channel_is_heard_from_attached_to_detach() -> None:
    """Neither before nor behind, whatever was under way (RTL17)."""
    protocol = connected()
    message = {"action": 15, "channel": "support", "channelSerial": "s2", "messages": [{"data": "x"}]}
    _ = attach(protocol)
    assert hear(protocol, **message) == []

    assert hear(protocol, **attached(serial="s1", flags=PLAIN | 4)) == [
        Attached("support", "s1", resumed=True, may_publish=True, asked=True)
    ]
    assert hear(protocol, **message) == [Came("support", "s2", [{"data": "x"}])]
    assert said(protocol.detach("support")) == {"action": 12, "channel": "support"}
    assert hear(protocol, **message) == []
    assert hear(protocol, action=13, channel="support") == [Detached("support")]
    assert protocol.detach("support") is None


def test_messages_take_over_from_their_frame() -> None:
    """Id, connection and time where they have none of their own; null is absent (TM2)."""
    protocol = connected()
    _ = attach(protocol)
    _ = hear(protocol, **attached())
    given = [{"data": "x", "name": None}, {"id": "own", "connectionId": "c8", "timestamp": 9}, 7]

    (came,) = hear(
        protocol, action=15, channel="support", id="c5:3", connectionId="c5", timestamp=5, messages=given
    )

    assert isinstance(came, Came)
    assert came.items == [
        {"data": "x", "id": "c5:3:0", "connectionId": "c5", "timestamp": 5},
        {"id": "own", "connectionId": "c8", "timestamp": 9},
    ]


def test_attached_unasked_is_a_verdict() -> None:
    """On continuity, on a channel that is attached already (RTL12)."""
    protocol = connected()
    _ = attach(protocol)
    _ = hear(protocol, **attached())

    assert hear(protocol, **attached(serial="s9", error={"code": 80020})) == [
        Attached("support", "s9", resumed=False, may_publish=True, asked=False)
    ]


def test_attached_that_nobody_wants_is_taken_back() -> None:
    """DETACH is said again (RTL5k)."""
    (write,) = hear(connected(), **attached("strange"))

    assert isinstance(write, Write)
    assert said(write.frame) == {"action": 12, "channel": "strange"}


def test_only_the_last_answer_counts() -> None:
    """What was given up is answered too, in its order: an attach, its detach, and an attach anew."""
    protocol = connected()
    _ = attach(protocol)
    _ = protocol.detach("support")
    _ = attach(protocol)

    assert hear(protocol, **attached(serial="s1")) == []
    assert hear(protocol, action=13, channel="support") == []
    assert hear(protocol, **attached(serial="s2")) == [
        Attached("support", "s2", resumed=False, may_publish=True, asked=True)
    ]
    assert protocol.hears("support")


@pytest.mark.parametrize("first", ["attach", "detach"])
def test_what_is_never_answered_holds_up_nothing(first: str) -> None:
    """The answer to what was asked later tells that there is none to what was asked before it (RTL4f)."""
    protocol = connected()
    _ = attach(protocol)
    if first == "detach":
        _ = hear(protocol, **attached(serial="s1"))
    _ = protocol.detach("support")
    _ = attach(protocol)
    if first == "attach":  # the detach is answered
        assert hear(protocol, action=13, channel="support") == []

    assert hear(protocol, **attached(serial="s2")) == [
        Attached("support", "s2", resumed=False, may_publish=True, asked=True)
    ]
    assert protocol.hears("support")


@pytest.mark.parametrize("action", [9, 13])
def test_a_channel_is_refused_or_taken_away(action: int) -> None:
    """By ERROR or DETACHED; the connection lives, and attaching begins anew (RTL13, RTL14)."""
    protocol = connected()
    refusal = {"action": action, "channel": "support", "error": {"code": 40160, "statusCode": 401}}
    _ = attach(protocol)
    assert hear(protocol, **refusal) == [Refused("support", ErrorInfo(40160, 401))]
    _ = attach(protocol)
    _ = hear(protocol, **attached())

    assert hear(protocol, **refusal) == [Ended("support", ErrorInfo(40160, 401))]

    assert not protocol.hears("support")
    assert hear(protocol, **refusal) == []


def test_a_missing_publish_mode_is_told() -> None:
    """ATTACHED grants no more than the capability allows."""
    protocol = connected()
    _ = attach(protocol)

    (found,) = hear(protocol, **attached(flags=262_144))

    assert isinstance(found, Attached)
    assert not found.may_publish


def present(protocol: Protocol[Any], *, flags: int = PLAIN | 1) -> list[Any]:
    _ = attach(protocol, presence=True)
    return hear(protocol, **attached(flags=flags))[1:]


def names(found: list[Any]) -> list[str]:
    (told,) = found
    assert isinstance(told, Present)
    return sorted(one.client_id for one in told.members)


def test_who_is_there_is_told_by_pages() -> None:
    """The whole set with the last page; nobody, at once, where none follow (RTP1, RTP18)."""
    assert names(present(connected(), flags=PLAIN)) == []
    protocol = connected()
    assert present(protocol) == []

    page = {"action": 16, "channel": "support"}
    assert hear(protocol, **page, channelSerial="q1:7", presence=[member("ada"), member("bob", "c6")]) == []
    found = hear(protocol, **page, channelSerial="q1:", presence=[member("eve")])

    assert names(found) == ["ada", "bob", "eve"]
    assert names(hear(protocol, **page, presence=[member("dan")])) == ["dan"]  # whole in one frame


def test_who_is_not_asked_for_is_not_told() -> None:
    """Members are of no concern to who wants messages alone."""
    protocol = connected()
    _ = attach(protocol)
    _ = hear(protocol, **attached(flags=PLAIN | 1))

    assert hear(protocol, action=14, channel="support", presence=[member("ada", action=2)]) == []


def test_members_move_by_their_newest_word() -> None:
    """Numbers tell within a connection, times where the service speaks for it; older words are nothing (RTP2)."""
    protocol = connected()
    _ = present(protocol, flags=PLAIN)

    def moved(**item: Any) -> list[tuple[str, str]]:
        found = hear(protocol, action=14, channel="support", presence=[member("ada", **item)])
        assert all(isinstance(one, Moved) for one in found)
        return [(change, one.client_id) for each in found for change, one in each.moves]  # type: ignore[union-attr]

    assert moved(number=3, action=2) == [("enter", "ada")]
    assert moved(number=3, action=4) == []
    assert moved(number=2, action=3) == []
    assert moved(number=4, action=2) == [("update", "ada")]
    assert moved(connection="c7", number=0, action=2) == [("enter", "ada")]
    assert moved(connection="c7", action=3, id="none", timestamp=0) == []
    assert moved(connection="c7", action=3, id="none", timestamp=2) == [("leave", "ada")]
    assert moved(number=5, action=3) == [("leave", "ada")]
    assert moved(number=6, action=3) == []


def test_a_sync_does_not_bring_back_who_left() -> None:
    """What moves meanwhile is told at once, and is newer than the page that follows; who is not named is gone
    (RTP2h, RTP19).
    """
    protocol = connected()
    _ = present(protocol)
    page = {"action": 16, "channel": "support"}
    _ = hear(
        protocol,
        **page,
        channelSerial="q1:",
        presence=[member("ada"), member("bob", "c6"), member("eve", "c7")],
    )
    _ = hear(protocol, **attached(flags=PLAIN | 1))

    _ = hear(protocol, **page, channelSerial="q2:1", presence=[member("ada")])
    leave = member("bob", "c6", number=1, action=3)
    (moved,) = hear(protocol, action=14, channel="support", presence=[leave])
    assert isinstance(moved, Moved)
    assert [(change, one.client_id) for change, one in moved.moves] == [("leave", "bob")]
    found = hear(protocol, **page, channelSerial="q2:", presence=[member("bob", "c6")])

    assert names(found) == ["ada"]


def test_a_new_sync_discards_the_one_under_way() -> None:
    """By its sequence (RTP18)."""
    protocol = connected()
    _ = present(protocol)
    page = {"action": 16, "channel": "support"}
    _ = hear(protocol, **page, channelSerial="q1:5", presence=[member("ada")])

    found = hear(protocol, **page, channelSerial="q2:", presence=[member("bob", "c6")])

    assert names(found) == ["bob"]


def test_members_speak_by_their_connection() -> None:
    """Numbered with the messages."""
    protocol = connected()
    _ = protocol.publish("support", [], "one")

    assert said(protocol.present("support", {"action": 2}, "two")) == {
        "action": 14,
        "channel": "support",
        "msgSerial": 1,
        "presence": [{"action": 2}],
    }


def test_binary_data_comes_through_in_msgpack() -> None:
    """As it is; in JSON it is base64."""
    assert decode(encode({"messages": [{"data": b"\xff"}]}, "msgpack"), "msgpack") == {
        "messages": [{"data": b"\xff"}]
    }
