"""What is sent is what is read; what strangers send is never an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import MappingProxyType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, ValidationInfo, field_validator

from chatkit.errors import ConfigError, InvalidMessage
from chatkit.model import bodies, ijson
from chatkit.model.bodies import (
    Audio,
    Body,
    Card,
    Content,
    Embed,
    File,
    Image,
    Media,
    Text,
    UnavailableBody,
    UnknownBody,
    Video,
    body_text,
    decode_body,
    encode_body,
    message_type,
)
from chatkit.model.values import value

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has the app's message types to itself."""
    monkeypatch.setattr(bodies, "_CUSTOM", {})
    monkeypatch.setattr(bodies, "_NAMES", {})


# -- the built-in bodies

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
words = text.filter(bool)
maybe = st.none() | words
numbers = st.none() | st.integers(0, 2**53 - 1)
seconds = st.none() | st.floats(0, 1e6) | st.integers(0, 10**6)
media: dict[str, Any] = {
    "source": words,
    "name": maybe,
    "mime": maybe,
    "size": numbers,
    "sha256": maybe,
    "caption": text,
}
built_in = st.one_of(
    st.builds(Text, text=words.filter(str.strip)),
    st.builds(Image, **media, width=numbers, height=numbers),
    st.builds(File, **media),
    st.builds(Audio, **media, duration=seconds),
    st.builds(Video, **media, width=numbers, height=numbers, duration=seconds),
    st.builds(Card, title=words, fields=st.dictionaries(text, text), text=text, image=maybe),
    st.builds(Embed, url=words, title=maybe, description=maybe, image=maybe),
)


@given(built_in)
def test_a_built_in_body_makes_the_journey(body: Content) -> None:
    """Over the wire's own JSON and back it is equal."""
    wire = ijson.loads(ijson.dumps(encode_body(body)), limit=65_536)

    assert decode_body(wire) == body


def test_only_what_is_set_travels() -> None:
    """A frame is small, and `null` and absent are the same."""
    assert encode_body(Image(source="https://a/b.png", width=0)) == {
        "type": "image",
        "source": "https://a/b.png",
        "width": 0,
    }
    card = Card(title="Due", fields=MappingProxyType({"when": "now"}))
    assert ijson.dumps(encode_body(card)) == b'{"type":"card","title":"Due","fields":{"when":"now"}}'


def test_plain_text_is_a_text_body() -> None:
    """The shortest way to say something."""
    assert encode_body("Hello") == encode_body(Text(text="Hello")) == {"type": "text", "text": "Hello"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", r"body\.text: the message is empty"),
        (" \n\t", r"body\.text: the message is empty"),
        (Text(text=cast("Any", None)), r"body\.text: is missing"),
        (Text(text=cast("Any", 5)), r"body\.text: is of the wrong type"),
        (Image(source=""), r"body\.source: is missing"),
        (Image(source="x", width=cast("Any", "9")), r"body\.width: is of the wrong type"),
        (Image(source="x", width=cast("Any", True)), r"body\.width: is of the wrong type"),
        (Card(title=""), r"body\.title: is missing"),
        (Card(title="x", fields=cast("Any", [1])), r"body\.fields: is of the wrong type"),
        (Card(title="x", fields=cast("Any", {"a": 1})), r"body\.fields: holds something other than text"),
        (Embed(url=""), r"body\.url: is missing"),
        (Media(source="x"), "Media cannot be sent"),
        (UnknownBody(type="poll.v9", data={}), "UnknownBody cannot be sent"),
        (5, "int cannot be sent"),
        (None, "NoneType cannot be sent"),
        ({"type": "text", "text": SECRET}, "dict cannot be sent"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_not_sent(content: Any, problem: str) -> None:
    """The field or the type is named, and nothing is queued."""
    with pytest.raises(InvalidMessage, match=problem) as caught:
        encode_body(content)
    assert SECRET not in str(caught.value)


def test_a_body_without_a_type_of_its_own_cannot_be_sent() -> None:
    """A program cannot add to the built-in ones by deriving from their base."""

    @value
    class Sticker(Body):
        source: str

    with pytest.raises(InvalidMessage, match="Sticker cannot be sent"):
        encode_body(cast("Any", Sticker(source="x")))


# -- what strangers send

jsons = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(
    [
        "source",
        "name",
        "mime",
        "size",
        "sha256",
        "caption",
        "width",
        "height",
        "duration",
        "title",
        "fields",
        "text",
        "image",
        "url",
        "fallback",
    ]
)
types = st.sampled_from(["text", "image", "file", "audio", "video", "card", "embed", "claim", "poll.v1", ""])


class Poll(BaseModel):
    question: str
    options: list[str] = []


@given(st.dictionaries(fields | st.text(max_size=3), jsons), types | jsons)
def test_hostile_data_is_never_an_error(data: dict[str, Any], name: object) -> None:
    """It is a body whose fields have their types, or an `UnknownBody` that holds it all."""
    bodies._CUSTOM["poll.v1"] = (Poll, lambda old: cast("dict[str, Any]", old["missing"]))
    data = {**data, "type": name}

    body = decode_body(data)

    assert isinstance(body_text(body), str)
    if isinstance(body, UnknownBody):
        assert body.to_dict() == data
        assert body.type == (name if isinstance(name, str) else "")
    elif isinstance(body, Body):
        with suppress(InvalidMessage):  # an empty required field can be read, and would not be sent
            assert decode_body(encode_body(body)) == body


@pytest.mark.parametrize(
    "data",
    [
        {"type": "text"},
        {"type": "text", "text": None},
        {"type": "text", "text": ["x"]},
        {"type": "image", "source": "x", "width": True},
        {"type": "image", "source": "x", "width": 1.5},
        {"type": "audio", "source": "x", "duration": "long"},
        {"type": "card", "title": "x", "fields": {"a": 1}},
        {"type": "card", "title": "x", "fields": ["a"]},
        {"type": "sticker.v1", "source": "x"},
        {"type": 5},
        {},
    ],
    ids=str,
)
def test_what_is_not_understood_is_kept(data: dict[str, Any]) -> None:
    """As received, for a program that knows better."""
    body = decode_body(data)

    assert isinstance(body, UnknownBody)
    assert body.to_dict() == data


def test_unknown_fields_do_not_hide_a_body() -> None:
    """A later version may add some."""
    assert decode_body({"type": "text", "text": "Hi", "fallback": "Hi", "mood": 3}) == Text(text="Hi")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (Text(text="Hi"), "Hi"),
        (Image(source="x", caption="A cat"), "A cat"),
        (File(source="x"), ""),
        (Card(title="Due", text="now"), "Due"),
        (Embed(url="x"), ""),
        (Embed(url="x", title="Page"), "Page"),
        (UnavailableBody(reason="in_log", bytes=1, summary="Minu"), "Minu"),
        (UnknownBody(type="t", data={"fallback": "Words", "text": "other"}), "Words"),
        (UnknownBody(type="t", data={"fallback": 5, "text": "other"}), "other"),
        (UnknownBody(type="t", data={}), ""),
    ],
    ids=str,
)
def test_a_body_has_words(body: Any, text: str) -> None:
    """Its main field, its `fallback`, or none."""
    assert body_text(body) == text


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"bytes": 5, "summary": "Minu"}, UnavailableBody(reason="in_log", bytes=5, summary="Minu")),
        ({"bytes": 5, "summary": None}, UnavailableBody(reason="in_log", bytes=5)),
        ({"bytes": True}, None),
        ({"bytes": "5"}, None),
        ({}, None),
        ({"bytes": 5, "summary": 5}, None),
    ],
    ids=str,
)
def test_a_claim_check_stands_for_a_body_in_the_log(data: dict[str, Any], body: Any) -> None:
    """One that makes no sense is a body like others that nobody knows (D29)."""
    data = {"type": "claim", **data}
    assert decode_body(data) == (UnknownBody(type="claim", data=data) if body is None else body)


# -- the app's own


def test_an_apps_own_body_makes_the_journey() -> None:
    """A pydantic model, under the name it was registered by."""
    message_type("poll.v1")(Poll)
    poll = Poll(question="Tea?", options=["yes", "no"])

    wire = encode_body(poll)

    assert wire == {"type": "poll.v1", "question": "Tea?", "options": ["yes", "no"]}
    assert decode_body(wire) == poll


def test_its_aliases_and_strictness_are_kept() -> None:
    """It travels under the names that its model reads, and what the wire adds does not disturb it."""

    @message_type("vote.v1")
    class Vote(BaseModel, extra="forbid"):
        choice: str = Field(alias="c")

    wire = encode_body(Vote(c="yes"))

    assert wire == {"type": "vote.v1", "c": "yes"}
    assert decode_body({**wire, "fallback": "voted yes"}) == Vote(c="yes")


def test_its_fallback_is_what_others_show() -> None:
    """The words for readers that do not know the type."""

    @message_type("vote.v1")
    class Vote(BaseModel):
        choice: str
        fallback: str

    vote = Vote(choice="yes", fallback="voted yes")
    wire = encode_body(vote)
    assert decode_body(wire) == vote
    assert body_text(vote) == "voted yes"

    bodies._CUSTOM.clear()

    assert body_text(decode_body(wire)) == "voted yes"


def test_its_text_is_shown_where_it_has_no_fallback() -> None:
    """And nothing where it has neither, or they are no text."""

    class Note(BaseModel):
        text: object

    assert body_text(Note(text="Hi")) == "Hi"
    assert body_text(Note(text=5)) == ""
    assert body_text(Poll(question="?")) == ""


def test_an_older_shape_is_brought_up_to_date() -> None:
    """By the app's `upgrade`, only where the model refuses it as it is."""
    asked: list[dict[str, Any]] = []

    def upgrade(old: dict[str, Any]) -> dict[str, Any]:
        asked.append(old)
        return {"question": old.pop("title")}

    message_type("poll.v1", upgrade=upgrade)(Poll)

    assert decode_body({"type": "poll.v1", "question": "New?"}) == Poll(question="New?")
    assert asked == []
    assert decode_body({"type": "poll.v1", "title": "Old?"}) == Poll(question="Old?")


def ruin(old: dict[str, Any]) -> dict[str, Any]:
    old["options"].clear()
    raise RuntimeError("no idea")


@pytest.mark.parametrize("upgrade", [None, ruin, lambda old: old, lambda _: None])
def test_what_the_model_refuses_is_kept(upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None) -> None:
    """Whatever its upgrade raises, returns or does to what it was given."""
    message_type("poll.v1", upgrade=upgrade)(Poll)
    data = {"type": "poll.v1", "options": ["yes"]}

    body = decode_body(data)

    assert isinstance(body, UnknownBody)
    assert body.to_dict() == {"type": "poll.v1", "options": ["yes"]}


def test_a_validator_that_breaks_stops_nothing() -> None:
    """The app's code may raise anything (I13)."""

    @message_type("odd.v1")
    class Odd(BaseModel):
        x: int

        @field_validator("x")
        @classmethod
        def check(cls, found: int, _info: ValidationInfo) -> int:
            raise ZeroDivisionError

    assert isinstance(decode_body({"type": "odd.v1", "x": 1}), UnknownBody)


def test_a_model_that_was_never_registered_cannot_be_sent() -> None:
    """Nobody could read it; the hint says what to do."""
    with pytest.raises(InvalidMessage, match="Poll cannot be sent") as caught:
        encode_body(Poll(question=SECRET))
    assert "@message_type" in caught.value.hint
    assert SECRET not in repr(caught.value)


class Things(BaseModel, arbitrary_types_allowed=True):
    thing: object


class Listed(RootModel[list[str]]):
    pass


@pytest.mark.parametrize(
    "content", [Things(thing={SECRET: object()}), Listed([SECRET])], ids=["object", "list"]
)
def test_what_is_no_json_object_cannot_be_sent(content: BaseModel) -> None:
    """The error names the type and quotes nothing (I16)."""
    message_type("things.v1")(type(content))

    with pytest.raises(InvalidMessage, match="cannot be written as JSON") as caught:
        encode_body(content)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.fixture
def names() -> Iterator[str]:
    message_type("taken.v1")(Poll)
    return iter(("", "x" * 65, "text", "image", "claim", "taken.v1"))


def test_a_name_is_taken_once(names: Iterator[str]) -> None:
    """Built-in and reserved ones are taken from the beginning."""
    for name in names:
        with pytest.raises(ConfigError, match="taken or not 1 to 64"):
            message_type(name)


def test_a_decorator_registers_once() -> None:
    """Used on a second model its name is taken."""

    class Other(BaseModel):
        x: int

    register = message_type("poll.v1")
    register(Poll)

    with pytest.raises(ConfigError, match=r"poll\.v1"):
        register(Other)


def test_a_model_is_registered_once() -> None:
    """Under two names it could not be said which one it is sent under."""
    message_type("poll.v1")(Poll)

    with pytest.raises(ConfigError, match="Poll is no pydantic model, or already"):
        message_type("poll.v2")(Poll)


def test_only_pydantic_models_are_registered() -> None:
    """Anything else could not be read."""
    with pytest.raises(ConfigError, match="dict is no pydantic model"):
        message_type("poll.v1")(cast("Any", dict))


class Typed(BaseModel):
    type: str


class Aliased(BaseModel):
    kind: str = Field(alias="type")


class Serialised(BaseModel):
    kind: str = Field(serialization_alias="type")


@pytest.mark.parametrize("model", [Typed, Aliased, Serialised])
def test_a_field_called_type_is_refused(model: type[BaseModel]) -> None:
    """On the wire `type` is the name of the message type."""
    with pytest.raises(ConfigError, match="has a field `type`"):
        message_type("typed.v1")(model)
