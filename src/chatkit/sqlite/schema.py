"""Whose file it is and of which version, and the way from older versions to the newest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatkit.errors import ChatkitError
from chatkit.sqlite.connection import Connection, one, run, transaction


class Schema(NamedTuple):
    """The tables of one sort of file."""

    application: int
    """Marks a SQLite file as one of these, in the file's own header."""
    what: str
    """The sort in words, for errors."""
    error: type[ChatkitError]
    """What is raised for a file that is none, or too new."""
    migrations: Sequence[Sequence[str]]
    """Statements from each version to the next; a released one never changes."""

    def check(self, connection: Connection, name: str) -> int:
        """Return the version of a file, 0 for an empty one; changes nothing in it.

        Args:
            connection: To the file.
            name: Its name, for errors.

        Raises:
            ChatkitError: As `error`: it is a database of something else, or of a newer chatkit.
        """
        [(application,)] = run(connection, "PRAGMA application_id")
        [(version,)] = run(connection, "PRAGMA user_version")
        if application != self.application and (
            application or version or one(connection, "SELECT 1 FROM sqlite_master LIMIT 1")
        ):
            raise self.error(
                f"{name} is not {self.what}", hint="Name another file; this one was left as it is."
            )
        if version > len(self.migrations):
            raise self.error(
                f"{name} was written by a newer chatkit"
                f" (schema {version}, this one knows {len(self.migrations)})",
                hint="Upgrade chatkit; the file was left as it is.",
            )
        return int(version)

    def upgrade(self, connection: Connection, name: str) -> int:
        """Bring a file to the newest version in one transaction, and return that; all or nothing.

        Raises:
            ChatkitError: As `check`.
        """
        newest = len(self.migrations)
        if self.check(connection, name) < newest:
            with transaction(connection):
                # Again, now that nobody else can write: another process may have come first.
                for statements in self.migrations[self.check(connection, name) :]:
                    for statement in statements:
                        run(connection, statement)
                run(connection, f"PRAGMA user_version = {newest}")
                run(connection, f"PRAGMA application_id = {self.application}")
        return newest
