"""One joined channel of one connection; a process of its own at the service, a task here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from chatkit.testing.emulators.clock import Timer
from chatkit.testing.emulators.supabase import joining
from chatkit.testing.emulators.supabase.authorization import Policies, Undecided, Who
from chatkit.testing.emulators.supabase.plain import Object, is_object
from chatkit.testing.emulators.supabase.tokens import TokenError
from chatkit.testing.emulators.supabase.wire import Broadcast, Message, UserBroadcast, event_id

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.session import Session

PREFIX: Final = "realtime:"
MOST_WAITING: Final = 1_000
"""Messages of its client that wait for it; then the connection is read no further."""
NO_CHANGES: Final = "postgres_changes are not emulated"
NO_READ: Final = "You no longer have permission to read from this Channel topic: "


class Channel:
    """Made by a join that was granted.

    Args:
        session: Of its connection.
        name: Its topic without the prefix.
        join_ref: Of the join.
        config: What that asked for.
        token: The token in use.
        claims: What that says.
        policies: What it may read; all of it on a public channel.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        *,
        join_ref: Any,
        config: joining.Config,
        token: str,
        claims: Object,
        policies: Policies,
    ) -> None:
        self.name = name
        self.topic = PREFIX + name
        self.config = config
        self.place = (config.private, name)
        self.policies = policies
        self.closed = False
        self.claims = claims
        self._session = session
        self._project = session.project
        self._join_ref = join_ref
        self._token: str = token
        self._replayed: frozenset[str] = frozenset()
        self._inbox: asyncio.Queue[tuple[Message, bool]] = asyncio.Queue(MOST_WAITING)
        self._token_check: Timer | None = None
        self._poll: Timer | None = None
        self._calls = 0
        self._window = 0.0
        self._task = asyncio.create_task(self._run(), name=f"emulator-channel-{session.socket.name}")

    # -- its life

    def begin(self, replayed: Iterable[tuple[str, Broadcast]]) -> None:
        """Listen, and say what follows the answer to a join: what was missed, and who is there."""
        shown = list(replayed)
        self._replayed = frozenset(name for name, _ in shown)
        self._project.listen(self)
        for _, broadcast in shown:
            self._push(broadcast)
        if self.config.presence and self.may_see_presence and self._may_count_presence():
            self.send("presence_state", self._project.topic(self.place).presence.state())
        if self.config.postgres_changes:
            self._system("postgres_changes", "error", NO_CHANGES)
        self._follow_token()
        if self.config.replication_ready:
            deadline = self._project.clock.monotonic() + self._project.settings.replication_patience
            self._await_replication(deadline)

    def end(self) -> None:
        """Be gone, unsaid."""
        if self.closed:
            return
        self.closed = True
        for timer in (self._token_check, self._poll):
            if timer is not None:
                timer.cancel()
        self._session.forget(self)
        self._project.ignore(self)
        if self._task is not asyncio.current_task():
            self._task.cancel()

    def close(self) -> None:
        """End as a channel does that nothing went wrong with: `phx_close`."""
        if not self.closed:
            self.end()
            self.send("phx_close", {}, ref=self._join_ref)

    def crash(self) -> None:
        """End as one that crashed: `phx_error`."""
        if not self.closed:
            self.end()
            self.send("phx_error", {}, ref=self._join_ref)

    def shut(self, text: str) -> None:
        """End it with a reason, which is told before `phx_close`."""
        if not self.closed:
            self._system("system", "error", text)
            self.close()

    async def hear(self, message: Message, *, mute: bool) -> None:
        """Take what its client sent; `mute` does it and loses the answer."""
        await self._inbox.put((message, mute))

    def send(self, event: str, payload: Object, *, ref: Any = None, own: bool = True) -> None:
        """Send a message of the channel (`own`), or one that all who listen get."""
        join_ref = self._join_ref if own else None
        self._session.send(self.topic, event, payload, ref=ref, join_ref=join_ref)

    # -- broadcasts

    def deliver(self, broadcast: Broadcast) -> None:
        """Send a broadcast of others, if it may be read and was not replayed; too many close the channel."""
        if self.closed or not self._may_read or event_id(broadcast) in self._replayed:
            return
        self._session.send_broadcast(self.topic, broadcast)
        self._project.events.count()
        if self._project.events.exceeded:
            self.shut("Too many messages per second")

    def _push(self, broadcast: Broadcast) -> None:
        self._session.send_broadcast(self.topic, broadcast, join_ref=self._join_ref)

    @property
    def _may_read(self) -> bool:
        return not self.config.private or self.policies.broadcast_read is True

    async def _broadcast(self, payload: Any) -> Object | str | None:
        """Say it to the others; what the answer is, if there is one."""
        if not isinstance(payload, UserBroadcast) and not is_object(payload):
            raise ValueError("the payload of a broadcast is a map")
        if self.config.private:
            try:
                if self.policies.broadcast_write is None:
                    await self._project.authorization.write(self.policies, self._who)
            except Undecided:
                return None  # as if nothing had been said
            if not self.policies.broadcast_write:
                return None
        measured = payload.payload if isinstance(payload, UserBroadcast) else payload
        if not self._project.fits(measured):
            self._project.events.count()
            return "payload_size_exceeded" if self.config.ack else None
        self._project.publish(self.place, payload, but=None if self.config.itself else self)
        return {} if self.config.ack else None

    # -- presence

    @property
    def may_see_presence(self) -> bool:
        """Whether it is told who comes and goes."""
        return not self.config.private or self.policies.presence_read is True

    async def _present(self, payload: Any) -> Object | None:
        """Let it be present or not; the reason if that is refused. Too often, and the channel is shut."""
        if not is_object(payload) or "event" not in payload:
            return None
        if not self._may_call():
            self.shut("Client presence rate limit exceeded")
            return None
        match str(payload["event"]).lower():
            case "track":
                return await self._track(payload.get("payload", {}))
            case "untrack":
                self._project.untrack(self)
                return None
            case _:
                return {}

    async def _track(self, payload: Any) -> Object | None:
        if self.config.private:
            try:
                if self.policies.presence_write is None:
                    if self.policies.presence_read is None:
                        await self._project.authorization.read(self.policies, self._who, presence=True)
                    await self._project.authorization.write(self.policies, self._who)
            except Undecided:
                return {}
            if not self.policies.presence_write:
                return {}
        if not is_object(payload):
            return {"reason": "Presence track payload must be a map"}
        if payload == self._project.topic(self.place).presence.tracked(self):
            return None
        if not self._project.fits(payload):
            self.shut("Track message size exceeded")
        elif self._may_count_presence():
            self._project.track(self, self.config.key, payload)
        return None

    def _may_call(self) -> bool:
        now, settings = self._project.clock.monotonic(), self._project.settings
        if now > self._window:
            self._calls, self._window = 0, now + settings.presence_window
        if self._calls >= settings.presence_calls:
            return False
        self._calls += 1
        return True

    def _may_count_presence(self) -> bool:
        if self._project.presence_events.mean > self._project.settings.presence_events_per_second:
            self.shut("Too many presence messages per second")
            return False
        self._project.presence_events.count()
        return True

    # -- tokens

    @property
    def _who(self) -> Who:
        return Who(topic=self.name, claims=self.claims, headers=self._session.headers)

    async def _renew(self, token: Any) -> None:
        """Take another token; one that is not taken, or may no longer read, ends the channel."""
        if not isinstance(token, str) or token.startswith("sb_") or token == self._token:
            return
        self._token = str(token)
        try:
            self.claims = self._project.authority.claims(token)
            if self.config.private:
                await self._read_anew()
        except TokenError as error:
            self.shut(
                error.text if error.fault in {"expired", "claims", "malformed"} else f":{error.fault}_error"
            )
        except Undecided as error:
            self.shut(error.text)
        else:
            self._follow_token()

    async def _read_anew(self) -> None:
        before, now = self.policies, Policies()
        presence = before.presence_read is not None
        await self._project.authorization.read(now, self._who, presence=presence)
        self.policies = now  # until here others are heard by the old ones
        if not self.policies.broadcast_read and not self.policies.presence_read:
            self.shut(joining.unauthorized(self.name))
        elif (before.broadcast_read and not self.policies.broadcast_read) or (
            before.presence_read and not self.policies.presence_read
        ):
            self.shut(NO_READ + self.name)

    def _follow_token(self) -> None:
        """Look again when it has expired, and now and then before."""
        if self.closed:
            return
        if self._token_check is not None:
            self._token_check.cancel()
        left = self.claims["exp"] - self._project.clock.unix()
        wait = min(self._project.settings.token_check, max(left, 0.0))
        self._token_check = self._project.clock.call_later(wait, self._check_token)

    def _check_token(self) -> None:
        try:
            self._project.authority.claims(self._token)
        except TokenError as error:
            self.shut(error.text)
        else:
            self._follow_token()

    # -- replication

    def _await_replication(self, deadline: float) -> None:
        if self._project.committed.ready:
            self._system("system", "ok", "Replication connection established")
        elif self._project.clock.monotonic() >= deadline:
            self.shut("Replication connection was not established in time")
        else:
            poll = self._project.settings.replication_poll
            self._poll = self._project.clock.call_later(poll, lambda: self._await_replication(deadline))

    # -- within

    def _system(self, extension: str, status: str, text: str) -> None:
        told = {"extension": extension, "status": status, "message": text, "channel": self.name}
        self.send("system", told)

    async def _run(self) -> None:
        while not self.closed:
            message, mute = await self._inbox.get()
            try:
                await self._do(message, mute=mute)
            except ValueError:  # what the service crashes at
                self.crash()

    async def _do(self, message: Message, *, mute: bool) -> None:
        status, response = "ok", None
        match message.event:
            case "broadcast":
                response = await self._broadcast(message.payload)
                status = "error" if isinstance(response, str) else "ok"
            case "presence":
                refusal = await self._present(message.payload)
                status, response = ("ok", {}) if refusal is None else ("error", refusal)
            case "access_token" if is_object(message.payload):
                await self._renew(message.payload.get("access_token"))
            case "phx_leave":
                self.end()
                response = {}
            case _:
                self._project.events.count()
        left = message.event == "phx_leave"
        if response is not None and not mute and (left or not self.closed):
            self.send("phx_reply", {"status": status, "response": response}, ref=message.ref)
        if left:
            self.send("phx_close", {}, ref=self._join_ref)
