"""Gives a reader an input and looks at what becomes of it: errors, secrets, time, memory."""

from __future__ import annotations

import re
import time
import traceback
import tracemalloc
from typing import Final, NamedTuple

from chatkit.testing.fuzz.mutate import Input
from chatkit.testing.fuzz.samples import SECRET
from chatkit.testing.fuzz.targets import Target

SECONDS: Final = 0.25
"""CPU time that any input may take ..."""
SECONDS_A_BYTE: Final = 2e-6
"""... and more for each byte: an input that takes quadratic time is over it at some ten kilobytes."""
BYTES: Final = 1_000_000
"""Memory that reading any input may take ..."""
BYTES_A_BYTE: Final = 100
"""... and more for each byte: a list of empty lists in Python takes 40 bytes for each of its text."""
LARGE: Final = 100_000
"""Bytes of a large input."""
EVERY: Final = 16
"""The memory of each so many is measured, of large ones ..."""
EVERY_LARGE: Final = 4
"""... of each so many."""

_AS_KEY: Final = re.compile(rf'"[^"]*{SECRET}[^"]*"\s*:'.encode()).search


class Outcome(NamedTuple):
    """What became of one input."""

    name: str
    """`read`, or the class of the error."""
    seconds: float
    memory: int
    """Bytes at the most; 0: not measured."""
    breach: str | None
    """What should not have happened."""


def check(target: Target, given: Input, *, measured: bool | None = None) -> Outcome:
    """Let a reader read an input.

    Args:
        target: The reader.
        given: The input.
        measured: Whether memory is measured, which takes time; `None`: of large ones, and of some.
    """
    if measured is None:
        measured = given.number % (EVERY_LARGE if len(given.data) >= LARGE else EVERY) == 0
    error, seconds = _read(target, given.data)
    breach = _judge(target, given.data, error)
    bound = SECONDS + SECONDS_A_BYTE * len(given.data)
    if seconds > bound:  # maybe by no fault of its own: the machine does other things too
        seconds = min(seconds, *(_read(target, given.data)[1] for _ in range(2)))
        if seconds > bound:
            breach = breach or f"took {seconds:.2f} s"
    memory = _memory(target, given.data) if measured else 0
    if memory > BYTES + BYTES_A_BYTE * len(given.data):
        breach = breach or f"took {memory:,} bytes"
    return Outcome("read" if error is None else type(error).__name__, seconds, memory, breach)


def shown(error: BaseException) -> str:
    """Return all that a program shows of an error: its text, arguments, notes, hint, and its traceback."""
    parts = [str(error), repr(error), repr(error.args), str(getattr(error, "hint", ""))]
    return "\n".join([*parts, *traceback.format_exception(error)])


def _read(target: Target, data: bytes) -> tuple[Exception | None, float]:
    began = time.thread_time()
    try:
        target.read(data)
    except Exception as error:  # noqa: BLE001  # which one it may be is judged below
        return error, time.thread_time() - began
    return None, time.thread_time() - began


def _judge(target: Target, data: bytes, error: Exception | None) -> str | None:
    if error is None:
        return None
    if not isinstance(error, target.allowed):
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"raised {type(error).__name__} at {where.name}:{where.lineno}: {str(error)[:200]!r}"
    if SECRET in shown(error) and not _AS_KEY(
        data
    ):  # a field is named by its path, and its name is no secret
        return f"shows a secret: {str(error)[:200]!r}"
    return None


def _memory(target: Target, data: bytes) -> int:
    tracemalloc.start()
    try:
        _read(target, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
