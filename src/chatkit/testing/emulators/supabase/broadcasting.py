"""Broadcasts by HTTP: a batch, or one that is named in the path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from chatkit.testing.emulators.supabase.authorization import Policies, Undecided, Who
from chatkit.testing.emulators.supabase.plain import Object, dumps, is_list, is_object, loads
from chatkit.testing.emulators.supabase.tokens import TokenError
from chatkit.testing.emulators.supabase.wire import UserBroadcast

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

BLANK: Final = "can't be blank"
INVALID: Final = "is invalid"
TOO_LARGE: Final = "Payload size exceeds tenant limit"
TOO_MANY: Final = "You have exceeded your rate limit"


class Broadcasting:
    """The calls.

    Args:
        project: Whose.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    def routes(self) -> list[web.RouteDef]:
        """Theirs."""
        calls: list[web.RouteDef] = []
        for base in ("/realtime/v1/api/broadcast", "/api/broadcast"):
            calls += [
                web.post(base, self._batch),
                web.post(base + "/{topic}/events/{event}", self._single),
            ]
        return calls

    async def _batch(self, request: web.Request) -> web.Response:
        project = self._project
        claims = self._claims(request)
        if claims is None:
            return web.json_response({"message": "Unauthorized"}, status=401)
        limit, mean = project.settings.events_per_second, int(project.events.mean)
        rates = {"x-rate-rolling": mean, "x-rate-limit": limit, "x-rate-limit-remaining": limit - mean}
        headers = {name: str(value) for name, value in rates.items()}
        if mean >= limit:
            return web.json_response({"message": "Too many requests"}, status=429, headers=headers)
        try:
            body = loads(await request.read() or b"null")
        except ValueError:
            return web.json_response({"message": "Bad Request"}, status=400, headers=headers)
        messages = body.get("messages") if is_object(body) else None
        if not is_list(messages) or not messages:
            wrong = [BLANK] if not messages else [INVALID]
            return web.json_response({"errors": {"messages": wrong}}, status=422, headers=headers)
        errors = [self._errors(message) for message in messages]
        if any(errors):
            return web.json_response({"errors": {"messages": errors}}, status=422, headers=headers)
        if len(messages) + project.events.mean > limit:
            text = "Too many messages to broadcast, please reduce the batch size"
            return web.json_response({"message": text}, status=429, headers=headers)
        await self._say(messages, claims, request)
        return web.Response(status=202, headers=headers)

    async def _say(self, messages: list[Object], claims: Object, request: web.Request) -> None:
        """Public ones, then private ones by their topics; those that are not allowed are lost, unsaid."""
        for message in messages:
            if not message.get("private"):
                self._project.publish((False, message["topic"]), _relayed(message))
        private = [message for message in messages if message.get("private")]
        for topic in dict.fromkeys(message["topic"] for message in private):
            try:
                allowed = await self._may_write(topic, claims, request)
            except Undecided:
                continue
            for message in private:
                if allowed and message["topic"] == topic:
                    self._project.publish((True, topic), _relayed(message))

    async def _single(self, request: web.Request) -> web.Response:
        claims = self._claims(request)
        if claims is None:
            return web.json_response({"message": "Unauthorized"}, status=401)
        binary = request.content_type == "application/octet-stream"
        if "Content-Type" in request.headers and not binary and request.content_type != "application/json":
            text = "Unsupported Media Type. Use application/json or application/octet-stream"
            return web.json_response({"error": text}, status=415)
        body = await request.read()
        if not binary:
            try:
                payload = loads(body or b"{}")
            except ValueError:
                return web.json_response({"message": "Bad Request"}, status=400)
            body = dumps(payload if is_object(payload) else {"_json": payload}).encode()
        if not self._project.fits(body if binary else loads(body)):
            return web.json_response({"errors": {"payload": [TOO_LARGE]}}, status=422)
        if self._project.events.exceeded:
            return web.json_response({"message": TOO_MANY}, status=429)
        topic, private = request.match_info["topic"], request.query.get("private") == "true"
        if private:
            try:
                allowed = await self._may_write(topic, claims, request)
            except Undecided as error:
                return web.json_response({"message": error.text}, status=422)
            if not allowed:
                return web.json_response({"message": "Unauthorized"}, status=403)
        event = request.match_info["event"]
        broadcast = UserBroadcast(event=event, payload=body, encoding="binary" if binary else "json")
        self._project.publish((private, topic), broadcast)
        return web.Response(status=202)

    async def _may_write(self, topic: str, claims: Object, request: web.Request) -> bool:
        policies = Policies()
        who = Who(topic=topic, claims=claims, headers=dict(request.headers.items()))
        await self._project.authorization.write(policies, who)
        return policies.broadcast_write is True

    def _claims(self, request: web.Request) -> Object | None:
        bearer = request.headers.get("Authorization", "")
        kind, _, token = bearer.partition(" ")
        if bearer and kind.lower() != "bearer":
            return None
        token = token.strip() if bearer else request.headers.get("apikey", "")
        try:
            return self._project.authority.claims(self._project.authority.known(token))
        except TokenError:
            return None

    def _errors(self, message: Any) -> Object:
        if not is_object(message):
            return {"message": [INVALID]}
        found: dict[str, list[str]] = {}
        for name, kind in (("topic", str), ("event", str), ("payload", dict)):
            value = message.get(name)
            if value is None or value == "":
                found[name] = [BLANK]
            elif not isinstance(value, kind):
                found[name] = [INVALID]
        if not isinstance(message.get("private", False), bool):
            found["private"] = [INVALID]
        if "payload" not in found and not self._project.fits(message["payload"]):
            found["payload"] = [TOO_LARGE]
        return found


def _relayed(message: Object) -> Object:
    """As it goes to who listens: as a text frame does."""
    meta = {"meta": {"id": message["id"]}} if message.get("id") else {}
    return {"payload": message["payload"], "event": message["event"], "type": "broadcast", **meta}
