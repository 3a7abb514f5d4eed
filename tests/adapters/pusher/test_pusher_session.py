"""What the contract does not ask of a session, over the emulator in real time."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.errors import StateError
from chatkit.ports.adapter import Roster, SessionClosed
from chatkit.testing.contract.adapter.stage import stage
from chatkit.testing.emulators.faults import FrameFault
from tests.adapters.pusher.kit import PusherKit


def test_who_joined_for_sending_is_told_who_is_there() -> None:
    """The set comes with the answer to a ping, since the channel is not joined a second time."""
    kit = PusherKit(trusted=False)

    async def main() -> None:
        async with stage(kit) as on:
            ada, _ = await on.join("ada"), await on.join("bob", on.channel, presence=True)
            await ada.say("hello")
            assert [signal for signal in ada.signals if isinstance(signal, Roster)] == []

            await ada.attach(presence=True)

            await ada.sees("ada", "bob")

    kit.run(main())


def test_who_asks_no_longer_is_shown_no_longer() -> None:
    """Beside private channels presence is left by attaching without it."""
    kit = PusherKit(channels="private")

    async def main() -> None:
        async with stage(kit) as on:
            ada = await on.join("ada", on.channel, presence=True)
            bob = await on.join("bob", on.channel, presence=True)
            await ada.sees("ada", "bob")

            await bob.attach()

            await ada.sees("ada")
            await ada.say("still heard")
            await bob.hears("still heard")

    kit.run(main())


def test_who_only_listens_says_something_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some servers count what a client writes alone: a ping goes out although frames come."""
    monkeypatch.setattr("chatkit.adapters.pusher.session.SPEAK", 0.05)
    kit, pings = PusherKit(), list[str]()

    def note(frame: str | bytes) -> bool:
        pings.append(str(frame))
        return False

    async def main() -> None:
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            kit.emulator.faults.add(FrameFault(does="drop", way="in", only="pusher:ping", when=note))
            for number in range(5):
                await ada.say(f"message {number}")
                await asyncio.sleep(0.03)

            await kit.until(lambda: len(pings) >= 1, "a ping")
            await bob.session.probe()  # the answers keep their order
            assert bob.ended is None

    kit.run(main())


def test_signals_have_one_reader() -> None:
    """A second one would take what the first is to hear."""
    kit = PusherKit()

    async def main() -> None:
        async with stage(kit) as on:
            ada = await on.join("ada")
            await ada.session.probe()

            with pytest.raises(StateError):
                _ = ada.session.signals()

    kit.run(main())


def test_an_open_that_is_given_up_leaves_no_connection() -> None:
    """While the greeting is awaited, too (I12)."""
    kit = PusherKit()

    async def main() -> None:
        async with stage(kit) as on:
            adapter = on.adapter("ada")
            kit.emulator.faults.add(FrameFault(does="drop", only="pusher:connection_established"))
            opening = asyncio.create_task(adapter.open())
            await kit.until(lambda: len(kit.emulator.sockets) == 1, "it connects")
            await kit.settle()

            opening.cancel()

            with pytest.raises(asyncio.CancelledError):
                await opening
            await kit.until(lambda: not kit.emulator.sockets, "the connection is gone")

    kit.run(main())


def test_a_server_that_never_greets_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten seconds, for another attempt."""
    monkeypatch.setattr("chatkit.adapters.pusher.adapter.OPEN", 0.2)
    kit = PusherKit()

    async def main() -> None:
        async with stage(kit) as on:
            kit.emulator.faults.add(FrameFault(does="drop", only="pusher:connection_established"))

            with pytest.raises(SessionClosed) as caught:
                _ = await on.adapter("ada").open()

            assert caught.value.again == "later"
            await kit.until(lambda: not kit.emulator.sockets, "the connection is gone")

    kit.run(main())
