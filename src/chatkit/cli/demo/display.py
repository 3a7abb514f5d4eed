"""What is seen: a live table on a terminal, plain lines elsewhere; at the end a table or one JSON object."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chatkit.cli.demo.judge import Finding
from chatkit.cli.demo.story import Plan, Progress, Result
from chatkit.model.config import Config

SHOWN: Final = 20
"""Most ids shown of each kind."""
EVERY: Final = 2.0
"""Seconds between two plain lines."""


class Screen(Protocol):
    """Where progress and result go."""

    def show(self, progress: Progress, /) -> None:
        """Show how things are."""
        ...

    def end(self, result: Result, /) -> None:
        """Show what came out."""
        ...


@contextmanager
def chosen(plan: Plan, *, as_json: bool) -> Generator[Screen]:
    """Give the screen that fits standard output; what is live ends with the block."""
    if as_json:
        yield JsonScreen()
        return
    console = _Console(highlight=False)
    console.print(Text(heading(plan)))
    if not console.is_terminal:
        yield PlainScreen(console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveScreen(console, live)


class _Console(Console):
    """Raises where the reader of a pipe has left; the original ends the process inside a task."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class JsonScreen:
    """One JSON object at the end, and nothing before it."""

    def show(self, progress: Progress, /) -> None:
        """Show nothing."""

    def end(self, result: Result, /) -> None:
        """Print the object."""
        sys.stdout.write(json.dumps(as_dict(result), indent=2) + "\n")
        sys.stdout.flush()


class PlainScreen:
    """A line now and then, for a pipe or a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._due = 0.0
        self._unseen: Progress | None = None

    def show(self, progress: Progress, /) -> None:
        """Print a line, if the last one is some time ago."""
        self._unseen = progress
        if progress.seconds >= self._due:
            self._due = progress.seconds + EVERY
            self._print(progress)

    def end(self, result: Result, /) -> None:
        """Print how things stood at the end, and the table."""
        if self._unseen is not None:
            self._print(self._unseen)
        print_result(self._console, result)

    def _print(self, progress: Progress) -> None:
        self._unseen = None
        said = sum(one.said for one in progress.clients)
        clients = "; ".join(
            f"{one.user} {one.state}, {one.depth} queued, {one.heard} heard" for one in progress.clients
        )
        line = f"{progress.seconds:5.1f} s  {said}/{progress.lines} said  {clients}"
        self._console.print(line, soft_wrap=True)


class LiveScreen:
    """A table that changes in place."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    def show(self, progress: Progress, /) -> None:
        """Draw the table anew."""
        self._live.update(live_table(progress, width=self._console.width), refresh=True)

    def end(self, result: Result, /) -> None:
        """Print the table that stays."""
        print_result(self._console, result)


def heading(plan: Plan) -> str:
    """Return what is about to happen."""
    at = "" if plan.url is None else f"at {Config.from_url(plan.url).scheme}://, "
    what = (
        f"{len(plan.lines):,} messages of {plan.source}, {at}{plan.clients} clients, "
        f"faults {plan.faults}, seed {plan.seed}"
    )
    if plan.faults == "none":
        return what
    network = "The network misbehaves" if plan.url is None else "The network is as it is"
    return f"{what}\n{network}, and one client is killed in the middle and comes back on its file."


def live_table(progress: Progress, *, width: int = 80) -> Table:
    """Return how each client fares, in as many columns as `width` characters hold."""
    looks = progress.clients
    cells = {
        "client": [one.user for one in looks],
        "connection": [one.state for one in looks],
        "said": [f"{one.said}/{one.lines}" for one in looks],
        "queued": [str(one.depth) for one in looks],
        "sent": [str(one.ended.get("sent", 0)) for one in looks],
        "failed": [str(sum(n for status, n in one.ended.items() if status != "sent")) for one in looks],
        "heard": [f"{one.heard}/{progress.lines}" for one in looks],
        "gaps": [str(one.gaps) for one in looks],
    }
    wide = {name: max(_WIDEST.get(name, 0), *map(len, (name, *column))) for name, column in cells.items()}
    for name in _SPARED:
        if sum(wide[left] + 3 for left in cells) < width:
            break
        del cells[name]
    said = sum(one.said for one in looks)
    title = f"chatkit demo  {progress.seconds:.1f} s  {said:,}/{progress.lines:,} said"
    table = Table(title=title, title_justify="left")
    for name in cells:
        named = name in ("client", "connection")
        table.add_column(name, justify="left" if named else "right", min_width=wide[name], no_wrap=True)
    cells["connection"] = [f"[{_COLOURS.get(one.state, 'yellow')}]{one.state}[/]" for one in looks]
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return table


_WIDEST: Final = {"connection": len("disconnected")}
"""Characters of the widest value that may come, so that the table does not jump."""
_SPARED: Final = ("failed", "gaps", "sent", "said", "heard")
"""Columns that a narrow terminal goes without, the first one first."""
_COLOURS: Final = {"connected": "green", "killed": "red", "failed": "red"}


def print_result(console: Console, result: Result) -> None:
    """Print the table, and the ids of what went wrong."""
    verdict = result.verdict
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows(result):
        table.add_row(name, value)
    console.print(table)
    for name, found in broken(result).items():
        console.print(f"[red]{name}[/] ({len(found)}):")
        for finding in found[:SHOWN]:
            console.print(f"  {finding.message_id}  at {finding.where}")
    if result.interrupted:
        console.print(f"[yellow]interrupted[/]: {verdict.pending} deliveries were on their way")
    elif verdict.broken:
        console.print("[red]a promise was broken[/]")
    else:
        console.print("[green]nothing lost, doubled or shuffled[/]")


def rows(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the rows of the final table."""
    verdict, figures = result.verdict, result.figures
    yield "sent", f"{verdict.sent:,}"
    yield "of them replies", f"{result.replies:,}"
    for listener, number in verdict.once.items():
        yield f"delivered once to {listener}", f"{number:,}"
    for name, found in broken(result, empty=True).items():
        yield name, f"{len(found):,}"
    yield "marked late", f"{verdict.late:,}"
    yield "given again after a return", f"{verdict.again:,}"
    yield "discontinuities", f"{result.gaps:,}"
    yield "reconnects", f"{result.reconnects:,}"
    yield "duplicates kept from handlers", f"{result.spared:,}"
    if result.death is not None:
        yield f"{result.death.user} was killed with", f"{len(result.death.queued)} queued"
    yield "latency p50 / p99", f"{_ms(figures.p50)} / {_ms(figures.p99)}"
    yield "throughput", "-" if figures.throughput is None else f"{figures.throughput:,.0f} messages/s"
    yield "time", f"{result.seconds:.1f} s"


def broken(result: Result, *, empty: bool = False) -> dict[str, tuple[Finding, ...]]:
    """Return what went wrong by name; `empty`: also what did not."""
    verdict = result.verdict
    found = {
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "out of order": verdict.shuffled,
        "still queued": verdict.queued,
    }
    return {name: findings for name, findings in found.items() if findings or empty}


def as_dict(result: Result) -> dict[str, Any]:
    """Return the result JSON-ready."""
    plan, verdict, figures = result.plan, result.verdict, result.figures
    findings = broken(result, empty=True)
    return {
        "ok": not verdict.broken and not result.interrupted,
        "interrupted": result.interrupted,
        "provider": "memory" if plan.url is None else Config.from_url(plan.url).scheme,
        "messages": len(plan.lines),
        "clients": plan.clients,
        "seed": plan.seed,
        "faults": plan.faults,
        "sent": verdict.sent,
        "in_log": verdict.logged,
        "replies": result.replies,
        "delivered_once": dict(verdict.once),
        **{name.replace(" ", "_"): len(found) for name, found in findings.items()},
        "pending": verdict.pending,
        "late": verdict.late,
        "given_again": verdict.again,
        "discontinuities": result.gaps,
        "reconnects": result.reconnects,
        "duplicates_suppressed": result.spared,
        "killed": None
        if result.death is None
        else {"client": result.death.user, "queued": len(result.death.queued)},
        "latency": {"p50": figures.p50, "p99": figures.p99},
        "throughput": figures.throughput,
        "seconds": result.seconds,
        "broken": {
            name.replace(" ", "_"): [
                {"message_id": one.message_id, "where": one.where} for one in found[:SHOWN]
            ]
            for name, found in findings.items()
            if found
        },
    }


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"
