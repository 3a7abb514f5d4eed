"""Reactions of which only a summary tells are listed, until both say the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, cast

import pytest

from chatkit.adapters.ably import reacted as bounds
from chatkit.adapters.ably.hearing import Hearing
from chatkit.adapters.ably.listing import Listing
from chatkit.adapters.ably.places import annotation_key
from chatkit.adapters.ably.reacted import Reacted
from chatkit.adapters.ably.surveying import OVERDUE, PAUSES, Surveying
from chatkit.errors import ChatkitError, NotAllowed, RateLimited, TransportError
from chatkit.ports.adapter import SessionClosed
from chatkit.testing.clock import VirtualClock
from tests.adapters.ably.test_ably_annotations import annotation, told
from tests.adapters.ably.test_ably_versions import serial

STANDS = frozenset({("👍", "bob")})


class Account:
    """Lists the reactions of messages, and takes note of points of the observer.

    Args:
        answers: To each question: an error, whether the message is one of ours, or at which place bob reacted.
    """

    def __init__(self, *answers: ChatkitError | bool | int) -> None:
        self._answers = list(answers)
        self.meanwhile: Callable[[], object] = lambda: None
        """Done once, when an answer was made and has not come yet."""
        self.reacted = Reacted()
        self.passed = 0
        self.ends = 0
        self.points = list[str]()
        self.tasks = list[asyncio.Task[None]]()
        self.surveying = Surveying(
            cast("Hearing", Passing(self)),
            cast("Listing", self),
            self.reacted,
            spawn=self.spawn,
            wake=self.wake,
            end=self.end,
            observer=self,
        )

    async def ask(self, channel: str, number: str) -> bool:
        answer = self._answers.pop(0)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        _ = meanwhile()
        if isinstance(answer, ChatkitError):
            raise answer
        if not isinstance(answer, bool):
            self.reacted.note(channel, number, [told(annotation(answer))])
        return answer is not False

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    async def wake(self) -> None:
        """There is no reader."""

    async def end(self) -> NoReturn:
        """End the connection."""
        self.ends += 1
        raise SessionClosed("it ended", again="now")

    def point(self, name: str, /, **fields: str | float | None) -> None:
        self.points.append(f"{name} {fields['error']}")

    async def over(self) -> None:
        """Wait until nothing is asked any more, and all answers were given."""
        await asyncio.gather(*self.tasks)
        assert self.reacted.wanted_of("support") == []
        assert self._answers == []


class Passing:
    """Passes on what is known of a message."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def reacted(self, channel: str, number: str) -> None:
        self._account.passed += len(self._account.reacted.untold(channel, number))


async def test_what_is_listed_is_passed_on() -> None:
    """Once it says what the summary said, nothing is asked any more."""
    account = Account(5)

    account.surveying.ask("support", serial(1), STANDS)
    await account.over()

    assert (account.passed, account.points) == (1, [])


async def test_who_lists_later_than_it_tells_is_asked_again() -> None:
    """And so is who does not answer, which counts for nothing."""
    account = Account(True, TransportError("no answer"), True, 5)

    account.surveying.ask("support", serial(1), STANDS)
    await account.over()

    assert (account.passed, account.points) == (1, [])


async def test_a_summary_that_stays_another_is_given_up(clock: VirtualClock) -> None:
    """After so many questions, and a point says so; the next summary is asked about again (I10)."""
    account = Account(*[True] * len(PAUSES), 5)
    began = clock.monotonic()

    account.surveying.ask("support", serial(1), STANDS)
    await asyncio.gather(*account.tasks)

    assert account.points == ["ably.reactions_unread Disagreeing"]
    assert sum(PAUSES) <= clock.monotonic() - began < sum(PAUSES) + 1
    account.surveying.ask("support", serial(1), STANDS)
    await account.over()
    assert account.passed == 1


async def test_what_comes_after_all_is_not_asked_about() -> None:
    """An annotation may come behind the summary that tells of it."""
    account = Account()

    account.surveying.ask("support", serial(1), STANDS)
    account.reacted.note("support", serial(1), [told(annotation(5))])
    account.reacted.came("support", serial(1))
    _ = account.reacted.untold("support", serial(1))
    await account.over()

    assert account.points == []


async def test_what_comes_while_it_is_listed_is_asked_about_too() -> None:
    """A summary may say what the last one said, and tell of something else all the same (I5)."""
    account = Account(5, 7)
    account.meanwhile = lambda: account.surveying.ask("support", serial(1), STANDS)

    account.surveying.ask("support", serial(1), STANDS)
    await account.over()

    assert account.passed == 2
    assert [one.stamp.key for one in account.reacted.of("support", serial(1))] == [annotation_key(serial(7))]


async def test_what_was_listed_before_its_summary_came_vouches_for_no_other() -> None:
    """A list may be ahead of what is told: a summary that comes later is asked about, whatever it says (I5)."""
    account = Account(*[5] * len(PAUSES))
    account.surveying.ask("support", serial(1), frozenset())
    await asyncio.gather(*account.tasks)

    heard = [account.reacted.hear("support", serial(1), STANDS) for _ in range(2)]

    assert heard == [False, False]


async def test_a_busy_service_is_asked_again() -> None:
    """As one that does not answer (D12)."""
    account = Account(RateLimited("too fast", retry_after=1.0), 5)

    account.surveying.ask("support", serial(1), STANDS)
    await account.over()

    assert (account.passed, account.points) == (1, [])


async def test_a_connection_without_answers_ends(clock: VirtualClock) -> None:
    """What is listed too late would pass for a repeat: the next one is told of it once more (D17)."""
    account = Account(*[TransportError("no answer")] * 5)
    began = clock.monotonic()

    account.surveying.ask("support", serial(1), STANDS)
    await asyncio.gather(*account.tasks)

    assert account.ends == 1
    assert OVERDUE <= clock.monotonic() - began < 2 * OVERDUE
    assert account.reacted.wanted_of("support") == [serial(1)]


async def test_a_newer_summary_counts() -> None:
    """What stands now is what is to be known."""
    account = Account(5)

    account.surveying.ask("support", serial(1), frozenset())
    account.surveying.ask("support", serial(1), STANDS)
    await account.over()

    assert (account.passed, len(account.tasks)) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "points"), [(False, []), (NotAllowed("no right"), ["ably.reactions_unread NotAllowed"])]
)
async def test_what_cannot_be_known_is_asked_once(answer: ChatkitError | bool, points: list[str]) -> None:
    """A message of others; a missing right."""
    account = Account(answer)

    account.surveying.ask("support", serial(1), STANDS)
    await account.over()

    assert account.points == points


async def test_something_of_an_unknown_message_is_asked_once() -> None:
    """All there is of it is listed; no summary says more."""
    account = Account(5)

    account.surveying.ask("support", serial(1), None)
    await account.over()

    assert account.passed == 1


async def test_the_next_connection_asks_what_the_last_one_did_not() -> None:
    """Each message once, however often it is attached; of those too many are not waited for (I10)."""
    account = Account(5)
    account.surveying.ask("support", serial(1), STANDS)
    await asyncio.sleep(0)
    account.tasks.pop().cancel()
    await asyncio.sleep(0)

    account.surveying.go_on("other")
    account.surveying.go_on("support")
    account.surveying.go_on("support")
    await account.over()

    assert (account.passed, len(account.tasks)) == (1, 1)


async def test_messages_that_are_asked_about_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point says that one was left out (I10)."""
    monkeypatch.setattr(bounds, "WANTED", 1)
    account = Account(5)

    for number in (1, 2):
        account.surveying.ask("support", serial(number), STANDS)
    await account.over()

    assert account.points == ["ably.reactions_unread TooMany"]
