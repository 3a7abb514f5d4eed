"""Adapters that break their contract, one way each: `test_board_adapter.py` says which tests find them out.

Run by a pytest of its own, beside the example `board_adapter`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import chatkit_board
import pytest
from board_server import Board, Closed, Connection, Frame
from chatkit_board import BoardAdapter, BoardSession
from test_board import BoardKit

from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports import Ack, Alive, Attachment, Batch, Outgoing, Received, Signal
from chatkit.testing.contract import AdapterContract, AdapterKit

Patch = pytest.MonkeyPatch

attach: Final = BoardSession.attach
publish: Final = BoardSession.publish
signal: Final = BoardSession._signal
problem: Final = BoardSession._problem
ack_of: Final = chatkit_board._ack


def drops_every_third_message(patch: Patch) -> None:
    def broken(self: Any, frame: Frame) -> Signal:
        self.count = getattr(self, "count", 0) + (frame["op"] == "notice")
        return Alive(0.0) if frame["op"] == "notice" and self.count % 3 == 0 else signal(self, frame)

    patch.setattr(BoardSession, "_signal", broken)


def shuffles_what_waits(patch: Patch) -> None:
    def broken(self: Connection, frame: Frame) -> None:
        waiting: Any = self.frames
        waiting._queue.appendleft(frame)
        waiting._wakeup_next(waiting._getters)

    patch.setattr(Connection, "push", broken)


def always_says_that_it_resumed(patch: Patch) -> None:
    async def broken(
        self: BoardSession, channel: str, after: OrderKey | None, *, presence: bool
    ) -> Attachment:
        return (await attach(self, channel, after, presence=presence))._replace(resumed=True)

    patch.setattr(BoardSession, "attach", broken)


def never_says_that_it_resumed(patch: Patch) -> None:
    async def broken(
        self: BoardSession, channel: str, after: OrderKey | None, *, presence: bool
    ) -> Attachment:
        return (await attach(self, channel, after, presence=presence))._replace(resumed=False)

    patch.setattr(BoardSession, "attach", broken)


def resumes_without_what_was_missed(patch: Patch) -> None:
    honest = Board._attach

    def broken(self: Board, connection: Connection, **fields: Any) -> Frame:
        self.kept.clear()
        return honest(self, connection, **fields)

    patch.setattr(Board, "_attach", broken)


def starts_where_it_does_not(patch: Patch) -> None:
    async def broken(
        self: BoardSession, channel: str, after: OrderKey | None, *, presence: bool
    ) -> Attachment:
        found = await attach(self, channel, after, presence=presence)
        return found._replace(start=OrderKey(1, "999999999999"))

    patch.setattr(BoardSession, "attach", broken)


def doubles_acks(patch: Patch) -> None:
    async def broken(self: BoardSession, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        return [ack for ack in await publish(self, batch, stamps) for _ in range(2)]

    patch.setattr(BoardSession, "publish", broken)


def reverses_acks(patch: Patch) -> None:
    async def broken(self: BoardSession, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        return (await publish(self, batch, stamps))[::-1]

    patch.setattr(BoardSession, "publish", broken)


def acks_what_nobody_answered(patch: Patch) -> None:
    async def broken(self: BoardSession, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        try:
            return await asyncio.wait_for(publish(self, batch, stamps), 1)
        except TimeoutError:
            return [Ack(entry.ident, "new") for entry in batch.entries]

    patch.setattr(BoardSession, "publish", broken)


def publishes_again_by_itself(patch: Patch) -> None:
    async def broken(self: BoardSession, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        try:
            return await asyncio.wait_for(publish(self, batch, stamps), 1)
        except TimeoutError:
            return await publish(self, batch, stamps)

    patch.setattr(BoardSession, "publish", broken)


def takes_part_of_a_batch(patch: Patch) -> None:
    async def broken(self: BoardSession, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        acks = await publish(self, batch._replace(entries=batch.entries[:10]), stamps)
        return acks + [Ack(entry.ident, "new") for entry in batch.entries[10:]]

    patch.setattr(BoardSession, "publish", broken)


def hangs_up_when_a_publish_is_given_up(patch: Patch) -> None:
    async def broken(self: BoardSession, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        try:
            return await publish(self, batch, stamps)
        except asyncio.CancelledError:
            self._connection.close(Closed(1006))
            raise

    patch.setattr(BoardSession, "publish", broken)


def knows_no_repeats(patch: Patch) -> None:
    honest = Board._pin

    def broken(self: Board, frame: Frame, id: str) -> Frame:
        self.known.clear()
        return honest(self, frame, id)

    patch.setattr(Board, "_pin", broken)


def swallows_the_capability_error(patch: Patch) -> None:
    patch.setattr(chatkit_board, "_no_presence", lambda channel: None)


def measures_too_little(patch: Patch) -> None:
    patch.setattr(BoardAdapter, "measure", lambda self, channel, data: len(data) // 2)


def takes_what_does_not_fit(patch: Patch) -> None:
    def broken(self: BoardSession, channel: str, entry: Outgoing) -> Ack | None:
        return problem(self, channel, entry._replace(data=entry.data[:10]))

    patch.setattr(BoardSession, "_problem", broken)


def refuses_for_good(patch: Patch) -> None:
    def broken(entry: Outgoing, row: Frame) -> Ack:
        found = ack_of(entry, row)
        return found._replace(outcome="refused", again="never") if found.error is not None else found

    patch.setattr(chatkit_board, "_ack", broken)


def obeys_no_code(patch: Patch) -> None:
    patch.setattr(chatkit_board, "CLOSES", {1000: "never"})


def echoes_what_passes(patch: Patch) -> None:
    honest = Board._tell

    def broken(self: Board, frame: Frame, *, but: Connection | None = None) -> None:
        honest(self, frame)

    patch.setattr(Board, "_tell", broken)


def keeps_what_passes(patch: Patch) -> None:
    honest = Board._tell

    def broken(self: Board, frame: Frame, *, but: Connection | None = None) -> None:
        if frame["op"] == "passing":
            self._pin({"channel": frame["channel"], "user": frame["user"], "data": frame["data"]}, "?")
        else:
            honest(self, frame)

    patch.setattr(Board, "_tell", broken)


def tells_everybody_everything(patch: Patch) -> None:
    def broken(self: Board, frame: Frame, *, but: Connection | None = None) -> None:
        for connection in self.connections:
            if connection is not but:
                connection.push({**frame, "attach": connection.attached.get(frame["channel"])})

    patch.setattr(Board, "_tell", broken)


def believes_the_envelope(patch: Patch) -> None:
    def broken(self: BoardSession, frame: Frame) -> Signal:
        found = signal(self, frame)
        if isinstance(found, Received):
            found = found._replace(user=json.loads(found.data)["sender"]["user"], attested="provider")
        return found

    patch.setattr(BoardSession, "_signal", broken)


def speaks_for_anybody(patch: Patch) -> None:
    def broken(self: BoardSession, channel: str, entry: Outgoing) -> Ack | None:
        mine = entry.ident._replace(user=str(self.user))
        return problem(self, channel, entry._replace(ident=mine))

    patch.setattr(BoardSession, "_problem", broken)
    believes_the_envelope(patch)


def dies_of_foreign_bytes(patch: Patch) -> None:
    def broken(self: BoardSession, frame: Frame) -> Signal:
        if "data" in frame:
            json.loads(frame["data"])
        return signal(self, frame)

    patch.setattr(BoardSession, "_signal", broken)


def vouches_for_foreign_bytes(patch: Patch) -> None:
    def broken(self: BoardSession, frame: Frame) -> Signal:
        found = signal(self, frame)
        return found._replace(unforgeable=True) if isinstance(found, Received) else found

    patch.setattr(BoardSession, "_signal", broken)


def makes_up_signs_of_life(patch: Patch) -> None:
    async def broken(self: BoardSession) -> None:
        self._connection.frames.put_nowait({"op": "pong"})

    patch.setattr(BoardSession, "probe", broken)


def detaches_by_halves(patch: Patch) -> None:
    async def broken(self: BoardSession, channel: str) -> None:
        await asyncio.sleep(0)

    patch.setattr(BoardSession, "detach", broken)


def ends_without_a_word(patch: Patch) -> None:
    async def broken(self: BoardSession) -> None:
        await asyncio.sleep(0)

    patch.setattr(BoardSession, "aclose", broken)


def lives_on_after_its_end(patch: Patch) -> None:
    async def broken(self: BoardSession, channel: str, data: bytes) -> None:
        await asyncio.sleep(0)

    patch.setattr(BoardSession, "emit", broken)


def keeps_a_loss_to_itself(patch: Patch) -> None:
    def broken(self: BoardSession, frame: Frame) -> Signal:
        return Alive(0.0) if frame["op"] == "revoked" else signal(self, frame)

    patch.setattr(BoardSession, "_signal", broken)


def comes_back_with_the_old_ticket(patch: Patch) -> None:
    patch.setattr(chatkit_board, "_refusal", lambda closed: False)


def always_asks_for_a_fresh_ticket(patch: Patch) -> None:
    patch.setattr(chatkit_board, "_refusal", lambda closed: True)


def changes_its_mind(patch: Patch) -> None:
    honest = BoardAdapter.open

    async def broken(self: Any) -> BoardSession:
        self.capabilities = replace(self.capabilities, batch=5)
        return await honest(self)

    patch.setattr(BoardAdapter, "open", broken)


def declares_what_cannot_be(patch: Patch) -> None:
    patch.setattr(BoardAdapter, "capabilities", replace(BoardAdapter.capabilities, history=60.0))


def _contract_of(defect: Callable[[Patch], None]) -> type:
    class Broken(AdapterContract):
        @pytest.fixture
        def kit(self, monkeypatch: Patch) -> AdapterKit:
            defect(monkeypatch)
            return BoardKit()

    return Broken


DEFECTS: Final = {
    name: found
    for name, found in tuple(globals().items())
    if callable(found) and getattr(found, "__module__", "") == __name__ and not name.startswith("_")
}
globals().update({f"Test_{name}": _contract_of(defect) for name, defect in DEFECTS.items()})
