"""What trips readers up: bytes, numbers, texts and values."""

from __future__ import annotations

from typing import Any, Final

TRAPS: Final = (
    b"\xef\xbb\xbf",  # a byte order mark
    b"\x00",
    b"\xc0\xaf",  # an overlong slash
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",  # a surrogate as UTF-8 of its own
    b"\xf5\x80\x80\x80",  # beyond Unicode
    b"\xff\xfe",
    b"\x80",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\xe2\x80\xae",  # right to left from here on
    b"e\xcc\x81",  # not in normal form C
    b"\xe2\x80\xa8",
    b"%00",
    b"%",
    b"%ff",
    b"..",
    b"/",
    b"//",
    b"@",
    b"?",
    b"#",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"\\",
    b",",
    b":",
    b"1e999",
    b"-0",
    b"NaN",
    b"\r\n",
    b" ",
)
"""Bytes to put in anywhere."""

TOKENS: Final = (
    *("1e999", "-1e999", "1e-999", "-0", "0.1e1", "1.0", "01", "+1", ".5", "1.", "0x10", "1_0", "NaN"),
    *("Infinity", "-Infinity", "9007199254740992", "-9007199254740993", "18446744073709551616", "1" * 400),
    *(
        "-" + "9" * 5_000,
        "0." + "1" * 3_000,
        "true",
        "null",
        "undefined",
        "'x'",
        "",
        "[",
        "}",
        '"',
        '"\\x41"',
    ),
    *(
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"\\uD83D\\uDE00"',
        '"\\u00zz"',
        '"\t"',
        "[[]]",
        "{}",
        "/**/1",
    ),
)
"""Numbers and more as they might stand in JSON, though most may not."""
TEXTS: Final = (
    *(
        "",
        " ",
        "*",
        "\x7f",
        "\x85",
        "a\u0301",
        "\u212b",
        "\ufb01",
        "\u1100\u1161",
        "\u202egnp.exe",
        "\u2066ada\u2069",
    ),
    *("\ufeffada", "ad\u200ba", "\u0430da", "ADA", "ada ", "\U0001f469\u200d\U0001f4bb", "\ufffd", "\uffff"),
    *("\U0010ffff", "dm.ada.bob", "u.ada", "dm.", "..", "../../etc", "a" * 141, "\u00e9" * 65, "x" * 20_000),
    *(
        "0" * 36,
        "00000000-0000-0000-0000-000000000000",
        "2026-02-30T00:00:00.000Z",
        "9999-12-31T23:59:59.999Z",
    ),
    *(
        "0001-01-01T00:00:00.000Z",
        "ffffffffffff-ffff",
        "000000000000-0000",
        "-1",
        "1",
        "__proto__",
        "constructor",
    ),
)
"""Text that is not what it looks like, or stands where something else is meant."""
OTHERS: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**53 - 1,
        2**53,
        -(2**53),
        2**64,
        0.5,
        1e308,
        "",
        "x",
        [],
        {},
        [[]],
        [None],
    ),
    *({"type": "text"}, {"": ""}, {"id": 1}, ["a"] * 60, {"a": {"b": {"c": []}}}),
)
"""Values of other types."""
