"""What went wrong in SQLite or on the disk, in words a user can act on."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from typing import Final, NamedTuple

from chatkit.errors import ChatkitError


class Kind(NamedTuple):
    """A family of failures: what it says, what to do, and whether the transaction around it may go on."""

    says: str
    hint: str
    alone: bool
    """Only the statement failed: the other calls of its transaction are not concerned."""


_KEPT: Final = "What was stored before is kept."

_FULL: Final = Kind(
    "has no room: the disk or its quota is full", f"Free some space and call again. {_KEPT}", alone=True
)
_READONLY: Final = Kind(
    "cannot be written",
    "Give this process the right to write the file and its directory, and open it without mode=ro.",
    alone=False,
)
_ABSENT: Final = Kind(
    "cannot be opened",
    "Check that the path names a file (not a directory) that this process may create or read.",
    alone=False,
)
_DAMAGED: Final = Kind(
    "is damaged",
    "Keep a copy of the file, then try `sqlite3 FILE .recover`; chatkit overwrites nothing in it.",
    alone=True,
)
FOREIGN: Final = Kind("is not {what}", "Name another file; this one was left as it is.", alone=False)
_BUSY: Final = Kind(
    "is held by another program",
    f"Close the tool that has a transaction open on it, then call again. {_KEPT}",
    alone=False,
)
_DISK: Final = Kind("could not be read or written: the disk failed", f"Check the disk. {_KEPT}", alone=False)
_LOCKLESS: Final = Kind(
    "lies on a file system that knows no locks", "Put the file on a disk of this machine.", alone=False
)
_CHECK: Final = (
    "Check it by `sqlite3 FILE 'PRAGMA integrity_check'`; if it is sound, report this as a bug in chatkit."
)
_ODD: Final = Kind("failed in a way it should not", f"{_CHECK} {_KEPT}", alone=False)
REFUSED: Final = Kind("refused a value, or holds one that cannot be there", f"{_CHECK} {_KEPT}", alone=True)

_CONSTRAINT: Final = 19
_VALUE_ERRORS: Final = (
    TypeError,
    ValueError,
    OverflowError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
)
"""What bindings raise before SQLite sees a value that it cannot take."""

# Source: https://www.sqlite.org/rescode.html, primary codes.
_BY_CODE: Final[dict[int, Kind]] = {
    1: REFUSED,  # ERROR
    3: _READONLY,  # PERM
    5: _BUSY,
    6: _BUSY,  # LOCKED
    8: _READONLY,
    10: _DISK,  # IOERR
    11: _DAMAGED,  # CORRUPT
    13: _FULL,
    14: _ABSENT,  # CANTOPEN
    18: REFUSED,  # TOOBIG
    _CONSTRAINT: REFUSED,
    20: REFUSED,  # MISMATCH
    26: FOREIGN,  # NOTADB
}

_BY_ERRNO: Final[dict[int, Kind]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READONLY,
    errno.EACCES: _READONLY,
    errno.EPERM: _READONLY,
    errno.ENOENT: _ABSENT,
    errno.ENOTDIR: _ABSENT,
    errno.EISDIR: _ABSENT,
    errno.EEXIST: _ABSENT,
    errno.ENOSYS: _LOCKLESS,
    errno.ENOLCK: _LOCKLESS,
    errno.EOPNOTSUPP: _LOCKLESS,
}


def kind_of(error: Exception) -> Kind:
    """Return the family of an error from SQLite, by whichever binding, or from the operating system."""
    code = _code_of(error)
    if code is not None:
        return _BY_CODE.get(code, _ODD)
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, _DISK)
    return REFUSED if isinstance(error, _VALUE_ERRORS) else _ODD


def _code_of(error: Exception) -> int | None:
    # sqlite3 calls it sqlite_errorcode, apsw extendedresult; the low byte is the primary code.
    code = getattr(error, "sqlite_errorcode", None) or getattr(error, "extendedresult", None)
    return code & 0xFF if isinstance(code, int) else None


def is_conflict(error: Exception) -> bool:
    """Say whether a row could not be added since there is one like it."""
    return _code_of(error) == _CONSTRAINT


def fails_alone(error: Exception) -> bool:
    """Say whether the other calls of the same transaction can go on."""
    return isinstance(error, ChatkitError) or kind_of(error).alone


def explained(
    error: Exception, name: str, what: str, make: Callable[[Kind], type[ChatkitError]]
) -> ChatkitError:
    """Return the error to raise for `error`, which becomes its cause; errors of ours are themselves.

    Args:
        error: What was raised.
        name: The file's name, without its directory.
        what: What it should be, in words.
        make: Says which error stands for a family.
    """
    if isinstance(error, ChatkitError):
        return error
    kind = kind_of(error)
    # No text of the foreign error: it may quote a value (I16).
    ours = make(kind)(f"{name} {kind.says.format(what=what)}", hint=kind.hint)
    ours.__cause__ = error
    return ours
