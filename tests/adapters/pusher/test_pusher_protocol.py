"""The protocol frame by frame: as the documentation shows them, and as official clients and servers do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.closing import again_after, closed
from chatkit.adapters.pusher.protocol import (
    MOST,
    Answered,
    Came,
    ClientEventRefused,
    Closing,
    Ended,
    Established,
    Meaning,
    Missed,
    Protocol,
    Refused,
    Strange,
    Subscribed,
    Told,
    Went,
    Write,
)
from chatkit.adapters.pusher.subscriptions import Input, State

RECORDED: Final = json.loads(
    (Path(__file__).parents[2] / "frames" / "pusher" / "frames.json").read_text(encoding="utf-8")
)

FIELDS: Final = st.sampled_from(["event", "channel", "data", "user_id", "code", "message", "presence"])
ANYTHING: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["pusher:error", "presence-room"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=12,
)


def asked(*names: str) -> Protocol:
    """A connection on which channels were asked for, in this order."""
    protocol = Protocol()
    for name in names:
        assert protocol.subscribe(name, "key:signature", None)
    return protocol


def live(name: str = "private-room", members: str = "{}") -> Protocol:
    """A connection with a live channel."""
    protocol = asked(name)
    assert protocol.receive(event("pusher_internal:subscription_succeeded", name, members)) == [
        Subscribed(name)
    ]
    return protocol


def event(name: str, channel: str | None = None, data: Any = None, **more: Any) -> str:
    fields = {"event": name, "channel": channel, "data": data, **more}
    return json.dumps({key: value for key, value in fields.items() if value is not None})


def error(message: str, code: int | None = None) -> str:
    return event("pusher:error", data={"message": message, "code": code})


@pytest.mark.parametrize("case", RECORDED["in"], ids=lambda case: case["what"])
def test_recorded_frames_mean_what_they_say(case: dict[str, Any]) -> None:
    """Each frame of the record, in the state in which it was recorded."""
    protocol = Protocol()
    for name in case.get("asked", ()):
        _ = protocol.subscribe(name, "key:signature", None)
    for frame in case.get("before", ()):
        _ = protocol.receive(frame)

    found = protocol.receive(case["frame"])

    assert [[type(meaning).__name__, *meaning] for meaning in found] == case["means"]


@pytest.mark.parametrize("case", RECORDED["out"], ids=lambda case: case["what"])
def test_frames_are_written_as_official_clients_write_them(case: dict[str, Any]) -> None:
    """To the same JSON; `channel_data` to the byte, since it was signed so."""
    made = getattr(frames, case["call"])
    frame = made(*case["with"]) if callable(made) else made

    assert json.loads(frame) == case["frame"]


@settings(max_examples=50)
@given(st.one_of(st.text(), st.binary(), ANYTHING.map(json.dumps)))
def test_no_frame_ends_the_reader(frame: str | bytes) -> None:
    """Whatever comes has a meaning, or is told as strange."""
    for meaning in live("presence-room").receive(frame):
        assert isinstance(meaning, Meaning)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ('{"t":1}', '{"t":1}'),
        ("plain text", "plain text"),
        ("123", "123"),
        ({"t": 1}, {"t": 1}),
        (["x"], ["x"]),
        (7, 7),
        ("", ""),
        (None, None),
    ],
)
def test_data_is_passed_on_as_its_publisher_gave_it(data: Any, told: Any) -> None:
    """Text is not decoded, an object not encoded."""
    protocol = live()

    assert protocol.receive(event("chatkit", "private-room", data)) == [
        Told("private-room", "chatkit", told, None)
    ]


def test_nothing_is_told_before_the_confirmation_or_after_the_end() -> None:
    """What an earlier subscription still brings belongs to nobody."""
    protocol = asked("private-room")
    assert protocol.receive(event("chatkit", "private-room", "{}")) == []
    _ = protocol.receive(event("pusher_internal:subscription_succeeded", "private-room", "{}"))

    assert protocol.end("private-room") == [Write(frames.unsubscribe("private-room"))]

    assert protocol.receive(event("chatkit", "private-room", "{}")) == []
    assert protocol.end("private-room") == []


def test_a_subscription_that_is_not_wanted_is_ended_when_it_is_confirmed() -> None:
    """An unsubscription before the confirmation would be lost on some servers."""
    protocol = asked("private-room")

    assert protocol.end("private-room") == []

    found = protocol.receive(event("pusher_internal:subscription_succeeded", "private-room", "{}"))
    assert found == [Write(frames.unsubscribe("private-room"))]
    assert protocol.receive(event("chatkit", "private-room", "{}")) == []


def test_wanting_it_again_meanwhile_asks_no_second_time() -> None:
    """A second subscription would be an error."""
    protocol = asked("private-room")
    _ = protocol.end("private-room")

    assert protocol.want("private-room")

    assert protocol.subscribe("private-room", "key:other", None) == []
    found = protocol.receive(event("pusher_internal:subscription_succeeded", "private-room", "{}"))
    assert found == [Subscribed("private-room")]


def test_a_time_out_ends_it_and_waits_for_a_ping() -> None:
    """A confirmation that comes late is of what was ended."""
    protocol = asked("private-room")

    assert protocol.end("private-room", Input.OVERDUE) == [Write(frames.unsubscribe("private-room"))]
    assert protocol.receive(event("pusher_internal:subscription_succeeded", "private-room", "{}")) == []
    assert protocol.subscription("private-room").state is State.DOUBT
    protocol.settle("private-room")

    assert protocol.subscribe("private-room", "key:signature", None)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Invalid signature: Expected HMAC SHA256 hex digest of 1.2:private-b, but got 00", "private-b"),
        ("Auth value for subscription to private-a is invalid: should be of format", "private-a"),
        ("Invalid key in subscription auth data: 'other'", "private-a"),
        ("Existing subscription to channel private-bb", "private-bb"),
    ],
)
def test_an_error_finds_the_subscription_that_it_is_about(message: str, name: str) -> None:
    """By the name in its text, the longest that fits; without one by the order of the answers."""
    protocol = asked("private-a", "private-b", "private-bb")

    assert protocol.receive(error(message)) == [Refused(name, None, message)]
    assert protocol.receive(event("pusher_internal:subscription_succeeded", name, "{}")) == [
        Write(frames.unsubscribe(name))
    ]


def test_errors_about_nothing_known_are_strange() -> None:
    """They end nothing, and nobody's wait."""
    protocol = asked("private-a")

    assert protocol.receive(error("The weather is bad", 4999)) == [
        Strange(None, "pusher:error", {"message": "The weather is bad", "code": 4999}, "error")
    ]
    assert protocol.subscription("private-a").state is State.ASKED


def test_members_are_told_once() -> None:
    """News of members may repeat; the set is right all the same."""
    presence = json.dumps({"presence": {"count": 2, "ids": ["ada", 7], "hash": {"ada": None, "7": {}}}})
    protocol = live("presence-room", presence)
    bo = json.dumps({"user_id": "bo"})
    number = json.dumps({"user_id": 7})
    room = protocol.subscription("presence-room")
    assert list(room.members) == ["ada", "7"]

    for name, data, means in (
        ("pusher_internal:member_added", bo, [Came("presence-room", "bo")]),
        ("pusher_internal:member_added", bo, []),
        ("pusher_internal:member_removed", number, [Went("presence-room", "7")]),
        ("pusher_internal:member_removed", number, []),
        ("pusher_internal:member_added", json.dumps({}), []),
        ("pusher_internal:member_added", "nonsense", []),
    ):
        assert protocol.receive(event(name, "presence-room", data)) == means
    assert list(room.members) == ["ada", "bo"]


def test_a_server_that_ends_a_subscription_is_heard() -> None:
    """Some say so; nothing more is told of it."""
    protocol = live()
    removed = {"type": "Removed", "error": "removed", "status": 403}

    found = protocol.receive(event("pusher:subscription_error", "private-room", removed))

    assert found == [Ended("private-room", 403, "Removed: removed")]
    assert protocol.receive(event("chatkit", "private-room", "{}")) == []


def test_a_connection_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 subscriptions (I10)."""
    assert MOST == 10_000
    monkeypatch.setattr("chatkit.adapters.pusher.protocol.MOST", 3)
    protocol = asked(*(f"private-{number}" for number in range(3)))

    with pytest.raises(OverflowError):
        _ = protocol.subscribe("private-more", "key:signature", None)


@pytest.mark.parametrize(
    ("frame", "means"),
    [
        (frames.PING, [Write(frames.PONG)]),
        ('{"event":"pusher:pong","data":"{}"}', [Answered()]),
        ('{"event":"pusher:pong"}', [Answered()]),
        (error("x", 4200), [Closing(4200)]),
        (error("too fast", 4301), [ClientEventRefused(4301, "too fast")]),
        ('{"event":"pusher:cache_miss","channel":"private-room"}', [Missed("private-room")]),
        ('{"event":"pusher:connection_established","data":{"socket_id":"1.2"}}', [Established("1.2")]),
    ],
)
def test_the_protocols_own_events(frame: str, means: list[Meaning]) -> None:
    """`data` may be text, an object, or not there."""
    assert live().receive(frame) == means


CODES: Final = (
    [(code, "never", None) for code in (4000, 4001, 4003, 4004, 4005, 4006, 4007, 4008, 4050)]
    + [(4009, "reauthenticate", None)]
    + [(code, "later", 1.0) for code in (4100, 4150, 4199, 4301, 1002, 1003, 1004)]
    + [(code, "now", None) for code in (4200, 4201, 4202, 4299, 1000, 1001, 1005, 1006, 1011)]
)


@pytest.mark.parametrize(("code", "again", "after"), CODES)
def test_a_close_code_is_obeyed_by_its_class(code: int, again: str, after: float | None) -> None:
    """What it asks for, and a text that says what to do (D12)."""
    assert again_after(code) == (again, after)
    error = closed(code, "pusher://eu/1")
    assert (error.again, error.after) == (again, after)
    assert error.hint
    assert error.__cause__ is not None
    assert str(code) in str(error)
