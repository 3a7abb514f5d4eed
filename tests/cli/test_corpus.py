"""What is replayed is read strictly, and what is wrong is named by file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from chatkit.cli.demo import corpus
from chatkit.cli.demo.corpus import Line
from chatkit.errors import ConfigError

SECRET = "what ada typed"


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A file of the user's own."""
    return tmp_path / "talk.jsonl"


def write(path: Path, *rows: dict[str, Any] | str) -> None:
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="")


def problem(path: Path, *, limit: int = 100) -> str:
    with pytest.raises(ConfigError) as caught:
        _ = corpus.read(path, limit=limit)
    assert caught.value.hint
    return str(caught.value)


def test_the_conversations_are_found_and_whole() -> None:
    """All that was said, and nothing of who came and went."""
    lines = corpus.read(corpus.packaged(), limit=100_000)

    assert len(lines) == 28_607
    assert lines[0] == Line(
        "2004-12-25.train-c#0",
        "crimsun",
        "kleedrac: I'm afraid not. Any version of mplayer except for -k7* should work for your cpu",
    )
    assert sum(bool(line.answers) for line in lines) == 7_581


def test_an_installed_chatkit_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel holds the file in the package; a checkout with the tests' data."""
    inside = tmp_path / "data" / corpus.NAME
    inside.parent.mkdir()
    inside.touch()
    monkeypatch.setattr(corpus, "files", lambda _package: tmp_path)

    assert corpus.packaged() == inside


def test_the_first_lines_are_taken(talk: Path) -> None:
    """No more is read than is wanted: what follows may be anything."""
    write(talk, {"user": "ada", "text": "one"}, {"user": "bob", "text": "two"}, "broken")

    assert [line.text for line in corpus.read(talk, limit=2)] == ["one", "two"]


def test_user_and_text_are_enough(talk: Path) -> None:
    """A line without an id is called by its number; fields that nobody asked for are passed over."""
    write(talk, {"user": "ada", "text": "one", "mood": "good"})

    assert corpus.read(talk, limit=9) == (Line("line 1", "ada", "one"),)


@pytest.mark.parametrize(("given", "read"), [("a", ("a",)), (["a", "b"], ("a", "b")), ([], ()), (None, ())])
def test_a_line_answers_one_or_several(talk: Path, given: object, read: tuple[str, ...]) -> None:
    """`reply_to` is an id or a list of ids."""
    write(talk, {"user": "ada", "text": "one", "id": "x", "reply_to": given})

    assert corpus.read(talk, limit=9)[0].answers == read


def test_only_what_is_said_is_replayed(talk: Path) -> None:
    """Actions are, joins and leaves are not; those need no text."""
    rows = [{"user": "ada", "kind": kind, "text": kind} for kind in ("join", "message", "rename", "action")]
    write(talk, {"user": "ada", "kind": "leave"}, *rows)

    assert [line.text for line in corpus.read(talk, limit=9)] == ["message", "action"]


def test_packed_and_windows_files_are_read(tmp_path: Path) -> None:
    """What a file is shows in its bytes, not in its name; blank lines say nothing."""
    text = b'{"user": "ada", "text": "one"}\r\n\r\n{"user": "ada", "text": "two"}'
    plain, packed = tmp_path / "plain.gz", tmp_path / "packed.txt"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))

    assert corpus.read(plain, limit=9) == corpus.read(packed, limit=9)
    assert corpus.read(plain, limit=9)[1].id == "line 3"


@pytest.mark.parametrize(
    "bad",
    [
        SECRET,
        f'["{SECRET}"]',
        f'{{"user": "ada", "text": "{SECRET}"',
        f'{{"user": "ada", "text": "{SECRET}", "{SECRET}": NaN}}',
        f'{{"user": "ada", "text": "{SECRET}\\ud800"}}',
        f'{{"user": "ada", "text": "{SECRET}", "text": "twice"}}',
        f'{{"user": "ada", "text": "{SECRET}{"x" * corpus.LONGEST_LINE}"}}',
    ],
)
def test_what_is_no_strict_json_object_is_named_by_its_place_alone(talk: Path, bad: str) -> None:
    """Nothing of its text is repeated."""
    write(talk, {"user": "ada", "text": "fine"}, bad)

    message = problem(talk)
    assert message.startswith("talk.jsonl:2: is no JSON object")
    assert SECRET not in message


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"text": SECRET}, "user"),
        ({"user": " ", "text": SECRET}, "user"),
        ({"user": [SECRET], "text": "one"}, "user"),
        ({"user": "ada"}, "text"),
        ({"user": "ada", "text": " \n"}, "text"),
        ({"user": "ada", "text": 1}, "text"),
        ({"user": "ada", "text": SECRET, "id": ""}, "id"),
        ({"user": "ada", "text": SECRET, "id": SECRET * 20}, "id"),
        ({"user": "ada", "text": SECRET, "id": 7}, "id"),
        ({"user": "ada", "text": SECRET, "id": "fine"}, "id"),
        ({"user": "ada", "text": SECRET, "reply_to": [7]}, "reply_to"),
        ({"user": "ada", "text": SECRET, "reply_to": {SECRET: 1}}, "reply_to"),
        ({"user": "ada", "text": SECRET, "kind": [SECRET]}, "kind"),
    ],
)
def test_a_field_that_is_not_right_is_named(talk: Path, row: dict[str, Any], field: str) -> None:
    """With file and line; never its value."""
    write(talk, {"user": "ada", "text": "fine", "id": "fine"}, row)

    message = problem(talk)
    assert message.startswith(f"talk.jsonl:2: `{field}` ")
    assert SECRET not in message


def test_a_file_that_says_nothing_is_refused(talk: Path) -> None:
    """There would be nothing to replay."""
    write(talk, {"user": "ada", "kind": "join"})

    assert problem(talk) == "talk.jsonl: holds no messages"


def test_a_file_that_cannot_be_read_is_named(talk: Path, tmp_path: Path) -> None:
    """Whatever the reason: not there, a folder, or damaged in the middle; only the last has a line."""
    assert problem(talk).startswith("talk.jsonl: cannot be read: No such file")
    assert problem(tmp_path).startswith(f"{tmp_path.name}: cannot be read: Is a directory")
    row = b'{"user": "ada", "text": "one", "id": "%d"}\n'
    whole = gzip.compress(b"".join(row % number for number in range(999)))
    talk.write_bytes(whole[:-40])
    assert ": cannot be read: it is damaged" in problem(talk, limit=1_000)
    talk.write_bytes(whole[:200] + b"\xff" * 20 + whole[220:])
    assert ": cannot be read: it is damaged" in problem(talk, limit=1_000)


def test_a_byte_order_mark_is_passed_over(talk: Path) -> None:
    """Some editors begin a file with one; it stands before nothing else."""
    line = b'\xef\xbb\xbf{"user": "ada", "text": "one"}\n'
    talk.write_bytes(line)

    assert corpus.read(talk, limit=9) == (Line("line 1", "ada", "one"),)

    talk.write_bytes(line * 2)
    assert problem(talk).startswith("talk.jsonl:2: is no JSON object")


def test_lines_are_shared_by_nickname() -> None:
    """Whoever speaks speaks through one client, the same in every run; no line is left out."""
    from chatkit.cli.demo.story import share

    lines = [Line(f"{number}", f"nick{number % 7}", "hello") for number in range(70)]

    shares = share(lines, 3)

    assert sorted(line.id for part in shares for line in part) == sorted(line.id for line in lines)
    assert all(part == sorted(part, key=lines.index) for part in shares)
    speakers = [{line.user for line in part} for part in shares]
    assert sum(map(len, speakers)) == 7
    assert share(lines, 3) == shares
