"""The parts of Ably's emulator that do no input or output."""

from __future__ import annotations

import pytest

from chatkit.testing.emulators.ably.capability import EVERYTHING, Capability
from chatkit.testing.emulators.ably.channel import before
from chatkit.testing.emulators.ably.errors import AblyError, status_of
from chatkit.testing.emulators.ably.history import Query, page
from chatkit.testing.emulators.ably.names import parse_modes, parse_name, parse_rewind
from chatkit.testing.emulators.ably.outbound import Answers
from chatkit.testing.emulators.ably.presence import PresenceSet
from chatkit.testing.emulators.ably.serials import Serials
from chatkit.testing.emulators.ably.settings import Key, Settings
from chatkit.testing.emulators.ably.stats import Stats
from chatkit.testing.emulators.ably.store import Store
from chatkit.testing.emulators.ably.summaries import check_annotation, summarize
from chatkit.testing.emulators.ably.wire import Flag, Format, Wire, absorb, decode, encode, render, size_of
from chatkit.testing.emulators.pace import Bucket


@pytest.mark.parametrize(
    ("resource", "channel", "allowed"),
    [
        ("*", "anything:at:all", True),
        ("*", "[meta]log", True),
        ("ns:*", "ns:a:b", True),
        ("ns:*", "ns", False),
        ("a:*:c", "a:b:c", True),
        ("a:*:c", "a:b:b:c", False),
        ("foo*", "foobar", False),
        ("foo*", "foo*", True),
        ("foo", "foo", True),
        ("foo", "[meta]foo", False),
        ("[meta]foo", "[meta]foo", True),
        ("[meta]foo", "[other]foo", False),
        ("[*]*", "[meta]foo", True),
        ("[*]*", "foo", True),
        ("[meta]*", "foo", False),
    ],
)
def test_a_resource_matches_by_segments(resource: str, channel: str, *, allowed: bool) -> None:
    """`*` is everything, or one segment, or all that follows at the end."""
    assert Capability.parse({resource: ["publish"]}).allows("publish", channel) is allowed


def test_a_token_has_what_it_asked_for_and_its_key_allows() -> None:
    """The intersection, in canonical JSON; nothing in common is 40160."""
    key = Capability.parse('{"a:*":["publish","subscribe"],"b":["*"]}')
    asked = Capability.parse({"a:x": ["publish", "history"], "b": ["history"], "c": ["publish"]})
    assert str(asked.intersect(key)) == '{"a:x":["publish"],"b":["history"]}'
    assert str(Capability.parse({"*": ["*"]}).intersect(key)) == str(key)
    assert EVERYTHING.anywhere("stats")
    with pytest.raises(AblyError, match="40160"):
        Capability.parse({"c": ["publish"]}).intersect(key)


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"a":[]}', '{"a":["fly"]}', '{"a":3}'])
def test_a_malformed_capability_is_refused(text: str) -> None:
    """With 40000."""
    with pytest.raises(AblyError, match="40000"):
        Capability.parse(text)


def test_a_key_is_read_with_its_capability() -> None:
    """`APP.KEY:SECRET`, and the capability after another colon."""
    key = Key.parse('app.key:secret:{"a":["publish"]}')
    assert (key.name, key.secret, key.app) == ("app.key", "secret", "app")
    assert key.capability.allows("publish", "a")
    assert "secret" not in repr(key).replace("secret=", "")
    for wrong in ("app:secret", "app.key", "app.key:", "app.key:secret:no json"):
        with pytest.raises(ValueError, match=r"key|capability"):
            Key.parse(wrong)
    with pytest.raises(ValueError, match="one application"):
        Settings(keys=("a.k:s", "b.k:s"))
    with pytest.raises(ValueError, match="rules"):
        Settings(rules={"ns": ("unknown",)})


def test_bytes_are_base64_in_json_alone() -> None:
    """RSL4: what one format wrote the other reads."""
    item = absorb({"data": "AP8=", "encoding": "cipher+aes-256-cbc/base64"})
    assert item == {"data": b"\x00\xff", "encoding": "cipher+aes-256-cbc"}
    assert render(item, Format.MSGPACK) is item
    assert render(item, Format.JSON) == {"data": "AP8=", "encoding": "cipher+aes-256-cbc/base64"}
    assert render(absorb({"data": "AP8=", "encoding": "base64"}), Format.JSON) == {
        "data": "AP8=",
        "encoding": "base64",
    }
    assert absorb({"data": {"a": [1]}, "name": None}) == {"data": '{"a":[1]}', "encoding": "json"}
    assert absorb({"data": "ä"}) == {"data": "ä"}
    for wrong in ({"data": 3}, {"data": True}, {"data": "A", "encoding": "base64"}):
        with pytest.raises(AblyError, match="40013"):
            absorb(wrong)


def test_a_frame_that_is_none_is_refused() -> None:
    """With 40001, in either format; what was written is read back."""
    for form in Format:
        assert decode(encode({"a": "ä"}, form), form) == {"a": "ä"}
        with pytest.raises(AblyError, match="40001"):
            decode(b"\xc1", form)
    with pytest.raises(AblyError, match="40001"):
        decode("\u00ff", Format.MSGPACK)


def test_a_size_counts_name_data_client_and_extras() -> None:
    """TM6."""
    assert (
        size_of({"name": "ab", "data": "ä", "clientId": "c", "extras": {"a": 1}, "id": "x"}) == 2 + 2 + 1 + 7
    )
    assert size_of({"data": b"123"}) == 3


def test_serials_rise_and_a_place_right_before_one_is_between() -> None:
    """Also where a thousand come in one millisecond, and where the clock goes back."""
    times = iter([5, *[7] * 1500, 6, 9])
    serials = Serials(lambda: next(times), "s")
    first = serials.head
    made = [serials.next() for _ in range(1502)]
    assert sorted(made) == made
    assert len(set(made)) == len(made)
    assert first < made[0]
    assert made[3] < before(made[4]) or made[3] == before(made[4])
    assert before(made[0]) < made[0]
    assert serials.owns(made[0])
    assert not serials.owns("00000000000001-000@other")


def test_pages_cover_everything_once_in_both_directions() -> None:
    """RSL2: by time, by the attach point, by a cursor."""
    items = [f"{n:02d}@s:000" for n in range(10)]

    def read(**params: str) -> list[str]:
        seen: list[str] = []
        query = Query.parse({"limit": "3", **params})
        while True:
            cut = page(items, query, mark=str, time=lambda item: int(item[:2]))
            seen += cut.items
            if cut.next is None:
                return seen
            query = Query.parse({"limit": "3", **params, "cursor": cut.next})

    assert read() == items[::-1]
    assert read(direction="forwards") == items
    assert read(start="2", end="4") == items[4:1:-1]
    assert read(fromSerial="03@s") == items[3::-1]
    for wrong in ({"limit": "0"}, {"limit": "x"}, {"direction": "up"}, {"start": "3", "end": "2"}):
        with pytest.raises(AblyError, match="40003"):
            Query.parse(wrong)


def test_names_are_split_from_their_qualifiers() -> None:
    """What begins with a colon, holds a line end or an unknown qualifier is refused with 40010."""
    assert parse_name("[?rewind=1]a:b").base == "a:b"
    assert parse_name("[?rewind=1]a").params == {"rewind": "1"}
    assert parse_name("[meta]log").base == "[meta]log"
    for wrong in ("", ":a", "[x]a", "[?a", "a\nb", " a", "a" * 3000, None, 3):
        with pytest.raises(AblyError, match="40010"):
            parse_name(wrong)
    assert parse_modes("subscribe, Presence") == Flag.SUBSCRIBE | Flag.PRESENCE
    assert parse_rewind("15s").seconds == 15
    assert parse_rewind("2m").seconds == 120
    assert parse_rewind("500").messages == 100
    for act, text in ((parse_modes, "fly"), (parse_rewind, "soon")):
        with pytest.raises(AblyError, match="40003"):
            act(text)


def test_a_status_is_in_the_code_or_is_400() -> None:
    """As published, also where that does not follow from the digits."""
    codes = (40160, 42911, 50000, 80018, 90003, 40009, 40111, 40114, 50003)
    assert [status_of(code) for code in codes] == [401, 429, 500, 400, 404, 413, 403, 403, 503]
    assert AblyError(40160).wire()["statusCode"] == 401


def test_a_bucket_lets_a_second_s_worth_through() -> None:
    """Then as much as has drained; 0 is no limit."""
    now = 0.0
    bucket = Bucket(lambda: now)
    assert [bucket.take(1, 3) for _ in range(4)] == [True, True, True, False]
    now = 0.4
    assert bucket.take(1, 3)
    assert not bucket.take(1, 3)
    assert bucket.take(1000, 0)


def test_answers_follow_one_another_in_runs() -> None:
    """One ACK covers what is contiguous; a NACK stands alone, in its place."""
    answers = Answers()
    assert answers.add(0, ["a"])
    assert not answers.add(1, ["b"])
    answers.add(2, AblyError(40009))
    answers.add(3, ["c"])
    answers.add(5, ["d"])
    shown = [(frame["action"], frame["msgSerial"], frame["count"]) for frame in answers.take()]
    assert shown == [(1, 0, 2), (2, 2, 1), (1, 3, 1), (1, 5, 1)]
    assert answers.take() == []


def member(action: int, client: str, **more: object) -> Wire:
    return {"action": action, "clientId": client, "connectionId": "c", "timestamp": 1, **more}


def test_members_enter_update_and_leave() -> None:
    """A leave of nobody changes nothing; one without data says the last; beyond the limit it is 91003."""
    members = PresenceSet(2)
    assert members.apply(member(3, "a")) is None
    assert members.apply(member(2, "a", data="x")) is not None
    members.apply(member(4, "b"))
    with pytest.raises(AblyError, match="91003"):
        members.apply(member(2, "c"))
    assert [serial for serial, _ in members.pages("q", 1)] == ["q:1", "q:"]
    assert members.connections == 1
    assert members.find(("c", "a"))
    left = members.apply(member(3, "a"))
    assert left is not None
    assert left["data"] == "x"
    assert members.apply(member(3, "b", data="own")) == member(3, "b", data="own")
    assert [page for _, page in members.pages("q", 1)] == [[]]


def annotation(kind: str, client: str | None, name: str | None = None, **more: object) -> Wire:
    given = {"type": f"x:{kind}.v1", "action": 0, "clientId": client, "name": name, **more}
    return {key: value for key, value in given.items() if value is not None}


def test_annotations_sum_up_by_their_method() -> None:
    """TM7, TM8; a delete takes one's own away."""
    assert summarize(
        [annotation("total", None), annotation("total", "a"), annotation("total", "a", action=1)]
    ) == {"x:total.v1": {"total": 1}}
    flag = [annotation("flag", "a"), annotation("flag", "b"), annotation("flag", "a", action=1)]
    assert summarize(flag)["x:flag.v1"] == {"total": 1, "clientIds": ["b"], "clipped": False}
    distinct = [
        annotation("distinct", "a", "n"),
        annotation("distinct", "b", "n"),
        annotation("distinct", "b", "m"),
    ]
    assert summarize(distinct)["x:distinct.v1"]["n"]["clientIds"] == ["a", "b"]
    gone = [*distinct, annotation("distinct", "b", "m", action=1)]
    assert "m" not in summarize(gone)["x:distinct.v1"]
    unique = [annotation("unique", "a", "n"), annotation("unique", "a", "m"), annotation("unique", "b", "n")]
    assert set(summarize(unique)["x:unique.v1"]) == {"n", "m"}
    assert set(summarize([*unique, annotation("unique", "a", "m", action=1)])["x:unique.v1"]) == {"n"}
    multiple = [
        annotation("multiple", "a", "n", count=2),
        annotation("multiple", None, "n"),
        annotation("multiple", "b", "m"),
        annotation("multiple", "b", "m", action=1),
    ]
    assert summarize(multiple)["x:multiple.v1"] == {
        "n": {
            "total": 3,
            "clientIds": {"a": 2},
            "totalUnidentified": 1,
            "totalClientIds": 1,
            "clipped": False,
        }
    }


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"type": "plain"}, 40003),
        ({"type": "x:unknown.v1"}, 40003),
        ({"type": "x:distinct.v1", "clientId": "a"}, 40003),
        ({"type": "x:distinct.v1", "name": "n"}, 40161),
        ({"type": "x:multiple.v1", "name": "n", "count": "two"}, 40003),
        ({"type": "x:multiple.v1", "name": "n", "count": 0}, 40003),
        ({}, 40003),
    ],
)
def test_a_malformed_annotation_is_refused(item: Wire, code: int) -> None:
    """Each method says what it needs."""
    with pytest.raises(AblyError, match=str(code)):
        check_annotation(item)


def test_a_store_keeps_versions_at_their_message() -> None:
    """Shallow merge; an append adds to what is there, of the same type."""
    store = Store(2)
    version, limits = {"serial": "v", "timestamp": 1}, Settings(message_bytes=5)
    for n in range(3):
        store.create({"serial": f"s{n}", "timestamp": n, "name": "n", "data": "a", "version": version})
    assert len(store) == 2
    stored = store.find("s2")
    assert store.change(stored, {"action": 1, "name": "m"}, version, limits)["data"] == "a"
    assert store.change(stored, {"action": 5, "data": "b"}, version, limits)["data"] == "ab"
    assert store.change(stored, {"action": 5}, version, limits)["data"] == "ab"
    with pytest.raises(AblyError, match="40009"):
        store.change(stored, {"action": 5, "data": "ccc"}, version, limits)
    assert stored.latest["data"] == "ab"
    json = {"action": 1, "data": "{}", "encoding": "json"}
    assert store.change(stored, json, version, limits)["encoding"] == "json"
    with pytest.raises(AblyError, match="40013"):
        store.change(stored, {"action": 5, "data": "b"}, version, limits)
    bare = store.find("s1")
    del bare.versions[0]["data"]
    assert store.change(bare, {"action": 5, "data": "b"}, version, limits)["data"] == "b"
    store.forget(2)
    assert [message["serial"] for message in store.latest()] == ["s2"]
    for unknown in ("s0", None):
        with pytest.raises(AblyError, match="40400"):
            store.find(unknown)


def test_stats_count_by_the_minute_and_sum_up() -> None:
    """RSC6b: `unit`, `start` as an interval id, the newest first."""
    now = 0
    stats = Stats(lambda: now)
    stats.count("a")
    now = 60_000
    stats.count("a", 2)
    minutes = stats.page({}, "app").items
    assert [each["intervalId"] for each in minutes] == ["1970-01-01:00:01", "1970-01-01:00:00"]
    assert minutes[0]["inProgress"] == "1970-01-01:00:01"
    assert stats.page({"unit": "day"}, "app").items[0]["entries"] == {"a": 3}
    assert len(stats.page({"start": "1970-01-01:00:01"}, "app").items) == 1
    with pytest.raises(AblyError, match="40003"):
        stats.page({"unit": "year"}, "app")
