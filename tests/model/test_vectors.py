"""The published vectors (tests/vectors) hold for this implementation; other languages run the same files."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any, Final

import pytest

from chatkit.core.hlc import HybridClock
from chatkit.errors import InvalidMessage
from chatkit.model import ids, names
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey, clock_key

FOLDER: Final = Path(__file__).parents[1] / "vectors"
Vector = dict[str, Any]


def load(name: str) -> Vector:
    found: Vector = json.loads((FOLDER / f"{name}.json").read_text(encoding="ascii"))
    return found


def label(value: Any) -> str:
    if callable(value):
        return str(value.__name__)
    return ascii(value["name"] if isinstance(value, dict) and "name" in value else value)[:60]


def neighbours(ascending: list[Any]) -> list[tuple[Any, Any]]:
    return list(itertools.pairwise(ascending))


ESCAPE, DIRECT, ORDER, CLOCK, REJECT, ACCEPT, IDS = map(
    load, ("escape", "direct", "order", "clock", "reject", "accept", "ids")
)


def frame(case: Vector) -> bytes:
    """The bytes of a case, in whichever way it gives them."""
    if "base64" in case:
        return base64.b64decode(case["base64"])
    if "repeat" in case:
        repeat = case["repeat"]
        return f"{repeat['before']}{repeat['text'] * repeat['times']}{repeat['after']}".encode()
    text: str = case["text"]
    return text.encode()


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_a_vector_file_says_what_it_holds(name: str) -> None:
    """Whoever reads it needs no other page; it is ASCII, so no editor can change its Unicode."""
    assert len(load(name)["description"]) > 20


@pytest.mark.parametrize("case", ESCAPE["escape"], ids=label)
def test_escapes(case: Vector) -> None:
    """ESC and its reverse (D31)."""
    assert names.escape(case["text"]) == case["escaped"]
    assert names.unescape(case["escaped"]) == case["text"]


@pytest.mark.parametrize("text", ESCAPE["unescape_refused"], ids=label)
def test_what_esc_never_writes(text: str) -> None:
    """It is refused, not guessed at (D31)."""
    with pytest.raises(InvalidMessage):
        names.unescape(text)


@pytest.mark.parametrize("case", ESCAPE["channels"], ids=label)
def test_channel_names(case: Vector) -> None:
    """As typed, as kept, as providers see them (D31)."""
    assert names.check_channel(case["name"]) == case["channel"]
    assert names.wire_name(case["channel"]) == case["wire"]


@pytest.mark.parametrize(
    ("check", "text"),
    [
        *((names.check_channel, case["name"]) for case in ESCAPE["channels_refused"]),
        *((names.check_user, case["id"]) for case in ESCAPE["users_refused"]),
        *((names.emoji_key, case["text"]) for case in ESCAPE["emoji_refused"]),
    ],
    ids=label,
)
def test_refused_names(check: Any, text: str) -> None:
    """What is no name is refused before anything is queued (D31)."""
    with pytest.raises(InvalidMessage):
        check(text)


@pytest.mark.parametrize("case", ESCAPE["users"], ids=label)
def test_user_ids(case: Vector) -> None:
    """As typed and as kept (D31)."""
    assert names.check_user(case["id"]) == case["user"]


@pytest.mark.parametrize("case", ESCAPE["emoji"], ids=label)
def test_emoji_keys(case: Vector) -> None:
    """What reactions are counted under."""
    assert names.emoji_key(case["text"]) == case["key"]


@pytest.mark.parametrize("case", DIRECT["direct"], ids=label)
def test_direct_channels(case: Vector) -> None:
    """Equal from either side (D31)."""
    assert names.direct(case["a"], case["b"]) == case["channel"]
    assert names.direct(case["b"], case["a"]) == case["channel"]


@pytest.mark.parametrize("case", DIRECT["personal"], ids=label)
def test_personal_channels(case: Vector) -> None:
    """Where a user hears of first direct messages (D31)."""
    assert names.personal(case["user"]) == case["channel"]


@pytest.mark.parametrize(("one", "next_one"), neighbours(ORDER["users"]), ids=label)
def test_text_is_ordered_by_its_bytes(one: str, next_one: str) -> None:
    """By UTF-8, which the first place in a direct channel shows (D31)."""
    first, second = names.escape(one), names.escape(next_one)

    assert names.direct(next_one, one) == f"dm.{first}.{second}"


def test_the_order_of_text_tells_utf8_from_utf16() -> None:
    """An implementation that sorts UTF-16 units fails on these (D31)."""
    assert sorted(ORDER["users"], key=lambda user: user.encode("utf-16-be")) != ORDER["users"]


@pytest.mark.parametrize(("one", "next_one"), neighbours(ORDER["keys"]), ids=label)
def test_order_keys_ascend(one: Vector, next_one: Vector) -> None:
    """The epoch as a number, then the serial as bytes (D3)."""
    assert OrderKey(**one) < OrderKey(**next_one)


@pytest.mark.parametrize(("one", "next_one"), neighbours(ORDER["clock_keys"]), ids=label)
def test_clock_keys_ascend(one: Vector, next_one: Vector) -> None:
    """Without a sequencer: hlc, user, device, id (D3)."""
    assert clock_key(**one) < clock_key(**next_one)


@pytest.mark.parametrize("case", CLOCK["cases"], ids=label)
def test_clocks(case: Vector) -> None:
    """The hybrid clock, step by step (D4)."""
    clock = HybridClock(case["last"])
    for step in case["steps"]:
        if "tick" in step:
            assert clock.tick(step["tick"]) == step["reads"]
        else:
            assert clock.observe(step["observe"], step["now"]) == step["merged"]
            assert clock.last == step["last"]


@pytest.mark.parametrize("case", IDS["keyed"], ids=label)
def test_keyed_ids(case: Vector) -> None:
    """One id for one wish (D14)."""
    secret = bytes.fromhex(case["secret"])

    assert ids.keyed_message_id(secret, case["user"], case["channel"], case["key"]) == case["id"]


class Given:
    """Chance that is known beforehand."""

    def __init__(self, bits: str) -> None:
        self.bits = int(bits, 16)

    def getrandbits(self, k: int, /) -> int:
        assert k == 74
        return self.bits


@pytest.mark.parametrize("case", IDS["uuid7"], ids=label)
def test_fresh_ids(case: Vector) -> None:
    """The time, then chance, as in RFC 9562, whose own example is among them (D1)."""
    assert ids.new_message_id(case["now_ms"], Given(case["random"])) == case["id"]


def wire(**changes: Any) -> Vector:
    """The least of a message that a page must write."""
    return {
        "v": 1,
        "id": "018f6c1e-7b3a-7c11-9d3e-0123456789ab",
        "kind": "message.create",
        "channel": "support",
        "sender": {"user": "ada", "device": "k3v9x2"},
        "at": "2026-11-23T10:00:00.000Z",
    } | changes


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", lambda text: {"id": text}),
        ("sender.device", lambda text: {"sender": {"user": "ada", "device": text}}),
        ("hlc", lambda text: {"hlc": text}),
    ],
)
def test_shapes_of_identifiers(field: str, change: Any) -> None:
    """The envelope takes those of the right shape only (D1, D4)."""
    shapes = IDS[{"id": "message_ids", "sender.device": "devices", "hlc": "clocks"}[field]]

    for text in shapes["valid"]:
        assert Envelope.from_dict(wire(**change(text))).readable
    for text in shapes["invalid"]:
        with pytest.raises(InvalidMessage, match=f"^{field}: "):
            Envelope.from_dict(wire(**change(text)))


def test_message_ids_are_told_from_other_text() -> None:
    """A lower-case UUID of 36 characters, whatever its version (D1)."""
    assert all(map(ids.is_message_id, IDS["message_ids"]["valid"]))
    assert not any(map(ids.is_message_id, IDS["message_ids"]["invalid"]))


@pytest.mark.parametrize("case", REJECT["cases"], ids=label)
def test_refused_frames(case: Vector) -> None:
    """Each is refused, and the refusal names the field."""
    with pytest.raises(InvalidMessage) as caught:
        Envelope.parse(frame(case), limit=REJECT["limit"])

    assert str(caught.value).partition(": ")[0] == case["field"]


@pytest.mark.parametrize("case", ACCEPT["cases"], ids=label)
def test_accepted_envelopes(case: Vector) -> None:
    """Each is read, classed and written again as the vector says."""
    envelope = Envelope.parse(frame(case))

    assert envelope.encode().decode() == case.get("encoded", case["text"])
    assert envelope.klass == case["class"]
    assert envelope.readable == case.get("readable", True)
    assert list(envelope.unknown) == case.get("unknown", [])
    assert (envelope.claim._asdict() if envelope.claim else None) == case.get("claim")
    assert envelope.emoji == case.get("emoji")
    assert envelope.fallback == case.get("fallback")
    assert Envelope.parse(envelope.encode()).encode() == envelope.encode()


def test_the_published_schema_is_the_code_s() -> None:
    """Pages in other languages are written against the file."""
    assert load("envelope.schema") == Envelope.json_schema()
