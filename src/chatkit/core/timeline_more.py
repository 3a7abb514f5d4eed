"""`More`: what few messages have beside their creation: what a log told, and changes known one by one."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from chatkit.core.timeline_changes import Changes
from chatkit.model.entry import Folded
from chatkit.model.order import OrderKey
from chatkit.model.values import EMPTY


class More:
    """The changes of one message. What a log told is older than all of `changes`."""

    __slots__ = (
        "changes",
        "last_reply",
        "replies",
        "told_changed",
        "told_deleted",
        "told_edit",
        "told_reactions",
        "told_version",
    )

    def __init__(self, changes: Changes, told: Folded | None) -> None:
        self.changes = changes
        self.told_version = told.version if told else 1
        self.told_edit = told.edit if told else None
        self.told_deleted = told is not None and told.deleted
        self.told_changed = told.changed if told else None
        self.told_reactions: Mapping[str, tuple[str, ...]] = told.reactions if told else EMPTY
        self.replies = told.replies if told else 0
        """Replies that the log counted."""
        self.last_reply = told.last_reply if told else None
        """Place of the newest of these."""

    def copy(self) -> More:
        """Return one that is as this one is, and changes by itself."""
        twin = copy(self)
        twin.changes = self.changes.copy()
        return twin

    @property
    def deleted(self) -> bool:
        """The newest of delete and restore is delete (I7)."""
        delete, restore = self.changes.winner("delete"), self.changes.winner("restore")
        if delete is None and restore is None:
            return self.told_deleted
        return delete is not None and (restore is None or delete.key >= restore.key)

    @property
    def edit(self) -> bytes | None:
        """The envelope of the edit that shows, or would if the message were not deleted."""
        update, delete = self.changes.winner("update"), self.changes.winner("delete")
        if update is not None and (delete is None or update.key > delete.key):
            return update.value
        return self.told_edit

    @property
    def version(self) -> int:
        """1 and one for each edit, delete and restore."""
        return self.told_version + self.changes.versions

    @property
    def changed(self) -> OrderKey | None:
        """Place of the newest change, if there is any."""
        return max(filter(None, (self.told_changed, self.changes.last)), default=None)

    def reactions(self) -> dict[str, frozenset[str]]:
        """Return the users who gave each emoji, emojis sorted."""
        found = {emoji: set(users) for emoji, users in self.told_reactions.items()}
        for register in self.changes.fronts:
            if isinstance(register, tuple):
                emoji, user = register
                users = found.setdefault(emoji, set())
                (users.add if self.reacted(register) else users.discard)(user)
        return {emoji: frozenset(found[emoji]) for emoji in sorted(found) if found[emoji]}

    def reacted(self, register: tuple[str, str]) -> bool:
        """Say whether a reaction stands."""
        won = self.changes.winner(register)
        return won.given if won is not None else register[1] in self.told_reactions.get(register[0], ())

    def erased(self) -> bool:
        """Let go of the edit that a delete erased (D26); `True`: it erased the creation's body too."""
        if self.changes.winner("delete") is None:
            return False
        self.told_edit = None
        return True
