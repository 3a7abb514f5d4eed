"""The adapter of the how-to, as a third party has it: installed by itself, found by its scheme, put to the contract.

What is wrong with an adapter shows: each of these defects fails the tests that are about it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.blocks import blocks
from tests.testing.third_party import assert_passes, defects, failures, run

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = ROOT / "examples" / "board_adapter"
PAGE: Final = ROOT / "docs" / "how-to-adapter.md"
BROKEN: Final = Path(__file__).with_name("broken_boards.py")

MINIMAL: Final = """
import pytest
from board_kit import BoardKit
from chatkit.testing.contract import AdapterContract, AdapterKit

class Minimal(AdapterKit):
    def __init__(self):
        self.whole = BoardKit()
        super().__init__(clock=self.whole.clock, loop_clock=self.whole.loop_clock)

    def adapter(self, user, *, trusted=False):
        return self.whole.adapter(user, trusted=trusted)

class TestMinimal(AdapterContract):
    @pytest.fixture
    def kit(self):
        return Minimal()
"""
"""A kit with no more than must be there."""

FOUND_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "drops_every_third_message": ("every_member_hears_what_is_published", "all_members_hear_one_order"),
    "shuffles_what_waits": ("every_member_hears_what_is_published",),
    "always_says_that_it_resumed": (
        "live_begins_after_the_start",
        "a_second_attachment_begins_anew",
        "too_late_is_not_resumed",
        "a_place_that_was_never_given_is_not_resumed[none]",
        "a_place_that_was_never_given_is_not_resumed[epoch]",
        "a_place_that_was_never_given_is_not_resumed[strange]",
        "what_was_detached_is_not_resumed",
    ),
    "never_says_that_it_resumed": ("who_comes_back_resumes_or_is_told",),
    "resumes_without_what_was_missed": ("who_comes_back_resumes_or_is_told",),
    "starts_where_it_does_not": (
        "live_begins_after_the_start",
        "what_is_published_while_attaching_is_before_or_after",
    ),
    "doubles_acks": ("each_row_is_answered_in_its_place",),
    "reverses_acks": ("each_row_is_answered_in_its_place", "a_bad_row_takes_nothing_down_unsaid"),
    "acks_what_nobody_answered": ("a_lost_answer_is_no_answer",),
    "publishes_again_by_itself": ("a_lost_answer_is_no_answer",),
    "takes_part_of_a_batch": ("a_batch_too_long_is_refused",),
    "hangs_up_when_a_publish_is_given_up": ("a_publish_that_is_given_up_harms_no_other",),
    "knows_no_repeats": (
        "an_identical_repeat_is_dropped_within_the_window",
        "a_lost_answer_is_no_answer",
    ),
    "swallows_the_capability_error": (
        "presence_is_what_is_declared",
        "members_come_and_go",
        "nobody_enters_as_another",
    ),
    "measures_too_little": ("what_fits_by_measure_is_carried", "measuring_is_in_the_providers_units"),
    "takes_what_does_not_fit": (
        "what_does_not_fit_is_refused_by_name",
        "a_bad_row_takes_nothing_down_unsaid",
    ),
    "refuses_for_good": ("refusals_reach_as_far_as_they_say",),
    "obeys_no_code": ("the_servers_closings_are_obeyed",),
    "echoes_what_passes": ("what_is_emitted_reaches_the_others",),
    "keeps_what_passes": ("what_is_emitted_reaches_the_others",),
    "tells_everybody_everything": (
        "who_is_not_attached_hears_nothing",
        "after_a_detach_nothing_follows",
        "a_refused_attach_is_not_allowed",
    ),
    "believes_the_envelope": (
        "an_envelope_that_names_another_is_found_out",
        "an_emitted_envelope_that_names_another_is_found_out",
    ),
    "speaks_for_anybody": (
        "an_entry_of_another_user_is_not_passed_on_as_theirs",
        "a_trusted_credential_speaks_for_others",
    ),
    "dies_of_foreign_bytes": ("foreign_bytes_end_nothing",),
    "vouches_for_foreign_bytes": ("foreign_bytes_end_nothing", "what_is_emitted_reaches_the_others"),
    "makes_up_signs_of_life": (
        "a_silent_connection_gives_no_sign_of_life",
        "a_dead_session_refuses_every_call",
    ),
    "detaches_by_halves": ("after_a_detach_nothing_follows", "a_second_attachment_begins_anew"),
    "ends_without_a_word": ("a_clean_end_asks_for_no_new_connection", "closing_an_adapter_ends_its_sessions"),
    "lives_on_after_its_end": ("a_dead_session_refuses_every_call", "a_broken_connection_ends_its_session"),
    "keeps_a_loss_to_itself": ("a_channel_can_be_lost_alone",),
    "comes_back_with_the_old_ticket": ("after_a_closing_the_adapter_opens_again",),
    "always_asks_for_a_fresh_ticket": ("after_a_closing_the_adapter_opens_again",),
    "changes_its_mind": ("capabilities_never_change",),
    "declares_what_cannot_be": ("capabilities_do_not_contradict_one_another",),
}
"""Each defect of `broken_boards.py`, and tests that find it out."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel of the example was unpacked, as an installer does."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels], cwd=PROJECT, check=True
    )
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_its_scheme_is_known_once_it_is_installed(installed: Path, tmp_path: Path) -> None:
    """By the entry point of its project alone: nothing of chatkit is told of it."""
    program = """
import asyncio
import chatkit

async def ticket(request):
    return "ticket of " + request.user

async def main():
    async with (
        chatkit.connect("board://hall", user="ada", store=":memory:", auth=ticket) as ada,
        chatkit.connect("board://hall", user="bob", store=":memory:", auth=ticket) as bob,
    ):
        await bob.channel("news").attach(timeout=10)
        events = bob.channel("news").events(chatkit.MessageCreated)
        await (await ada.channel("news").send("Hello")).wait(timeout=10)
        print((await events.next(timeout=10)).message.text)

asyncio.run(main())
"""

    done = run(tmp_path, "-c", program, installed=[installed])

    assert (done.returncode, done.stdout) == (0, "Hello\n"), done.stderr


def test_it_passes_the_contract(installed: Path, tmp_path: Path) -> None:
    """All of it, without a plugin, a conftest or a setting; nothing is skipped."""
    (tmp_path / "test_board.py").write_text((PROJECT / "test_board.py").read_text(encoding="utf-8"))

    assert_passes(tmp_path, installed=[installed])


def test_the_how_to_shows_the_example() -> None:
    """Each block that is taken from it stands there to the letter."""
    sources = [
        path.read_text(encoding="utf-8") for path in PROJECT.iterdir() if path.suffix in {".py", ".toml"}
    ]
    shown = [block for block in blocks(PAGE, "python") if not block.runs] + blocks(PAGE, "toml")

    assert len(shown) == 8
    for block in shown:
        quoted = (block.source, textwrap.indent(block.source, "    ", lambda line: line.strip() != ""))
        assert any(text in source for text in quoted for source in sources), block.place


@pytest.mark.long  # the whole contract again
def test_what_a_kit_cannot_do_is_skipped_by_name(installed: Path, tmp_path: Path) -> None:
    """With nothing but a way to make adapters, most of it holds, and the rest says what it would take."""
    board = (PROJECT / "test_board.py").read_text(encoding="utf-8")
    (tmp_path / "board_kit.py").write_text(board, encoding="utf-8")
    (tmp_path / "test_minimal.py").write_text(MINIMAL, encoding="utf-8")

    done = run(tmp_path, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", installed=[installed])

    assert re.search(r"^\d+ passed, \d+ skipped in", done.stdout, re.MULTILINE), done.stdout
    lacking = set(re.findall(r"Minimal cannot (.+)$", done.stdout, re.MULTILINE))
    assert lacking == {
        "close a channel",
        "close connections",
        "cut a connection",
        "forbid attaching",
        "let time pass",
        "lose an acknowledgement",
        "refuse a publish",
        "send raw bytes",
    }
    assert done.stdout.count("SKIPPED") == len(lacking)


@pytest.mark.long  # some fifty failures
def test_defects_are_found_by_the_tests_that_are_about_them(installed: Path, tmp_path: Path) -> None:
    """Whatever an adapter gets wrong, some test says so, and says what."""
    for source in (PROJECT / "test_board.py", BROKEN):
        (tmp_path / source.name).write_text(source.read_text(encoding="utf-8"))
    wanted = {
        f"{BROKEN.name}::Test_{defect}::test_{name}" for defect, names in FOUND_BY.items() for name in names
    }

    assert failures(tmp_path, wanted, installed=[installed]) == wanted
    assert defects(BROKEN) == sorted(FOUND_BY)
