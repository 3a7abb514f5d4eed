"""Invitations: who gets a first direct message hears of it on their personal channel (D31)."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from chatkit.errors import ChatkitError
from chatkit.model.directs import INVITATION
from chatkit.model.names import personal
from chatkit.wishes import Wish, draft

if TYPE_CHECKING:
    from chatkit.engine.engine import Engine
    from chatkit.engine.entry import OutboxEntry
    from chatkit.ports import Row

KNOWN: Final = 1_000
"""Invitations remembered; of others the store is asked, which has them by their key."""


class Inviter:
    """Puts an invitation beside the first message to somebody.

    Both are kept in one transaction, so that no crash can come between. The invitation is an entry of the
    outbox like any other, with a key: of the pair and the provider there is one, however often it is wished
    and in whichever life. It has no deadline: the message that it speaks of may be a later one.

    Args:
        engine: Of the client.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._context = engine.context
        self._known: OrderedDict[tuple[str, str], OutboxEntry] = OrderedDict()

    async def accept(self, wish: Wish) -> OutboxEntry:
        """Keep a wish, and what invites whom it is for.

        Raises:
            InvalidMessage, MessageTooLarge, ConfigError: It cannot be sent.
            OutboxFull, StoreError: Nothing was kept.
        """
        acceptor = self._engine.outbox.acceptor
        row = draft(wish, self._engine)
        invitation = self._invitation(row)
        if invitation is None:
            return await acceptor.accept(row)
        entry, invited = await acceptor.accept_together(row, invitation)
        if invitation.due_at is None:
            self._note(row, invited)
        if _failed(invited):
            self._context.tasks.spawn(self._retry(invited), "invite")
        return entry

    def _invitation(self, row: Row) -> Row | None:
        """Return what is to be kept beside a row; `None`: it is no message to another, or they know."""
        guard = self._context.guards.get(row.channel)
        if guard is None or guard.users is None or row.kind != "create":
            return None
        known = self._known.get((row.channel, row.ident.user))
        others = guard.users - {row.ident.user}
        if not others or (known is not None and not _failed(known)):
            return None
        due, key = row.due_at, self._context.origin
        if due is not None and due <= self._context.server_time.now():
            due = None
        if due is not None:  # one that is to wait must not hold up that of a message which is not
            key = f"{key} {due.isoformat()}"
        wish = Wish(kind=INVITATION, user=row.ident.user, channel=personal(min(others)), key=key, send_at=due)
        return draft(wish, self._engine)._replace(expires_at=None)

    def _note(self, row: Row, invited: OutboxEntry) -> None:
        self._known[row.channel, row.ident.user] = invited
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)

    async def _retry(self, invited: OutboxEntry) -> None:
        with suppress(ChatkitError):  # the next message tries again
            await self._engine.outbox.retry(invited)


def _failed(entry: OutboxEntry) -> bool:
    """Whether it has ended, and nobody was invited."""
    return entry.shown.done and entry.shown.value != "sent"
