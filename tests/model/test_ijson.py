"""Strict I-JSON: what travels, what is refused, and how the refusal names the field."""

from __future__ import annotations

import json
import math
import time
import tracemalloc
from contextlib import suppress
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatkit.errors import InvalidMessage
from chatkit.model import ijson

MAX = 2**53 - 1
PLENTY = 50_000_000

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX, MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
# JSON as a stranger writes it: each literal on the edge of a rule, keys few enough to meet twice.
literals = st.sampled_from(
    [
        *(r'""', r'"a"', r'"\u0041"', r'"\u0000"', r'"\\u0000"', r'"\ud83d\ude00"', r'"\uD83D"'),
        *(r'"\ude00\ud83d"', r'"\\ud800"', r'"[{"', r'"\"["', r'":\":"', "true", "false", "null"),
        *("0", "-0", "7", "-7", "900719925474099", "9007199254740991", "9007199254740992"),
        *("-9007199254740991", "-9007199254740992", "12345678901234567890"),
        *("0.5", "1e5", "1e400", "-1e400", "NaN", "Infinity", "-Infinity"),
    ]
)
keys = st.sampled_from([r'"a"', r'"b"', r'"\u0061"', r'""', r'"\u0000"', r'"\udc00"', r'"\\"'])
space = st.sampled_from(["", "", "", " ", "\n\t"])


@st.composite
def written(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    gap = draw(space)
    if draw(st.booleans()):
        return f"[{gap}{f'{gap},'.join(draw(st.lists(inner, max_size=3)))}{gap}]"
    pairs = draw(st.lists(st.tuples(keys, inner), max_size=3))
    return f"{{{gap}{f',{gap}'.join(f'{key}{gap}:{gap}{value}' for key, value in pairs)}}}"


documents = st.builds('{{"root":{}}}'.format, st.recursive(literals, written, max_leaves=12))


def reference(text: str) -> Any:
    """Decode with the plainest means; raise where any rule is broken."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, _ in pairs:
            text_only(key)
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def text_only(text: str) -> None:
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError("no text")

    def walk(value: Any) -> None:
        if isinstance(value, str):
            text_only(value)
        elif isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                walk(item)
        elif isinstance(value, int) and abs(value) > MAX:
            raise ValueError("big")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("infinite")

    found = json.loads(text, object_pairs_hook=once)
    walk(found)
    return found


def refusal(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(InvalidMessage) as caught:
        call(*args, **kwargs)
    return str(caught.value)


@given(st.dictionaries(texts, values, max_size=5))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    """Writing and reading are each other's reverse."""
    assert ijson.loads(ijson.dumps(value), limit=PLENTY) == value


@settings(max_examples=500)
@given(documents)
@example('{"root":"\\\\u0000"}')
def test_reading_refuses_exactly_what_the_rules_refuse(text: str) -> None:
    """The cheap scans let nothing pass that a full look at every value would refuse, and refuse no more."""
    try:
        wanted = reference(text)
    except ValueError:
        refusal(ijson.loads, text.encode(), limit=PLENTY)
    else:
        assert ijson.loads(text.encode(), limit=PLENTY) == wanted


@given(st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but `InvalidMessage` comes out of bytes that anyone may have written."""
    found: object = {}
    with suppress(InvalidMessage):
        found = ijson.loads(data, limit=PLENTY)

    assert isinstance(found, dict)


@pytest.mark.parametrize(
    "unit", [b"[", b'{"a":', b"[{}", b'"\\"', b'["\\\\",', b"9"], ids=lambda unit: unit.decode()
)
def test_hostile_megabytes_are_refused_in_bounded_memory(unit: bytes) -> None:
    """Ten megabytes of anything neither exhaust the stack nor take much more memory than they are."""
    data = b'{"a":' + unit * (10_000_000 // len(unit))

    tracemalloc.start()
    try:
        refusal(ijson.loads, data, limit=PLENTY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 80_000_000


def test_the_size_is_looked_at_first() -> None:
    """Bytes over the limit are not even decoded; those at the limit are."""
    assert ijson.loads(b'{"a":1}', limit=7) == {"a": 1}
    assert refusal(ijson.loads, b"\xff" * 8, limit=7) == "envelope: is 8 bytes long, at most 7 are read"


@pytest.mark.parametrize(("levels", "accepted"), [(32, True), (33, False)])
@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"k":', "}")])
def test_32_levels_are_the_limit(before: str, after: str, levels: int, *, accepted: bool) -> None:
    """The outermost object is the first level, reading and writing alike."""
    inner: Any = 0
    for _ in range(levels - 1):
        inner = [inner] if before == "[" else {"k": inner}
    data = ('{"a":' + before * (levels - 1) + "0" + after * (levels - 1) + "}").encode()

    if accepted:
        assert ijson.loads(data, limit=PLENTY) == {"a": inner}
        assert ijson.dumps({"a": inner}) == data
    else:
        assert refusal(ijson.loads, data, limit=PLENTY) == "envelope: is nested deeper than 32 levels"
        assert refusal(ijson.dumps, {"a": inner}).endswith(": is nested deeper than 32 levels")


def test_a_string_without_an_end_takes_no_longer_than_another() -> None:
    """Its levels are counted in one pass: else 64 kB of a stranger's would hold a client up for half a minute."""
    data = b'{"a":"' + b"[]" * 33 + b'\\"' * 32_000
    began = time.process_time()

    assert refusal(ijson.loads, data, limit=PLENTY).startswith("envelope: is not JSON")
    assert time.process_time() - began < 1


def test_the_path_of_a_value_counts_as_levels() -> None:
    """A body is checked before it stands in its envelope, as if it stood there already."""
    body: dict[str, Any] = {}
    for _ in range(30):
        body = {"k": body}

    ijson.check(body, "body")
    assert "deeper" in refusal(ijson.check, {"k": body}, "body")
    assert "deeper" in refusal(ijson.check, body, "body.fields")


def test_a_value_that_holds_itself_is_too_deep() -> None:
    """A cycle is refused like any other endless nesting."""
    cycle: list[Any] = []
    cycle.append(cycle)

    assert "deeper" in refusal(ijson.check, cycle, "body")


def test_writing_is_compact_and_raw() -> None:
    """No spaces, no escapes that need not be, keys in their order."""
    assert ijson.dumps({"b": [1, 2.5, True, None], "a": "é\u2028😀\x7f"}) == (
        '{"b":[1,2.5,true,null],"a":"é\u2028😀\x7f"}'.encode()
    )


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


def test_subclasses_and_tuples_are_written_as_what_they_are() -> None:
    """A tuple is a list; enumerations of text and integers are their values."""
    assert ijson.dumps({"a": (1, 2), "b": Colour.RED, "c": Size.SMALL}) == b'{"a":[1,2],"b":"red","c":1}'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "body.x: is of type set, which JSON does not have"),
        (b"raw", "body.x: is of type bytes, which JSON does not have"),
        (MappingProxyType({}), "body.x: is of type mappingproxy, which JSON does not have"),
        (float("nan"), "body.x: is not a finite number"),
        (float("-inf"), "body.x: is not a finite number"),
        (2**53, "body.x: is an integer beyond ±(2^53-1)"),
        (-(2**53), "body.x: is an integer beyond ±(2^53-1)"),
        ("a\0b", "body.x: holds U+0000"),
        ("é\0", "body.x: holds U+0000"),
        ("\ud83d", "body.x: holds a lone surrogate"),
        ({1: "a"}, "body.x: has a key that is not text"),
        ({None: "a"}, "body.x: has a key that is not text"),
        ({"\0": 1}, "body.x: has a key that holds U+0000"),
        ({"\udc00": 1}, "body.x: has a key that holds a lone surrogate"),
        (["fine", {"y": ["fine", {7}]}], "body.x.1.y.1: is of type set, which JSON does not have"),
        ({"fields": {"k": float("inf")}}, "body.x.fields.k: is not a finite number"),
    ],
    ids=repr,
)
def test_what_json_cannot_say_is_refused_by_its_path(value: Any, message: str) -> None:
    """The refusal names the field and never the value (I16)."""
    assert refusal(ijson.dumps, {"ok": [1, "a"], "x": value}, "body") == message


def test_values_are_checked_without_a_path() -> None:
    """A bare value is named as the whole."""
    assert refusal(ijson.check, float("nan")) == "envelope: is not a finite number"
    assert refusal(ijson.check, {"a": {"b": {1}}}).startswith("a.b: ")


def test_a_path_is_fit_to_be_shown() -> None:
    """Keys come from strangers: long, unprintable and endless ones are cut and escaped."""
    assert ijson.join("body", "a\nb", "\ud800", "\u202e") == r"body.a\nb.\ud800.\u202e"
    assert ijson.join("", "x" * 41) == "x" * 40 + "…"
    assert ijson.join("body", *"abcdefghi") == "body.a.b.c.d.e.f.g.h.…"
    assert ijson.join("body") == "body"


def test_a_refusal_hides_the_error_it_came_from() -> None:
    """The decoder's own error holds the text; it is not shown."""
    for data in (b'{"secret', b"\xff", b'{"a":1e999}'):
        with pytest.raises(InvalidMessage) as caught:
            ijson.loads(data, limit=PLENTY)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert "secret" not in str(caught.value)
