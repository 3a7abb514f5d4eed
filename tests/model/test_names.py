"""Names of channels and users, escapes, derived channels and emoji keys (D31)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from unicodedata import is_normalized

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chatkit.errors import InvalidMessage
from chatkit.model import names

sound = st.characters(exclude_categories=["Cs"])
texts = st.text(sound)
words = st.text(st.sampled_from("aZ09-._ ~é\u0301ж😀"), min_size=1, max_size=12)
# Letters that sort and escape in every way that matters, few enough for ids to meet.
users = st.text(st.sampled_from("aA_.-é\uffee😀"), min_size=1, max_size=4)


def refusal(call: Callable[..., Any], *args: Any) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        call(*args)
    return caught.value


@given(texts)
def test_an_escape_is_reversible_and_plain(text: str) -> None:
    """ESC writes letters, digits, - and _ only, and can be undone (D31)."""
    escaped = names.escape(text)

    assert re.fullmatch("[A-Za-z0-9_-]*", escaped)
    assert names.unescape(escaped) == text


@given(st.text(st.sampled_from("a-_0259cf.é")))
@example("_c3")
@example("_61")
@example("_C3_A9")
def test_unescaping_is_strict(text: str) -> None:
    """Whatever is unescaped is what ESC would have written: one name has one escape (D31)."""
    try:
        original = names.unescape(text)
    except InvalidMessage:
        return
    assert names.escape(original) == text


def test_a_lone_surrogate_has_no_escape() -> None:
    """What is no Unicode text has no name (D31)."""
    assert str(refusal(names.escape, "a\ud800")) == "name: holds a lone surrogate"
    assert str(refusal(names.unescape, "\ud800")) == "name: is not an escaped name"


@given(words)
def test_an_accepted_channel_name_stays_accepted(name: str) -> None:
    """It is in normal form C, fits every provider, and checking it again changes nothing (D31)."""
    try:
        channel = names.check_channel(name)
    except InvalidMessage:
        return

    assert is_normalized("NFC", channel)
    assert names.check_channel(channel) == channel
    assert names.channel_problem(channel) is None
    assert len(names.wire_name(channel)) <= 140
    assert ".".join(map(names.unescape, names.wire_name(channel).split("."))) == channel


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("x" * 65, "has more than 64 characters"),
        ("é" * 24, "takes more than 140 bytes when escaped"),
        ("😀" * 40, "is longer than 140 bytes"),
        ("dm.ada.bob", "is a reserved name"),
        ("u.ada", "is a reserved name"),
        ("a\x00b", "holds a control character or a lone surrogate"),
        ("a\x9fb", "holds a control character or a lone surrogate"),
        ("\ud800", "holds a control character or a lone surrogate"),
        (None, "is not text"),
        (b"support", "is not text"),
    ],
)
def test_a_refused_channel_name_says_why(name: Any, problem: str) -> None:
    """The message names what is wrong and the hint what is right; the name itself is not repeated (D31)."""
    error = refusal(names.check_channel, name)

    assert str(error) == f"channel: {problem}"
    assert "1 to 64 characters" in error.hint


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ("", "is empty"),
        ("*", "is '*', which means everyone"),
        ("x" * 129, "is longer than 128 bytes"),
        ("é" * 65, "is longer than 128 bytes"),
        ("a\nb", "holds a control character or a lone surrogate"),
        ("a\x7f", "holds a control character or a lone surrogate"),
        ("\udfff", "holds a control character or a lone surrogate"),
        (7, "is not text"),
    ],
)
def test_a_refused_user_says_why(user: Any, problem: str) -> None:
    """The message names what is wrong and the hint what is right (D31)."""
    error = refusal(names.check_user, user)

    assert str(error) == f"user: {problem}"
    assert "1 to 128 bytes" in error.hint


def test_users_are_one_however_they_are_typed() -> None:
    """Two ways to type one id are one id; on the wire only normal form C is taken (D31)."""
    assert names.check_user("Zoe\u0308") == names.check_user("Zo\u00eb") == "Zo\u00eb"
    assert names.user_problem("Zo\u00eb") is None
    assert names.user_problem("Zoe\u0308") == "is not in Unicode normal form C"


@given(users, users)
def test_a_direct_channel_is_equal_from_either_side(a: str, b: str) -> None:
    """Whoever opens it, it is the same channel, and providers take its name as it is (D31)."""
    name = names.direct(a, b)

    assert name == names.direct(b, a)
    assert names.channel_problem(name) is None
    assert names.wire_name(name) == name
    assert str(refusal(names.check_channel, name)) == "channel: is a reserved name"


@given(users, users, users, users)
def test_two_pairs_never_share_a_channel(a: str, b: str, c: str, d: str) -> None:
    """A direct channel belongs to one pair (D31)."""
    if {a, b} != {c, d}:
        assert names.direct(a, b) != names.direct(c, d)


@given(st.text(st.sampled_from("aж"), min_size=60, max_size=64), st.text(st.sampled_from("bж"), min_size=1))
def test_a_long_derived_name_is_its_hash(a: str, b: str) -> None:
    """Beyond 140 bytes it is the prefix and a SHA-256: fixed in size, still one a pair (D31)."""
    assume(len(a.encode()) <= 128 and len(b.encode()) <= 128)
    plain = f"dm.{names.escape(a)}.{names.escape(b)}"

    name = names.direct(a, b)

    if len(plain) > 140:
        assert re.fullmatch(r"dm\.[0-9a-f]{64}", name)
    else:
        assert name == plain
    assert names.channel_problem(name) is None


def test_nobody_is_named_like_the_hash_of_another() -> None:
    """Else who takes that id hears the invitations of somebody else (D31)."""
    hashed = names.personal("ж" * 64)
    posing = hashed.removeprefix("u.")

    assert names.check_user(posing) == posing
    assert names.personal(posing) != hashed


@pytest.mark.parametrize("call", [lambda: names.direct("*", "ada"), lambda: names.personal("")])
def test_derived_names_are_for_users_only(call: Callable[[], str]) -> None:
    """An id that no user can have has no channel (D31)."""
    assert str(refusal(call)).startswith("user: ")


@pytest.mark.parametrize(
    "name",
    [
        *("dm.", "dm.ada", "dm.ada.", "dm..ada", "dm.a.b.c", "dm.a b.c", "dm.a.é", "dm." + "0" * 65),
        *("dm." + "A" * 64, "u.", "u.a.b", "u.a_", "u.a_2E", "u." + "x" * 139),
    ],
)
def test_a_reserved_name_that_nobody_derives_is_no_channel(name: str) -> None:
    """What looks derived must have the shape of it (D31)."""
    assert names.channel_problem(name) == "is a reserved name"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
@example("e\ufe0f\u0301")
def test_an_emoji_key_is_its_own_key(text: str) -> None:
    """It is in normal form C, without selectors, and has itself as its key."""
    try:
        key = names.emoji_key(text)
    except InvalidMessage:
        return

    assert is_normalized("NFC", key)
    assert names.emoji_key(key) == key
    assert not re.search("[\ufe00-\ufe0f]", key)
    assert 1 <= len(key.encode()) <= 64


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\ufe0f", "is empty"),
        ("😀" * 17, "is longer than 64 bytes"),
        ("\x00", "holds a control character or a lone surrogate"),
        (None, "is not text"),
    ],
)
def test_a_refused_emoji_says_why(text: Any, problem: str) -> None:
    """The message names what is wrong."""
    assert str(refusal(names.emoji_key, text)) == f"emoji: {problem}"


@pytest.mark.parametrize("read", [names.check_channel, names.check_user, names.emoji_key])
def test_a_name_of_endless_marks_takes_no_time(read: Callable[[str], str]) -> None:
    """It is too long in any form: putting its marks in order would take minutes."""
    began = time.process_time()

    with pytest.raises(InvalidMessage):
        read("a" + "\u0301\u0323" * 100_000)

    assert time.process_time() - began < 1
