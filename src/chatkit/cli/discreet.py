"""What is said of a mistyped command line: the option or command that is wrong, not what somebody put there.

A URL of a log holds a password, and so does a key; typer would repeat it in one argument too many (I16).
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import typer
from typer.core import TyperGroup

HIDDEN: Final = "…"
_USAGE: Final[Any] = typer.BadParameter.__bases__[0]
"""The class of all usage errors: click's, or since typer 0.26 one of its own, without a public name."""
_SHORT: Final = 6
"""Signs of the shortest word that is hidden: shorter ones also stand in sentences, as numbers do."""
_HARMLESS: Final = re.compile(r"-{0,2}[a-z-]{1,30}")
"""What may be repeated: it is or was meant to be the name of an option or command, or a plain word."""
_WIDEST: Final = 10_000
"""Columns."""
_URL: Final = re.compile(r"[^\s'\"(]*://[^\s'\")]*")


class Discreet(TyperGroup):
    """A command whose usage errors, and those of its commands, show no value."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run it; a width that no terminal has is none: what is printed would be lost, or an error."""
        if not 0 < _number(os.environ.get("COLUMNS", "")) <= _WIDEST:
            os.environ.pop("COLUMNS", None)
        return super().main(*args, **extra)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the command line."""
        words = tuple(args)
        with _discreet(words):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[__name__] = words
        return context

    def invoke(self, ctx: Any) -> Any:
        """Run the command that it names; that reads the rest of it."""
        with _discreet(ctx.meta[__name__]):
            return super().invoke(ctx)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@contextmanager
def _discreet(words: Sequence[str]) -> Generator[None]:
    try:
        yield
    except _USAGE as error:
        error.message = without_values(error.message, words)
        raise


def without_values(message: str, words: Sequence[str]) -> str:
    """Return a message with all that was typed hidden, but names and plain words.

    Args:
        message: Of a usage error.
        words: The command line.
    """
    message = re.sub(r"(extra argument\S*) \(.*", r"\1", message, flags=re.DOTALL)
    values = {word.partition("=")[2] if word.startswith("-") else word for word in words}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORT and not _HARMLESS.fullmatch(value):
            for form in (value, repr(value)[1:-1]):
                message = message.replace(form, HIDDEN)
    return _URL.sub(HIDDEN, message)
