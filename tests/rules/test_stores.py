"""Stores hold what their model holds, whatever happens to them (I1, I3, I10, D5, D6, D10, D14, D27)."""

from __future__ import annotations

from tests.rules.driving import drive, examples
from tests.rules.store_machine import DirectoryMachine, FileMachine, StoreMachine


@examples(4, 80, 4_000)
def test_a_store_in_memory_holds_what_its_model_holds(examples: int) -> None:
    """Added, attempted, answered, ended, sent again by hand, swept."""
    drive(StoreMachine, examples)


@examples(2, 40, 2_000)
def test_a_store_in_a_file_holds_what_its_model_holds(examples: int) -> None:
    """Over crashes and restarts."""
    drive(FileMachine, examples)


@examples(2, 25, 1_500)
def test_a_store_in_a_directory_holds_what_its_model_holds(examples: int) -> None:
    """While other processes come, die, and leave their files."""
    drive(DirectoryMachine, examples)
