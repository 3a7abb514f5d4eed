# ruff: noqa: INP001  # a script beside the pages, no package
"""Writes what is drawn from the code, a page and its diagrams: `python docs/generate.py`; a test compares.

The diagrams are pictures of their own, so that whoever reads the page needs no script of another host.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from enum import Enum
from html import escape
from itertools import pairwise
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import chatkit
from chatkit.adapters.memory.profiles import PROFILES
from chatkit.core import attachment, connection, delivery
from chatkit.core.table import Table, idle, word
from chatkit.model.capabilities import Capabilities, Feature
from chatkit.testing.crash_points import table

HERE: Final = Path(__file__).parent
STATES: Final = HERE / "states.md"
FEATURE_TABLE: Final = HERE / "features.md"
CRASHES: Final = HERE / "crashes.md"
POINTS: Final = "<!-- points: written by docs/generate.py from the code; change them there -->\n"
POINTS_END: Final = "<!-- end of points -->"
DIAGRAMS: Final = HERE / "diagrams"

HEAD: Final = """\
<!-- Written by docs/generate.py from the code; change it there. -->

# States

Three tables decide what a connection, a channel and a sent message do next. Each maps (state, input) to
(state, what follows); a pair that is not in it is a defect of chatkit and raises. The diagrams show what
moves or asks for something: each row is an input, what follows below it in grey, and its arrow leads from the
state that it comes in to the next. Below each diagram stands what may come besides and changes nothing.
"""

SECTIONS: Final[dict[ModuleType, str]] = {
    connection: """\
## The connection

`chat.connection.state`, one for each client. Most waits and attempts need not concern a program: it sends,
and what it sent goes out when the link is back.
""",
    attachment: """\
## The attachment

`channel.state`, one for each channel: whether it is received on the present connection.
""",
    delivery: """\
## The delivery

`delivery.status`, one for each message, edit, deletion or reaction that was sent. A final status says whether
it is `certain`; an uncertain one may still turn into `sent` when the message is seen.
""",
}


FEATURES_HEAD: Final = """\
<!-- Written by docs/generate.py from the code; change it there. -->

# Features

What a program can rely on, for each set-up: `chat.capabilities.support("history")` says the same.
`connect(require=["history", "order"])` refuses a set-up that lacks one before anything is sent.
*native*: the provider's own; *emulated*: supplied by chatkit, by the log that you gave, or by the store;
*none*: not to be had there.

The set-ups are those of the [embedded provider](providers/memory.md), which behaves like the others, with
a store file; *+ log* is the same with `log=` ([logs](logs.md)).
"""
LIMITS_HEAD: Final = """
## Limits

The other fields of `chat.capabilities`. Times are seconds, sizes bytes; `None` means that no limit is known,
or of `history` that it reaches back for ever.
"""
FEATURES: Final[dict[Feature, str]] = {
    "durable": "what is queued outlives the process",
    "history": "earlier messages can be read",
    "order": "everyone sees one order, each sender's own kept",
    "resume": "what was missed while away is brought back",
    "presence": "who is there",
    "edit": "edits and deletes",
    "react": "reactions",
    "receipts": "who has read what",
    "search": "full text",
    "direct": "channels of two people",
    "roles": "who owns and moderates a channel, broadcasts; `connect(roles=)` makes it emulated",
    "pins": "messages kept in sight for everybody",
    "as_user": "one client speaks for several users",
}


# -- diagrams

LETTER: Final = 5.8
"""Pixels that a letter takes, as a rule."""
COLUMN: Final = 80
HEADER: Final = 56
ROW: Final = 30
MARGIN: Final = 14

STYLE: Final = """\
text { font: 11px system-ui, sans-serif; fill: #222 }
.card { fill: #fff } .band { fill: #f4f4f6 } .life { stroke: #c8c8ce }
.state { font-weight: 600; text-anchor: middle } .follows { fill: #666 }
.arrow { stroke: #3949ab; stroke-width: 1.4; fill: none } .tip { fill: #3949ab }
@media (prefers-color-scheme: dark) {
text { fill: #e4e4e8 } .card { fill: #1e2129 } .band { fill: #282c36 } .life { stroke: #50545e }
.follows { fill: #a4a8b2 } .arrow { stroke: #9fa8da } .tip { fill: #9fa8da }
}"""


class Move(NamedTuple):
    """One row of a table that moves or asks for something."""

    before: str
    given: str
    after: str
    follows: str


def moves(table: Table[Any, Any, Any]) -> dict[str, list[Move]]:
    """Return the rows that a diagram shows, by the state that they begin in."""
    found: dict[str, list[Move]] = {}
    for (state, given), (after, effects) in table.items():
        if after is not state or effects:
            move = Move(state.value, word(given), after.value, ", ".join(map(word, effects)))
            found.setdefault(state.value, []).append(move)
    return found


def diagram(table: Table[Any, Any, Any], title: str) -> str:
    """Return a table as a picture: a column for each state, a row for each move; the first state begins."""
    by_state = moves(table)
    shown = [move for found in by_state.values() for move in found]
    first: Enum = next(iter(table))[0]
    left = MARGIN + round(LETTER * max(len(text) for move in shown for text in (move.given, move.follows)))
    at = {state.value: left + COLUMN // 2 + COLUMN * place for place, state in enumerate(type(first))}
    width, height = left + COLUMN * len(at) + MARGIN, HEADER + ROW * len(shown) + MARGIN
    size = f'width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} viewBox="0 0 {width} {height}">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}\n</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"',
        ' orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker>',
        f'<rect class="card" {size} rx="6"/>',
    ]
    y = HEADER
    for number, found in enumerate(by_state.values()):
        if number % 2 == 0:
            lines.append(f'<rect class="band" y="{y}" width="{width}" height="{ROW * len(found)}"/>')
        y += ROW * len(found)
    for state, x in at.items():
        lines += column(state, x, height)
    lines.append(f'<circle class="tip" cx="{at[first.value]}" cy="{HEADER - 16}" r="4"/>')
    for number, move in enumerate(shown):
        lines += row(move, at, HEADER + ROW * number + ROW // 2)
    return "\n".join([*lines, "</svg>", ""])


def column(state: str, x: int, height: int) -> list[str]:
    """Return a state's name, a line for each word, and the line that stands for it."""
    words = state.split("_")
    tops = range(HEADER - 12 - 13 * len(words), HEADER, 13)
    names = [
        f'<text class="state" x="{x}" y="{y}">{escape(part)}</text>'
        for part, y in zip(words, tops, strict=False)
    ]
    return [*names, f'<line class="life" x1="{x}" x2="{x}" y1="{HEADER - 16}" y2="{height - MARGIN // 2}"/>']


def row(move: Move, at: dict[str, int], y: int) -> list[str]:
    """Return one move: its words, and its arrow."""
    begin, end = at[move.before], at[move.after]
    if begin == end:
        way = f"M{begin} {y - 4}c26-10 26 16 3 8"
    else:
        way = f"M{begin} {y}H{end - 3 if end > begin else end + 3}"
    lines = [f'<text x="{MARGIN}" y="{y - 2 if move.follows else y + 4}">{escape(move.given)}</text>']
    if move.follows:
        lines.append(f'<text class="follows" x="{MARGIN}" y="{y + 11}">{escape(move.follows)}</text>')
    if begin != end:
        lines.append(f'<circle class="tip" cx="{begin}" cy="{y}" r="3"/>')
    return [*lines, f'<path class="arrow" d="{way}" marker-end="url(#tip)"/>']


# -- the page


def sentences(cls: type) -> dict[str, str]:
    """Return what stands below each member or field in the source."""
    members = next(
        node for node in ast.parse(inspect.getsource(cls)).body if isinstance(node, ast.ClassDef)
    ).body
    found: dict[str, str] = {}
    for member, below in pairwise(members):
        match member, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
            case _:
                pass
    return found


def section(module: ModuleType) -> str:
    """Return one table as a diagram, its states and what may follow in words."""
    states, effects = sentences(module.State), sentences(module.Effect)
    name = module.__name__.rpartition(".")[2]
    picture = f"diagrams/{name}.svg"
    lines = ["", f"[![{titled(name)}]({picture})]({picture})", ""]
    lines += ["| state | meaning | changes nothing |", "| --- | --- | --- |"]
    for state in module.State:
        quiet = ", ".join(map(word, idle(module.TABLE, state)))
        lines.append(f"| `{state.value}` | {states[state.name]} | {quiet} |")
    lines += ["", "| what follows | meaning |", "| --- | --- |"]
    lines += [f"| {word(effect)} | {effects[effect.name]} |" for effect in module.Effect]
    page = "\n".join(lines)
    for given in module.Input:
        page = page.replace(f"`{given.name}`", f"*{word(given)}*")
    return page


def states_page() -> str:
    """Return the text of `states.md`."""
    return "\n".join([HEAD, *(text + section(module) + "\n" for module, text in SECTIONS.items())])


# -- what each set-up can do


def asked(like: str, *, log: bool) -> Capabilities:
    """Return what a client with a store file can do there; nothing is opened."""
    url = f"memory://features-{like}?like={like}"
    chat = chatkit.connect(url, user="reader", store="reader.db", log="sqlite:///log.db" if log else None)
    return chat.capabilities


def cell(item: object) -> str:
    """Return a limit as a table shows it."""
    match item:
        case bool():
            return "yes" if item else "no"
        case float():
            return "for good" if item == inf else f"{item:g}"
        case int():
            return f"{item:,}"
        case _:
            return str(item)


def features_page() -> str:
    """Return the text of `features.md`."""
    setups = {
        f"{like}{' + log' if log else ''}": asked(like, log=log) for like in PROFILES for log in (False, True)
    }
    head = ["| | " + " | ".join(setups) + " |", "| --- |" + " --- |" * len(setups)]
    words = sentences(Capabilities)
    support = [
        f"| `{feature}` {meaning} | " + " | ".join(one.support(feature) for one in setups.values()) + " |"
        for feature, meaning in FEATURES.items()
    ]
    limits = [
        f"| `{name}` | " + " | ".join(cell(getattr(one, name)) for one in setups.values()) + " |"
        for name in (f.name for f in fields(Capabilities))
        if name != "features"
    ]
    meanings = [f"| `{name}` | {text} |" for name, text in words.items()]
    fields_table = ["", "| field | meaning |", "| --- | --- |", *meanings, ""]
    return "\n".join([FEATURES_HEAD, *head, *support, LIMITS_HEAD, *head, *limits, *fields_table])


def crashes_page() -> str:
    """Return the text of `crashes.md`: as it is, with the points of the code."""
    before, begin, rest = CRASHES.read_text(encoding="utf-8").partition(POINTS)
    return before + begin + "\n" + table() + rest[rest.index(POINTS_END) :]


def titled(name: str) -> str:
    """Return what a diagram shows, in words."""
    return f"The states of the {name}, and which input leads from one to another"


def written() -> dict[Path, str]:
    """Return each file that is drawn from the code, and its text."""
    drawn = {module.__name__.rpartition(".")[2]: module.TABLE for module in SECTIONS}
    pictures = {DIAGRAMS / f"{name}.svg": diagram(table, titled(name)) for name, table in drawn.items()}
    pages = {STATES: states_page(), FEATURE_TABLE: features_page(), CRASHES: crashes_page()}
    return {**pages, **pictures}


if __name__ == "__main__":
    for path, text in written().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
