"""One client's connection: protocol 7 from its first frame to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatkit.testing.emulators.clock import EmulatorClock, Timer
from chatkit.testing.emulators.pace import Bucket
from chatkit.testing.emulators.pusher import authority, frames, names
from chatkit.testing.emulators.pusher.authority import Refused
from chatkit.testing.emulators.pusher.channels import Channels
from chatkit.testing.emulators.pusher.settings import PusherSettings
from chatkit.testing.emulators.pusher.users import User, Users
from chatkit.testing.emulators.pusher.webhooks import Webhooks
from chatkit.testing.emulators.sockets import Socket


class Connection:
    """Speaks with one client.

    Args:
        socket: Its frames.
        socket_id: New for each connection.
        settings: Those that hold at the moment.
        clock: Its time.
        channels: Of the app.
        users: Of the app.
        webhooks: Of the app.
    """

    def __init__(
        self,
        socket: Socket,
        socket_id: str,
        *,
        settings: Callable[[], PusherSettings],
        clock: EmulatorClock,
        channels: Channels,
        users: Users,
        webhooks: Webhooks,
    ) -> None:
        self.socket_id = socket_id
        self.user: User | None = None
        self.subscribed: set[str] = set()
        self._socket = socket
        self._settings = settings
        self._clock = clock
        self._channels = channels
        self._users = users
        self._webhooks = webhooks
        self._bucket = Bucket(clock.monotonic)
        self._check: Timer | None = None
        self._to_authorize: Timer | None = None

    @property
    def authorized(self) -> bool:
        """Whether anybody vouched for it: it signed in, or is in a private or presence channel."""
        return self.user is not None or any(names.is_authorized(name) for name in self.subscribed)

    async def serve(self) -> None:
        """Greet, answer, and leave everything at the end."""
        settings = self._settings()
        greeting = {"socket_id": self.socket_id, "activity_timeout": settings.activity_timeout}
        self.send(frames.system("pusher:connection_established", greeting))
        if settings.authorized_connections:
            self._to_authorize = self._clock.call_later(settings.authorize_within, self._judge_authorized)
        self._listen()
        try:
            async for frame in self._socket.frames():
                self._hear(frame)
        finally:
            self._leave_all()

    def send(self, frame: str) -> None:
        """Pass a frame on to the client."""
        self._socket.send(frame)

    def close(self, code: int, reason: str) -> None:
        """End it: others see it gone at once."""
        self._socket.close(code, reason)
        self._leave_all()

    # -- what the client says

    def _hear(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.close(1003, "Binary frames are not supported")
            return
        try:
            self._obey(frame)
        except Refused as refusal:
            self.send(frames.error(refusal.message, refusal.code))

    def _obey(self, frame: str) -> None:
        told = frames.parse(frame) or {}
        event, data = told.get("event"), told.get("data")
        if not isinstance(event, str):
            raise Refused("Invalid message: a JSON object with an event")
        if event == "pusher:ping":
            self.send(frames.system("pusher:pong", {}))
        elif event == "pusher:subscribe":
            self._subscribe(_fields(data))
        elif event == "pusher:unsubscribe":
            self._unsubscribe(str(_fields(data).get("channel")))
        elif event == "pusher:signin":
            self._sign_in(_fields(data))
        elif event != "pusher:pong":
            self._client_event(event, told.get("channel"), data)

    def _subscribe(self, data: dict[str, Any]) -> None:
        name = data.get("channel")
        if not isinstance(name, str):
            raise Refused("Invalid channel name: a text")
        if name in self.subscribed:
            raise Refused(f"Existing subscription to channel {name}")
        channel = self._channels.get(name)
        member = authority.admit(self._settings(), channel, self.socket_id, self.user, data)
        self.subscribed.add(name)
        self._channels.join(name, self, member)

    def _unsubscribe(self, name: str) -> None:
        self.subscribed.discard(name)
        self._channels.leave(name, self)

    def _sign_in(self, data: dict[str, Any]) -> None:
        user, cut = authority.sign_in(self._settings(), self.socket_id, data)
        if self.user is not None and self.user.id != user.id:
            raise Refused(f"The connection is signed in as {self.user.id} already")
        self.user = user
        self._users.enter(self, user)
        self.send(frames.system("pusher:signin_success", {"user_data": user.data}))
        if cut:
            limit = self._settings().watched
            message = f"Watchlist limit exceeded. Only the first {limit} user IDs are accepted."
            self.send(frames.error(message, 4302))
        self._users.watch(self, user)

    def _client_event(self, event: str, name: object, data: Any) -> None:
        settings = self._settings()
        if not event.startswith("client-"):
            raise Refused(f"Invalid event {event}: client events must be prefixed by client-")
        if not settings.client_events:
            raise Refused("To send client events, you must enable this feature in the Settings page")
        if not isinstance(name, str) or not names.is_authorized(name):
            raise Refused("Client event rejected - only supported on private and presence channels")
        if name not in self.subscribed:
            raise Refused("The client is not a member of the specified channel.")
        if len(event) > settings.event_name_length:
            raise Refused(f"Client event rejected - name over {settings.event_name_length} characters")
        size = len((data if isinstance(data, str) else frames.dumps(data)).encode("utf-8", "surrogatepass"))
        if size > settings.event_bytes:
            raise Refused(f"Client event rejected - data over {settings.event_bytes} bytes")
        if not self._bucket.take(1, self._settings().client_event_rate):
            raise Refused("Client event rejected due to rate limit", 4301)
        channel = self._channels.get(name)
        member = channel.subscribers[self]
        user_id = None if member is None else member.user_id
        channel.send(frames.event(event, data, channel=name, user_id=user_id), but=self.socket_id)
        self._webhooks.tell(
            "client_event",
            channel=name,
            event=event,
            data=data if isinstance(data, str) else frames.dumps(data),
            socket_id=self.socket_id,
            user_id=user_id,
        )

    # -- time

    def _listen(self) -> None:
        """Ask for a sign of life when there has been none for a while."""
        silent = self._clock.monotonic() - self._socket.heard
        wait = self._settings().ping_after - silent
        if wait > 0:
            self._check = self._clock.call_later(wait, self._listen)
            return
        self._socket.ping()
        asked = self._socket.heard
        self._check = self._clock.call_later(self._settings().pong_within, lambda: self._judge_silence(asked))

    def _judge_silence(self, asked: float) -> None:
        if self._socket.heard > asked:
            self._listen()
        else:
            self.close(4201, "Pong reply not received")

    def _judge_authorized(self) -> None:
        if not self.authorized:
            self.close(4009, "Connection not authorized within timeout")

    # -- the end

    def _leave_all(self) -> None:
        for timer in (self._check, self._to_authorize):
            if timer is not None:
                timer.cancel()
        for name in sorted(self.subscribed):
            self._unsubscribe(name)
        if self.user is not None:
            self._users.leave(self, self.user)


def _fields(data: Any) -> dict[str, Any]:
    fields = frames.as_object(data)
    if fields is None:
        raise Refused("Invalid message: data is an object")
    return fields
