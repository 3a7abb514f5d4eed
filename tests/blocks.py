"""The fenced code blocks of a Markdown page, for the tests and for `.ci/run`.

    python tests/blocks.py names PAGE        the names of its bash blocks, one a line
    python tests/blocks.py show PAGE NAME    the bash block of that name, verbatim
    python tests/blocks.py run PAGE          run its Python blocks, each as a program of its own

A bash block is named by a comment above it, `<!-- run: NAME -->`. A Python block runs, except one under the
comment `<!-- no-run -->`. Only the standard library is used: a reader's environment has nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FENCE: Final = re.compile(
    r"""
    ^ (?:[ ]* <!--[ ] (?: run:[ ](?P<name>[\w-]+) | (?P<idle>no-run) ) [ ]--> \n)?
    (?P<indent>[ ]*) (?P<ticks>`{3,}) (?P<language>\w+) [^`\n]* \n
    (?P<source>.*?)
    ^ (?P=indent) (?P=ticks) [ ]* $
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: Where it stands.
        line: The line of its first statement, from 1.
        language: `python`, `bash` or any other.
        name: What the comment above calls it, or "".
        runs: Whether a reader may run it as it stands.
        source: Its text, without the page's indentation.
    """

    page: Path
    line: int
    language: str
    name: str
    runs: bool
    source: str

    @property
    def place(self) -> str:
        """`page:line`, for reports."""
        return f"{self.page}:{self.line}"


def blocks(page: Path, language: str) -> list[Block]:
    """Find the blocks of one language, in the order of the page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start("source")) + 1,
            language=found["language"],
            name=found["name"] or "",
            runs=found["idle"] is None,
            source=textwrap.dedent(found["source"]),
        )
        for found in FENCE.finditer(text)
        if found["language"] == language
    ]


def main(action: str, page: str, *names: str) -> None:
    """Do what the command line asks."""
    if action == "run":
        for block in blocks(Path(page), "python"):
            if block.runs:
                print(block.place, flush=True)
                with tempfile.TemporaryDirectory() as folder:
                    subprocess.run([sys.executable, "-c", block.source], cwd=folder, check=True)
        return
    for block in blocks(Path(page), "bash"):
        if action == "names":
            print(block.name)
        elif block.name in names:
            print(block.source, end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
