"""Public values are frozen, tell nobody's secrets in their `repr`, and turn into JSON."""

from __future__ import annotations

import json
import sys
from collections import UserList
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from chatkit.errors import ConfigError, NotAllowed
from chatkit.model.bodies import Audio, Card, Embed, File, Image, Text, UnavailableBody, UnknownBody, Video
from chatkit.model.capabilities import Capabilities
from chatkit.model.config import Config
from chatkit.model.cursor import Cursor
from chatkit.model.events import (
    ChannelChanged,
    ConnectionChanged,
    CustomEvent,
    DeliveryChanged,
    DirectOpened,
    Discontinuity,
    Event,
    ForeignFrame,
    HandlerError,
    MessageCreated,
    MessageDeleted,
    MessageEvent,
    MessageUpdated,
    PinChanged,
    PresenceChanged,
    ReactionChanged,
    ReceiptAdvanced,
    RoleChanged,
    TypingChanged,
)
from chatkit.model.message import Message, Sender, User
from chatkit.model.options import AuthRequest, Draft, OutboxLimits, Token
from chatkit.model.order import OrderKey
from chatkit.model.values import EMPTY, Value, format_time, jsonable, maker, parse_time, value
from chatkit.model.views import (
    CloseReport,
    ConnectionView,
    FlushReport,
    Health,
    Member,
    OutboxView,
    Page,
    Pin,
    PresenceView,
    ThreadInfo,
    TimelineChange,
    TimelineView,
    Unread,
)

if TYPE_CHECKING:
    from chatkit.delivery import Delivery

SECRET = "hunter2"
AT = datetime(2026, 11, 23, 10, 0, 0, 5000, tzinfo=UTC)
TEXTS = {"text": SECRET, "nested": [{"deep": SECRET}]}


class Fate:
    """Stands for a delivery: what lives is no value, and says for itself what may be shown."""

    def to_dict(self) -> dict[str, str]:
        return {"message_id": "m1"}


FATE = cast("Delivery", Fate())
SENDER = Sender(user="ada", device="k3v9x2", name="Ada")
MESSAGE = Message(
    message_id="m1",
    channel="support",
    sender=SENDER,
    body=Text(text=SECRET),
    own=True,
    error=NotAllowed("not a member", channel="support", message_id="m1"),
    at=AT,
    sent_at=AT,
    key=OrderKey(1, "001"),
    origin=SECRET,
    mentions=("bob",),
    reactions={"👋": frozenset({"bob", "ada"})},
    meta=TEXTS,
    flags=frozenset({"orphaned"}),
)
EVENT: dict[str, Any] = {"event_id": "e1", "channel": "support", "at": AT, "cursor": Cursor(SECRET)}
VIEW = ConnectionView(state="failed", reason=ConfigError("no such cluster"), since=AT, retry_in=1.5)
MEMBER = Member(user="bob", status="online", data={"note": SECRET}, last_seen=AT, devices=1)
SAMPLES: list[Value] = [
    SENDER,
    User(id="ada", name="Ada", avatar=SECRET),
    MESSAGE,
    Text(text=SECRET),
    Image(
        source=SECRET, name=SECRET, mime="image/png", size=1, sha256="ab", caption=SECRET, width=1, height=2
    ),
    File(source=SECRET, name=SECRET, caption=SECRET),
    Audio(source=SECRET, duration=1.5, caption=SECRET),
    Video(source=SECRET, duration=1.5, width=1, height=2, caption=SECRET),
    Card(title=SECRET, fields={SECRET: SECRET}, text=SECRET, image=SECRET),
    Embed(url=SECRET, title=SECRET, description=SECRET, image=SECRET),
    UnavailableBody(reason="in_log", bytes=20_000, summary=SECRET),
    UnknownBody(type="poll.v9", data={"type": "poll.v9", **TEXTS}),
    Event(**EVENT),
    MessageEvent(**EVENT, message=MESSAGE),
    MessageCreated(**EVENT, message=MESSAGE, late=True),
    MessageUpdated(**EVENT, message=MESSAGE, previous=MESSAGE),
    MessageDeleted(**EVENT, message=MESSAGE),
    ReactionChanged(**EVENT, message_id="m1", user="bob", emoji="👋", added=True),
    ReceiptAdvanced(**EVENT, user="bob", kind="read", message_id="m1"),
    MEMBER,
    PresenceView(members={"bob": MEMBER}, synced=True),
    PresenceChanged(**EVENT, member=MEMBER, change="enter"),
    RoleChanged(**EVENT, user="bob", role="owner"),
    PinChanged(**EVENT, message_id="m1", user="bob", added=True),
    TypingChanged(**EVENT, users=frozenset({"bob"})),
    DeliveryChanged(**EVENT, delivery=FATE, status="sent", reason="refused"),
    DirectOpened(**EVENT, user="bob"),
    Discontinuity(**EVENT, reason="retention", after=Cursor("c1.a"), until=Cursor("c1.b")),
    ConnectionChanged(**EVENT, view=VIEW),
    ChannelChanged(**EVENT, state="failed", error=NotAllowed("not a member")),
    CustomEvent(**EVENT, name="wave", data=TEXTS, sender=SENDER),
    ForeignFrame(**EVENT, name="odd", data=TEXTS, reason="unreadable"),
    HandlerError(event=MessageCreated(**EVENT, message=MESSAGE), handler="greet", error=ValueError(SECRET)),
    VIEW,
    OutboxView(depth=1, size=2, oldest=AT),
    TimelineChange(op="insert", index=0, message=MESSAGE),
    TimelineView(
        messages=UserList([MESSAGE]),
        state="live",
        gaps=(Cursor("c1.a"),),
        changes=(TimelineChange(op="insert", index=0, message=MESSAGE),),
    ),
    Page(items=(MESSAGE,), next=Cursor("c1.a")),
    FlushReport(sent=1, failed=0, queued=2, durable=True, reason=ConfigError("no such cluster")),
    CloseReport(sent=1, failed=0, queued=2, durable=True, clean=False, left=("a task",)),
    Pin(message_id="m1", author="ada", by="bob", at=AT, message=MESSAGE),
    Unread(messages=1, mentions=0, exact=False),
    ThreadInfo(root=MESSAGE, replies=1, participants=("ada",), last=MESSAGE),
    Health(status="degraded", checks={"lanes": {"paused": 1}, "since": AT}),
    OutboxLimits(),
    Token(value=SECRET, expires_at=AT),
    AuthRequest(user="ada", channel="support", params={"socket_id": SECRET}),
    Draft(channel="support", content=Text(text=SECRET), meta=TEXTS),
    Capabilities(
        ack="stored",
        announce="stream",
        order="log",
        erase="erased",
        resume_window=120.0,
        history=None,
        frame_bytes=65_536,
        batch=10,
        duplicate_window=float("inf"),
        features={"history": "native"},
    ),
    Config(scheme="pusher", credential=SECRET, secret=SECRET, place="eu", options={"log": SECRET}),
]


def name_of(sample: object) -> str:
    return type(sample).__name__


def concrete(base: type[Value]) -> set[type[Value]]:
    """The values of the model that a user can meet: with fields, and still known by their name."""
    found = {base} if base.__dict__.get("__dataclass_fields__") else set[type[Value]]()
    for sub in base.__subclasses__():
        module = sys.modules[sub.__module__]
        if sub.__module__.startswith("chatkit.model.") and getattr(module, sub.__name__) is sub:
            found |= concrete(sub)
    return found


def test_every_value_has_a_sample() -> None:
    """What follows speaks for all of them."""
    missing = concrete(Value) - {type(sample) for sample in SAMPLES}

    assert {cls.__name__ for cls in missing} == {"Media"}  # only its four kinds are ever made


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_a_repr_shows_no_body_token_or_secret(sample: Value) -> None:
    """Whatever a program prints or logs (I16)."""
    assert SECRET not in repr(sample)
    assert SECRET not in f"{sample}"
    assert name_of(sample) in repr(sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_a_value_is_ready_for_json(sample: Value) -> None:
    """For a strict reader, and the same after a journey."""
    found = sample.to_dict()

    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert json.loads(sample.to_json()) == found


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_a_value_is_frozen_and_slotted(sample: Value) -> None:
    """Nothing about it changes, and nothing can be hung on it."""
    (first, *_) = fields(sample)  # type: ignore[arg-type]  # every value is a dataclass
    with pytest.raises(FrozenInstanceError):
        setattr(sample, first.name, None)
    assert not hasattr(sample, "__dict__")


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_a_value_is_made_by_keyword(sample: Value) -> None:
    """So that fields can be added between others."""
    build = cast("Any", type(sample))
    with pytest.raises(TypeError, match="positional"):
        build(None)


def test_credentials_stay_out_of_json() -> None:
    """A body is in `to_dict`, a token or secret never (I16)."""
    hidden = [sample for sample in SAMPLES if isinstance(sample, Token | Config | HandlerError)]

    assert [
        name_of(sample) for sample in hidden if SECRET in json.dumps({**sample.to_dict(), "event": 0})
    ] == []
    assert SECRET in MESSAGE.to_json()


def test_a_token_shows_that_it_is_masked() -> None:
    """And until when it holds."""
    assert Token(value=SECRET, expires_at=AT).to_dict() == {
        "value": "***",
        "expires_at": "2026-11-23T10:00:00.005Z",
    }


@value
class Point(Value):
    """A value of this test."""

    computed = ("double",)
    x: int
    hidden: int = 0

    @property
    def double(self) -> int:
        return self.x * 2


def test_to_dict_shows_properties_that_are_named() -> None:
    """After the fields."""
    assert list(Point(x=2).to_dict().items()) == [("x", 2), ("hidden", 0), ("double", 4)]


class Poll(BaseModel):
    question: str


@pytest.mark.parametrize(
    ("item", "ready"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        (float("inf"), None),
        (float("-inf"), None),
        (float("nan"), None),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2026-01-01T00:00:00.000Z"),
        (EMPTY, {}),
        ({1: {"a"}}, {"1": ["a"]}),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "b", None}, [1, None, "b"]),
        ((1, [2, (3,)]), [1, [2, [3]]]),
        (range(3), [0, 1, 2]),
        (OrderKey(1, "001"), [1, "001"]),
        (b"\x00", "b'\\x00'"),
        (Decimal("1.50"), "1.50"),
        (Point(x=1), {"x": 1, "hidden": 0, "double": 2}),
        (Poll(question="?"), {"question": "?"}),
        (
            NotAllowed("no", channel="c", hint="ask"),
            {"type": "NotAllowed", "message": "no (channel c)", "hint": "ask"},
        ),
        (KeyError(SECRET), {"type": "KeyError"}),
    ],
    ids=lambda value: type(value).__name__,  # the text of a set differs from process to process
)
def test_anything_has_a_json_form(item: object, ready: object) -> None:
    """Numbers without end have none; of others' errors only the type is told (I16)."""
    assert jsonable(item) == ready


jsons = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(jsons | st.frozensets(st.text() | st.integers() | st.none()))
def test_nothing_is_refused(item: object) -> None:
    """And what comes out is its own JSON form."""
    ready = jsonable(item)

    assert jsonable(ready) == ready
    json.dumps(ready, allow_nan=False)


zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones))  # noqa: DTZ001  # the zone is drawn
def test_times_make_the_journey(moment: datetime) -> None:
    """In any year and zone, to the millisecond, as text of one length that sorts as time does."""
    text = format_time(moment)
    back = parse_time(text)

    assert len(text) == 24
    assert back.tzinfo is UTC
    assert timedelta() <= moment - back < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-23", "2026-11-23T10:00:00", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """As is a time without a zone, and one before the first year."""
    with pytest.raises(ValueError, match=r"time|Invalid isoformat|zone"):
        parse_time(text)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if not isinstance(s, Page)], ids=name_of)
def test_values_made_the_quick_way_are_the_same(sample: Value) -> None:
    """`maker` gives what the class itself would: equal, frozen, of that very class."""
    given_fields = {f.name: getattr(sample, f.name) for f in fields(sample)}  # type: ignore[arg-type]  # all are dataclasses

    made = maker(type(sample))(*given_fields.values())

    assert type(made) is type(sample)
    assert made == sample
    assert repr(made) == repr(sample)
    with pytest.raises(FrozenInstanceError):
        made.__setattr__(next(iter(given_fields)), None)
