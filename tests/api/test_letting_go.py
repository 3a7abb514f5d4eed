"""A client that is closed is gone: nothing of the process keeps it, whoever observed it (I12)."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import chatkit

if TYPE_CHECKING:
    from pathlib import Path


class Holder:
    """An observer that knows the client which it observes."""

    chat: chatkit.Chat

    def point(self, name: str, /, **fields: Any) -> None:
        """Take no note."""


@pytest.mark.realtime
@pytest.mark.parametrize("store", [":memory:", "ada.db", "outbox/"])
@pytest.mark.parametrize("log", [None, "shop.db"])
async def test_a_closed_client_is_collected(tmp_path: Path, store: str, log: str | None) -> None:
    """Stores and logs see to their files at the end, and hold no client for it."""
    holder = Holder()
    chat = chatkit.connect(
        "memory://letting-go",
        user="ada",
        store=store if store == ":memory:" else f"{tmp_path}/{store}",
        log=None if log is None else f"sqlite:///{tmp_path}/{log}",
        observer=holder,
    )
    holder.chat = chat
    async with chat:
        _ = await (await chat.channel("support").send("Hello")).wait(timeout=10)
    gone = weakref.ref(chat)

    del chat, holder
    gc.collect()

    assert gone() is None
