"""Hostile command lines: an exit code that the help tells, no traceback, no secret repeated (I16)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from chatkit.cli.app import app
from chatkit.cli.demo import story
from chatkit.cli.demo.story import Plan, Progress, Result
from chatkit.cli.discreet import without_values
from chatkit.errors import StoreError
from chatkit.testing.emulators import serving
from chatkit.testing.fuzz.traps import TEXTS, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from typer.testing import Result as Ran

SECRET: Final = "kanari-7f3a91c4"
URLS: Final = (
    f"postgresql://ada:{SECRET}@127.0.0.1:1/x",
    f"postgresql://ada:{SECRET}@127.0.0.1:port/x",
    f"postgres://127.0.0.1:1/x?password={SECRET}",
    f"mysql://ada:{SECRET}@h/x",
    f"sqlite://{SECRET}@h/x",
    f"pusher://KEY:{SECRET}@eu/1",
    f"{SECRET}://x",
    f"ada:{SECRET}@h",
)
KEYS: Final = (f"app.key:{SECRET}", f"app.key:{SECRET}:no json", f'app.key:{SECRET}:{{"*": 1}}', SECRET)
OPTIONS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("demo",): (
        "--messages",
        "--clients",
        "--seed",
        "--faults",
        "--file",
        "--url",
        "--log",
        "--json",
        "--version",
    ),
    ("log", "migrate"): (),
    ("log", "restored"): (),
    ("log", "trim"): ("--before",),
    ("log", "export"): ("--out", "--entries"),
    ("log", "import"): (),
    ("dev", "pusher"): ("--host", "--port", "--app-id", "--key", "--secret"),
    ("dev", "ably"): ("--host", "--port", "--key", "--rule", "--rate"),
}
"""Each command, with the options that it has."""
SOUND: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("demo",): ("--messages", "3"),
    ("log", "migrate"): (URLS[0],),
    ("log", "restored"): ("sqlite:///log.db",),
    ("log", "trim"): ("sqlite:///log.db", "support", "--before", "2026-01-31"),
    ("log", "export"): ("sqlite:///log.db", "support"),
    ("log", "import"): ("sqlite:///log.db", "support", "lines.jsonl"),
    ("dev", "pusher"): (),
    ("dev", "ably"): (),
}
"""What makes each of them a sound one: what then follows reaches further."""
CODES: Final = {0, 1, 2}
"""All went well; it could not be done; it can never be."""
VARIABLES: Final = (
    "COLUMNS",
    "TERM",
    "NO_COLOR",
    "FORCE_COLOR",
    "TMPDIR",
    "LANG",
    "PGHOST",
    "PGPORT",
    "PGPASSWORD",
)


@pytest.fixture(autouse=True)
def ends_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a right command line starts ends; tests of their own look at it."""

    def run(plan: Plan, show: Callable[[Progress], None]) -> Result:
        raise StoreError("the disk is full")

    async def serve(emulator: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(story, "run", run)
    monkeypatch.setattr(serving, "serve", serve)
    monkeypatch.chdir(tmp_path)  # a hostile path may be a good one, and then a file is made


def command_line(chance: Random, folder: Path) -> list[str]:
    """Make one: some command, some of its options and of others', values of all sorts."""
    command = chance.choice(list(OPTIONS))
    words = [*command, *(SOUND[command] if chance.random() < 0.5 else ())]
    for _ in range(chance.randint(0, 5)):
        kind = chance.random()
        options = OPTIONS[command] if kind < 0.5 else chance.choice(list(OPTIONS.values()))
        if kind < 0.7 and options:
            option = chance.choice(options)
            value = a_value(chance, folder)
            words += [f"{option}={value}"] if chance.random() < 0.3 else [option, value]
        else:
            words.append(a_value(chance, folder))
    if chance.random() < 0.2:
        chance.shuffle(words)
    return [word.replace("\0", "") for word in words]  # no system passes it on


def a_value(chance: Random, folder: Path) -> str:
    """Make a value: a secret where it belongs or not, a path, a number, text that trips readers up."""
    kinds: tuple[Sequence[str], ...] = (
        URLS,
        KEYS,
        TEXTS,
        TOKENS,
        (
            "sqlite:///log.db",
            "support",
            "2026-01-31",
            "9999-12-31T23:59:59-1200",
            "0001-01-01T00:00:00+2359",
            "10",
            "mild",
        ),
        (
            str(folder),
            f"{folder}/lines.jsonl",
            f"{folder}/no/such",
            "/dev/null",
            "/dev/full",
            "",
            "-",
            "--",
            "-h",
        ),
        ("caf\udce9", "\x1b[31mred", "a\nb", "%s%n", "$(id)", "'; DROP TABLE entries; --", "🌊" * 300),
    )
    return chance.choice(chance.choice(kinds))


def run(words: Sequence[str], **environment: str) -> Ran:
    return CliRunner().invoke(app, list(words), env=environment)


def judge(words: Sequence[str], ran: Ran) -> list[str]:
    """Say what is wrong with how it ended."""
    wrong = []
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        wrong.append(f"raised {ran.exception!r}")
    if "Traceback" in ran.output:
        wrong.append("shows a traceback")
    if ran.exit_code not in CODES:
        wrong.append(f"ended with {ran.exit_code}")
    # Wide and without a frame, so that no break of a line hides it.
    if SECRET in ran.output:
        wrong.append(f"shows a secret: {ran.output}")
    if ran.exit_code and not ran.stderr:
        wrong.append("says nothing")
    return [f"{words!r} {one}" for one in wrong]


def assault(seed: int, count: int, folder: Path) -> tuple[list[str], set[tuple[str, int]]]:
    """Give the command many lines; returns what was wrong, and which commands ended with which code."""
    (folder / "lines.jsonl").write_text('{"user": "ada", "text": "one"}\n', encoding="utf-8")
    wrong: list[str] = []
    ends: set[tuple[str, int]] = set()
    for number in range(count):
        chance = Random(f"{seed}/{number}")
        words = command_line(chance, folder)
        variables = {chance.choice(VARIABLES): chance.choice(("0", "-1", "x", "", "🌊", "9" * 30, SECRET))}
        ran = run(words, **{"COLUMNS": "2000", "TERM": "dumb"} | variables)
        ends.add((" ".join(words[:2]), ran.exit_code))
        wrong += judge(words, ran)
    return wrong, ends


def test_no_command_line_brings_it_down(tmp_path: Path) -> None:
    """Whatever stands in it and in the environment, it ends in words and with 0, 1 or 2."""
    wrong, ends = assault(1, 20, tmp_path)

    assert wrong == []
    assert len(ends) > 5


@pytest.mark.long
def test_none_of_many_command_lines_brings_it_down(tmp_path: Path) -> None:
    """The same, of more of them; each command is reached and refused."""
    wrong, ends = assault(2, 300, tmp_path)

    assert wrong == []
    assert {(" ".join(command), 2) for command in OPTIONS if len(command) == 2} <= ends
    assert {("log export", 0), ("log restored", 0), ("dev ably", 0), ("dev pusher", 0)} <= ends


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(one, marks=() if one == ("log", "trim") else pytest.mark.long, id=" ".join(one))
        for one in OPTIONS
    ],
)
@pytest.mark.parametrize("secret", [URLS[0], KEYS[0]], ids=["url", "key"])
def test_a_secret_in_a_wrong_place_is_not_repeated(command: tuple[str, ...], secret: str) -> None:
    """As an argument too many, as a command, as an option's value and in its name (I16)."""
    lines = [
        [*command, *[secret] * 5],
        [secret, *command],
        [*command[:1], secret],
        # A file that cannot be read is named by its name.
        *([*command, option, secret] for option in OPTIONS[command] if option != "--file"),
        [*command, f"--what={secret}"],
    ]

    shown = [ran.output for ran in (run(words, COLUMNS="2000", TERM="dumb") for words in lines)]

    assert all(shown[:3])
    assert [text for text in shown if SECRET in text] == []


def test_what_was_mistyped_is_still_named() -> None:
    """A name of an option or command, a plain word, a small number: there is no secret in them."""
    assert "No such command 'dmeo'" in run(["dmeo"], COLUMNS="200").output
    assert "No such option: --mesages" in run(["demo", "--mesages=3"], COLUMNS="200").output
    assert "'yesterday'" in run(["log", "trim", "x", "y", "--before", "yesterday"], COLUMNS="200").output


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Got unexpected extra argument (hunter2)", "Got unexpected extra argument"),
        ("Got unexpected extra arguments (a b)", "Got unexpected extra arguments"),
        ("No such command 'app.key:h\\x1b'.", "No such command '…'."),
        ("of 'mysql://a:b@h' are among", "of '…' are among"),
        ("70000 is not in the range", "70000 is not in the range"),
    ],
)
def test_values_are_hidden(message: str, told: str) -> None:
    """Of all usage errors: as they were typed, as Python writes them, and what is part of a URL."""
    assert without_values(message, ["app.key:h\x1b", "70000"]) == told


# -- what only a process of its own shows


def started(
    words: Sequence[str | bytes], folder: Path, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-c", "from chatkit.cli import main; main()", *words]
    return subprocess.run(
        program, env={**os.environ, **environment}, cwd=folder, capture_output=True, check=False, timeout=60
    )


@pytest.fixture
def filled(tmp_path: Path) -> str:
    """The URL of a log in which somebody said something that ASCII cannot."""
    lines = tmp_path / "lines.jsonl"
    lines.write_text(
        "".join(f'{{"user": "ada", "text": "h\u00e9 🌊 {n}"}}\n' for n in range(3)), encoding="utf-8"
    )
    url = f"sqlite:///{tmp_path}/shop.db"
    assert run(["log", "import", url, "support", str(lines)]).exit_code == 0
    return url


@pytest.mark.long
def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    """A file's name may be any bytes; it is shown as far as it can be."""
    lines: list[list[str | bytes]] = [
        ["demo", "--file", b"\xff\xfe.jsonl"],
        ["log", "export", "sqlite:///x.db", b"c\xff"],
        [b"\xff"],
    ]
    for words in lines:
        ran = started(words, tmp_path, PYTHONIOENCODING="ascii")

        assert ran.returncode == 2, ran.stderr
        assert b"Traceback" not in ran.stderr
        assert ran.stderr.isascii()
        assert ran.stdout == b""


@pytest.mark.long
def test_an_export_is_json_in_any_encoding(tmp_path: Path, filled: str) -> None:
    """Where standard output is not UTF-8, JSON's own escapes stand for what it does not know."""
    for encoding in ("ascii", "latin-1", "utf-8"):
        ran = started(["log", "export", filled, "support"], tmp_path, PYTHONIOENCODING=encoding)

        assert ran.returncode == 0, ran.stderr
        texts = [json.loads(line)["text"] for line in ran.stdout.decode(encoding).splitlines()]
        assert texts == [f"h\u00e9 🌊 {n}" for n in range(3)]


@pytest.mark.long
def test_a_reader_of_an_export_who_has_seen_enough_ends_it_in_silence(tmp_path: Path, filled: str) -> None:
    """As in `chatkit log export | head -1`: code 1, no word, no traceback."""
    command = [
        sys.executable,
        "-c",
        "from chatkit.cli import main; main()",
        "log",
        "export",
        filled,
        "support",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        errors = running.stderr.read()

    assert (running.returncode, errors) == (1, b"")


@pytest.mark.long
def test_an_environment_of_nonsense_changes_nothing(tmp_path: Path) -> None:
    """No home, no width, no terminal, no temporary folder, another port: the replay is as it is."""
    nonsense = {
        "HOME": "",
        "COLUMNS": "0",
        "TERM": "\x1b",
        "TMPDIR": "/no/such",
        "PGPORT": "x",
        "PGPASSWORD": SECRET,
    }

    ran = started(["demo", "--messages", "3", "--faults", "none"], tmp_path, **nonsense)

    assert (ran.returncode, ran.stderr) == (0, b"")
    assert "nothing lost, doubled or shuffled" in ran.stdout.decode()
    assert SECRET not in ran.stdout.decode()
