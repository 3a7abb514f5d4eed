"""Every code block of the README and of docs/ does what it shows."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.blocks import Block, blocks
from tests.foreign import loaded, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON = [block for page in PAGES for block in blocks(page, "python")]


def execute(block: Block) -> None:
    code = compile(block.source, block.place, "exec")
    if block.runs:
        exec(code, {"__name__": "__main__"})


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"{block.page.relative_to(ROOT)}:{block.line}")
def test_a_python_block_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who pastes it into an empty file in an empty folder gets no error."""
    monkeypatch.chdir(tmp_path)

    execute(block)


def test_the_first_program_runs_again_where_it_ran_before(tmp_path: Path) -> None:
    """Its store is there already, and the embedded provider has forgotten: the reader is told, and it works."""
    (program,) = blocks(ROOT / "README.md", "python")

    runs = [
        subprocess.run(
            [sys.executable, "-c", program.source],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for _ in range(2)
    ]

    assert [run.returncode for run in runs] == [0, 0], runs[1].stderr
    assert {run.stdout for run in runs} == {"00000000000000000001 sent\n"}
    assert runs[0].stderr == ""
    assert "log_reset" in runs[1].stderr


def test_the_tutorials_handler_prints_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader who tries it sees both facts before the program ends."""
    (program,) = (
        block for block in blocks(ROOT / "docs/tutorial.md", "python") if "async def log" in block.source
    )

    execute(program)

    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith("Message")] == [
        "MessageCreated Helo",
        "MessageUpdated Hello",
    ]


def test_every_command_of_the_readme_is_run() -> None:
    """`.ci/run` finds its commands by name; one without a name would be a promise that nobody tries."""
    names = [block.name for block in blocks(ROOT / "README.md", "bash")]

    assert {"demo", "tests"} <= set(names)
    assert "" not in names
    assert len(names) == len(set(names))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with every shape of block."""
    found = tmp_path / "page.md"
    found.write_text(
        textwrap.dedent(
            """\
            # Page

            ```python
            raise ValueError("it ran")
            ```

            <!-- run: greet -->
            ```bash
            echo one && \\
              echo two
            ```

            - a list

                <!-- no-run -->
                ```python title="chat.py"
                raise ValueError("it ran")
                ```

            <!-- no-run -->
            ```python
            is no Python
            ```

            ````markdown
            ```python
            not a block of this page
            ```
            ````
            """
        ),
        encoding="utf-8",
    )
    return found


def test_blocks_are_found_where_they_stand(page: Path) -> None:
    """Each with its line and name, and without the indentation of the page."""
    python, bash = blocks(page, "python"), blocks(page, "bash")

    assert [(block.line, block.runs) for block in python] == [(4, True), (17, False), (22, False)]
    assert python[1].source == 'raise ValueError("it ran")\n'
    assert [(block.name, block.source) for block in bash] == [("greet", "echo one && \\\n  echo two\n")]


def test_a_block_that_fails_is_noticed(page: Path) -> None:
    """Unless it is under `no-run`; it must be Python all the same."""
    runs, only_compiles, is_no_python = blocks(page, "python")

    with pytest.raises(ValueError, match="it ran"):
        execute(runs)
    execute(only_compiles)
    with pytest.raises(SyntaxError):
        execute(is_no_python)


# -- what the built pages load


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>'),
        ("a.html", '<script>load("https://cdn.example/x.js")</script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/css">'),
        ("a.html", '<link rel="preconnect" href="https://fonts.example">'),
        ("a.html", '<p><img alt="" src="https://img.example/x.png"></p>'),
        ("a.html", '<img alt="" srcset="x.png 1x, https://img.example/x.png 2x">'),
        ("a.html", '<iframe src="https://video.example/1"></iframe>'),
        ("a.html", '<p style="background: url(https://img.example/x.png)">'),
        ("a.html", '<style>@import "https://fonts.example/css";</style>'),
        ("a.html", '<pre class="mermaid"><code>stateDiagram-v2</code></pre>'),
        ("a.html", '<a href="https://github.com/x/y" data-md-component="source">y</a>'),
        ("a.svg", '<svg><image xlink:href="https://img.example/x.png"/></svg>'),
        ("a.css", "@font-face { src: url('https://fonts.example/x.woff2') }"),
        ("a.js", 'load("https://cdn.example/x.js")'),
    ],
)
def test_what_a_page_loads_from_another_host_is_found(tmp_path: Path, name: str, text: str) -> None:
    """Scripts, styles, fonts, pictures, frames, and what the theme's script fetches by itself."""
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert loaded(tmp_path / name)
    assert main(str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="assets/x.js"></script><link rel="icon" href="../x.png">'),
        (
            "a.html",
            '<a href="https://example.org/">elsewhere</a><link rel="canonical" href="https://x.example/">',
        ),
        ("a.html", "<p>https://cdn.example/x.js</p>"),
        ("a.svg", '<svg xmlns="http://www.w3.org/2000/svg"><path marker-end="url(#tip)"/></svg>'),
        ("a.css", ".x { mask-image: url('data:image/svg+xml;utf8,<svg>') } .y { background: url(y.png) }"),
        ("a.js", "f('assets/x.js') // see https://docs.example/x"),
    ],
)
def test_what_comes_along_and_what_is_only_named_is_no_matter(tmp_path: Path, name: str, text: str) -> None:
    """A link that somebody may follow loads nothing."""
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert loaded(tmp_path / name) == []
    assert main(str(tmp_path)) == 0


def test_a_folder_without_pages_is_no_proof(tmp_path: Path) -> None:
    """The check would otherwise pass where nothing was built."""
    assert main(str(tmp_path)) == 1
