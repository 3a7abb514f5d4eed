"""One connection: what its client sends is done in turn, a join as a whole before anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatkit.testing.emulators.sockets import Socket
from chatkit.testing.emulators.supabase import joining
from chatkit.testing.emulators.supabase.authorization import Policies, Undecided, Who
from chatkit.testing.emulators.supabase.channel import PREFIX, Channel
from chatkit.testing.emulators.supabase.faults import Fault
from chatkit.testing.emulators.supabase.joining import JoinError
from chatkit.testing.emulators.supabase.plain import Object, is_object
from chatkit.testing.emulators.supabase.tokens import TokenError
from chatkit.testing.emulators.supabase.wire import Broadcast, Message, Serializer

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

UNMATCHED = {"status": "error", "response": {"reason": "unmatched topic"}}


class Session:
    """A connection as Realtime sees it.

    Args:
        project: Whose.
        socket: The connection.
        serializer: The version that it speaks.
        token: Of its handshake.
        headers: Likewise, those that start `x-`.
    """

    def __init__(
        self, project: Project, socket: Socket, serializer: Serializer, *, token: str, headers: dict[str, str]
    ) -> None:
        self.project = project
        self.socket = socket
        self.headers = headers
        self.counted = False
        """Whether it counts as connected: since its first join."""
        self.channels: dict[str, Channel] = {}
        """By their topics, prefix included."""
        self._serializer = serializer
        self._token = token

    async def run(self) -> None:
        """Serve it until it ends."""
        watch = [
            self.project.clock.call_later(self.project.settings.idle, self._watch_idle),
            self.project.clock.call_later(self.project.settings.no_channels, self._watch_channels),
        ]
        self._watched = watch
        try:
            async for frame in self.socket.frames():
                try:
                    message = self._serializer.decode(frame)
                except ValueError:
                    continue  # logged and dropped
                await self._hear(message)
        finally:
            for timer in self._watched:
                timer.cancel()
            for channel in list(self.channels.values()):
                channel.end()

    # -- what goes out

    def send(self, topic: str, event: str, payload: Object, *, ref: Any = None, join_ref: Any = None) -> None:
        """Send a message."""
        self.socket.send(self._serializer.message(topic, event, payload, ref=ref, join_ref=join_ref))

    def send_broadcast(self, topic: str, broadcast: Broadcast, *, join_ref: Any = None) -> None:
        """Send a broadcast, if this version can carry it."""
        frame = self._serializer.broadcast(topic, broadcast, join_ref=join_ref)
        if frame is not None:
            self.socket.send(frame)

    def forget(self, channel: Channel) -> None:
        """A channel has ended."""
        if self.channels.get(channel.topic) is channel:
            del self.channels[channel.topic]

    def drain(self) -> None:
        """Send it away, as a node does that goes: each channel is told, then 1012."""
        told = {"extension": "system", "status": "ok", "message": "Server requested disconnect"}
        for channel in self.channels.values():
            channel.send("system", told, own=False)
        self.socket.close(1012)

    # -- what comes in

    async def _hear(self, message: Message) -> None:
        name = message.topic.removeprefix(PREFIX)
        fault = (
            self.project.faults.strike(message.event, name, self.socket.name) if self.project.faults else None
        )
        if fault is not None and fault.moment == "before" and await self._struck(fault, message):
            return
        mute = fault is not None and fault.moment == "after"
        await self._do(message, mute=mute)
        if fault is not None and mute and fault.does != "drop":
            await self._struck(fault, message)

    async def _struck(self, fault: Fault, message: Message) -> bool:
        """Whether a message is lost to it."""
        match fault.does:
            case "delay":
                await self.socket.while_open(self.project.clock.sleep(fault.seconds))
                return False
            case "abort":
                self.socket.abort()
            case "stall":
                self.socket.stall()
            case "crash":
                if (channel := self.channels.get(message.topic)) is not None:
                    channel.crash()
            case "drop":
                pass
        return True

    async def _do(self, message: Message, *, mute: bool) -> None:
        channel = self.channels.get(message.topic)
        if message.event == "phx_join" and message.topic.startswith(PREFIX):
            await self._join(message, mute=mute)
        elif channel is not None:
            await channel.hear(message, mute=mute)
        elif (message.topic, message.event) == ("phoenix", "heartbeat") or message.event == "phx_leave":
            self._reply(message, {"status": "ok", "response": {}}, mute=mute)
        else:
            self._reply(message, UNMATCHED, mute=mute)

    def _reply(self, message: Message, payload: Object, *, mute: bool, join_ref: Any = None) -> None:
        if not mute:
            self.send(message.topic, "phx_reply", payload, ref=message.ref, join_ref=join_ref)

    # -- joins

    async def _join(self, message: Message, *, mute: bool) -> None:
        if (old := self.channels.get(message.topic)) is not None:
            old.close()
        join_ref = message.ref if message.join_ref is None else message.join_ref
        try:
            config = joining.parse(message.payload)
            channel, replayed = await self._granted(message, config, join_ref)
        except JoinError as error:
            await self.socket.while_open(self.project.clock.sleep(self.project.settings.join_error_delay))
            refusal = {"status": "error", "response": {"reason": error.reason}}
            self._reply(message, refusal, mute=mute, join_ref=join_ref)
            if error.away:
                self.socket.close(1001)
            return
        self.channels[message.topic] = channel
        self.counted = True
        self.project.committed.wanted()
        changes = [{**asked, "id": number} for number, asked in enumerate(config.postgres_changes, 1)]
        granted = {"status": "ok", "response": {"postgres_changes": changes}}
        self._reply(message, granted, mute=mute, join_ref=join_ref)
        channel.begin(replayed)

    async def _granted(
        self, message: Message, config: joining.Config, join_ref: Any
    ) -> tuple[Channel, list[tuple[str, Broadcast]]]:
        project, name = self.project, message.topic.removeprefix(PREFIX)
        self._fits(name, config)
        token = self._token_of(message.payload)
        try:
            claims = project.authority.claims(token)
        except TokenError as error:
            raise joining.of_token(error) from None
        policies = Policies()
        if config.private:
            who = Who(topic=name, claims=claims, headers=self.headers)
            try:
                await project.authorization.read(policies, who, presence=config.presence)
            except Undecided as error:
                raise joining.of_database(error) from None
            may_read = policies.broadcast_read or (policies.presence_read and not config.asks_replay)
            if not may_read:
                raise JoinError("Unauthorized: " + joining.unauthorized(name))
        replayed = await joining.replayed(project.database, name, config)
        channel = Channel(
            self, name, join_ref=join_ref, config=config, token=token, claims=claims, policies=policies
        )
        return channel, replayed

    def _fits(self, name: str, config: joining.Config) -> None:
        """Raise what refuses a join whoever asks."""
        project, settings = self.project, self.project.settings
        if not name:
            raise JoinError("TopicNameRequired: You must provide a topic name")
        if settings.private_only and not config.private:
            raise JoinError("PrivateOnly: This project only allows private channels")
        if not self.counted and project.connected >= settings.connections:
            raise JoinError("ConnectionRateLimitReached: Too many connected users")
        if project.joins.exceeded:
            raise JoinError("ClientJoinRateLimitReached: Too many joins per second", away=True)
        project.joins.count()
        if len(self.channels) >= settings.channels:
            raise JoinError("ChannelRateLimitReached: Too many channels")

    def _token_of(self, payload: Any) -> str:
        asked = payload if is_object(payload) else {}
        for name in ("access_token", "user_token"):
            if str(asked.get(name) or "").startswith("sb_"):
                return self._token
        for name in ("user_token", "access_token"):
            if isinstance(asked.get(name), str):
                return str(asked[name])
        return self._token

    # -- silence

    def _watch_idle(self) -> None:
        left = self.socket.heard + self.project.settings.idle - self.project.clock.monotonic()
        if left <= 0:
            self.socket.close(1000)
        else:
            self._watched[0] = self.project.clock.call_later(left, self._watch_idle)

    def _watch_channels(self) -> None:
        if not self.channels:
            self.socket.abort()  # without a close frame
        else:
            again = self.project.settings.no_channels
            self._watched[1] = self.project.clock.call_later(again, self._watch_channels)
