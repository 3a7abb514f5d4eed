"""How commands about logs end that cannot do what they were asked for, and what migrations say."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from chatkit.errors import ChatkitError


def fail(command: str, words: str, hint: str, *, code: int = 2) -> NoReturn:
    """Say on the error stream what went wrong and what to do, and end.

    Args:
        command: Which one.
        words: What went wrong.
        hint: What to do.
        code: Of the process: 1 where repeating may help, else 2.
    """
    typer.echo(f"chatkit {command}: {words}\n{hint}".rstrip(), err=True)
    raise typer.Exit(code) from None


def fail_with(command: str, error: ChatkitError) -> NoReturn:
    """End with an error of ours."""
    fail(command, f"{type(error).__name__}: {error}", error.hint, code=1 if error.retryable else 2)


def migrate(command: str, run: Callable[[Any], tuple[str, ...]]) -> None:
    """Bring a database up to date, and say what was applied.

    Args:
        command: Which one asks for it.
        run: Does it; given `chatkit.logs.postgres`, which needs an extra.
    """
    try:
        postgres = importlib.import_module("chatkit.logs.postgres")
    except ImportError as error:
        extra = "Install the extra: `pip install 'chatkit-realtime[postgres]'`."
        fail(command, f"{error.name or 'psycopg'} is not installed", extra)
    try:
        applied = run(postgres)
    except ChatkitError as error:
        fail_with(command, error)
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("up to date")
