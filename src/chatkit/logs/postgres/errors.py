"""What PostgreSQL and its driver say, as errors of ours.

Their own words are not passed on: they may quote what a sender wrote, or parts of a URL.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors as sql

from chatkit.errors import ChatkitError, ConfigError, InvalidMessage, ProviderError, Rejected, TransportError

MIGRATE: Final = "Run `chatkit log migrate URL` with the newest chatkit that uses this database."
_URL_HINT: Final = "Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for special characters."
_RIGHTS_HINT: Final = "Grant the role the rights on schema `chatkit`, or use the one that migrated it."

# The driver gives no code where connecting fails, only what the server said, in its language: what is not
# recognised is taken for a failing network and tried again.
_REFUSED: Final = (
    ("password authentication failed", "refused the user or the password"),
    ("no password supplied", "wants a password"),
    ("no pg_hba.conf entry", "admits no such user from here"),
    ("role ", "knows no such user"),
    ("database ", "has no such database"),
)


@contextmanager
def unchained() -> Generator[None]:
    """Let no error of ours out with the driver's behind it, which quotes rows (I16).

    `from None` hides it from a traceback alone, not from what reports errors.
    """
    try:
        yield
    except ChatkitError as error:
        error.__context__ = None
        raise


def unreadable_url() -> ConfigError:
    """Return the error of a URL that the driver cannot read."""
    return ConfigError("log: this postgresql:// URL cannot be read", hint=_URL_HINT)


def not_migrated() -> ConfigError:
    """Return the error of a database without the log's tables, or with old ones."""
    return ConfigError("log: the database does not have the tables of this version", hint=MIGRATE)


def too_new() -> ConfigError:
    """Return the error of a database that a newer version has migrated."""
    return ConfigError(
        "log: the database was migrated by a newer chatkit", hint="Upgrade chatkit; nothing was changed."
    )


def connecting(error: psycopg.Error) -> ChatkitError:
    """Return our error for a connection that did not come about."""
    said = str(error)
    if "FATAL" in said:
        for words, meaning in _REFUSED:
            if words in said and (words[-1] != " " or "does not exist" in said):
                return ConfigError(f"log: the database server {meaning}", hint=_URL_HINT)
    hint = "What is queued waits. If it lasts, check the server, and host and port in the postgresql:// URL."
    return TransportError("log: no connection to the database", hint=hint)


def calling(error: psycopg.Error) -> ChatkitError:
    """Return our error for a statement that failed."""
    code = error.sqlstate
    if isinstance(error, sql.UndefinedFunction | sql.UndefinedTable | sql.InvalidSchemaName):
        return not_migrated()
    if isinstance(error, sql.InsufficientPrivilege):
        return ConfigError("log: the role may not use the log's tables", hint=_RIGHTS_HINT)
    if isinstance(error, sql.QueryCanceled):
        return TransportError("log: the database took too long")
    if isinstance(error, sql.DiskFull):
        return TransportError(
            "log: the database server has no room", hint="Free some space; the rest follows."
        )
    if code == "PT413":  # said by functions of ours, as everywhere: sentences without a word of what was sent
        return Rejected(f"log: {error.diag.message_primary}", code=code)
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return InvalidMessage(f"log: the database cannot keep this (SQLSTATE {code})")
    if code is None or isinstance(error, psycopg.OperationalError | sql.ReadOnlySqlTransaction):
        return TransportError(f"log: no answer from the database{f' (SQLSTATE {code})' if code else ''}")
    return ProviderError(f"log: the database failed (SQLSTATE {code})", code=code)
