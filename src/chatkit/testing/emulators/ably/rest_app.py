"""REST calls about the application: time, stats, tokens, batches, channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.history import Query, page
from chatkit.testing.emulators.ably.names import parse_name
from chatkit.testing.emulators.ably.plain import is_list, is_object
from chatkit.testing.emulators.ably.rest import Answer, Call
from chatkit.testing.emulators.ably.wire import Wire

MARGIN: Final = 30_000
"""Milliseconds that `allowReauthMargin` gives before a revocation applies."""
MOST: Final = 100
"""Channels, and targets, of one batch."""


async def time(call: Call) -> Answer:
    """`GET /time`."""
    return Answer(body=[call.app.now()])


async def stats(call: Call) -> Answer:
    """`GET /stats`."""
    if not call.access.capability.anywhere("stats"):
        raise AblyError(40160, "operation stats is not permitted")
    return call.paged(call.app.stats.page(call.query, call.access.key.app))


async def request_token(call: Call) -> Answer:
    """`POST /keys/{key}/requestToken`."""
    request = call.items()[0]
    name = call.request.match_info["key"]
    access = None if request.get("mac") else call.access
    return Answer(body=call.app.authority.issue(name, request, access), status=201)


async def revoke_tokens(call: Call) -> Answer:
    """`POST /keys/{key}/revokeTokens`."""
    app, access, body = call.app, call.access, call.items()[0]
    if not access.basic:
        raise AblyError(40162)
    if access.key.name != call.request.match_info["key"]:
        raise AblyError(40133)
    if not app.settings.revocable:
        raise AblyError(40163)
    targets = body.get("targets")
    if not is_list(targets) or not 0 < len(targets) <= MOST:
        raise AblyError(40003, f"there are 1 to {MOST} targets")
    now = app.now()
    before = body.get("issuedBefore") or now
    if not isinstance(before, int) or before > now:
        raise AblyError(40003, "issuedBefore is a time that has passed")
    applies = now + (MARGIN if body.get("allowReauthMargin") else 0)

    def revoke(target: str) -> Wire:
        # A token issued in this very millisecond is meant too.
        app.authority.revoke(access.key, target, before + 1, applies)
        return {"issuedBefore": before, "appliesAt": applies}

    answer = batch("target", [str(target) for target in targets], revoke, status=201)
    app.clock.call_later((applies - now) / 1000, app.revoke_now)
    return answer


async def batch_publish(call: Call) -> Answer:
    """`POST /messages`."""
    results = [_published(call, each) for each in call.items()]
    return Answer(body=results if isinstance(call.body, list) else results[0], status=201)


def _published(call: Call, spec: Wire) -> Wire:
    channels, messages = spec.get("channels"), spec.get("messages")
    channels = [channels] if isinstance(channels, str) else channels
    messages = [messages] if is_object(messages) else messages
    if not is_list(channels) or not channels or not is_list(messages) or not all(map(is_object, messages)):
        raise AblyError(40003, "a batch has channels, and messages")
    _demand_few(channels)

    def publish(name: str) -> Wire:
        origin = call.origin()
        channel = call.app.channel(parse_name(name).base)
        serials = call.app.publish(channel, [dict(message) for message in messages], origin)
        return {"messageId": messages[0].get("id") or f"{origin.base}:0", "serials": serials}

    body: Wire = batch("channel", [str(name) for name in channels], publish).body
    return body


def _demand_few(channels: list[Any]) -> None:
    if len(channels) > MOST:
        raise AblyError(90010, f"at most {MOST} channels are permitted in a batch")


async def batch_presence(call: Call) -> Answer:
    """`GET /presence?channels=A,B`."""
    names = [name for name in call.query.get("channels", "").split(",") if name]
    if not names:
        raise AblyError(40003, "a batch has channels")
    _demand_few(names)
    access = call.access

    def members(name: str) -> Wire:
        base = parse_name(name).base
        access.demand("subscribe", base)
        return {"presence": call.app.channel(base).presence.present()}

    return batch("channel", names, members)


async def channels(call: Call) -> Answer:
    """`GET /channels`."""
    if not call.access.capability.anywhere("channel-metadata"):
        raise AblyError(40160, "operation channel-metadata is not permitted")
    prefix = call.query.get("prefix", "")
    active = sorted(
        name for name, channel in call.app.channels.items() if channel.attachments and name.startswith(prefix)
    )
    cut = page(active, Query.parse(call.query, order="forwards"), mark=lambda name: name, time=lambda _: 0)
    return call.paged(cut)


def batch(kind: str, names: list[str], act: Callable[[str], dict[str, Any]], *, status: int = 200) -> Answer:
    """Do something for each name; one that is refused does not fail the others (RSC22, RSC24, RSA17)."""
    results: list[Wire] = []
    for name in names:
        try:
            results.append({kind: name, **act(name)})
        except AblyError as error:
            results.append({kind: name, "error": error.wire()})
    failed = sum("error" in result for result in results)
    body = {"successCount": len(results) - failed, "failureCount": failed, "results": results}
    return Answer(body=body, status=status)
