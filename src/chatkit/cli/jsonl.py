"""Reading JSON Lines of anybody's making: bounded, packed or not, each mistake named by its line."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from chatkit.errors import ConfigError, InvalidMessage
from chatkit.model import ijson

_GZIP: Final = b"\x1f\x8b"
_PATH: Final = "Give the path of a file that you may read."


def read_objects(path: Path, *, longest: int, hint: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file with the numbers of their lines; blank lines are passed over.

    Args:
        path: Of JSON Lines in UTF-8, maybe packed by gzip.
        longest: Most bytes of a line.
        hint: Of errors: what a line looks like.

    Raises:
        ConfigError: It cannot be read, or a line is no object; file and line are named, nothing of its text.
    """
    for number, raw in _lines(path, longest, hint):
        try:
            yield number, ijson.loads(raw, limit=longest)
        except InvalidMessage:  # it names what it found, and that is somebody's text
            problem = f"is no JSON object in UTF-8 of at most {longest:,} bytes"
            raise ConfigError(f"{path.name}:{number}: {problem}", hint=hint) from None


def _lines(path: Path, longest: int, hint: str) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with path.open("rb") as plain:
            source = gzip.GzipFile(fileobj=plain) if plain.peek(2).startswith(_GZIP) else plain
            while raw := source.readline(longest + 2):
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
        raise ConfigError(problem, hint=hint) from None
