"""Who may subscribe, and as whom; each refusal is the message of a `pusher:error`."""

from __future__ import annotations

from typing import Any

from chatkit.testing.emulators.pusher import frames, names, signing
from chatkit.testing.emulators.pusher.channels import Channel, Member
from chatkit.testing.emulators.pusher.settings import PusherSettings
from chatkit.testing.emulators.pusher.users import User


class Refused(Exception):
    """The client is told why, and its connection stays.

    Args:
        message: What it is told.
        code: Likewise; mostly none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def admit(
    settings: PusherSettings, channel: Channel, socket_id: str, user: User | None, data: dict[str, Any]
) -> Member | None:
    """Judge a subscription.

    Args:
        settings: Key, secret and limits.
        channel: Which one.
        socket_id: Of whom.
        user: Whom the connection has signed in as.
        data: As the client sent it.

    Returns:
        Who is present then, in a presence channel.

    Raises:
        Refused: Not signed, or not allowed.
    """
    name = channel.name
    owner = names.user_of(name)
    if owner is not None:
        if user is None or user.id != owner:
            raise Refused(f"Subscription to {name} is for that user alone: sign in first")
        return None
    if not names.is_channel(name, settings.channel_name_length):
        raise Refused(f"Invalid channel name: {name}")
    if not names.is_authorized(name):
        return None
    channel_data = data.get("channel_data")
    if channel_data is not None and not isinstance(channel_data, str):
        raise Refused(f"Invalid channel_data for {name}: a JSON text")
    text = signing.channel_text(socket_id, name, channel_data if names.is_presence(name) else None)
    _check(settings, data.get("auth"), text, f"Auth value for subscription to {name} is invalid")
    if not names.is_presence(name):
        return None
    return _member(settings, channel, user, channel_data)


def sign_in(settings: PusherSettings, socket_id: str, data: dict[str, Any]) -> tuple[User, tuple[str, ...]]:
    """Judge a sign-in.

    Returns:
        The user, its watchlist cut off at the limit, and what was cut off.

    Raises:
        Refused: Not signed, or no user.
    """
    text = data.get("user_data")
    if not isinstance(text, str):
        raise Refused("Invalid user_data: a JSON text")
    _check(
        settings, data.get("auth"), signing.user_text(socket_id, text), "Auth value for sign in is invalid"
    )
    told = _object(text, "user_data")
    user_id = told.get("id")
    if not isinstance(user_id, str) or not names.is_channel(user_id, settings.event_name_length):
        raise Refused("Invalid user_data: id is a text of the characters that channels may have")
    watchlist = frames.as_list(told.get("watchlist", []))
    if watchlist is None or not all(isinstance(each, str) for each in watchlist):
        raise Refused("Invalid user_data: watchlist is a list of ids")
    watched = watchlist if settings.watchlists else []
    kept, cut = tuple(watched[: settings.watched]), tuple(watched[settings.watched :])
    return User(user_id, told.get("user_info"), kept, text), cut


def _check(settings: PusherSettings, auth: object, text: str, complaint: str) -> None:
    if not isinstance(auth, str) or auth.count(":") != 1:
        raise Refused(f"{complaint}: should be of format 'key:signature'")
    key, signature = auth.split(":")
    if key != settings.key:
        raise Refused(f"Invalid key in subscription auth data: '{key}'")
    if not signing.same(signature, signing.digest(settings.secret, text)):
        raise Refused(f"Invalid signature: Expected HMAC SHA256 hex digest of {text}, but got {signature}")


def _member(settings: PusherSettings, channel: Channel, user: User | None, data: str | None) -> Member:
    if data is not None:
        told = _object(data, "channel_data")
        user_id, user_info = told.get("user_id"), told.get("user_info")
    elif user is not None:
        user_id, user_info = user.id, user.info
    else:
        raise Refused(f"{channel.name} needs channel_data with a user_id, or a signed-in user")
    if isinstance(user_id, bool) or not isinstance(user_id, str | int) or user_id == "":
        raise Refused("Invalid channel_data: user_id is missing")
    member = Member(str(user_id), user_info)
    if len(member.user_id) > settings.user_id_length:
        raise Refused(f"Invalid channel_data: user_id is over {settings.user_id_length} characters")
    if len(frames.dumps(user_info).encode()) > settings.user_bytes:
        raise Refused(f"Invalid channel_data: user_info is over {settings.user_bytes} bytes")
    users = channel.users()
    if member.user_id not in users and len(users) >= settings.members:
        raise Refused(f"{channel.name} has {settings.members} members, which is the limit")
    return member


def _object(text: str, what: str) -> dict[str, Any]:
    told = frames.parse(text)
    if told is None:
        raise Refused(f"Invalid {what}: a JSON object")
    return told
