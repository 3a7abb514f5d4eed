"""The envelope, version 1; what is read and refused is in the vectors (test_vectors.py)."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chatkit.errors import InvalidMessage
from chatkit.model.envelope import MAX_BYTES, Claim, Envelope
from chatkit.model.envelope_parts import Ref, Root, Sender, Stamp

SECRET = "tr0ub4dor-hunter2"
ID = "018f6c1e-7b3a-7c11-9d3e-0123456789ab"
OTHER = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
AT = "2026-11-23T10:00:00.000Z"


def fields(**changes: Any) -> dict[str, Any]:
    """A message as JSON has it; `None` takes a field away."""
    found = {
        "v": 1,
        "min": 1,
        "id": ID,
        "kind": "message.create",
        "channel": "support",
        "sender": {"user": "ada", "device": "k3v9x2"},
        "at": AT,
        "body": {"type": "text", "text": "Hello"},
    } | changes
    return {name: value for name, value in found.items() if value is not None}


def made(**changes: Any) -> Envelope:
    return Envelope.from_dict(fields(**changes))


def refusal(**changes: Any) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        made(**changes)
    return caught.value


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
users = st.sampled_from(["ada", "bob", "Zoë", "😀", "a b"])
idents = st.uuids().map(str)
instants = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)).map(  # noqa: DTZ001  # printed as UTC below
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
positive = st.integers(1, 2**53 - 1)
envelopes = st.fixed_dictionaries(
    {
        "v": st.integers(1, 3),
        "id": idents,
        "kind": st.sampled_from(["message.create", "message.update", "message.restore", "poll.vote"]),
        "channel": st.sampled_from(["support", "café", "dm.ada.b_20b", "u.ada"]),
        "sender": st.fixed_dictionaries(
            {"user": users, "device": st.from_regex("[a-z0-9]{6,16}", fullmatch=True)}
        ),
        "at": instants,
        "ref": st.fixed_dictionaries({"id": idents, "user": users}, optional={"base": positive}),
    },
    optional={
        "seq": positive,
        "pred": st.integers(0, 2**53 - 1),
        "hlc": st.from_regex("[0-9a-f]{12}-[0-9a-f]{4}", fullmatch=True),
        "epoch": positive,
        "thread": st.fixed_dictionaries({"id": idents, "user": users}),
        "topic": texts.filter(bool),
        "mentions": st.lists(users | st.just("*"), min_size=1, max_size=3),
        "also": st.just(True),
        "body": st.builds(
            lambda body: body | {"type": "poll.v1"}, st.dictionaries(texts, payloads, max_size=3)
        ).filter(lambda body: isinstance(body.get("fallback"), str | None)),
        "meta": st.dictionaries(texts, texts, min_size=1, max_size=2),
        "stamp": st.fixed_dictionaries(
            {
                "epoch": positive,
                "serial": st.from_regex("[0-9]{20}", fullmatch=True),
                "at": instants,
                "user": users,
            },
            optional={"log": st.just("6f1c"), "prev": st.sampled_from(["", "1"])},
        ),
        "colour": payloads.filter(lambda value: value is not None),
    },
)


@given(envelopes)
def test_what_is_encoded_is_parsed_back(given_fields: dict[str, Any]) -> None:
    """Encoding and parsing are each other's reverse, and nothing of the fields is lost (D7)."""
    envelope = Envelope.from_dict(given_fields)
    data = envelope.encode()

    assert Envelope.parse(data) == envelope
    assert Envelope.parse(data).encode() == data
    assert json.loads(data) == given_fields | {"min": 1}


@given(envelopes, st.randoms(use_true_random=False))
def test_the_order_of_fields_means_nothing(given_fields: dict[str, Any], random: Any) -> None:
    """The same envelope has the same bytes, however its writer ordered the fields (D7)."""
    names = [name for name in given_fields if name != "colour"]
    random.shuffle(names)
    shuffled = {name: given_fields[name] for name in names}
    plain = {name: given_fields[name] for name in given_fields if name != "colour"}

    assert Envelope.from_dict(shuffled).encode() == Envelope.from_dict(plain).encode()


def test_parts_are_typed() -> None:
    """Times are aware datetimes, parts are values with names, absent fields have their defaults."""
    envelope = made(
        ref={"id": OTHER, "user": "bob", "base": 2},
        thread={"id": OTHER, "user": "bob"},
        mentions=["bob", "*"],
        stamp={"epoch": 2, "serial": "1042", "prev": "", "at": "2026-11-23T10:00:00.123Z", "user": "ada"},
    )

    assert envelope.sender == Sender(user="ada", device="k3v9x2")
    assert envelope.ref == Ref(id=OTHER, user="bob", base=2)
    assert envelope.thread == Root(id=OTHER, user="bob")
    assert envelope.mentions == ("bob", "*")
    assert envelope.at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert isinstance(envelope.stamp, Stamp)
    assert envelope.stamp.at - envelope.at == timedelta(milliseconds=123)
    assert (envelope.stamp.prev, envelope.stamp.log) == ("", None)
    assert (envelope.seq, envelope.pred, envelope.hlc, envelope.epoch) == (None, None, None, None)
    assert (envelope.also, envelope.topic, envelope.ttl, envelope.meta) == (False, None, None, None)


def test_an_envelope_is_frozen() -> None:
    """Its bytes never change after the first attempt; a copy with other fields is another envelope (D7)."""
    envelope = made()

    with pytest.raises(ValidationError, match="frozen"):
        envelope.seq = 7
    stamped = envelope.model_copy(update={"seq": 7, "pred": 6})

    assert envelope.seq is None
    assert list(json.loads(stamped.encode())) == [
        *("v", "min", "id", "kind", "channel", "sender", "seq", "pred", "at", "body")
    ]


def test_from_dict_leaves_its_argument_alone() -> None:
    """What the caller keeps is not changed, also where fields are dropped or held back."""
    for given_fields in (fields(topic="x") | {"thread": None}, fields(min=9, ref="later")):
        before = json.dumps(given_fields)

        Envelope.from_dict(given_fields)

        assert json.dumps(given_fields) == before


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {name: SECRET}
            for name in ("v", "min", "id", "sender", "seq", "pred", "hlc", "epoch", "at", "ref")
        ),
        *({name: SECRET} for name in ("thread", "mentions", "also", "body", "ttl", "meta", "stamp")),
        *({name: [SECRET]} for name in ("kind", "channel", "topic")),
        {"kind": f"{SECRET} {SECRET}"},
        {"channel": f"{SECRET}\n"},
        {"topic": SECRET * 10},
        {"sender": {"user": SECRET * 20, "device": "k3v9x2"}},
        {"sender": {"user": "ada", "device": SECRET}},
        {"sender": {"user": [SECRET], "device": "k3v9x2"}},
        {"mentions": [f"{SECRET}\n"]},
        {"meta": {"a": [SECRET]}},
        {"meta": {"a": SECRET * 100}},
        {"body": {"type": [SECRET]}},
        {"body": {"type": "claim", "bytes": SECRET}},
        {
            "kind": "reaction.add",
            "ref": {"id": ID, "user": "ada"},
            "body": {"type": "reaction", "emoji": SECRET * 9},
        },
    ],
    ids=repr,
)
def test_a_refusal_never_repeats_a_value(changes: dict[str, Any]) -> None:
    """It names the field; neither it nor what it is shown with holds what stood there (I16)."""
    error = refusal(**changes)

    assert SECRET not in f"{error!s}{error!r}{error.hint}"
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert str(error).partition(".")[0].partition(":")[0] in {next(iter(changes)), "body"}


def test_a_printed_envelope_shows_no_content(caplog: pytest.LogCaptureFixture) -> None:
    """Neither body nor labels nor unknown fields stand in `repr`, `str` or a log line (I16)."""
    envelope = made(
        body={"type": "text", "text": SECRET},
        topic=SECRET,
        meta={"token": SECRET},
        extra=SECRET,
        sender={"user": "ada", "device": "k3v9x2", "name": SECRET},
    )

    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r", envelope, envelope)

    assert repr(envelope) == f"Envelope(kind='message.create', channel='support', id='{ID}')"
    assert repr(envelope.sender) == "Sender(user='ada')"
    assert SECRET not in caplog.text + str(envelope)


def test_the_constructor_hides_values_too() -> None:
    """Where somebody goes past `from_dict`, pydantic's own error shows no input (I16)."""
    with pytest.raises(ValidationError) as caught:
        Sender(user="ada", device=SECRET)

    assert SECRET not in str(caught.value)


def test_the_body_is_looked_into_when_it_is_written() -> None:
    """What I-JSON cannot say is refused with its path before anything is queued."""
    envelope = made(body={"type": "card", "fields": {"x": {1, 2}}})

    with pytest.raises(InvalidMessage, match=r"^body\.fields\.x: is of type set"):
        envelope.encode()


def test_the_default_limit_is_a_megabyte() -> None:
    """Longer frames are refused unread; the caller may look at more."""
    data = made(body={"type": "text", "text": "x" * MAX_BYTES}).encode()

    with pytest.raises(InvalidMessage, match="at most 1048576"):
        Envelope.parse(data)
    assert Envelope.parse(data, limit=len(data)).body is not None


@pytest.mark.parametrize(
    "changes", [{"mentions": [7] * 300_000}, {"meta": {str(n): n for n in range(50_000)}}]
)
def test_a_megabyte_of_faults_costs_no_list_of_them(changes: dict[str, Any]) -> None:
    """The first fault ends the reading: the error of a hostile frame is as short as any."""
    error = refusal(**changes)

    assert len(str(error)) < 80


def test_a_claim_check_is_recognised() -> None:
    """The body waits in the log; its size and summary are known."""
    envelope = made(body={"type": "claim", "bytes": 250_000, "summary": "Minutes"})

    assert envelope.claim == Claim(250_000, "Minutes")
    assert made(body={"type": "claim", "bytes": 1, "summary": None}).claim == Claim(1, "")
    assert made().claim is None
    assert made(body=None).claim is None


def test_a_reaction_has_its_emoji_and_nothing_else_has() -> None:
    """Only a reaction's body is read as one."""
    ref = {"id": OTHER, "user": "bob"}

    assert made(kind="reaction.add", ref=ref, body={"type": "reaction", "emoji": "👋"}).emoji == "👋"
    assert made(body={"type": "text", "emoji": "👋"}).emoji is None
    assert made(kind="reaction.add", min=2, ref=ref, body={"type": "reaction", "emoji": "👋"}).emoji is None


@pytest.mark.parametrize(
    ("kind", "klass"),
    [
        *(("message.create", "log"), ("reaction.add", "log"), ("poll", "log"), ("poll.vote", "log")),
        *(("state.read", "state"), ("state", "state"), ("stately", "log")),
        *(("typing", "ephemeral"), ("typing.start", "ephemeral"), ("presence.status", "ephemeral")),
        *(("x.cursor", "ephemeral"), ("x", "ephemeral"), ("xy.cursor", "log")),
    ],
)
def test_the_prefix_gives_the_class(kind: str, klass: str) -> None:
    """Unknown prefixes are kept as entries, never dropped (D25)."""
    assert made(kind=kind, min=2).klass == klass


def test_a_newer_envelope_is_carried_and_not_interpreted() -> None:
    """A reader below `min` knows who, where and when, shows the fallback, and passes all of it on."""
    given_fields = fields(
        min=2, ref=[1], mentions=7, body={"type": 1, "fallback": "Update, please."}, ttl="soon"
    )
    envelope = Envelope.from_dict(given_fields)

    assert not envelope.readable
    assert (envelope.id, envelope.sender.user, envelope.channel) == (ID, "ada", "support")
    assert (envelope.body, envelope.ref, envelope.mentions, envelope.ttl) == (None, None, (), None)
    assert envelope.fallback == "Update, please."
    assert json.loads(envelope.encode()) == given_fields


@pytest.mark.parametrize("body", [None, {"type": "text"}, {"type": "x", "fallback": None}])
def test_no_fallback_is_none(body: dict[str, Any] | None) -> None:
    """The reader shows its own placeholder then."""
    assert made(body=body).fallback is None
    assert made(body=body, min=2).fallback is None
    assert made(body={"fallback": 7}, min=2).fallback is None


def test_the_schema_names_every_field() -> None:
    """It is drawn from the code: each field, what each kind needs, and unknown fields allowed."""
    schema = Envelope.json_schema()
    needs = {
        rule["if"]["properties"]["kind"]["const"]: rule["then"]["required"]
        for rule in schema["allOf"]
        if rule["then"]["required"]
    }

    assert list(schema["properties"]) == list(Envelope.model_fields)
    assert schema["required"] == ["v", "id", "kind", "channel", "sender"]
    assert schema["additionalProperties"] is True
    assert needs["message.update"] == ["at", "ref"]
    assert needs["reaction.add"] == ["at", "ref", "body"]


def test_the_schema_keeps_ttl_for_passing_kinds() -> None:
    """Its pattern of kinds says what `klass` says."""
    (pattern,) = (
        kind["not"]["pattern"]
        for rule in Envelope.json_schema()["allOf"]
        if "not" in (kind := rule["if"]["properties"]["kind"])
    )

    for kind in (
        "typing",
        "typing.x",
        "presence.y",
        "x.z",
        "xy.z",
        "state.read",
        "message.create",
        "typings",
    ):
        assert bool(re.search(pattern, kind)) == (made(kind=kind, min=2).klass == "ephemeral")


def test_names_ids_and_clock_need_no_pydantic() -> None:
    """Only the envelope loads it, when a client connects."""
    code = (
        "import sys, chatkit.model.ijson, chatkit.model.names, chatkit.model.ids, chatkit.core.hlc;"
        "sys.exit('pydantic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
