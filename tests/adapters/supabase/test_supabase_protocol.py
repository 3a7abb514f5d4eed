"""The protocol without I/O: frames as the service sends them, late ones, and hostile ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.adapters.supabase import protocol as protocols
from chatkit.adapters.supabase.protocol import (
    Answered,
    Ended,
    Joined,
    Meaning,
    Moved,
    Present,
    Protocol,
    Ready,
    Refused,
    Strange,
    Told,
)
from chatkit.testing.fuzz import Target, fuzz
from chatkit.testing.fuzz.supabase import SUPABASE

T = "chatkit:support"
OK = {"status": "ok", "response": {}}


def frame(event: str, payload: Any, *, topic: str = T, ref: Any = None, join_ref: Any = None) -> str:
    return json.dumps([join_ref, ref, f"realtime:{topic}", event, payload])


def binary(topic: str, event: str, payload: bytes, *, meta: bytes = b"", json_: bool = True) -> bytes:
    parts = [f"realtime:{topic}".encode(), event.encode(), meta]
    return b"".join([bytes([4, *map(len, parts), json_]), *parts, payload])


def joined(topic: str = T) -> Protocol:
    protocol = Protocol()
    _ = protocol.join(topic, {}, None)
    assert protocol.receive(frame("phx_reply", OK, topic=topic, ref="1", join_ref="1")) == [Joined(topic)]
    return protocol


def told(protocol: Protocol, event: str, payload: Any, **refs: Any) -> list[Meaning]:
    return protocol.receive(frame(event, payload, **refs))


# -- what is said


def test_a_join_is_written_as_the_service_reads_it() -> None:
    """Its ref is its join_ref, a token goes with it, and each is another one."""
    protocol = Protocol()

    first = json.loads(protocol.join(T, {"private": True}, "token"))
    second = json.loads(protocol.join("other", {}, None))

    assert first == [
        "1",
        "1",
        f"realtime:{T}",
        "phx_join",
        {"config": {"private": True}, "access_token": "token"},
    ]
    assert second == ["2", "2", "realtime:other", "phx_join", {"config": {}}]


def test_messages_go_with_the_join_that_they_belong_to() -> None:
    """Tokens, broadcasts and leaving; heartbeats belong to none."""
    protocol = joined()

    ref, pushed = protocol.push(T, "broadcast", {"a": 1})
    said = json.loads(protocol.say(T, "access_token", {"access_token": "t"}))
    beat, heartbeat = protocol.heartbeat()
    left = json.loads(protocol.leave(T) or "")

    assert json.loads(pushed) == ["1", ref, f"realtime:{T}", "broadcast", {"a": 1}]
    assert said[0] == "1"
    assert json.loads(heartbeat) == [None, beat, "phoenix", "heartbeat", {}]
    assert left[0] == "1"
    assert left[3] == "phx_leave"
    assert protocol.leave(T) is None


def test_a_connection_has_a_bound() -> None:
    """A hundred topics, as the service has it; to join one of them anew is no other one."""
    protocol = Protocol()
    for number in range(100):
        _ = protocol.join(f"room-{number}", {}, None)

    _ = protocol.join("room-7", {}, None)
    with pytest.raises(OverflowError):
        _ = protocol.join("one-more", {}, None)


# -- joins


def test_a_refused_join_says_why() -> None:
    """In the service's words, and may be asked for again."""
    protocol = Protocol()
    _ = protocol.join(T, {}, None)
    why = {"status": "error", "response": {"reason": "Unauthorized: no"}}

    assert told(protocol, "phx_reply", why, ref="1", join_ref="1") == [Refused(T, "Unauthorized: no")]
    assert not protocol.is_joined(T)
    assert told(protocol, "phx_reply", OK, ref="1", join_ref="1") == []


def test_what_comes_late_of_an_earlier_join_is_passed_over() -> None:
    """Answers, closings and messages that name it; those that name none are for whoever is joined."""
    protocol = joined()
    _ = protocol.join(T, {}, None)

    assert told(protocol, "phx_close", {}, ref="1") == []
    assert told(protocol, "phx_reply", OK, ref="1", join_ref="1") == []
    assert told(protocol, "presence_state", {}, join_ref="1") == []
    assert told(protocol, "broadcast", {"event": "x", "payload": {}}) == []
    assert told(protocol, "phx_reply", OK, ref="2", join_ref="2") == [Joined(T)]
    assert told(protocol, "broadcast", {"event": "x", "payload": 1}) == [Told(T, "x", 1, None)]


def test_what_names_an_earlier_join_stays_passed_over_once_the_topic_is_joined_again() -> None:
    """It tells of who was there then, and of a replication that is no more."""
    protocol = joined()
    _ = protocol.join(T, {}, None)
    assert told(protocol, "phx_reply", OK, ref="2", join_ref="2") == [Joined(T)]

    for event in ("presence_state", "presence_diff", "broadcast", "system"):
        ready = {"extension": "system", "status": "ok", "message": protocols.READY, "event": "x"}
        assert told(protocol, event, ready, join_ref="1") == []
        assert told(protocol, event, ready, join_ref="2") != []


def test_a_join_that_was_taken_back_is_not_heard_of() -> None:
    """Its answer comes all the same."""
    protocol = Protocol()
    _ = protocol.join(T, {}, None)
    assert protocol.leave(T) is not None

    assert told(protocol, "phx_reply", OK, ref="1", join_ref="1") == []
    assert protocol.joined == []


# -- closings under a living connection


@pytest.mark.parametrize(("event", "crashed"), [("phx_close", False), ("phx_error", True)])
def test_a_topic_that_is_closed_is_told(event: str, crashed: bool) -> None:
    """Once; what is sent after that belongs to no join."""
    protocol = joined()

    assert told(protocol, event, {}, ref="1") == [Ended(T, None, crashed)]
    assert told(protocol, event, {}, ref="1") == []
    assert protocol.joined == []


def test_a_topic_is_closed_for_the_reason_that_was_told_before() -> None:
    """By a system message of its own; those of other extensions say nothing."""
    protocol = joined()
    of_changes = {"extension": "postgres_changes", "status": "error", "message": "bad"}
    too_many = {"extension": "system", "status": "error", "message": "Too many messages per second"}

    assert told(protocol, "system", of_changes, join_ref="1") == []
    assert told(protocol, "system", too_many, join_ref="1") == []
    assert told(protocol, "phx_close", {}, ref="1") == [Ended(T, "Too many messages per second")]


def test_a_join_that_ends_before_its_answer_is_refused() -> None:
    """By a crash, say."""
    protocol = Protocol()
    _ = protocol.join(T, {}, None)

    assert told(protocol, "phx_error", {}, ref="1") == [Refused(T, "")]


# -- answers


def test_each_answer_is_that_of_its_message() -> None:
    """Once, and none of what nobody waits for any more."""
    protocol = joined()
    one, _ = protocol.push(T, "broadcast", {})
    two, _ = protocol.push(T, "broadcast", {})
    protocol.forget(two)
    large = {"status": "error", "response": "payload_size_exceeded"}

    assert told(protocol, "phx_reply", large, ref=one, join_ref="1") == [
        Answered(one, ok=False, response="payload_size_exceeded")
    ]
    assert told(protocol, "phx_reply", OK, ref=one, join_ref="1") == []
    assert told(protocol, "phx_reply", OK, ref=two, join_ref="1") == []


def test_what_was_asked_of_a_closed_topic_has_no_answer() -> None:
    """Another join of it has none of those messages."""
    protocol = joined()
    ref, _ = protocol.push(T, "broadcast", {})
    _ = told(protocol, "phx_close", {}, ref="1")
    _ = protocol.join(T, {}, None)

    assert told(protocol, "phx_reply", OK, ref=ref) == []


def test_answers_that_are_waited_for_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are given up (I10)."""
    monkeypatch.setattr(protocols, "PENDING", 2)
    protocol = joined()
    refs = [protocol.push(T, "broadcast", {})[0] for _ in range(3)]

    answers = [told(protocol, "phx_reply", OK, ref=ref, join_ref="1") for ref in refs]

    assert [len(found) for found in answers] == [0, 1, 1]


def test_a_heartbeat_has_its_answer() -> None:
    """On a topic of its own."""
    protocol = Protocol()
    ref, _ = protocol.heartbeat()

    answer = json.dumps([None, ref, "phoenix", "phx_reply", OK])

    assert protocol.receive(answer) == [Answered(ref, ok=True, response={})]


# -- what is heard


@pytest.mark.parametrize(
    ("raw", "means"),
    [
        (
            frame("broadcast", {"type": "broadcast", "event": "e", "payload": {"a": 1}}),
            Told(T, "e", {"a": 1}, None),
        ),
        (frame("broadcast", {"event": "e", "payload": 1, "meta": {"id": "u"}}), Told(T, "e", 1, "u")),
        (binary(T, "é", b'{"a":"\xc3\xbc"}', meta=b'{"id":"u"}'), Told(T, "é", {"a": "ü"}, "u")),
        (binary(T, "e", b"\x00\xff", json_=False), Told(T, "e", b"\x00\xff", None)),
        (binary(T, "e", b"{oops"), Told(T, "e", None, None)),
        (binary(T, "e", b"1", meta=b"{oops"), Told(T, "e", 1, None)),
        (frame("broadcast", {"payload": 1}), Strange(T, None, {"payload": 1}, "no_event")),
        (frame("presence_state", {"k": {"metas": []}}, join_ref="1"), Present(T, {"k": {"metas": []}})),
        (frame("presence_diff", {"joins": {}, "leaves": {"k": {}}}), Moved(T, {}, {"k": {}})),
        (frame("presence_diff", {"joins": []}), Moved(T, {}, {})),
        (
            frame(
                "system", {"extension": "system", "status": "ok", "message": protocols.READY}, join_ref="1"
            ),
            Ready(T),
        ),
        (
            frame("postgres_changes", {"ids": [1]}),
            Strange(T, "postgres_changes", {"ids": [1]}, "unknown_event"),
        ),
    ],
)
def test_frames_mean_what_they_say(raw: str | bytes, means: Meaning) -> None:
    """Text and binary broadcasts mean the same."""
    assert joined().receive(raw) == [means]


@pytest.mark.parametrize(
    "raw",
    [
        *("", "{oops", "[]", "null", "{}", "[1,2,3,4]", '[null,null,1,"e",{}]', '[null,null,"t",1,{}]'),
        *("[" * 100_000, '{"topic":"realtime:x","event":"e","payload":{},"ref":"1"}'),
        *(b"", b"\x04", b"\x04\xff\xff\xff\x01", b"\x03\x00\x00\x00\x00", b"\x04\x01\x00\x00\x01\xff"),
    ],
)
def test_no_frame_ends_the_reader(raw: str | bytes) -> None:
    """What is none is strange, and what follows is heard."""
    protocol = joined()

    (found,) = protocol.receive(raw)

    assert isinstance(found, Strange)
    assert protocol.receive(frame("broadcast", {"event": "e", "payload": 1})) == [Told(T, "e", 1, None)]


@pytest.mark.parametrize("topic", ["phoenix", "realtime:other", "other", T])
@pytest.mark.parametrize("event", ["phx_reply", "phx_close", "broadcast", "system", "presence_state"])
def test_what_is_of_no_topic_of_ours_means_nothing(topic: str, event: str) -> None:
    """A topic without its prefix is none of ours either."""
    assert joined().receive(json.dumps([None, None, topic, event, {}])) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", None]),
            st.sampled_from(["1", "2", "3", None]),
            st.sampled_from([T, "other"]),
            st.sampled_from(
                [
                    "phx_reply",
                    "phx_close",
                    "phx_error",
                    "broadcast",
                    "system",
                    "presence_state",
                    "presence_diff",
                ]
            ),
            JSON | st.just(OK),
        ),
        max_size=12,
    ),
)
def test_whatever_comes_a_topic_is_joined_or_not(frames: list[tuple[Any, ...]]) -> None:
    """It is told joined before it is told closed, and as often; never one that was not asked for."""
    protocol = Protocol()
    _ = protocol.join(T, {}, None)
    standing = {T: False}
    for join_ref, ref, topic, event, payload in frames:
        for meaning in protocol.receive(frame(event, payload, topic=topic, ref=ref, join_ref=join_ref)):
            if isinstance(meaning, Joined):
                assert not standing[meaning.topic]
                standing[meaning.topic] = True
            elif isinstance(meaning, Ended):
                assert standing[meaning.topic]
                standing[meaning.topic] = False
            elif not isinstance(meaning, Refused | Answered | Strange):
                assert standing[meaning.topic]
        assert protocol.is_joined(T) == standing[T]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("target", SUPABASE[:2], ids=lambda target: target.name)
def test_hostile_frames_are_read_in_bounds(target: Target, seed: int) -> None:
    """Changed frames, as text and as bytes: each is read, and no error shows what it holds (I10, I16)."""
    assert fuzz(target, seed=seed, count=300).breaches == []
