"""What is replayed: the packaged conversations, or a file of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from chatkit.cli.jsonl import read_objects
from chatkit.errors import ConfigError

NAME: Final = "ubuntu-irc.jsonl.gz"
SPOKEN: Final = frozenset({"message", "action"})
"""Kinds of line that are said; joins, leaves and renames are passed over."""
LONGEST_LINE: Final = 500_000
"""Bytes of one line of a file: with room to spare in a frame of the embedded provider."""
LONGEST_ID: Final = 100
"""Bytes of an id: it travels beside the message."""

_FORM: Final = (
    'Write one JSON object a line: {"user": "ada", "text": "Hello"}; `id`, `reply_to` and `kind` may follow.'
)
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
    for number, fields in read_objects(path, longest=LONGEST_LINE, hint=_FORM):
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
