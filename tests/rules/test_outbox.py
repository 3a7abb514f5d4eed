"""Every wish has its fate, and the channel is what they say, over lives and whatever a log answers (I1 to I4)."""

from __future__ import annotations

from tests.rules.driving import drive, examples
from tests.rules.outbox_machine import DirectoryOutbox, OutboxMachine


@examples(3, 40, 2_000)
def test_wishes_in_a_file_meet_their_fates(examples: int) -> None:
    """Sent, withdrawn, retried, expired, crashed, restarted, copied; answers of every kind (D6 to D10, D14)."""
    drive(OutboxMachine, examples)


@examples(1, 25, 1_000)
def test_wishes_in_a_directory_meet_their_fates(examples: int) -> None:
    """The same where each life finds what is there (D27)."""
    drive(DirectoryOutbox, examples)
