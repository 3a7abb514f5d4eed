"""The log's tables and functions: numbered files of SQL, and one script of them all."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

OWN: Final = 1000
"""Numbers below it are of the log itself, those above of what stands around it at one provider."""
LOCK: Final = int.from_bytes(b"chatkit\0", "big")
"""The advisory lock that one migration at a time holds."""
TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, name text NOT NULL,"
    " digest text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
)
"""What was applied."""
_MARK: Final = "$chatkit_file$"
"""Stands around a file within the script; no file holds it."""


class Migration(NamedTuple):
    """One file of SQL. Once released it never changes: later ones change what it made."""

    version: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        """Of its text."""
        return sha256(self.text.encode()).hexdigest()


def plain() -> tuple[Migration, ...]:
    """Return the files of the log itself, oldest first."""
    return _in(_folder("sql"))


def supabase() -> tuple[Migration, ...]:
    """Return the files of what stands around it in a Supabase project, oldest first."""
    return _in(_folder("supabase"))


def supabase_check() -> str:
    """Return a statement that fails, in words, where a database is no Supabase project's."""
    return (_folder("supabase") / "check.sql").read_text(encoding="utf-8")


def supabase_rights() -> str:
    """Return the statements that come last, every time: who may call what, and that PostgREST looks again."""
    return (_folder("supabase") / "rights.sql").read_text(encoding="utf-8")


def supabase_script(*, everyone: bool = False) -> str:
    """Return all of it as one script, safe to repeat, to be run by whoever owns the project's database.

    Args:
        everyone: Every channel is open to whoever is signed in.
    """
    newest = supabase()[-1].version
    steps = "".join(map(_guarded, (*plain(), *supabase())))
    return (
        "-- chatkit: the log, and what stands around it in a Supabase project. Safe to run again.\n"
        f"begin;\n\nselect pg_advisory_xact_lock({LOCK});\n\n{supabase_check()}\n"
        "create schema if not exists chatkit;\nset local search_path = chatkit, pg_temp;\n"
        f"{TABLE};\n{_NOT_NEWER.format(newest)}{steps}\n{supabase_rights()}\n"
        f"{EVERYONE if everyone else ''}\ncommit;\n"
    )


_NOT_NEWER: Final = """
do $chatkit_newer$
begin
    if exists (select from migrations where version > {}) then
        raise exception 'the schema chatkit of this database was made by a newer chatkit';
    end if;
end
$chatkit_newer$;
"""
EVERYONE: Final = "select chatkit.add_member('', '*');\n"
"""Opens every channel to whoever is signed in."""


def _guarded(step: Migration) -> str:
    return f"""
do $chatkit_step$
begin
    if exists (select from migrations where version = {step.version} and digest <> '{step.digest}') then
        raise exception 'the schema chatkit of this database was made by other files: {step.name}';
    elsif not exists (select from migrations where version = {step.version}) then
        execute {_MARK}
{step.text}{_MARK};
        insert into migrations (version, name, digest)
        values ({step.version}, '{step.name}', '{step.digest}');
    end if;
end
$chatkit_step$;
"""  # noqa: S608  # names and digests of our own files


def _folder(name: str) -> Traversable:
    return files("chatkit.postgres") / name


def _in(folder: Traversable) -> tuple[Migration, ...]:
    found = sorted(entry.name for entry in folder.iterdir() if entry.name[0].isdigit())
    return tuple(
        Migration(int(name.partition("_")[0]), name, (folder / name).read_text(encoding="utf-8"))
        for name in found
    )
