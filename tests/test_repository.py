"""What holds for the repository as a whole, whatever is added to it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = ("src", "tests", "docs", "examples", "requirements", ".ci")
SUFFIXES: Final = {
    "",
    ".cfg",
    ".html",
    ".json",
    ".jsonl",
    ".md",
    ".mjs",
    ".py",
    ".pyi",
    ".svg",
    ".toml",
    ".ts",
    ".txt",
    ".yml",
}

CONTRACTS: Final = ROOT / "src" / "chatkit" / "testing" / "contract"

TEXTS: Final = [
    path
    for folder in (ROOT, *(ROOT / name for name in FOLDERS))
    for path in (folder.glob("*") if folder == ROOT else folder.rglob("*"))
    if path.is_file()
    and path.suffix in SUFFIXES
    and "__pycache__" not in path.parts
    and not path.name.startswith(".coverage")
]

# A folder of one machine. `${TMPDIR:-/tmp}` is none: the reader's own setting comes first.
MACHINE: Final = re.compile(r"(?<![\w.:}-])/(?:work|root|home/[\w-]+|tmp|Users/[\w-]+)(?![\w-])")
INDEX: Final = re.compile(
    r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|--(?:extra-)?index-url|--find-links|--trusted-host|file://"
)


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def found_in(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{shown(path)}:{number}: {hit[0]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (hit := pattern.search(line))
    ]


def test_no_text_names_a_folder_of_one_machine() -> None:
    """A checkout works wherever it lies."""
    assert found_in(MACHINE, TEXTS) == []


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ("cd /" + "work/main", True),
        ('open("/' + 'tmp/x")', True),
        ("/" + "home/ada/chat", True),
        ("${TMPDIR:-/tmp}", False),
        ("docs/work/plan", False),
        ("a thread's /rooted path", False),
    ],
)
def test_folders_of_a_machine_are_told_from_other_words(line: str, *, hit: bool) -> None:
    """The pattern finds them, and nothing else."""
    assert bool(MACHINE.search(line)) == hit


def test_nothing_names_a_package_index() -> None:
    """Where packages come from is the business of whoever installs them."""
    here = Path(__file__)
    assert found_in(INDEX, [path for path in TEXTS if path != here]) == []


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=shown)
def test_a_module_holds_one_concept(path: Path) -> None:
    """Near 400 lines there are two in it."""
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400


def test_every_test_states_its_behaviour() -> None:
    """A test says in a sentence what it shows."""
    silent = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in sorted([*(ROOT / "tests").rglob("test_*.py"), *CONTRACTS.rglob("*.py")])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


# -- what is installed


def pins() -> dict[str, str]:
    text = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def needed() -> set[str]:
    """The closure of the dependencies, those of all extras too, as far as this Python needs them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    open_ends = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    names: set[str] = set()
    done: set[tuple[str, str]] = set()
    while open_ends:
        requirement = Requirement(open_ends.pop())
        name = canonicalize_name(requirement.name)
        if name == project["name"]:
            continue
        names.add(name)
        for extra in ("", *requirement.extras):
            if (name, extra) in done:
                continue
            done.add((name, extra))
            try:
                lines = requires(name) or []
            except PackageNotFoundError:  # of an extra that is not installed here
                continue
            open_ends += [
                line
                for line in lines
                if (marker := Requirement(line).marker) is None or marker.evaluate({"extra": extra})
            ]
    return names


def test_every_package_is_pinned() -> None:
    """Two machines that follow the README run the same code."""
    missing = needed() - set(pins())

    assert missing == set()
    assert all(re.fullmatch(r"[\w.+!-]+", version) for version in pins().values())


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    """It holds the package, the mark of its types, its SQL, and the corpus with its licence; no tests."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True
    )

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        corpus = archive.read("chatkit/cli/data/ubuntu-irc.jsonl.gz")
    assert {"chatkit/py.typed", "chatkit/errors.py", "chatkit/cli/data/ATTRIBUTION.md"} <= names
    sql = (ROOT / "src").rglob("*.sql")
    assert {path.relative_to(ROOT / "src").as_posix() for path in sql} <= names
    assert corpus == (ROOT / "tests" / "data" / "ubuntu-irc.jsonl.gz").read_bytes()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"chatkit", "chatkit_realtime"}
