"""The commands and their options."""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from chatkit.cli import dev, supabase
from chatkit.cli import log as logs
from chatkit.cli.discreet import Discreet
from chatkit.errors import ChatkitError

app = typer.Typer(
    name="chatkit",
    cls=Discreet,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(logs.app)
app.add_typer(supabase.app)
app.add_typer(dev.app)


class FaultLevel(StrEnum):
    """How badly the network behaves."""

    NONE = "none"
    MILD = "mild"
    WILD = "wild"


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # typer passes by position
    if wanted:
        typer.echo(f"chatkit {version('chatkit-realtime')}")
        raise typer.Exit


@app.callback()
def chatkit(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Chat over any provider: nothing lost, doubled or shuffled."""


@app.command()
def demo(
    *,
    messages: Annotated[int, typer.Option(min=1, help="Most messages replayed.")] = 2000,
    clients: Annotated[int, typer.Option(min=2, max=20, help="Clients that share the speaking.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 1,
    faults: Annotated[FaultLevel, typer.Option(help="How badly the network behaves.")] = FaultLevel.MILD,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Replay this file instead: JSONL, or JSONL.gz, with `user` and `text` in each line."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Meet at this provider, as it is; its secret in CHATKIT_SECRET. Without it a network "
            "inside the process that misbehaves."
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            help="Remember messages in this log: sqlite:///FILE or postgresql://USER@HOST/DATABASE."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Replay real conversations over a bad network and check that nothing is lost, doubled or shuffled.

    Each client has a user, a store file and a device of its own. With faults one of them is killed in the
    middle and comes back on its file. With --url that is the only fault: the network is the provider's.

    Exit: 0 all is well, 1 a promise was broken (the ids are shown) or the demo could not go on, 2 bad input,
    130 interrupted.
    """
    from chatkit.cli.demo import corpus, display, place
    from chatkit.cli.demo.story import Plan, run

    try:
        lines = corpus.read(file or corpus.packaged(), limit=messages)
        plan = Plan(
            lines=lines,
            clients=clients,
            seed=seed,
            faults=faults.value,
            source=corpus.title(file),
            log=log,
            url=url,
        )
        place.check(url, log)
    except ChatkitError as error:
        typer.echo(f"chatkit demo: {error}\n{error.hint}", err=True)
        raise typer.Exit(2) from None
    try:
        with display.chosen(plan, as_json=as_json) as screen:
            result = run(plan, screen.show)
        screen.end(result)
    except KeyboardInterrupt:  # a second one, while the first was ending things
        raise typer.Exit(130) from None
    except BrokenPipeError:  # whoever read it has seen enough, as `head` does; typer ends in silence
        raise
    except (ChatkitError, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        hint = error.hint if isinstance(error, ChatkitError) else ""
        typer.echo(f"chatkit demo: {type(error).__name__}: {reason}\n{hint}".rstrip(), err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(130 if result.interrupted else 1 if result.verdict.broken else 0)
