"""The command: what it prints where, and with which code it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from chatkit import cli
from chatkit.cli.app import app
from chatkit.cli.demo import display, story
from chatkit.cli.demo.figures import Figures
from chatkit.cli.demo.judge import Finding, Verdict
from chatkit.cli.demo.story import Death, Look, Plan, Progress, Result
from chatkit.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result as Ran

PLAIN = {"NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}
GOOD = Result(
    plan=Plan(lines=(), clients=2, seed=1, faults="mild", source="#ubuntu"),
    verdict=Verdict(sent=30, logged=30, once={"ada": 30, "bob": 30}, late=2, again=1),
    figures=Figures(p50=0.0123, p99=1.5, throughput=1234.5),
    death=Death("bob", ("id-1", "id-2")),
    gaps=3,
    replies=4,
    reconnects=5,
    spared=6,
    seconds=7.89,
    interrupted=False,
)


def chatkit(*args: str, env: dict[str, str] | None = None) -> Ran:
    return CliRunner().invoke(app, list(args), env=env or PLAIN)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Makes the story end at once, with a result or an error."""

    def set_end(end: Result | BaseException) -> None:
        def run(plan: Plan, show: Callable[[Progress], None]) -> Result:
            look = Look("ada", "connected", 2, {"sent": 3, "failed": 1}, 5, 9, 4, 1)
            dead = Look("bob", "killed", 0, {}, 0, 9, 4, 0)
            for seconds in (0.0, 0.5, 2.5, 2.6):
                show(Progress(seconds, 18, (look, dead)))
            if isinstance(end, BaseException):
                raise end
            return replace(end, plan=plan)

        monkeypatch.setattr(story, "run", run)

    return set_end


# -- all of it, in real time


def test_a_replay_that_keeps_the_promise_ends_with_0() -> None:
    """Progress, a table, and the verdict; nothing on standard error."""
    ran = chatkit("demo", "--messages", "30", "--faults", "none")

    assert ran.exit_code == 0, ran.output
    assert "30/30 said" in ran.stdout
    assert "30 messages of #ubuntu, 3 clients, faults none, seed 1" in ran.stdout
    assert "delivered once to cleo" in ran.stdout
    assert "nothing lost, doubled or shuffled" in ran.stdout
    assert ran.stderr == ""


def test_a_replay_with_a_death_prints_one_json_object() -> None:
    """Nothing else stands on standard output, so that a script can read it."""
    ran = chatkit("demo", "--messages", "24", "--clients", "2", "--json")

    found = json.loads(ran.stdout)
    assert ran.exit_code == 0, ran.output
    assert found["ok"]
    assert found["delivered_once"] == {"ada": 24, "bob": 24}
    assert found["killed"]["client"] in {"ada", "bob"}
    assert 0 < found["latency"]["p50"] <= found["latency"]["p99"]
    assert found["throughput"] > 0
    assert found["broken"] == {}
    assert ran.stderr == ""


@pytest.mark.usefixtures("forgetful")
def test_a_receiver_without_its_memory_of_duplicates_ends_with_1() -> None:
    """The check can fail: what is doubled is named by its ids."""
    ran = chatkit("demo", "--messages", "30", "--faults", "none", "--json")

    found = json.loads(ran.stdout)
    assert ran.exit_code == 1
    assert not found["ok"]
    assert found["doubled"] > 0
    assert {"message_id", "where"} == set(found["broken"]["doubled"][0])


def test_ctrl_c_ends_it_cleanly_with_what_there_is() -> None:
    """Exit 130, the table of so far, no traceback."""
    # A shell starts what runs in the background deaf to SIGINT, and a child inherits that.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{hear}; from chatkit.cli import main; main()"
    command = [sys.executable, "-c", program, "demo", "--messages", "20000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **PLAIN}
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        heading = running.stdout.readline(), running.stdout.readline()
        first = running.stdout.readline()
        second = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        errors = running.stderr.read()

    assert "20,000 messages of #ubuntu" in heading[0]
    assert "one client is killed" in heading[1]
    assert " said " in first
    assert " said " in second
    assert "delivered once to ada" in rest
    assert "interrupted" in rest
    assert errors == ""
    assert running.returncode == 130


def test_a_reader_who_has_seen_enough_ends_it_in_silence() -> None:
    """As in `chatkit demo | head -1`: no traceback, and not 0, since nothing was judged."""
    command = [sys.executable, "-c", "from chatkit.cli import main; main()", "demo", "--messages", "200"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **PLAIN}
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert "200 messages" in running.stdout.readline()
        running.stdout.close()
        errors = running.stderr.read()

    assert errors == ""
    assert running.returncode == 1


# -- what is printed


def test_the_table_says_what_came_out(ends: Callable[[Any], None]) -> None:
    """Each figure stands in a row of its own."""
    ends(GOOD)

    ran = chatkit("demo", "--messages", "5")

    rows = [tuple(part.strip() for part in line.split("│")[1:3]) for line in ran.stdout.splitlines()]
    assert [row for row in rows if row] == [
        ("sent", "30"),
        ("of them replies", "4"),
        ("delivered once to ada", "30"),
        ("delivered once to bob", "30"),
        ("lost", "0"),
        ("doubled", "0"),
        ("out of order", "0"),
        ("still queued", "0"),
        ("marked late", "2"),
        ("given again after a return", "1"),
        ("discontinuities", "3"),
        ("reconnects", "5"),
        ("duplicates kept from handlers", "6"),
        ("bob was killed with", "2 queued"),
        ("latency p50 / p99", "12 ms / 1,500 ms"),
        ("throughput", "1,234 messages/s"),
        ("time", "7.9 s"),
    ]


def test_where_nothing_was_measured_nothing_is_claimed(ends: Callable[[Any], None]) -> None:
    """A dash is no figure; a client that was not killed has no row."""
    ends(replace(GOOD, figures=Figures(None, None, None), death=None))

    ran = chatkit("demo", "--messages", "5")
    found = json.loads(chatkit("demo", "--messages", "5", "--json").stdout)

    assert "killed" not in ran.stdout.split("delivered once")[1]
    assert "- / -" in ran.stdout
    assert found["killed"] is None
    assert found["latency"] == {"p50": None, "p99": None}


def test_progress_is_a_line_now_and_then(ends: Callable[[Any], None]) -> None:
    """Where standard output is no terminal: every two seconds, and at the end."""
    ends(GOOD)

    ran = chatkit("demo", "--messages", "5")

    assert [line for line in ran.stdout.splitlines() if " said " in line] == [
        f"  {seconds} s  5/18 said  ada connected, 2 queued, 4 heard; bob killed, 0 queued, 4 heard"
        for seconds in ("0.0", "2.5", "2.6")
    ]


def test_a_terminal_shows_a_table_that_changes(ends: Callable[[Any], None]) -> None:
    """Connection, queue, statuses and progress of each client; then the final table in its place."""
    ends(GOOD)

    ran = chatkit("demo", "--messages", "5", env={"FORCE_COLOR": "1", "COLUMNS": "120", "TERM": "xterm"})

    assert ran.exit_code == 0, ran.output
    for word in ("connection", "queued", "connected", "killed", "4/18", "2.6 s", "delivered once to bob"):
        assert word in ran.stdout
    assert "\x1b[" in ran.stdout


@pytest.mark.parametrize("field", ["lost", "doubled", "shuffled", "queued"])
def test_a_broken_promise_ends_with_1_and_the_first_20_ids(field: str, ends: Callable[[Any], None]) -> None:
    """Whichever it was; the number tells of the rest."""
    found = tuple(Finding(f"id-{number:02}", "bob") for number in range(25))
    broken: dict[str, Any] = {"lost": (), "doubled": (), "shuffled": (), "queued": (), field: found}
    ends(replace(GOOD, verdict=Verdict(sent=30, logged=30, once={"ada": 30}, **broken)))
    name = {"shuffled": "out of order", "queued": "still queued"}.get(field, field)

    ran = chatkit("demo", "--messages", "5")
    as_json = chatkit("demo", "--messages", "5", "--json")

    assert (ran.exit_code, as_json.exit_code) == (1, 1)
    assert f"{name} (25):" in ran.stdout
    assert "id-19  at bob" in ran.stdout
    assert "id-20" not in ran.stdout
    told = json.loads(as_json.stdout)
    assert told[name.replace(" ", "_")] == 25
    assert [one["message_id"] for one in told["broken"][name.replace(" ", "_")]] == [
        f"id-{number:02}" for number in range(20)
    ]


def test_an_interruption_ends_with_130_even_where_something_broke(ends: Callable[[Any], None]) -> None:
    """The partial table stands; what is on its way is counted, not blamed."""
    doubled = Verdict(sent=9, logged=9, once={"ada": 9}, doubled=(Finding("id-1", "ada"),), pending=7)
    ends(replace(GOOD, interrupted=True, verdict=doubled))

    ran = chatkit("demo", "--messages", "5")

    assert ran.exit_code == 130
    assert "interrupted: 7 deliveries were on their way" in ran.stdout
    assert "id-1  at ada" in ran.stdout
    assert not json.loads(chatkit("demo", "--messages", "5", "--json").stdout)["ok"]


def test_a_second_ctrl_c_ends_it_at_once(ends: Callable[[Any], None]) -> None:
    """Exit 130, no table, no traceback."""
    ends(KeyboardInterrupt())

    ran = chatkit("demo", "--messages", "5", "--json")

    assert (ran.exit_code, ran.output) == (130, "")


def test_an_error_of_the_library_is_said_with_what_to_do(ends: Callable[[Any], None]) -> None:
    """On standard error, a line with its class and one with its hint; exit 1."""
    ends(StoreError("the disk is full", hint="Make room on it."))

    ran = chatkit("demo", "--messages", "5", "--json")

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr == "chatkit demo: StoreError: the disk is full\nMake room on it.\n"


def test_what_the_system_refuses_is_one_line(ends: Callable[[Any], None]) -> None:
    """As a full disk behind standard output, or no folder for the stores; exit 1."""
    ends(OSError(28, "No space left on device"))

    ran = chatkit("demo", "--messages", "5", "--json")

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr == "chatkit demo: OSError: No space left on device\n"


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, "client connection said queued sent failed heard gaps"),
        (70, "client connection said queued sent heard"),
        (46, "client connection queued heard"),
        (40, "client connection queued"),
        (20, "client connection queued"),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns(width: int, columns: str) -> None:
    """None is cut to letters that nobody can read; who, how connected and how much is queued stay."""
    look = Look("cleo", "connected", 12, {"sent": 1_003}, 1_005, 1_998, 1_234, 1)

    table = display.live_table(Progress(1.0, 2_000, (look,)), width=width)

    assert [column.header for column in table.columns] == columns.split()


# -- what is typed


def test_a_file_of_ones_own_is_replayed(tmp_path: Path, ends: Callable[[Any], None]) -> None:
    """It is named in the heading, whatever signs are in its name."""
    ends(GOOD)
    file = tmp_path / "[red]talk.jsonl"
    file.write_text('{"user": "ada", "text": "one"}\n{"user": "bob", "text": "two"}\n', encoding="utf-8")

    ran = chatkit("demo", "--file", str(file))

    assert ran.exit_code == 0, ran.output
    assert "2 messages of [red]talk.jsonl" in ran.stdout


def test_a_bad_line_ends_with_2_and_its_place(tmp_path: Path) -> None:
    """And with how a line should look; nothing of what it says."""
    file = tmp_path / "talk.jsonl"
    file.write_text('{"user": "ada", "text": "one"}\n{"user": "bob", "words": "hush"}\n', encoding="utf-8")

    ran = chatkit("demo", "--file", str(file))

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "talk.jsonl:2: `text` is missing or not text" in ran.stderr
    assert '{"user": "ada", "text": "Hello"}' in ran.stderr
    assert "hush" not in ran.stderr


@pytest.mark.parametrize(
    "args",
    [("--messages", "0"), ("--clients", "1"), ("--clients", "21"), ("--faults", "some"), ("--seed", "x")],
)
def test_a_bad_option_ends_with_2(args: tuple[str, str]) -> None:
    """Nothing starts."""
    ran = chatkit("demo", *args)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert args[0] in ran.stderr


def test_the_version_is_that_of_the_distribution() -> None:
    """`chatkit --version`."""
    ran = chatkit("--version")

    assert ran.exit_code == 0
    assert ran.stdout.startswith("chatkit 0.")


def test_help_names_every_option() -> None:
    """`chatkit demo --help`."""
    ran = chatkit("demo", "--help")

    assert ran.exit_code == 0
    for option in ("--messages", "--clients", "--seed", "--faults", "--file", "--json"):
        assert option in ran.stdout


def test_without_its_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit 2, no traceback."""
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "chatkit.cli.app")

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 2
    assert capsys.readouterr().err == "chatkit: typer is missing: pip install 'chatkit-realtime[cli]'\n"


def test_any_other_missing_module_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not blamed on the extra."""
    monkeypatch.setitem(sys.modules, "chatkit.cli.app", None)

    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_the_console_script_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `chatkit` in a shell calls."""
    monkeypatch.setattr(sys, "argv", ["chatkit", "--version"])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("chatkit ")
