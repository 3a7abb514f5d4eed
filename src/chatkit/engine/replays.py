"""The replays of one reader: at most one for each channel at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit.engine.replay import Replay

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.context import Context
    from chatkit.engine.presenting import Presenter
    from chatkit.engine.subscription import Subscription
    from chatkit.model.order import Place


class Replays:
    """Starts replays, and ends them with their reader.

    Args:
        context: The client's parts.
        channels: The client's channels.
        presenter: The app's middleware.
        reader: The subscription.
        viewer: Whose events are `own`.
    """

    def __init__(
        self,
        context: Context,
        channels: Mapping[str, ChannelEngine],
        presenter: Presenter,
        reader: Subscription,
        viewer: str,
    ) -> None:
        self._context = context
        self._channels = channels
        self._presenter = presenter
        self._reader = reader
        self._viewer = viewer
        self._tasks: set[asyncio.Task[None]] = set()
        reader.on_close = self._end
        reader.settled = context.adapter.capabilities.contiguous
        if context.log is not None:
            reader.reread = self.again

    def start(self, channel: str, after: Place | None, origin: str | None = None) -> None:
        """Read a channel from a place that the app named; live facts wait for it.

        Args:
            channel: Its name.
            after: The place; `None`: before the oldest entry.
            origin: Who numbered it, as far as the app can say.
        """
        self._reader.track(channel).follows = True
        self._start(channel, after, origin, asked=True)

    def again(self, channel: str) -> bool:
        """The reader missed facts: read on from where it has all.

        Returns:
            `False`: nobody can say where to begin, since the channel was never attached.
        """
        track = self._reader.track(channel)
        if track.replaying:
            return True
        if track.sure is None:
            return False
        self._start(channel, track.sure, None, asked=False)
        return True

    def _start(self, channel: str, after: Place | None, origin: str | None, *, asked: bool) -> None:
        self._reader.track(channel).replaying = True
        replay = Replay(
            self._context,
            self._channels[channel],
            self._presenter,
            self._reader,
            self._viewer,
            origin=origin,
        )
        task = self._context.tasks.task(replay.run(after, asked=asked), f"replay:{channel}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
