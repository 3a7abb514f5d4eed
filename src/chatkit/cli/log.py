"""`chatkit log`: the care of shared logs."""

from __future__ import annotations

import asyncio
from random import SystemRandom
from typing import Annotated, NoReturn

import typer

from chatkit.errors import ChatkitError

log = typer.Typer(name="log", no_args_is_help=True, help="Take care of a shared log.")

_Url = Annotated[str, typer.Argument(metavar="URL", show_default=False)]


@log.command()
def migrate(url: _Url) -> None:
    """Make the tables of a log in PostgreSQL, or bring them up to date.

    Safe to repeat, and from several processes at once. Exit: 0 all is up to date, 1 no answer, 2 it cannot
    be.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        _fail("migrate", "only logs in PostgreSQL are migrated", "Write postgresql://USER@HOST/DATABASE.")
    try:
        from chatkit.logs.postgres import migrate as run
    except ImportError as error:
        _fail(
            "migrate",
            f"{error.name or 'psycopg'} is not installed",
            "Install the extra: `pip install 'chatkit-realtime[postgres]'`.",
        )
    try:
        applied = run(url)
    except ChatkitError as error:
        _fail("migrate", str(error), error.hint, code=1 if error.retryable else 2)
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("up to date")


@log.command()
def restored(url: _Url) -> None:
    """Give a log a new id: a backup was put in its place.

    Clients that saw more than the backup holds are then told so for certain. Exit: 0 done, 1 no answer, 2 it
    cannot be.
    """
    from chatkit.engine.system import SystemClock
    from chatkit.logs import restored as run

    try:
        log_id = asyncio.run(run(url, clock=SystemClock(), random=SystemRandom()))
    except ChatkitError as error:
        _fail("restored", str(error), error.hint, code=1 if error.retryable else 2)
    typer.echo(f"the log is {log_id} from now on")


def _fail(command: str, words: str, hint: str, *, code: int = 2) -> NoReturn:
    typer.echo(f"chatkit log {command}: {words}\n{hint}", err=True)
    raise typer.Exit(code) from None
