"""What the tests of the command share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatkit.core.continuity import Continuity, Verdict
from chatkit.engine.folding import Folder

if TYPE_CHECKING:
    from chatkit.model.order import Ident


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers that suppress no duplicate: neither by place nor by id (D17, D20)."""
    receive, remember = Continuity.receive, Folder._remember

    def receive_again(self: Continuity, *args: Any) -> Verdict:
        verdict = receive(self, *args)
        return Verdict.NEXT if verdict is Verdict.KNOWN else verdict

    def remember_and_deny(self: Folder, ident: Ident) -> bool:
        _ = remember(self, ident)
        return False

    monkeypatch.setattr(Continuity, "receive", receive_again)
    monkeypatch.setattr(Folder, "_remember", remember_and_deny)
