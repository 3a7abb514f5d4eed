"""What readers of one channel are told, and in which order (D15, D21)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from chatkit.core.release import Release
from chatkit.engine.beginning import Beginning
from chatkit.engine.news import News, can_fetch, event_of, fetched, news_of
from chatkit.engine.presenting import message_in
from chatkit.engine.track import Told
from chatkit.errors import ChatkitError
from chatkit.model.events import CustomEvent, Discontinuity, ForeignFrame, MessageCreated, MessageEvent
from chatkit.model.ids import new_message_id
from chatkit.model.message import Sender
from chatkit.model.values import EMPTY, packed

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.core.timeline_applied import Applied
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.reading import Passing
    from chatkit.engine.subscription import Subscription
    from chatkit.model.events import Event
    from chatkit.model.message import Message
    from chatkit.model.order import Ident, OrderKey


FETCHED: Final = 100
"""Most messages remembered as the log had them."""
_CHANGED: Final = frozenset({"updated", "deleted", "restored"})


class _Pending(NamedTuple):
    """A fact folded and not yet told."""

    news: News
    wanted: bool
    """Readers are to hear of it; otherwise middleware alone sees it, for the view's sake."""
    turn: int | None
    """Which version of its message this is, where the view waits for middleware."""


class Teller:
    """Hands folded facts to readers, in order, through the app's middleware.

    Args:
        parts: Of the channel.
    """

    def __init__(self, parts: ChannelParts) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._progress = parts.progress
        self._view = parts.view
        self._masks = parts.masks
        self._dispatcher = parts.dispatcher
        self._presenter = parts.presenter
        self._release: Release[_Pending] = Release()
        self._fetched: OrderedDict[Ident, Message] = OrderedDict()
        """Messages that were told as the log had them, ahead of changes that are still to be told."""
        self.told: OrderKey | None = None
        """The highest place handed to readers."""
        self._sure: OrderKey | None = None
        """All that readers are told up to here was handed to them."""
        self.beginning = Beginning()
        self.holding = False
        """What was missed comes first: nothing beyond the mark is told meanwhile (D19)."""

    @property
    def has_begun(self) -> bool:
        """Whether readers were told anything, or that there is nothing to tell yet."""
        return self.beginning.settled.is_set() or self.told is not None

    def resume_after(self) -> OrderKey | None:
        """Return up to where everything is applied; called when the provider is asked for the channel."""
        self.beginning.ask(self.told)
        return self._progress.complete

    def begin(self, start: OrderKey | None) -> OrderKey | None:
        """Take note of where the provider says that live begins; returns from where on facts are news."""
        beginning = self.beginning
        missing = beginning.settle(start, self._progress.complete)
        if missing is not None:
            self.gap("reconnected", *missing)
        self._release.revise(self._if_news)
        # The first of my own is to be told itself: nobody has it yet, and no place below it is known.
        self._sure = None if beginning.with_own else start
        self._dispatcher.begin(self._channel, self._sure, self._progress.cursor(self._sure))
        return beginning.after

    def _if_news(self, key: OrderKey, pending: _Pending) -> _Pending:
        """Return what came before live began: it is no news where live begins beyond it."""
        return pending if self.beginning.is_news(key) else pending._replace(wanted=False)

    @property
    def filtered(self) -> bool:
        """Whether middleware sees what is told."""
        return self._presenter.active

    def register(self, reader: Subscription) -> None:
        """Take note of a reader that hears what is told from now on."""
        reader.track(self._channel).begin(self._sure, self._progress.cursor(self._sure))

    # -- facts ------------------------------------------------------------------------------------------

    def before(self, target: Ident) -> Message | None:
        """Return what the view shows of a message before a fact is folded that middleware must see first."""
        return self._view.get(target) if self._presenter.active else None

    def take(
        self, applied: Applied, cause: Fact | None, before: Message | None = None, *, wanted: bool = True
    ) -> None:
        """Queue what there is to tell of a fact that was just folded.

        Args:
            applied: What the fold made of it.
            cause: The fact that was folded, which may have released others.
            before: What the view showed of its message till now.
            wanted: Whether readers are to hear of it at all.
        """
        if applied.outcome == "created" and applied.fact is cause:  # as most
            news: News | None = packed(News, (applied.fact, applied.message, None, applied.fact.ident))
        else:
            news = news_of(applied, cause, fetches=can_fetch(self._context))
        if news is None:
            if not self.filtered:
                return
            # Told before, without its message: the view shows it now, and middleware must have seen that.
            news, wanted = News(applied.fact, applied.message, applied.previous, applied.target), False
        key = news.fact.key
        wanted &= self.beginning.is_news(key)
        if applied.message is not None and applied.outcome in _CHANGED:
            # It came after some that follow it, which were to be told as if it had not been (I7).
            self._release.revise(partial(_as_now, key, applied.message))
        frozen = self.freeze(applied, before)
        if wanted or frozen:
            pending = packed(_Pending, (news, wanted, self._masks.turn(news.target)))
            self._release.add(key, pending, self._context.clock.monotonic())

    def freeze(self, applied: Applied, before: Message | None) -> bool:
        """Show a message as it was until middleware has seen what became of it; returns whether it must."""
        if not self._presenter.active:
            return False
        if applied.message is not None and applied.outcome in {"created", *_CHANGED}:
            self._masks.freeze(applied.target, before)
            return True
        return False

    def wait(self, now: float) -> float | None:
        """Return the seconds until something is to be told at the latest, or `None`."""
        return None if self.holding else self._release.wait(now)

    async def release(self) -> None:
        """Tell, in order, what need not wait for anything below it (D21)."""
        now = self._context.clock.monotonic()
        if self.holding:
            await self._tell_to(self._progress.complete, float("-inf"))
        else:
            await self._tell_to(
                self._progress.complete if self._progress.continuity.contiguous else None, now
            )

    async def finish(self) -> None:
        """Tell what waits, before places mean something else (D18)."""
        await self._tell_to(None, self._context.clock.monotonic())

    def restart(self, head: OrderKey) -> None:
        """Begin anew behind the head of the log that numbers the channel now (D18)."""
        self._release = Release()
        self._fetched.clear()
        self.told, self._sure = None, head
        self.beginning.restart(head)
        self._dispatcher.forget(self._channel, head, self._progress.cursor(head))

    async def _tell_to(self, complete: OrderKey | None, now: float) -> None:
        filtered = self.filtered
        due = self._release.due(complete, now)
        last = sum(late for _, late in due)  # the late ones stand below all others
        for number, (pending, late) in enumerate(due, 1):
            news = pending.news
            if pending.wanted and news.message is None:
                news = await self._with_message(news)
            elif (ahead := self._fetched.get(news.target)) is not None:
                news = _not_older(news, ahead)
            # Below what was told, others may be still to be told: no place beyond this one has all (D17).
            behind = self.told if late and number >= last else None
            at = self._place(news.fact.key if behind is None else behind)
            event = event_of(news, self._context.user, self._progress.cursor(at))
            if event is None:
                continue
            shown = await self._filter(pending, event) if filtered else event
            if pending.wanted:
                self._hand_on(news.fact, shown, at, late=late)

    async def _filter(self, pending: _Pending, event: Event) -> Event | None:
        """Return an event as middleware lets readers have it, and show its message so from now on."""
        news = pending.news
        shown = await self._presenter.present(event)
        if news.message is not None and isinstance(event, MessageEvent):
            self._masks.settle(news.target, event.message, message_in(shown), pending.turn)
        return shown

    def _hand_on(self, fact: Fact, event: Event | None, at: OrderKey | None, *, late: bool) -> None:
        if not late:
            self.told = fact.key
        elif isinstance(event, MessageCreated):
            event = replace(event, late=True)
        if at is not None and (self._sure is None or at > self._sure):
            self._sure = at
        if event is not None:
            self._dispatcher.tell_fact(self._channel, packed(Told, (event, fact.ident, fact.key, at)))

    def _place(self, key: OrderKey) -> OrderKey | None:
        """Return the place to come back to after a fact: never beyond what may be missing (D17)."""
        if self._context.log is None:
            return None
        complete = self._progress.complete
        return key if complete is None else min(key, complete)

    async def _with_message(self, news: News) -> News:
        """Return news with its message, from the log where it is not loaded and somebody asks for it."""
        if not news.needs_message or not self._dispatcher.hears(self._channel, news.kind):
            return news
        try:
            news = await fetched(self._context, news, self._context.user)
        except ChatkitError as error:
            self._context.observer.point("channel.fetch_failed", error=type(error).__name__)
            self.gap("unread", self._sure, news.fact.key)
            return news
        if news.message is not None:
            self._fetched[news.target] = news.message
            if len(self._fetched) > FETCHED:
                _ = self._fetched.popitem(last=False)
        return news

    # -- gaps and what is no fact -----------------------------------------------------------------------

    def announce(
        self,
        reason: str,
        after: OrderKey | None = None,
        until: OrderKey | None = None,
        *,
        certain: bool = True,
    ) -> None:
        """Tell readers that messages may be missing (I6)."""
        self._dispatcher.tell(self._discontinuity(reason, after, until, certain=certain))

    def gap(self, reason: str, after: OrderKey | None, until: OrderKey | None) -> None:
        """Tell readers of a range they are not told; those that came from the log read it there (D19)."""
        self._dispatcher.tell_gap(
            self._discontinuity(reason, after, until, certain=True), self._channel, until
        )

    def custom(self, passing: Passing) -> None:
        """Hand on an ephemeral event of the app's own."""
        envelope = passing.envelope
        data = (envelope.body or EMPTY).get("data")
        self._dispatcher.tell(
            CustomEvent(
                event_id=envelope.id,
                channel=self._channel,
                at=self._context.server_time.now(),
                own=passing.user == self._context.user,
                name=envelope.kind[2:],
                data=cast("dict[str, Any]", data) if isinstance(data, dict) else EMPTY,
                sender=Sender(user=passing.user, device=envelope.sender.device),
            ),
            thread=envelope.root,
        )

    def foreign(self, name: str | None, data: object, reason: str, id: str | None = None) -> None:
        """Count a frame that is not believed, and hand it to readers that ask for such.

        Its event has the same id each time it comes, where the provider names it: what an app does under that
        key is done once.
        """
        self._context.counters[f"foreign:{reason}"] += 1
        self._dispatcher.tell(
            ForeignFrame(
                event_id=self._new_id() if id is None else f"{self._channel}/foreign/{id}",
                channel=self._channel,
                at=self._context.server_time.now(),
                name=name,
                data=data,
                reason=reason,
            )
        )

    def _discontinuity(
        self, reason: str, after: OrderKey | None, until: OrderKey | None, *, certain: bool
    ) -> Discontinuity:
        return Discontinuity(
            event_id=self._new_id(),
            channel=self._channel,
            at=self._context.server_time.now(),
            reason=reason,
            after=self._progress.cursor(after),
            until=self._progress.cursor(until),
            certain=certain,
        )

    def _new_id(self) -> str:
        return new_message_id(self._context.server_time.now_ms(), self._context.random)


def _as_now(changed: OrderKey, message: Message, key: OrderKey, pending: _Pending) -> _Pending:
    """Return what is to be told above a change with its message as it is by now."""
    if key <= changed or pending.news.target != message.ident:
        return pending
    return pending._replace(news=_not_older(pending.news, message))


def _not_older(news: News, told: Message) -> News:
    """Return news with a message that is no older than one that was told."""
    older = news.message is not None and news.message.version < told.version
    return news._replace(message=told) if older else news
