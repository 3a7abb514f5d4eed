"""What is replayed: the packaged conversations, or a file of the user's own."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from chatkit.errors import ConfigError, InvalidMessage
from chatkit.model import ijson

NAME: Final = "ubuntu-irc.jsonl.gz"
SPOKEN: Final = frozenset({"message", "action"})
"""Kinds of line that are said; joins, leaves and renames are passed over."""
LONGEST_LINE: Final = 500_000
"""Bytes of one line of a file: with room to spare in a frame of the embedded provider."""
LONGEST_ID: Final = 100
"""Bytes of an id: it travels beside the message."""

_GZIP: Final = b"\x1f\x8b"
_FORM: Final = (
    'Write one JSON object a line: {"user": "ada", "text": "Hello"}; `id`, `reply_to` and `kind` may follow.'
)
_PATH: Final = "Give `--file` the path of a file that you may read."
_RULES: Final[Mapping[str, str]] = {
    "kind": "`kind` is not text",
    "user": "`user` is missing or not text",
    "text": "`text` is missing or not text",
    "id": f"`id` is not text of 1 to {LONGEST_ID} bytes",
    "reply_to": "`reply_to` is neither an id nor a list of ids",
}


class Line(NamedTuple):
    """One thing that somebody said."""

    id: str
    user: str
    text: str
    answers: tuple[str, ...] = ()
    """Ids of the lines that it answers."""


def packaged() -> Path:
    """Return the file that comes with chatkit: inside the package, or in a checkout with the tests' data."""
    installed = Path(str(files("chatkit.cli"))) / "data" / NAME
    return installed if installed.exists() else Path(__file__).parents[4] / "tests" / "data" / NAME


def title(file: Path | None) -> str:
    """Return what to call a source in a heading."""
    return "#ubuntu" if file is None else file.name


def read(path: Path, *, limit: int) -> tuple[Line, ...]:
    """Return the first `limit` lines that were said.

    Raises:
        ConfigError: The file cannot be read, holds nothing that was said, or a line is not as it should be;
            file and line number are named, nothing of its text.
    """
    found: dict[str, Line] = {}
    for number, raw in _raw(path):
        try:
            fields = ijson.loads(raw, limit=LONGEST_LINE)
        except InvalidMessage:  # it names what it found, and that is somebody's text
            problem = f"is no JSON object in UTF-8 of at most {LONGEST_LINE:,} bytes"
            raise ConfigError(f"{path.name}:{number}: {problem}", hint=_FORM) from None
        line = _line(fields, number, f"{path.name}:{number}")
        if line is None:
            continue
        if line.id in found:
            raise ConfigError(f"{path.name}:{number}: `id` stands in an earlier line too", hint=_FORM)
        found[line.id] = line
        if len(found) == limit:
            break
    if not found:
        raise ConfigError(f"{path.name}: holds no messages", hint=_FORM)
    return tuple(found.values())


def _raw(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, packed or not, with their numbers; blank ones are passed over."""
    number = 0
    try:
        with path.open("rb") as plain:
            source = gzip.GzipFile(fileobj=plain) if plain.peek(2).startswith(_GZIP) else plain
            while raw := source.readline(LONGEST_LINE + 2):
                number += 1
                if number == 1:
                    raw = raw.removeprefix(BOM_UTF8)  # as some editors begin a file
                if raw.strip():
                    yield number, raw.rstrip(b"\r\n")
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        if reason is not None and not number:
            raise ConfigError(f"{path.name}: cannot be read: {reason}", hint=_PATH) from None
        problem = f"{path.name}:{number + 1}: cannot be read: {reason or 'it is damaged'}"
        raise ConfigError(problem, hint=_FORM) from None


def _line(fields: Mapping[str, Any], number: int, place: str) -> Line | None:
    """Return what a line says, or `None` where nothing is said in it."""
    kind, id = fields.get("kind", "message"), fields.get("id", f"line {number}")
    given: object = fields.get("reply_to") or []
    answers = cast("list[object]", given if isinstance(given, list) else [given])
    sound = {
        "kind": isinstance(kind, str),
        "user": _is_said(fields.get("user")),
        "text": _is_said(fields.get("text")) or kind not in SPOKEN,
        "id": isinstance(id, str) and 1 <= len(id.encode()) <= LONGEST_ID,
        "reply_to": all(isinstance(other, str) for other in answers),
    }
    for name, holds in sound.items():
        if not holds:
            raise ConfigError(f"{place}: {_RULES[name]}", hint=_FORM)
    return Line(id, fields["user"], fields["text"], tuple(map(str, answers))) if kind in SPOKEN else None


def _is_said(found: object) -> bool:
    return isinstance(found, str) and bool(found.strip())
