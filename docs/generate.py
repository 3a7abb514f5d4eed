# ruff: noqa: INP001  # a script beside the pages, no package
"""Writes the pages that are drawn from the code: `python docs/generate.py`; a test compares them."""

from __future__ import annotations

import ast
import inspect
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final

from chatkit.core import attachment, connection, delivery
from chatkit.core.table import draw, idle, word

HERE: Final = Path(__file__).parent
STATES: Final = HERE / "states.md"

HEAD: Final = """\
<!-- Written by docs/generate.py from the code; change it there. -->

# States

Three tables decide what a connection, a channel and a sent message do next. Each maps (state, input) to
(state, what follows); a pair that is not in it is a defect of chatkit and raises. The diagrams show what
moves or asks for something, as *input / what follows*; below each stands what may come besides and changes
nothing.
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


def sentences(enum: type[Enum]) -> dict[str, str]:
    """Return what stands below each member in the source."""
    members = next(
        node for node in ast.parse(inspect.getsource(enum)).body if isinstance(node, ast.ClassDef)
    ).body
    found: dict[str, str] = {}
    for member, below in pairwise(members):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
            case _:
                pass
    return found


def section(module: ModuleType) -> str:
    """Return one table as a diagram, its states and what may follow in words."""
    states, effects = sentences(module.State), sentences(module.Effect)
    lines = ["", "```mermaid", draw(module.TABLE), "```", ""]
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


if __name__ == "__main__":
    STATES.write_text(states_page(), encoding="utf-8")
