"""The contracts of stores and logs, as a third party runs them; and that they bite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.blocks import blocks
from tests.testing.third_party import assert_passes, defects, failures

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to-adapter.md"
BROKEN: Final = Path(__file__).with_name("broken_keepers.py")

FOUND_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "log_calls_a_repeat_new": ("a_repeat_is_a_duplicate_with_its_place",),
    "log_fails_a_batch_for_one_row": ("a_bad_row_fails_alone",),
    "log_fences_nothing": ("a_late_attempt_of_a_lane_is_superseded", "one_number_of_a_lane_is_used_once"),
    "log_reads_backwards": ("entries_are_read_forward",),
    "log_lets_marks_go_back": ("a_mark_never_goes_back",),
    "log_trims_nothing": ("what_is_trimmed_is_gone", "the_floor_never_falls"),
    "log_says_that_it_cannot_search_and_does": (
        "what_a_log_lacks_it_refuses[search]",
        "all_words_must_be_there",
    ),
    "store_forgets_keys": ("an_equal_key_gives_the_stored_row",),
    "store_records_no_attempt": ("an_attempt_is_recorded_with_its_batch_in_order",),
    "store_forgets_what_failed": ("what_ended_otherwise_stays_with_its_reason[failed]",),
    "store_answers_after_its_end": ("a_store_that_is_not_open_refuses_every_call",),
    "store_knows_everybody": ("seen_ids_are_known_in_their_channel",),
    "store_says_that_it_is_durable": ("everything_is_found_again", "a_new_device_stays"),
    "store_says_that_it_cannot_search_and_does": ("what_left_the_cache_is_found_no_more",),
}
"""Each defect of `broken_keepers.py`, and tests that find it out."""


@pytest.mark.long  # both contracts, whole
def test_what_the_how_to_shows_passes(tmp_path: Path) -> None:
    """As it stands: a test file with a class for a store and one for a log."""
    (block,) = (block for block in blocks(PAGE, "python") if "StoreContract" in block.source)
    (tmp_path / "test_mine.py").write_text(block.source, encoding="utf-8")

    assert_passes(tmp_path)


@pytest.mark.long  # in a process of its own
def test_defects_are_found_by_the_tests_that_are_about_them(tmp_path: Path) -> None:
    """Whatever a store or a log gets wrong, some test says so."""
    (tmp_path / BROKEN.name).write_text(BROKEN.read_text(encoding="utf-8"), encoding="utf-8")
    wanted = {
        f"{BROKEN.name}::Test_{defect}::test_{name}" for defect, names in FOUND_BY.items() for name in names
    }

    assert failures(tmp_path, wanted) == wanted
    assert defects(BROKEN) == sorted(FOUND_BY)
