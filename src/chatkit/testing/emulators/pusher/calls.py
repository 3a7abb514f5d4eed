"""The HTTP API: signed calls of the app's server."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.pusher import frames, names, signing
from chatkit.testing.emulators.pusher.channels import Channel, Channels
from chatkit.testing.emulators.pusher.settings import PusherSettings
from chatkit.testing.emulators.pusher.users import Users

Answer = dict[str, Any]


class Failed(Exception):
    """A call is answered with an error: a plain text, as on the hosted service.

    Args:
        status: Of HTTP.
        text: What is wrong.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Event:
    """What a call publishes, checked."""

    name: str
    data: str
    channels: tuple[str, ...]
    but: str | None
    info: tuple[str, ...]


class Calls:
    """Answers calls.

    Args:
        settings: Those that hold at the moment.
        clock: Its time of day judges time stamps.
        channels: Of the app.
        users: Of the app.
    """

    def __init__(
        self, settings: Callable[[], PusherSettings], clock: EmulatorClock, channels: Channels, users: Users
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._channels = channels
        self._users = users

    def routes(self) -> list[web.RouteDef]:
        """All there are."""
        app = "/apps/{app_id}"
        return [
            web.post(f"{app}/events", self._answering(self._event)),
            web.post(f"{app}/batch_events", self._answering(self._batch)),
            web.get(f"{app}/channels", self._answering(self._all_channels)),
            web.get(app + "/channels/{name}", self._answering(self._one_channel)),
            web.get(app + "/channels/{name}/users", self._answering(self._present)),
            web.post(app + "/users/{user_id}/terminate_connections", self._answering(self._terminate)),
        ]

    def _answering(
        self, answer: Callable[[web.Request, bytes], Answer]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answering(request: web.Request) -> web.Response:
            body = await request.read()
            try:
                self._check(request, body)
                return web.json_response(answer(request, body), dumps=frames.dumps)
            except Failed as failure:
                return web.Response(status=failure.status, text=failure.text + "\n")

        return answering

    # -- who calls

    def _check(self, request: web.Request, body: bytes) -> None:
        settings = self._settings()
        query = {name.lower(): value for name, value in request.query.items()}
        if request.match_info["app_id"] != settings.app_id:
            raise Failed(404, f"Unknown app {request.match_info['app_id']}")
        if query.get("auth_key") != settings.key:
            raise Failed(401, "Unknown auth_key")
        if query.get("auth_version") != "1.0":
            raise Failed(401, "Unsupported auth_version: should be 1.0")
        self._check_time(query.get("auth_timestamp", ""))
        if (body or "body_md5" in query) and query.get("body_md5") != hashlib.md5(body).hexdigest():  # noqa: S324
            raise Failed(401, "Invalid body_md5: not that of the body")
        text = signing.call_text(request.method, request.path, request.query.items())
        signature = query.get("auth_signature", "")
        if not signing.same(signature, signing.digest(settings.secret, text)):
            shown = text.replace("\n", "\\n")
            raise Failed(
                401,
                f'Invalid signature: you should have sent HmacSHA256Hex("{shown}", your_secret_key), '
                f'but you sent "{signature}"',
            )
        if not settings.enabled:
            raise Failed(403, "The app is disabled")
        if settings.over_quota:
            raise Failed(403, "The app is over its message quota")

    def _check_time(self, stamp: str) -> None:
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
            raise Failed(401, "Invalid auth_timestamp: whole seconds since 1970")
        window, now = self._settings().clock_window, self._clock.unix()
        if abs(now - int(stamp)) > window:
            raise Failed(
                401,
                f"Timestamp expired: Given timestamp ({_iso(int(stamp))}) "
                f"not within {window:g}s of server time ({_iso(now)})",
            )

    # -- events

    def _event(self, _: web.Request, body: bytes) -> Answer:
        told = _object(body)
        event = self._read_event(told, told.get("channels", [told.get("channel")]))
        self._publish(event)
        if not event.info:
            return {}
        return {"channels": {name: self._counted(name, event.info) for name in event.channels}}

    def _batch(self, _: web.Request, body: bytes) -> Answer:
        batch = frames.as_list(_object(body).get("batch"))
        if not batch:
            raise Failed(400, "batch is a list of events")
        if len(batch) > self._settings().batch_events:
            raise Failed(400, f"Batch too large ({len(batch)} > {self._settings().batch_events})")
        events: list[Event] = []
        for each in batch:
            told = frames.as_object(each)
            if told is None:
                raise Failed(400, "batch is a list of events")
            events.append(self._read_event(told, [told.get("channel")]))
        for event in events:
            self._publish(event)
        if not any(event.info for event in events):
            return {}
        return {"batch": [self._counted(event.channels[0], event.info) for event in events]}

    def _read_event(self, told: dict[str, Any], channels: Any) -> Event:
        settings = self._settings()
        name, data, but = told.get("name"), told.get("data"), told.get("socket_id")
        if not isinstance(name, str) or not 0 < len(name) <= settings.event_name_length:
            raise Failed(400, f"name is a text of 1 to {settings.event_name_length} characters")
        if name.startswith(names.RESERVED):
            raise Failed(400, f"Invalid event name '{name}': pusher: and pusher_internal: are reserved")
        if not isinstance(data, str):
            raise Failed(400, "data is a text")
        if len(data.encode("utf-8", "surrogatepass")) > settings.event_bytes:
            raise Failed(
                413,
                "The data content of this event exceeds the allowed maximum "
                f"({settings.event_bytes} bytes). See https://pusher.com/docs/server_api_guide for more info",
            )
        if but is not None and not (isinstance(but, str) and names.SOCKET_ID.fullmatch(but)):
            raise Failed(400, f"Invalid socket_id {but!r}")
        return Event(name, data, self._read_channels(channels), but, _info(told.get("info")))

    def _read_channels(self, given: Any) -> tuple[str, ...]:
        settings, channels = self._settings(), frames.as_list(given)
        if not channels:
            raise Failed(400, "channels is a list of names")
        if len(channels) > settings.channels_per_event:
            raise Failed(400, f"Too many channels ({len(channels)} > {settings.channels_per_event})")
        for name in channels:
            known = isinstance(name, str) and (
                names.is_channel(name, settings.channel_name_length) or names.user_of(name) is not None
            )
            if not known:
                raise Failed(400, f"Invalid channel name {name!r}")
        if len(channels) > 1 and any(names.is_encrypted(name) for name in channels):
            raise Failed(400, "An event for an encrypted channel is for that channel alone")
        return tuple(dict.fromkeys(channels))

    def _publish(self, event: Event) -> None:
        for name in event.channels:
            self._channels.publish(name, event.name, event.data, but=event.but)

    # -- questions

    def _all_channels(self, request: web.Request, _: bytes) -> Answer:
        prefix, wanted = request.query.get("filter_by_prefix", ""), _info(request.query.get("info"))
        if "user_count" in wanted and not names.is_presence(prefix):
            raise Failed(400, "user_count is only of presence channels: filter_by_prefix=presence-")
        if set(wanted) - {"user_count"}:
            raise Failed(400, f"Unknown info: {', '.join(wanted)}")
        found = [channel.name for channel in self._channels if channel.name.startswith(prefix)]
        return {"channels": {name: self._counted(name, wanted) for name in found}}

    def _one_channel(self, request: web.Request, _: bytes) -> Answer:
        channel, wanted = self._asked(request), _info(request.query.get("info"))
        told: Answer = {"occupied": bool(channel.subscribers)} | self._counted(channel.name, wanted)
        if "cache" in wanted and names.is_cache(channel.name):
            kept = self._channels.cached(channel.name)
            told["cache"] = kept and {"data": kept.data, "ttl": self._channels.remaining(kept)}
        if missing := [each for each in wanted if each not in told]:
            raise Failed(400, f"{channel.name} has no {', '.join(missing)}")
        return told

    def _present(self, request: web.Request, _: bytes) -> Answer:
        channel = self._asked(request)
        if not names.is_presence(channel.name):
            raise Failed(400, "Users can only be retrieved for presence channels")
        return {"users": [{"id": user_id} for user_id in channel.users()]}

    def _terminate(self, request: web.Request, _: bytes) -> Answer:
        self._users.terminate(request.match_info["user_id"])
        return {}

    # -- within

    def _asked(self, request: web.Request) -> Channel:
        name = request.match_info["name"]
        if not names.is_channel(name, self._settings().channel_name_length):
            raise Failed(400, f"Invalid channel name {name!r}")
        return self._channels.get(name)

    def _counted(self, name: str, wanted: tuple[str, ...]) -> Answer:
        """Those of the wanted counts that the channel has."""
        channel, told = self._channels.get(name), Answer()
        if "user_count" in wanted and names.is_presence(name):
            told["user_count"] = len(channel.users())
        if (
            "subscription_count" in wanted
            and self._settings().subscription_counts
            and not names.is_presence(name)
        ):
            told["subscription_count"] = len(channel.subscribers)
        return told


def _object(body: bytes) -> dict[str, Any]:
    told = frames.parse(body)
    if told is None:
        raise Failed(400, "The body is a JSON object")
    return told


def _info(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, str):
        raise Failed(400, "info is a text: names joined by commas")
    return tuple(name for name in given.split(",") if name)


def _iso(unix: float) -> str:
    return datetime.fromtimestamp(int(unix), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
