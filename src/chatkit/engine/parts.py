"""What the parts of one channel share, and those of each of its threads: one value, made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatkit.core.overlay import Overlay
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_view import ViewFeed
from chatkit.engine.presenting import Masks
from chatkit.engine.progress import Progress
from chatkit.engine.roles import Roles

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.engine.dispatcher import Dispatcher
    from chatkit.engine.presenting import Presenter
    from chatkit.model.order import Ident


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelParts:
    """One channel, or one thread of it, as its parts know it."""

    context: Context
    """The client's parts."""
    name: str
    timeline: Timeline
    """Confirmed messages: where facts are folded and pages go."""
    overlay: Overlay
    """My pending wishes."""
    view: ViewFeed
    """What readers of the timeline are shown."""
    masks: Masks
    """What it shows in place of messages that middleware changed."""
    progress: Progress
    """How far the channel has come."""
    dispatcher: Dispatcher
    """Where events go."""
    presenter: Presenter
    """The app's middleware."""
    roles: Roles
    """Who may do what."""
    thread: Ident | None = None
    """The message whose thread it is; `None`: the channel itself."""


def parts_of(
    context: Context, name: str, *, keep: int, dispatcher: Dispatcher, presenter: Presenter
) -> ChannelParts:
    """Make the parts of a channel.

    Args:
        context: The client's parts.
        name: The app's name of the channel.
        keep: Messages kept in the timeline.
        dispatcher: Where events go.
        presenter: The app's middleware.
    """
    rights = context.log is not None and "fence" in context.log.capabilities
    timeline = Timeline(name, context.user, origin=context.origin, rights=rights, keep=keep)
    overlay = Overlay(context.user)
    view = ViewFeed(timeline, overlay, screen=presenter.screen.message)
    return ChannelParts(
        context=context,
        name=name,
        timeline=timeline,
        overlay=overlay,
        view=view,
        masks=Masks(view, presenter, context.tasks),
        progress=Progress(context, name),
        dispatcher=dispatcher,
        presenter=presenter,
        roles=Roles(context, name),
    )
