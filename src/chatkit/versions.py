"""The versions of one message, from what a log keeps of its creation and of each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit.core.timeline import Timeline
from chatkit.engine.reading import Refused, from_log
from chatkit.errors import MessageNotFound
from chatkit.timeline import as_own

if TYPE_CHECKING:
    from chatkit.engine.engine import Engine
    from chatkit.model.message import Message
    from chatkit.model.order import Ident


async def read_versions(engine: Engine, channel: str, ident: Ident, viewer: str) -> tuple[Message, ...]:
    """Return a message as it was at each of its versions, oldest first, as a user sees it.

    Raises:
        MessageNotFound: The log has no such message, or middleware hides it.
        CapabilityError: There is no log, or it keeps raw history alone.
        TransportError: No answer; safe to repeat.
    """
    context = engine.context
    log = context.need_log(channel)
    found = await context.read(lambda: log.versions(channel, ident))
    alone = Timeline(channel, context.user, origin=found.state.log_id, rights=True, keep=1)
    versions: list[Message] = []
    for entry in found.items:
        fact = from_log(context, channel, entry)
        if isinstance(fact, Refused):
            continue
        _ = alone.apply(fact)
        message = alone.get(ident)
        shown = message and await engine.presenter.show(message, fact.envelope.id)
        if shown is not None:
            versions.append(as_own(shown, viewer))
    if not versions:
        raise MessageNotFound("there is no such message", channel=channel, message_id=ident.id)
    return tuple(versions)
