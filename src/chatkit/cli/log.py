"""`chatkit log`: looking after a shared log."""

from __future__ import annotations

import asyncio
import codecs
import json
import random
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from chatkit.cli import failing
from chatkit.engine.system import SystemClock
from chatkit.errors import ChatkitError
from chatkit.logs import open_log
from chatkit.model.names import check_channel

if TYPE_CHECKING:
    from chatkit.ports.log import Log, LogState

T = TypeVar("T")

app = typer.Typer(name="log", no_args_is_help=True, help="Look after a shared log.")

Url = Annotated[str, typer.Argument(help="sqlite:///FILE or postgresql://USER@HOST/DATABASE.")]
Name = Annotated[str, typer.Argument(help="A channel.")]
COMMAND = "log"
LONGEST_LINE = 1_100_000
"""Bytes of a line: an envelope of the largest frame, and what stands around it."""


@app.command()
def migrate(url: Url) -> None:
    """Make the tables of a log in PostgreSQL, or bring them up to date.

    Safe to repeat, and from several processes at once. Exit: 0 up to date, 1 no answer, 2 it cannot be.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        failing.fail(
            COMMAND, "only logs in PostgreSQL are migrated", "Write postgresql://USER@HOST/DATABASE."
        )
    failing.migrate(COMMAND, lambda postgres: postgres.migrate(url))


@app.command()
def restored(url: Url) -> None:
    """Give a log a new id: a backup was put in its place.

    Clients that saw more than the backup holds are then told so for certain. Exit: 0 done, 1 no answer, 2 it
    cannot be.
    """
    from chatkit.logs import restored as run

    log_id = _run(run(url, clock=SystemClock(), random=random.SystemRandom()))
    typer.echo(f"the log is {log_id} from now on")


@app.command()
def trim(
    url: Url,
    channel: Name,
    *,
    before: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="What was sent earlier goes; UTC where no zone is given.",
        ),
    ],
) -> None:
    """Forget what a channel held before a time, for good: messages, their edits, hits and counts.

    Clients that had not read it are told. Exit: 0 done, 1 no answer, 2 it cannot be.
    """
    moment = before if before.tzinfo else before.replace(tzinfo=UTC)

    async def work() -> LogState:
        async with _log(url) as log:
            return await log.trim(check_channel(channel), moment)

    state = _run(work())
    typer.echo("nothing is trimmed" if state.floor is None else f"all up to {state.floor} is gone")


@app.command("export")
def export(
    url: Url,
    channel: Name,
    *,
    out: Annotated[Path | None, typer.Option(help="Write here; else to standard output.")] = None,
    entries: Annotated[
        bool, typer.Option("--entries", help="Every envelope as it was appended: a copy that loses nothing.")
    ] = False,
) -> None:
    """Write a channel as JSON Lines: its messages as they are now, oldest first.

    Exit: 0 all is written, 1 no answer or nobody reads on, 2 it cannot be.
    """
    from chatkit.logs.transcript import export_entries, export_messages

    async def work() -> int:
        count = 0
        async with _log(url) as log:
            lines = (export_entries if entries else export_messages)(log, check_channel(channel))
            target = sys.stdout if out is None else out.open("w", encoding="utf-8")
            narrow = codecs.lookup(target.encoding).name != "utf-8"  # then JSON's own escapes say the rest
            try:
                async for line in lines:
                    target.write(json.dumps(line, ensure_ascii=narrow) + "\n")
                    count += 1
            finally:
                if out is not None:
                    target.close()
        return count

    count = _run(work())
    typer.echo(f"{count} {'entries' if entries else 'messages'}", err=True)


@app.command("import")
def import_(
    url: Url,
    channel: Name,
    file: Annotated[Path, typer.Argument(help="JSON Lines, packed by gzip or not.")],
) -> None:
    """Put a file of JSON Lines into a channel; what is there already is passed over.

    Exit: 0 all is there, 1 the log refused some of it, 2 bad input.
    """
    from chatkit.cli.jsonl import read_objects
    from chatkit.logs.transcript import HINT, Importer, import_lines

    async def work() -> Importer:
        async with _log(url) as log:
            lines = read_objects(file, longest=LONGEST_LINE, hint=HINT)
            return await import_lines(log, check_channel(channel), lines, name=file.name)

    done = _run(work())
    for refusal in done.refusals:
        typer.echo(f"refused: {refusal}", err=True)
    counts = done.counts
    there = counts["new"] + counts["duplicate"]
    typer.echo(f"{counts['new']} new, {counts['duplicate']} there already, {counts.total() - there} refused")
    raise typer.Exit(0 if counts.total() == there else 1)


@asynccontextmanager
async def _log(url: str) -> AsyncGenerator[Log]:
    log = open_log(url, clock=SystemClock(), random=random.SystemRandom())
    try:
        yield log
    finally:
        await log.aclose()


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an error of ours is told in words, not as a traceback."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except ChatkitError as error:
        failing.fail_with(COMMAND, error)
    except BrokenPipeError:  # whoever read it has seen enough, as `head` does; typer ends in silence
        raise
    except OSError as error:
        failing.fail(COMMAND, error.strerror or type(error).__name__, "Name another file.")
