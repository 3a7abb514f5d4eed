"""What moderators let be shown and told: asked at once, for state is drawn and told without waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from chatkit.engine.system import logger
from chatkit.model.events import (
    CustomEvent,
    DirectOpened,
    Event,
    MessageEvent,
    MessageUpdated,
    PresenceChanged,
    ReactionChanged,
    ReceiptAdvanced,
)

if TYPE_CHECKING:
    from chatkit.model.message import Message
    from chatkit.ports import Moderator


class Screen:
    """Asks the app's moderators about users and channels.

    What is hidden or silent is folded, counted by marks and given its place all the same: only what is shown,
    told and counted as unread is another. The client's own user is never hidden and never silent.

    Args:
        moderators: The app's; may grow.
        viewer: The user of the client.
    """

    def __init__(self, moderators: Sequence[Moderator], viewer: str) -> None:
        self.moderators: Final = moderators
        self._viewer = viewer
        self._broken: set[int] = set()

    @property
    def active(self) -> bool:
        """Whether anything is hidden or silent now."""
        return bool(self.moderators) and self._any(lambda moderator: moderator.active)

    def hides(self, user: str) -> bool:
        """Whether nothing of a user is to be shown or told."""
        return user != self._viewer and self._any(lambda moderator: moderator.hides(user))

    def hidden(self, users: frozenset[str]) -> frozenset[str]:
        """Return those of some users of whom nothing is to be shown or told."""
        return frozenset(user for user in users if self.hides(user)) if self.active else frozenset()

    def counts(self, channel: str, user: str, *, mentioned: bool) -> bool:
        """Whether a message of somebody else counts as unread.

        Args:
            channel: Where it is.
            user: Who wrote it.
            mentioned: Its reader is mentioned by name.
        """
        return not (self.hides(user) or self._silences(channel, user, mentioned=mentioned))

    def message(self, message: Message) -> Message | None:
        """Return a message as it is to be shown; `None`: not at all."""
        if not self.active:
            return message
        if self.hides(message.sender.user):
            return None
        found = self._reactions(message.reactions)
        return message if found is None else replace(message, reactions=found)

    def event(self, event: Event) -> Event | None:
        """Return an event as readers are to get it; `None`: not at all."""
        if not self.active:
            return event
        user = _author(event)
        if user is None or user == self._viewer:
            return self._shown(event) if isinstance(event, MessageEvent) else event
        if self.hides(user):
            return None
        if isinstance(event, MessageEvent):
            event = self._shown(event)
        if isinstance(event, MessageEvent | ReactionChanged) and event.channel is not None:
            mentioned = isinstance(event, MessageEvent) and self._viewer in event.message.mentions
            if self._silences(event.channel, user, mentioned=mentioned):
                return replace(event, silent=True)
        return event

    def _shown(self, event: MessageEvent) -> MessageEvent:
        """Return an event without the reactions of those that are hidden."""
        changes: dict[str, Any] = {}
        before = event.previous if isinstance(event, MessageUpdated) else None
        for name, message in (("message", event.message), ("previous", before)):
            found = None if message is None else self._reactions(message.reactions)
            if message is not None and found is not None:
                changes[name] = replace(message, reactions=found)
        return replace(event, **changes) if changes else event

    def _reactions(self, reactions: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]] | None:
        """Return reactions without those of hidden users; `None`: there are none such."""
        hidden = self.hidden(frozenset[str]().union(*reactions.values()))
        if not hidden:
            return None
        left = {emoji: users - hidden for emoji, users in reactions.items()}
        return MappingProxyType({emoji: users for emoji, users in left.items() if users})

    def _silences(self, channel: str, user: str, *, mentioned: bool) -> bool:
        return self._any(lambda moderator: moderator.silences(channel, user, mentioned=mentioned))

    def _any(self, ask: Callable[[Moderator], bool]) -> bool:
        for moderator in self.moderators:
            try:
                if ask(moderator):
                    return True
            except Exception as error:  # noqa: BLE001  # the app's code may raise anything (I13)
                self._failed(moderator, error)
        return False

    def _failed(self, moderator: Moderator, error: Exception) -> None:
        """Say once that a moderator breaks; it is asked for each message, and hides nothing where it does."""
        if id(moderator) not in self._broken:
            self._broken.add(id(moderator))
            logger.error("moderator %s raised %s", type(moderator).__qualname__, type(error).__name__)


def _author(event: Event) -> str | None:
    """Return whose doing an event tells; of a message its author's, whoever changed it."""
    match event:
        case MessageEvent():
            return event.message.sender.user
        case CustomEvent():
            return event.sender.user
        case PresenceChanged():
            return event.member.user
        case ReactionChanged() | ReceiptAdvanced() | DirectOpened():
            return event.user
        case _:
            return None
