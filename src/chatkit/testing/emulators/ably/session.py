"""One transport: how it opens, what it is sent, what becomes of each frame that comes, and its end.

Source: RTN of the features specification; protocol.md of ably/specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.attaching import Attaching
from chatkit.testing.emulators.ably.auth import Access
from chatkit.testing.emulators.ably.connection import Answer, Connection
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.faults import CONNECT, Fault, Who
from chatkit.testing.emulators.ably.opening import Query
from chatkit.testing.emulators.ably.outbound import Answers, Line
from chatkit.testing.emulators.ably.plain import is_object
from chatkit.testing.emulators.ably.sending import Sending
from chatkit.testing.emulators.ably.wire import Action, Format, Wire, decode, encode
from chatkit.testing.emulators.clock import Timer
from chatkit.testing.emulators.sockets import Socket

FLUSH: Final = 0.02
"""Seconds that a frame is given to get out before its transport is cut."""


class Session:
    """A client's socket, from its opening to its end.

    Args:
        app: What it talks to.
        socket: Where it comes from.
        query: The parameters of its URL.
    """

    def __init__(self, app: Application, socket: Socket, query: Mapping[str, str]) -> None:
        self.app = app
        self.socket = socket
        self.query = Query(query)
        self.form = Format.MSGPACK if query.get("format") == Format.MSGPACK else Format.JSON
        self.echo = query.get("echo") != "false"
        self.connection: Connection | None = None
        self.attaching = Attaching(app, self)
        self._sending = Sending(app, self)
        self._timers: dict[str, Timer] = {}
        self._answers = Answers()
        self._line = Line(socket)

    # ------------------------------------------------------------------------------------- its life

    async def run(self) -> None:
        """Serve it to its end."""
        try:
            if self._open():
                async for raw in self.socket.frames():
                    await self._take(raw)
                    if not self.socket.open:
                        break
        finally:
            self._end()

    def _open(self) -> bool:
        struck = self._struck("in", CONNECT, "")
        if struck is not None and struck.does != "refuse":
            return self._break(struck)
        try:
            self.connection, error = self.query.connect(self.app, struck)
        except AblyError as refusal:
            self.fail(refusal)
            return False
        self.connection.session = self
        if self.socket.open:
            self._greet(error)
        return self.socket.open

    def _greet(self, error: AblyError | None = None, *, renewed: bool = True) -> None:
        """Say CONNECTED, at first or after a renewal of credentials."""
        connection, settings = self._known(), self.app.settings
        key = connection.renew_key() if renewed else connection.key
        details: Wire = {
            "connectionKey": key,
            "maxMessageSize": settings.message_bytes,
            "maxFrameSize": settings.largest_frame,
            "maxInboundRate": settings.connection_rate,
            "connectionStateTtl": int(settings.state_seconds * 1000),
            "maxIdleInterval": int(self.query.idle_seconds(settings.idle_seconds) * 1000),
            "serverId": f"emulator-{self.app.site}",
            "siteCode": "local",
        }
        if connection.client_id is not None:
            details["clientId"] = connection.client_id
        wire: Wire = {
            "action": int(Action.CONNECTED),
            "connectionId": connection.id,
            "connectionKey": key,
            "connectionDetails": details,
        }
        if error is not None:
            wire["error"] = error.wire()
        self.send(wire)
        self._follow_token(connection.access)
        self._beat()

    def _follow_token(self, access: Access) -> None:
        """Ask for a new token before this one ends, and end the transport when it has."""
        for name in ("prompt", "expiry"):
            if name in self._timers:
                self._timers.pop(name).cancel()
        if access.expires is None:
            return
        left = (access.expires - self.app.now()) / 1000
        self._later("expiry", left, lambda: self.disconnect(AblyError(40142, status=401)))
        prompt = self.app.settings.prompt_seconds
        if left > prompt:
            self._later("prompt", left - prompt, lambda: self.send({"action": int(Action.AUTH)}))

    def _beat(self) -> None:
        """Send HEARTBEATs well inside `maxIdleInterval`."""
        idle = self.query.idle_seconds(self.app.settings.idle_seconds)
        if idle > 0:
            self._later("beat", idle / 2, self._heartbeat)

    def _heartbeat(self) -> None:
        self.send({"action": int(Action.HEARTBEAT)})
        self._beat()

    def _later(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        if self.socket.open:
            if name in self._timers:
                self._timers[name].cancel()
            self._timers[name] = self.app.clock.call_later(seconds, callback)

    def _end(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.attaching.clear()
        if self.connection is not None and self.connection.session is self:
            self.app.drop(self.connection)

    # ------------------------------------------------------------------------------- ending it early

    def disconnect(self, error: AblyError | None = None) -> None:
        """Say DISCONNECTED and close; the connection can be resumed."""
        wire: Wire = {"action": int(Action.DISCONNECTED)}
        self.send(wire if error is None else {**wire, "error": error.wire()})
        self._close()

    def fail(self, error: AblyError) -> None:
        """Say ERROR and close; nothing is left of the connection, unless only its token was refused."""
        self.send({"action": int(Action.ERROR), "error": error.wire()})
        if self.connection is not None and not 40140 <= error.code < 40150:
            self.app.forget(self.connection)
        self._close()

    def supersede(self) -> None:
        """Another transport has the connection now."""
        self.connection = None
        self._close()

    def _close(self) -> None:
        self._answer_all()
        self._line.release()
        self.attaching.clear()
        self.socket.close(1000)
        self._end()

    # -------------------------------------------------------------------------------------- sending

    @property
    def connection_id(self) -> str:
        """Of its connection; empty before there is one."""
        return self.connection.id if self.connection is not None else ""

    def send(self, wire: Wire) -> None:
        """Send a protocol message, through the faults."""
        self.deliver(Action(wire["action"]), str(wire.get("channel") or ""), encode(wire, self.form))

    def deliver(self, action: Action, channel: str, frame: str | bytes) -> None:
        """Send an encoded protocol message, through the faults."""
        struck = self._struck("out", action.name, channel)
        if struck is None:
            self._line.put(frame)
            return
        match struck.does:
            case "duplicate":
                self._line.put(frame)
                self._line.put(frame)
            case "delay":
                self._line.hold()
                self._line.put(frame)
                self._later("held", struck.seconds, self._line.release)
            case "replace":
                self._line.put(encode(struck.frame, self.form))
            case "nack" | "refuse":  # deeds of the way in
                self._line.put(frame)
            case "abort" if struck.after:
                self._line.put(frame)
                self._later("abort", FLUSH, self.socket.abort)
            case _:
                self._break(struck)

    def answer(self, serial: int, answer: Answer) -> None:
        """Acknowledge or refuse a frame; the answers of a while go together."""
        if self._answers.add(serial, answer):
            self._later("answers", self.app.settings.ack_seconds, self._answer_all)

    def _answer_all(self) -> None:
        for wire in self._answers.take():
            self.send(wire)

    # ------------------------------------------------------------------------------------- receiving

    async def _take(self, raw: str | bytes) -> None:
        try:
            wire = decode(raw, self.form)
            if not is_object(wire):
                raise AblyError(40000, "a frame is one protocol message")
            action = Action(wire.get("action") or 0)
        except AblyError as refusal:
            self.fail(refusal)
            return
        except ValueError:
            return  # an action of a newer protocol (RTF1)
        channel = wire.get("channel")
        struck = self._struck("in", action.name, channel if isinstance(channel, str) else "")
        if struck is None or (struck.does == "abort" and struck.after):
            self.handle(action, wire)
            if struck is not None:
                self.socket.abort()
        elif struck.does == "duplicate":
            self.handle(action, wire)
            self.handle(action, wire)
        elif struck.does == "delay":
            # What comes behind it waits in the client and on its way, as on a slow network.
            await self.socket.while_open(self.app.clock.sleep(struck.seconds))
            self.handle(action, wire)
        elif struck.does == "nack" and isinstance(wire.get("msgSerial") or 0, int):
            self.answer(wire.get("msgSerial") or 0, struck.refusal)
        elif struck.does == "error" and action in {Action.ATTACH, Action.DETACH}:
            self.refuse_channel(str(channel), struck.refusal)
        else:
            self._break(struck)

    def handle(self, action: Action, wire: Wire) -> None:
        """Do what a frame says."""
        if not self.socket.open or self.connection is None:
            return
        match action:
            case Action.HEARTBEAT:
                known = {"id": wire["id"]} if wire.get("id") else {}
                self.send({"action": int(Action.HEARTBEAT), **known})
            case Action.MESSAGE | Action.PRESENCE | Action.ANNOTATION | Action.OBJECT:
                self._sending.handle(action, wire)
            case Action.ATTACH:
                self.attaching.attach(wire)
            case Action.DETACH:
                self.attaching.detach(wire)
            case Action.SYNC:
                self.attaching.sync(wire)
            case Action.AUTH:
                self._renew(wire)
            case Action.CLOSE:
                self.app.forget(self.connection)
                self.send({"action": int(Action.CLOSED)})
                self._close()
            case Action.DISCONNECT:
                self.disconnect()
            case _:
                pass

    def refuse_channel(self, channel: str, error: AblyError) -> None:
        """Say ERROR of one channel."""
        self.send({"action": int(Action.ERROR), "channel": channel, "error": error.wire()})

    def _renew(self, wire: Wire) -> None:
        """Change the credentials of the live connection (RTC8, RTN22)."""
        connection, auth = self._known(), wire.get("auth")
        token = auth.get("accessToken") if is_object(auth) else None
        try:
            if not isinstance(token, str):
                raise AblyError(40101, "an AUTH has auth.accessToken")
            access = self.app.authority.by_token(token)
            own = connection.client_id
            if own not in {None, "*"} or access.client_id not in {None, "*"}:
                wanted = own if own not in {None, "*"} else None
                if access.identify(wanted) != own:
                    raise AblyError(40102, "the client id is not that of the connection")
        except AblyError as refusal:
            self.fail(refusal)
            return
        connection.access = access
        self._greet(renewed=False)
        self.attaching.check_rights()

    # ---------------------------------------------------------------------------------------- faults

    def _struck(self, way: str, action: str, channel: str) -> Fault | None:
        if not self.app.faults:
            return None
        client = self.connection.client_id if self.connection else self.query.client_id
        who = Who(
            connection_id=self.connection_id or self.query.resumed.partition("!")[0],
            client_id=client or "",
            query=self.query.params,
        )
        return self.app.faults.strike(way, action, channel, who)

    def _break(self, struck: Fault) -> bool:
        """Lose the frame at hand and do to the transport what the fault says; whether it goes on."""
        match struck.does:
            case "abort":
                self.socket.abort()
            case "stall":
                self.socket.stall()
                return self.socket.open
            case "disconnect":
                self.disconnect(struck.error.made() if struck.error else None)
            case "error":
                self.fail(struck.refusal)
            case _:
                return self.socket.open  # dropped: the client waits in vain
        return False

    def _known(self) -> Connection:
        assert self.connection is not None
        return self.connection

    @property
    def access(self) -> Access:
        """With what its connection was opened or renewed."""
        return self._known().access

    def describe(self) -> dict[str, Any]:
        """What the control endpoint tells of it."""
        client = self.connection.client_id if self.connection else None
        return {
            "connection": self.connection_id,
            "client": client,
            "channels": sorted(self.attaching.names),
            "query": self.query.shown,
        }
