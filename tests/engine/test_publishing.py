"""The publish path: open or not, paced, paused; one attempt, bounded; one refresh for all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.engine.publishing import ACK_TIMEOUT, PAUSE, Publishing, Refresh
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    NotAllowed,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.model.order import Ident
from chatkit.ports import Ack, Batch, Outgoing
from chatkit.testing.clock import settle
from tests.engine.sending_kit import Client, FakeSession, Provider, World, for_ever

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock

BATCH = Batch("b1", "room", (Outgoing(Ident("ada", "m1"), "device1", 1, b"{}", None),))


class Path:
    """A publish path whose session comes and goes by hand."""

    def __init__(self, clock: VirtualClock, provider: Provider | None = None, **adapter: Any) -> None:
        self.provider = provider or Provider()
        self.client = Client(clock, self.provider.adapter(**adapter))
        self.session: Any = None
        self.publishing = Publishing(self.client.context, lambda: self.session)
        self.passed: list[tuple[str, Any]] = []

    def connect(self) -> FakeSession:
        session = self.session = FakeSession(self.provider.answer)
        self.publishing.changed()
        return session

    async def go_through(self, name: str, entries: int = 1) -> None:
        """Do what a lane does before it publishes."""
        await self.publishing.ready()
        await self.publishing.turn()
        self.publishing.charge(entries)
        self.passed.append((name, asyncio.get_running_loop().time()))


# -- a log that refuses


class Refusing:
    """A log that takes nothing."""

    capabilities = frozenset[str]()

    def __init__(self, error: ChatkitError) -> None:
        self.error = error

    async def append(self, channel: str, entries: Sequence[Outgoing]) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (RateLimited("slow", retry_after=7.0), ("unsent", "connection", "later", 7.0)),
        (AuthenticationError("expired"), ("unsent", "connection", "reauthenticate", None)),
        (NotAllowed("no member"), ("refused", "entry", "reauthenticate", None)),
        (Rejected("too many"), ("refused", "entry", "never", None)),
        (ConfigError("no schema"), ("unsent", "connection", "later", None)),
    ],
)
async def test_a_log_that_refuses_a_call_took_nothing(
    clock: VirtualClock, error: ChatkitError, answer: tuple[Any, ...]
) -> None:
    """It is known of each entry: lanes pause, or it fails once a fresh credential was refused, too (D12)."""
    path = Path(clock, capable={"announce": "transactional"})
    path.client.context.adapter.log = Refusing(error)  # type: ignore[assignment, misc]  # as much of a log as is used

    (ack,) = await path.publishing.publish(BATCH) or ()

    assert ack.error is error
    assert (ack.outcome, ack.scope, ack.again, ack.after) == answer


async def test_a_log_that_does_not_answer_leaves_a_batch_in_doubt(clock: VirtualClock) -> None:
    """Whatever it raises beside: it may have taken it."""
    path = Path(clock, capable={"announce": "transactional"})
    path.client.context.adapter.log = Refusing(TransportError("no answer"))  # type: ignore[assignment, misc]  # as much of a log as is used

    with pytest.raises(TransportError):
        await path.publishing.publish(BATCH)


# -- whether an attempt may be made


async def test_over_a_session_publishing_waits_for_the_session(clock: VirtualClock) -> None:
    """For nothing else: no attach and no backfill stands in its way (D15)."""
    path = Path(clock)
    waiting = asyncio.ensure_future(path.go_through("a"))
    await asyncio.sleep(5)
    assert (path.publishing.open, path.passed) == (False, [])

    path.connect()
    await waiting

    assert path.passed == [("a", 5.0)]


async def test_a_change_that_opens_nothing_lets_nobody_through(clock: VirtualClock) -> None:
    """Who waits looks again after each change."""
    path = Path(clock)
    waiting = asyncio.ensure_future(path.go_through("a"))
    await settle()
    path.publishing.changed()
    await settle()
    assert not waiting.done()

    path.connect()
    await waiting


@pytest.mark.parametrize("capable", [{"announce": "transactional"}, {}])
async def test_by_http_or_into_a_log_none_is_needed(clock: VirtualClock, capable: dict[str, Any]) -> None:
    """A publish path of its own drains while the socket is still down (D15)."""
    path = Path(clock, capable=capable, publisher=None if capable else Provider())

    assert not path.publishing.needs_session
    await path.go_through("a")
    assert path.passed == [("a", 0.0)]


# -- one attempt


async def test_an_attempt_goes_over_the_session(clock: VirtualClock) -> None:
    """And returns its answers."""
    path = Path(clock)
    session = path.connect()

    assert await path.publishing.publish(BATCH) == [Ack(Ident("ada", "m1"), "new")]
    assert session.published == [BATCH]


async def test_an_attempt_prefers_the_publisher(clock: VirtualClock) -> None:
    """Where there is one the path is fixed for the client's life (D29)."""
    http = Provider()
    path = Path(clock, publisher=http)
    path.connect()

    await path.publishing.publish(BATCH)

    assert (http.batches, path.provider.batches) == ([BATCH], [])


async def test_without_a_session_nothing_is_written(clock: VirtualClock) -> None:
    """It went while the attempt was recorded: that is known, and no doubt (D6)."""
    assert await Path(clock).publishing.publish(BATCH) is None


async def test_an_attempt_without_an_answer_is_bounded(clock: VirtualClock) -> None:
    """Then its outcome is unknown: silence is neither yes nor no (D6)."""
    path = Path(clock, Provider(lambda batch: for_ever()))
    path.connect()

    with pytest.raises(TransportError):
        await path.publishing.publish(BATCH)
    assert clock.monotonic() == ACK_TIMEOUT


async def test_an_append_tells_the_time(clock: VirtualClock) -> None:
    """The log's clock comes with its answer: a contact like any other (D13)."""
    world = World(clock)
    async with world.client(like="supabase") as ada:
        world.network.refuse("ada", TransportError("no"), calls={"open", "read"})
        clock.jump(-7_200)
        await ada.send("hello")
        await ada.drained()

        assert world.texts() == ["hello"]
        assert ada.context.server_time.confirmed
        assert ada.context.server_time.now() - world.hub.clock.wall() < timedelta(seconds=1)


# -- pauses


async def test_a_pause_keeps_everybody_out_and_ends_by_itself(clock: VirtualClock) -> None:
    """For as long as asked; health says why meanwhile (D12)."""
    path = Path(clock)
    path.connect()
    reason = RateLimited("quota")
    path.publishing.pause(reason, 7.0)
    during = path.publishing.paused

    await asyncio.gather(path.go_through("a"), path.go_through("b"))

    assert [at for _, at in path.passed] == [pytest.approx(7.0)] * 2
    assert (during, path.publishing.paused) == (reason, None)
    assert path.client.watcher.seen[-1] == ("publishing.paused", {"error": "RateLimited"})


async def test_a_pause_without_a_time_is_half_a_minute(clock: VirtualClock) -> None:
    """Somebody may have to act: a wrong key is not tried every second (D12)."""
    path = Path(clock)
    path.connect()
    path.publishing.pause(AuthenticationError("revoked"), None)

    await path.go_through("a")

    assert path.passed == [("a", pytest.approx(PAUSE))]


async def test_the_longest_pause_counts(clock: VirtualClock) -> None:
    """A second refusal, of another lane, may lengthen it and never shortens it (D12)."""
    path = Path(clock)
    path.connect()
    path.publishing.pause(RateLimited("quota"), 7.0)
    waiting = asyncio.ensure_future(path.go_through("a"))
    await asyncio.sleep(1)
    path.publishing.pause(RateLimited("quota"), 60.0)
    path.publishing.pause(RateLimited("quota"), 2.0)
    await waiting

    assert path.passed == [("a", pytest.approx(61.0))]


async def test_a_paused_path_waits_for_its_session_too(clock: VirtualClock) -> None:
    """The end of a pause opens nothing that is closed for another reason."""
    path = Path(clock)
    path.publishing.pause(RateLimited("quota"), 5.0)
    waiting = asyncio.ensure_future(path.go_through("a"))
    await asyncio.sleep(20)
    path.connect()
    await waiting

    assert path.passed == [("a", 20.0)]


async def test_a_pause_leaves_no_timer_behind(clock: VirtualClock) -> None:
    """It is a moment that is looked at, nothing that must be cancelled (I12)."""
    path = Path(clock)
    path.publishing.pause(RateLimited("quota"), 1_000.0)
    loop: Any = asyncio.get_running_loop()

    assert loop._scheduled == []


# -- pace


async def test_publishes_keep_the_providers_rate(clock: VirtualClock) -> None:
    """By entries, in the order in which lanes came (D12)."""
    path = Path(clock, capable={"publish_rate": 10.0})
    path.connect()

    await asyncio.gather(path.go_through("a", 5), path.go_through("b", 1), path.go_through("c", 3))
    await path.go_through("d")

    assert path.passed == [
        ("a", 0.0),
        ("b", pytest.approx(0.5)),
        ("c", pytest.approx(0.6)),
        ("d", pytest.approx(0.9)),
    ]


async def test_time_not_used_is_not_saved_up(clock: VirtualClock) -> None:
    """After a quiet hour the rate is what it was."""
    path = Path(clock, capable={"publish_rate": 10.0})
    path.connect()
    await path.go_through("a", 10)
    await asyncio.sleep(3_600)

    await path.go_through("b", 10)
    await path.go_through("c")

    assert [at for _, at in path.passed] == [0.0, 3_600.0, pytest.approx(3_601.0)]


async def test_a_provider_without_a_rate_is_not_paced(clock: VirtualClock) -> None:
    """No limit known is no limit."""
    path = Path(clock)
    path.connect()

    for name in "abc":
        await path.go_through(name, 100)

    assert clock.monotonic() == 0.0


# -- credentials


class Tokens:
    """Counts refreshes; takes a second for each, and may fail."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.fetched: list[float] = []

    async def fetch(self) -> None:
        await asyncio.sleep(1)
        self.fetched.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)


def refresh(clock: VirtualClock, tokens: Tokens) -> Refresh:
    return Refresh(Client(clock, Provider().adapter()).context, tokens.fetch)


async def all_of(*calls: Any) -> Sequence[bool]:
    return list(await asyncio.gather(*calls))


async def test_all_that_were_refused_together_share_one_refresh(clock: VirtualClock) -> None:
    """The app's token provider is asked once for each credential that was refused (D32)."""
    tokens = Tokens()
    fresh = refresh(clock, tokens)

    assert await all_of(fresh.since(0.0), fresh.since(0.0), fresh.since(0.5)) == [True, True, True]
    assert tokens.fetched == [1.0]


async def test_a_fresh_credential_that_is_refused_is_replaced(clock: VirtualClock) -> None:
    """An attempt that began after the last refresh was refused with its result."""
    tokens = Tokens()
    fresh = refresh(clock, tokens)
    await fresh.since(0.0)

    assert await fresh.since(2.0)
    assert tokens.fetched == [1.0, 2.0]


async def test_a_refresh_that_fails_is_told_and_tried_again(clock: VirtualClock) -> None:
    """Whatever the app's token provider raised: the next who was refused asks again."""
    tokens = Tokens(ValueError("the token server is down"))
    fresh = refresh(clock, tokens)

    assert await all_of(fresh.since(0.0), fresh.since(0.0)) == [False, True]
    assert tokens.fetched == [1.0, 2.0]
