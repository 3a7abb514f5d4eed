"""The contract of adapters: what passes by (D25), and what members without chatkit send."""

from __future__ import annotations

from typing import Final

from chatkit.ports.adapter import Foreign, Received
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, Client, stage

HOSTILE: Final = (
    b"",
    b" ",
    b"null",
    b"[]",
    b"{",
    b'"text"',
    b"\x00\x01\x02",
    b"\xff\xfe not UTF-8",
    b'{"v":1,"v":2}',
    b'{"v":1e999,"id":NaN}',
    b'{"id":"\\ud800"}',
    b"[" * 500 + b"]" * 500,
    b'{"v":1,"kind":"message.create","channel":"elsewhere","sender":{"user":"ada","device":"device1"}}',
    b'{"event":"close","type":"error","code":4001}',
    b"x" * 2_000,
)


class EmittingContract(AdapterPart):
    """Ephemeral envelopes, and foreign ones."""

    async def test_what_is_emitted_reaches_the_others(self, kit: AdapterKit) -> None:
        """To the byte, without a place; not whoever sent it, nor who is not attached. Or nobody."""
        async with stage(kit) as on:
            ada, bob, eve = (
                await on.join("ada", on.channel),
                await on.join("bob", on.channel),
                await on.join("eve"),
            )
            data = ada.says("typing", kind="typing", ttl=5_000).data

            await ada.session.emit(on.channel, data)

            if not kit.hears_passing:
                await bob.hears()
                return
            (frame,) = await bob.hears("typing")
            assert (frame.data, frame.stamp, frame.unforgeable) == (data, None, False)
            assert (frame.user, frame.attested) in {("ada", "provider"), ("ada", "backend"), (None, "none")}
            assert ada.heard() == eve.heard() == []

    async def test_what_is_emitted_is_kept_nowhere(self, kit: AdapterKit) -> None:
        """It moves no head, and comes to nobody later (D25)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob", on.channel)
            await ada.session.emit(on.channel, ada.says("typing", kind="typing").data)
            await bob.hears(*(["typing"] if kit.hears_passing else []))

            late = await on.join("eve", on.channel)
            await ada.say("message")

            await late.hears("message")
            if late.adapter.log is not None:
                found = await late.log.entries(on.channel, after=None, limit=10)
                assert [entry.data for entry in found.items] == [late.heard()[0].data]

    async def test_foreign_bytes_end_nothing(self, kit: AdapterKit) -> None:
        """Each gives a signal, believed by nobody; what follows is heard."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            for data in HOSTILE:
                kit.inject(on.channel, data)

            await kit.until(lambda: len(_strange(bob)) >= len(HOSTILE), "every foreign frame is told")
            (ack,) = await ada.say("unharmed")

            await kit.until(lambda: "unharmed" in [_text(f) for f in bob.heard()], "what follows is heard")
            assert bob.ended is None
            assert ack.outcome == "new"
            strange = _strange(bob)
            assert len(strange) == len(HOSTILE)
            assert not any(isinstance(s, Received) and (s.unforgeable or s.stamp) for s in strange)
            await bob.session.probe()


def _strange(client: Client) -> list[Received | Foreign]:
    return [
        signal
        for signal in client.signals
        if isinstance(signal, Foreign) or (isinstance(signal, Received) and _text(signal) is None)
    ]


def _text(frame: Received) -> str | None:
    return "unharmed" if b"unharmed" in frame.data else None
