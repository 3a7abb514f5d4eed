"""`chatkit supabase`: the log's schema in a project's own database."""

from __future__ import annotations

from typing import Annotated

import typer

from chatkit.cli import failing
from chatkit.postgres import migrations

COMMAND = "supabase"
app = typer.Typer(name=COMMAND, no_args_is_help=True, help="Keep messages in a Supabase project.")

Everyone = Annotated[
    bool, typer.Option("--everyone", help="Open every channel to whoever is signed in: for a first try.")
]


@app.command()
def sql(*, everyone: Everyone = False) -> None:
    """Print the whole schema as one script, for the SQL editor of a project.

    Safe to run again, and in a project that has an older one. Without --everyone nobody but members reads or
    writes: make some by `select chatkit.add_member('channel', 'user')`.
    """
    typer.echo(migrations.supabase_script(everyone=everyone), nl=False)


@app.command()
def migrate(
    *,
    dsn: Annotated[
        str,
        typer.Option(help="postgresql://postgres:PASSWORD@HOST:PORT/postgres, of the project's database."),
    ],
    everyone: Everyone = False,
) -> None:
    """Make the schema in a project, or bring it up to date.

    Safe to repeat, and from several processes at once. Exit: 0 up to date, 1 no answer, 2 it cannot be.
    """
    failing.migrate(COMMAND, lambda postgres: postgres.migrate_supabase(dsn, everyone=everyone))
