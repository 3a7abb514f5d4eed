"""Hostile inputs made of sound ones: the same seed and number give the same bytes, everywhere.

    for hostile in inputs(samples, seed=1, count=1_000):
        read(hostile.data)

Two families. Of any bytes: bits turned, slices cut out, doubled and spliced, traps put in. Of samples that
are objects or lists of JSON: values of wrong types, numbers that no number holds, keys twice, levels without
end, giants, text that two programs read differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final, NamedTuple, TypeAlias, cast

from chatkit.testing.fuzz.traps import OTHERS, TEXTS, TOKENS, TRAPS

LARGEST: Final = 10_000_000
"""Bytes of the largest input."""


class Input(NamedTuple):
    """One hostile input."""

    number: int
    kind: str
    """What was done to a sample."""
    data: bytes

    def __repr__(self) -> str:
        return f"Input(number={self.number}, kind={self.kind!r}, {len(self.data)} bytes)"


def inputs(
    samples: Sequence[bytes], *, seed: int, count: int, start: int = 0, largest: int = LARGEST
) -> Iterator[Input]:
    """Yield hostile inputs.

    Args:
        samples: What a reader is meant to be given, at least one; the more shapes, the better.
        seed: Of every choice.
        count: How many.
        start: Number of the first; an input depends on seed and number alone, and can be made again.
        largest: Most bytes of one.
    """
    for number in range(start, start + count):
        chance = Random(f"{seed}/{number}")  # noqa: S311  # it is to be the same again
        sample = chance.choice(samples)
        kind = chance.choice(_KINDS)
        data = _MUTATIONS[kind](chance, sample, samples)
        yield Input(number, kind, data[:largest])


def of_number(samples: Sequence[bytes], *, seed: int, number: int, largest: int = LARGEST) -> Input:
    """Return one of `inputs` again."""
    return next(inputs(samples, seed=seed, count=1, start=number, largest=largest))


_Mutation: TypeAlias = Callable[[Random, bytes, Sequence[bytes]], bytes]

# -- of any bytes


def _same(_chance: Random, data: bytes, _samples: Sequence[bytes]) -> bytes:
    return data


def _flip(chance: Random, data: bytes, _samples: Sequence[bytes]) -> bytes:
    turned = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if turned:
            turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
    return bytes(turned)


def _cut(chance: Random, data: bytes, _samples: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def _drop(chance: Random, data: bytes, _samples: Sequence[bytes]) -> bytes:
    begin, end = _slice(chance, data)
    return data[:begin] + data[end:]


def _double(chance: Random, data: bytes, _samples: Sequence[bytes]) -> bytes:
    begin, end = _slice(chance, data)
    return data[:end] + data[begin:end] * chance.choice((1, 1, 2, 40)) + data[end:]


def _splice(chance: Random, data: bytes, samples: Sequence[bytes]) -> bytes:
    other = chance.choice(samples)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _trap(chance: Random, data: bytes, _samples: Sequence[bytes]) -> bytes:
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(data))
        data = data[:at] + chance.choice(TRAPS) + data[at:]
    return data


def _noise(chance: Random, _data: bytes, _samples: Sequence[bytes]) -> bytes:
    return chance.randbytes(chance.randint(0, 400))


def _repeat(chance: Random, data: bytes, _samples: Sequence[bytes]) -> bytes:
    """Repeat a few bytes in the middle a great many times."""
    begin, _ = _slice(chance, data)
    few = data[begin : begin + chance.randint(1, 3)] or b"a"
    return data[:begin] + few * (_size(chance) // len(few)) + data[begin:]


def _slice(chance: Random, data: bytes) -> tuple[int, int]:
    ends = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return ends[0], ends[1]


def _size(chance: Random) -> int:
    """Return a size, seldom a large one: most below 1,000, one in 110 above 1,000,000."""
    return int(10 ** (1 + 6 * chance.random() ** 20))


# -- of objects and lists of JSON

_RAW: Final = "\ue000raw\ue000"
"""Stands for what no JSON writer writes."""


_Fields: TypeAlias = dict[str, Any] | list[Any]
"""An object or a list, by whose keys or numbers its values are changed."""


def _structured(change: Callable[[Random, _Fields], str]) -> _Mutation:
    """Make a mutation of a change to JSON; what is neither object nor list is turned bit by bit."""

    def mutation(chance: Random, data: bytes, samples: Sequence[bytes]) -> bytes:
        try:
            found: Any = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not found or not _owners(found):
            return _trap(chance, data, samples)
        return change(chance, found).encode("utf-8", "surrogatepass")

    return mutation


def _type(chance: Random, fields: _Fields) -> str:
    _replace(chance, fields, chance.choice(OTHERS))
    return _written(chance, fields)


def _token(chance: Random, fields: _Fields) -> str:
    _replace(chance, fields, _RAW)
    return _written(chance, fields, chance.choice(TOKENS))


def _text(chance: Random, fields: _Fields) -> str:
    _replace(chance, fields, chance.choice(TEXTS))
    return _written(chance, fields)


def _missing(chance: Random, fields: _Fields) -> str:
    owner, key = _place(chance, fields)
    del owner[key]
    return _written(chance, fields)


def _extra(chance: Random, fields: _Fields) -> str:
    value: Any = chance.choice(OTHERS)
    owner: Any = chance.choice(_owners(fields))
    if isinstance(owner, dict):
        owner[chance.choice(TEXTS)] = value
    else:
        owner.append(value)
    return _written(chance, fields)


def _twice(chance: Random, fields: _Fields) -> str:
    owner, key = _place(chance, fields)
    value = json.dumps(chance.choice((owner[key], chance.choice(OTHERS))), ensure_ascii=False)
    kept = json.dumps(owner[key], ensure_ascii=False)
    owner[key] = _RAW
    named = f"{json.dumps(key)}:" if isinstance(key, str) else ""
    return _written(chance, fields, f"{kept},{named}{value}")


def _deep(chance: Random, fields: _Fields) -> str:
    levels = chance.choice((30, 31, 32, 33, 40, 900, 1_100, _size(chance)))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}"), ('[{"":', "}]")))
    inner = chance.choice(("0", '"x"', ""))
    _replace(chance, fields, _RAW)
    closed = closing * chance.choice((levels, levels, levels - 1, 0))
    return _written(chance, fields, opening * levels + inner + closed)


def _many(chance: Random, fields: _Fields) -> str:
    size = _size(chance) // 4
    _replace(chance, fields, _RAW)
    item = chance.choice(("{}", "[]", "0", '""', "1.5", "null", '"\u00e9\U0001f30a"'))
    if chance.random() < 0.5:
        return _written(chance, fields, f"[{','.join([item] * size)}]")
    return _written(chance, fields, "{" + ",".join(f'"k{number}":{item}' for number in range(size)) + "}")


def _giant(chance: Random, fields: _Fields) -> str:
    part = chance.choice(
        ("a", "\u00e9", "\U0001f30a", "\\n", "\\u00e9", "\\\\", '\\"', "[]", "\\ud83d", "{", "1")
    )
    text = part * (_size(chance) // len(part.encode()))
    _replace(chance, fields, _RAW)
    return _written(chance, fields, chance.choice((f'"{text}"', f'"{text}', text)))


def _endless(chance: Random, fields: _Fields) -> str:
    """Leave a string open behind many brackets: what counts levels must not try again from each quote."""
    _replace(chance, fields, _RAW)
    return _written(
        chance, fields, '"' + "[]" * 40 + chance.choice(('\\"', "\\\\", '"', "{")) * (_size(chance) // 2)
    )


def _spaces(chance: Random, fields: _Fields) -> str:
    return (chance.choice(" \t\n\r") * _size(chance)).join(_written(chance, fields).partition(":"))


def _escaped(_chance: Random, fields: _Fields) -> str:
    """Write every character of text as an escape."""

    def hidden(value: Any) -> str:
        if isinstance(value, str):
            units = value.encode("utf-16-be", "surrogatepass").hex()
            return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'
        if isinstance(value, dict):
            known = cast("dict[str, Any]", value)
            return "{" + ",".join(f"{hidden(key)}:{hidden(item)}" for key, item in known.items()) + "}"
        if isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return "[" + ",".join(map(hidden, items)) + "]"
        return json.dumps(value)

    return hidden(fields)


def _swap(chance: Random, fields: _Fields) -> str:
    (one, a), (other, b) = _place(chance, fields), _place(chance, fields)
    try:
        one[a], other[b] = other[b], one[a]
        return _written(chance, fields)
    except (KeyError, ValueError, RecursionError):  # one held the other
        return "{}"


def _owners(fields: object) -> list[_Fields]:
    """Return what holds values: objects at whatever depth, and lists that are rows, but no lists of words."""
    found: list[_Fields] = []
    rest: list[tuple[Any, bool]] = [(fields, True)]
    for one, is_row in rest:
        if isinstance(one, dict):
            known = cast("dict[str, Any]", one)
            found.append(known)
            rest += [(item, False) for item in known.values()]
        elif isinstance(one, list):
            items: list[Any] = one  # pyright: ignore[reportUnknownVariableType]
            found += [items] if items and is_row else []
            rest += [(item, True) for item in items]
    return found


def _place(chance: Random, fields: _Fields) -> tuple[Any, Any]:
    """Return an owner, and the key or number of one of its values."""
    places = [
        (owner, key)
        for owner in _owners(fields)
        for key in (owner if isinstance(owner, dict) else range(len(owner)))
    ]
    return chance.choice(places)


def _replace(chance: Random, fields: _Fields, value: Any) -> None:
    owner, key = _place(chance, fields)
    owner[key] = value


def _written(chance: Random, fields: _Fields, raw: str = "") -> str:
    compact = chance.random() < 0.8
    text = json.dumps(
        fields, ensure_ascii=chance.random() < 0.2, separators=(",", ":") if compact else (" , ", " : ")
    )
    return text.replace(json.dumps(_RAW), raw, 1).replace(json.dumps(_RAW, ensure_ascii=False), raw, 1)


_MUTATIONS: Final[dict[str, _Mutation]] = {
    "same": _same,
    "flip": _flip,
    "cut": _cut,
    "drop": _drop,
    "double": _double,
    "splice": _splice,
    "trap": _trap,
    "noise": _noise,
    "repeat": _repeat,
    "type": _structured(_type),
    "token": _structured(_token),
    "text": _structured(_text),
    "missing": _structured(_missing),
    "extra": _structured(_extra),
    "twice": _structured(_twice),
    "deep": _structured(_deep),
    "many": _structured(_many),
    "giant": _structured(_giant),
    "endless": _structured(_endless),
    "spaces": _structured(_spaces),
    "escaped": _structured(_escaped),
    "swap": _structured(_swap),
}
_KINDS: Final = (
    *_MUTATIONS,
    "flip",
    "trap",
    "splice",
    "type",
    "type",
    "token",
    "text",
    "text",
    "extra",
    "swap",
)
"""Each kind, what finds most several times."""
