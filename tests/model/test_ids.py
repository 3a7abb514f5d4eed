"""Ids of messages and devices (D1, D14)."""

from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidMessage
from chatkit.model import ids

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**32))
def test_a_fresh_id_is_a_uuid_of_its_time(now_ms: int, seed: int) -> None:
    """Version 7, the RFC's variant, the milliseconds in front (D1)."""
    text = ids.new_message_id(now_ms, random.Random(seed))

    found = uuid.UUID(text)
    assert str(found) == text
    assert ids.is_message_id(text)
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == now_ms


def test_fresh_ids_differ_within_a_millisecond() -> None:
    """74 bits of chance tell them apart; equal chance gives equal ids, so runs replay (D1, I15)."""
    source = random.Random(1)
    made = [ids.new_message_id(0, source) for _ in range(1000)]

    assert len(set(made)) == 1000
    assert made[0] == ids.new_message_id(0, random.Random(1))


@pytest.mark.parametrize("now_ms", [-1, 2**48, 2**64])
def test_a_clock_out_of_range_still_gives_an_id(now_ms: int) -> None:
    """A wrong clock is no reason to lose a message (D1)."""
    assert ids.is_message_id(ids.new_message_id(now_ms, random.Random(1)))


@given(st.binary(max_size=40), texts, texts, texts)
def test_a_key_has_one_id(secret: bytes, user: str, channel: str, key: str) -> None:
    """The same wish has the same id in every call, process and life: a UUID v8 (D14)."""
    text = ids.keyed_message_id(secret, user, channel, key)

    assert text == ids.keyed_message_id(secret, user, channel, key)
    assert (uuid.UUID(text).version, uuid.UUID(text).variant) == (8, uuid.RFC_4122)
    assert ids.is_message_id(text)


small = st.text("ab", max_size=3)


@given(st.tuples(small, small, small), st.tuples(small, small, small))
def test_different_wishes_have_different_ids(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """No two triples read alike, however their letters are shared out (D14)."""
    if one != other:
        assert ids.keyed_message_id(b"s", *one) != ids.keyed_message_id(b"s", *other)


def test_another_secret_gives_another_id() -> None:
    """Without the secret of the store nobody can tell the id of a key (D14)."""
    assert ids.keyed_message_id(b"s", "ada", "c", "k") != ids.keyed_message_id(b"t", "ada", "c", "k")


def test_a_key_that_is_no_text_is_refused_by_name() -> None:
    """The error does not hold the key (I16)."""
    with pytest.raises(InvalidMessage) as caught:
        ids.keyed_message_id(b"s", "ada", "c", "order\ud800")

    assert str(caught.value) == "key: holds a lone surrogate"
    assert caught.value.__suppress_context__


@given(st.integers(0, 2**32))
def test_a_device_is_ten_letters_and_digits(seed: int) -> None:
    """It fits the wire's pattern, and equal chance gives an equal name (I15)."""
    device = ids.new_device(random.Random(seed))

    assert len(device) == 10
    assert set(device) <= set("abcdefghijklmnopqrstuvwxyz0123456789")
    assert device == ids.new_device(random.Random(seed))


def test_devices_use_every_letter() -> None:
    """Names are spread over the whole alphabet, so that they hardly ever meet."""
    source = random.Random(1)
    made = [ids.new_device(source) for _ in range(500)]

    assert len(set(made)) == 500
    for place in zip(*made, strict=True):
        assert len(set(place)) == 36
