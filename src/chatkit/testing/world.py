"""`World`: a provider, networks, stores and one virtual clock, for tests of chat features and bots."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chatkit.adapters.memory.adapter import MemoryFactory
from chatkit.adapters.memory.config import Like, MemoryConfig
from chatkit.connecting import connect
from chatkit.core.fold import Voucher
from chatkit.core.message import build_told
from chatkit.errors import StateError
from chatkit.logs.record import as_kept
from chatkit.model.names import check_channel
from chatkit.model.order import OrderKey
from chatkit.model.paging import MOST
from chatkit.testing.checker import Terms, check
from chatkit.testing.clock import DeviceClock, VirtualClock, VirtualLoop, run
from chatkit.testing.death import kill
from chatkit.testing.distant import distant
from chatkit.testing.following import Follower
from chatkit.testing.history import History
from chatkit.testing.parts import parts
from chatkit.testing.places import Place, Start
from chatkit.testing.witness import WitnessCore, WitnessHub, witness_log

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from chatkit.client import Chat
    from chatkit.model.message import Message
    from chatkit.ports import Adapter, Log, Messages

T = TypeVar("T")
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a private directory is made in it
_FIRST: Final = OrderKey(0, "")
QUIET: Final = 60.0
"""Seconds after the last fault in which everything is to have come right: twice `staleness`."""


class World:
    """Hub, network, stores and one virtual clock, which also drives the event loop.

    `asyncio.sleep` and every deadline in the code under test are virtual too: an hour passes at once, and in
    the same way each time. Everything that happens is recorded, and `check` holds it against the promise.

    The fixture `chat_world` gives one to a test. Elsewhere: ``world = World(); world.run(story(world))``.

    Args:
        seed: Of all chance: the same seed gives the same world.
        like: The provider it behaves like.
        log: With a log of the app's own beside the provider, as with ``connect(log=...)``.
    """

    def __init__(self, *, seed: int = 0, like: Like = "memory", log: bool = False) -> None:
        loop = _virtual_loop()
        self.clock: Final = loop.clock if loop is not None else VirtualClock()
        self.history: Final = History()
        self.random: Final = Random(seed)  # noqa: S311  # a seeded world is the point
        self.like: Final = like
        self.hub: Final = WitnessHub("world", clock=self.clock, random=self._chance(), history=self.history)
        self.shared_log: Final = witness_log(self.clock, self._chance(), self.history) if log else None
        self.places: Final[dict[str, Place]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._disturbed = 0.0

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        """Run a story on this world's time to its end, and close the world after it.

        Raises:
            AssertionError: Tasks were left running; they are named.
        """

        async def play() -> T:
            async with self:
                return await story

        return run(play(), clock=self.clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every client, and delete the stores; idempotent."""
        for place in self.places.values():
            await self.close(place.name, drain=0.0)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    # -- clients ------------------------------------------------------------------------------------------

    async def connect(
        self, user: str, *, device: str = "", start: Start | None = None, **options: Any
    ) -> Chat:
        """Open a client, which the world closes.

        Args:
            user: Who.
            device: Tells several devices of a user apart: each has a store and a network of its own.
            start: Called with the client, and again with the next one after a `crash`, as a program that
                starts: to register handlers.
            options: Of `chatkit.connect`. The store is a file of the device; ``store=":memory:"`` dies with
                its client. A device that comes back keeps its store, and of the rest what is not said anew.

        Raises:
            StateError: The device has a client already, or a store.
        """
        name = f"{user}/{device}" if device else user
        place = self.places.get(name)
        if place is not None and place.chat is not None:
            raise StateError(
                f"the world has a client of {name} already", hint="Name another device=, or use `chat()`."
            )
        store = options.pop("store", None)
        if place is None:
            store = store or str(self._path() / f"{len(self.places)}.db")
            clock = DeviceClock(self.clock)
            place = Place(user, device, store=store, clock=clock, start=start, options=options)
            self.places[name] = place
        elif store is not None:
            raise StateError(f"the device {name} has a store already", hint="Name another device=.")
        else:  # what is not said again is as before
            place.start = start or place.start
            place.options = {**place.options, **options}
        return await self._open(place)

    def chat(self, user: str) -> Chat:
        """Return the client of a user, or of `user/device`, that is open now.

        Raises:
            StateError: There is none.
        """
        found = next((place.chat for place in self._named(user) if place.chat is not None), None)
        if found is None:
            raise StateError(
                f"the world has no open client of {user}", hint="`await world.connect(...)` first."
            )
        return found

    def adapter(self, user: str, *, device: str = "") -> Adapter:
        """Return an adapter to the world's provider, for a client that a test makes itself.

        Give `connect` the world's clock with it: ``connect(world.adapter("ada"), clock=world.clock, ...)``.
        """
        given = parts(user, self.clock, random=self._chance(), log=self._log_for(user, device))
        return MemoryFactory().build(self._config(device), given)

    async def crash(self, user: str) -> Chat:
        """Kill the clients of a user, or of `user/device`, where they stand, and start again on their stores.

        Nothing is flushed, noted or said, as with a process that is killed.

        Returns:
            The client that came back (of the first device).
        """
        for place in self._found(user):
            await self.kill(place.name)
            _ = await self._open(place)
        return self.chat(user)

    async def kill(self, user: str) -> None:
        """Kill the clients of a user, or of `user/device`; `connect` brings them back on their stores."""
        for place in self._found(user):
            chat, follower = place.chat, place.follower
            if chat is None or follower is None:
                continue
            place.chat = None
            self._disturb()
            follower.killed()
            await kill(chat, *follower.tasks)

    async def close(self, user: str, *, drain: float = 5.0) -> None:
        """Close the clients of a user, or of `user/device`, as their programs would."""
        for place in self._named(user):
            chat, follower = place.chat, place.follower
            if chat is not None and follower is not None:
                try:
                    await follower.close(drain)
                finally:
                    place.chat = None

    async def _open(self, place: Place) -> Chat:
        loop = _virtual_loop()
        if loop is None or loop.clock is not self.clock:
            raise StateError(
                "the world's clock does not drive this event loop",
                hint="Take the fixture `chat_world`, or `world.run(story(world))`.",
            )
        self._disturb()
        durable = place.store != ":memory:"
        follower = Follower(self.history, self.clock, place.user, place.name if durable else "")
        options: dict[str, Any] = {"on_error": follower.reported, **place.options}
        chat = connect(
            self._config(place.device),
            user=place.user,
            store=self._store_of(place),
            log=self._log_for(place.user, place.device),
            durability="process",
            clock=place.clock,
            seed=self.random.getrandbits(64),
            **options,
        )
        _ = await chat
        follower.begin(chat)
        place.chat, place.follower = chat, follower
        self._follow(follower)
        if place.start is not None:
            started = place.start(chat)
            if started is not None:
                await started
        return chat

    def _store_of(self, place: Place) -> Any:
        return place.store

    def _follow(self, follower: Follower) -> None:
        follower.listen_everywhere()

    def _config(self, device: str) -> MemoryConfig:
        return MemoryConfig(hub=self.hub, like=self.like, link=device)

    def _log_for(self, user: str, device: str) -> Log | None:
        if self.shared_log is None:
            return None
        return distant(self.shared_log, self.hub.network.link(user, device))

    # -- time ---------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until nothing can happen without time passing."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "a world lives on its own virtual time: see `World.run`"
        await loop.settle()

    async def advance(self, seconds: float) -> None:
        """Let time pass; everything that falls due happens, in order."""
        await self.settle()
        await asyncio.sleep(seconds)
        await self.settle()

    # -- faults -------------------------------------------------------------------------------------------

    def cut(self, user: str, *, half_open: bool = False) -> None:
        """Cut the network of a user, or of `user/device`.

        Args:
            user: Whose.
            half_open: Nobody is told: what is open looks open, and stays silent.
        """
        for place in self._named(user):
            if self._away(place) == 0.0:
                place.cut_since = self.clock.monotonic()
                place.heals = self.hub.network.link(place.user, place.device).heals
        self._disturb()
        self.hub.network.cut(user, half_open=half_open)

    def heal(self, user: str) -> None:
        """Bring the network back; connections that broke stay broken, as they do."""
        for place in self._named(user):
            place.cut_since = None
        self._disturb()
        self.hub.network.heal(user)

    def lose_ack(self, user: str, *, count: int = 1) -> None:
        """Carry out the next `count` publishes of a user, and lose the answers."""
        self._disturb()
        self.hub.network.lose_ack(user, count)

    # -- what there is ------------------------------------------------------------------------------------

    def log(self, channel: str) -> tuple[Message, ...]:
        """Return the messages of a channel as the provider, or the log, has them, oldest first."""
        name, found = check_channel(channel), list[Any]()
        page = self._page(name, _FIRST)
        found += page.items
        while page.after is not None:
            page = self._page(name, page.after)
            found += page.items
        origin = self.core.log_id
        voucher = Voucher("provider", origin, stamped=True)
        return tuple(build_told(one, voucher, channel=name, viewer="") for one in found)

    def texts(self, channel: str) -> list[str]:
        """Return the texts of the messages of a channel that are not deleted, oldest first."""
        return [message.text for message in self.log(channel) if not message.deleted]

    @property
    def core(self) -> WitnessCore:
        """What remembers: the provider's log, or the app's own; it can be put back to a backup."""
        log = self.shared_log or self.hub.log
        assert isinstance(log.core, WitnessCore)
        return log.core

    def _page(self, channel: str, after: OrderKey) -> Messages:
        if self.shared_log is None and self.like in ("ably", "pusher"):
            return self.core.history(None, as_kept).messages(channel, after=after, limit=MOST)
        return self.core.messages(channel, after=after, limit=MOST)

    # -- the promise --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Hold all that happened against I1 to I14.

        Once all networks are whole and 60 seconds have passed since the last fault, nothing has an excuse
        any more: every message is to have arrived everywhere, every wish to have ended.

        Raises:
            AssertionError: A promise was broken; its invariant, the channel and the client are named.
        """
        self.look()
        whole = all(self._away(place) == 0.0 for place in self.places.values())
        final = whole and self.clock.monotonic() - self._disturbed >= QUIET
        breaches = check(self.history.records, self.terms(final=final))
        assert not breaches, "\n".join(map(str, breaches))

    def look(self) -> None:
        """Record what every open client shows, and how it stands."""
        tasks = None
        for place in self.places.values():
            if place.chat is not None and place.follower is not None:
                if tasks is None:  # after a story there is neither an open client nor a loop
                    tasks = len(asyncio.all_tasks())
                place.follower.look(tasks, unreachable=self._away(place))

    def terms(self, *, final: bool) -> Terms:
        """Return what this set-up promises."""
        return Terms(
            log=self.shared_log is not None or self.like != "pusher",
            ordered=self.shared_log is not None or self.like != "pusher",
            fenced=self.shared_log is not None or self.like in ("memory", "supabase"),
            final=final,
        )

    # -- inside -------------------------------------------------------------------------------------------

    def _away(self, place: Place) -> float:
        """Return for how many seconds the network of a device has been cut; chance may have healed it."""
        now = self.clock.monotonic()
        link = self.hub.network.link(place.user, place.device)
        if link.state(now) == "up" or link.heals != place.heals:
            place.cut_since = None  # whole by now, or it was meanwhile
        return 0.0 if place.cut_since is None else now - place.cut_since

    def _named(self, user: str) -> list[Place]:
        return [place for place in self.places.values() if user in (place.name, place.user)]

    def _found(self, user: str) -> list[Place]:
        found = self._named(user)
        if not found:
            raise StateError(f"the world knows no {user}", hint="`await world.connect(...)` first.")
        return found

    def _disturb(self) -> None:
        self._disturbed = self.clock.monotonic()

    def _chance(self) -> Random:
        return Random(self.random.getrandbits(64))  # noqa: S311  # seeded by the world's seed

    def _path(self) -> Path:
        if self._folder is None:
            memory = (
                SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
            )  # nothing here is to outlive the machine
            self._folder = tempfile.TemporaryDirectory(prefix="chatkit-world-", dir=memory)
        return Path(self._folder.name)


def _virtual_loop() -> VirtualLoop | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop if isinstance(loop, VirtualLoop) else None
