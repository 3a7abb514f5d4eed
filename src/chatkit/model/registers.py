"""Registers: last-value cells beside the messages, keyed (channel, user, name): marks, roles, ... (D25)."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Literal, NamedTuple, TypeAlias

from chatkit.model import ijson
from chatkit.model.directs import may_hear
from chatkit.model.order import Ident, OrderKey

READ: Final = "read"
"""How far a user has read; `greatest`. Key: the place of the newest message read, value: its id. Public."""
DELIVERED: Final = "delivered"
"""How far a user's devices have received; like `READ`."""
UNREAD: Final = "unread"
"""What a user marked as unread, private; `newest`, keyed by the hybrid clock. Value: `place_text` of the
oldest message that counts as unread again; empty once it was read after all."""
ROLE: Final = "role"
"""What a user may do in a channel; `newest`. Value: `owner`, `moderator` or `member`; empty: nothing more."""
Role: TypeAlias = Literal["owner", "moderator", "member"]
"""What a user is in a channel; each may do what the ones after it may."""
OWNER: Final = "owner"
MODERATORS: Final = frozenset({OWNER, "moderator"})
"""Roles that may delete and restore messages of others (D2)."""
KIND: Final = "kind"
"""What kind of channel it is; `newest`, of `EVERYONE`. Value: `BROADCAST`, else everyone publishes."""
BROADCAST: Final = "broadcast"
"""A kind of channel in which owners alone publish."""
PINS: Final = tuple(f"pin.{number:02d}" for number in range(50))
"""Places for pinned messages; `newest`, of `EVERYONE`. Value: as `chatkit.model.pins` says; empty: free."""
MAX_NAME: Final = 64
"""Characters of a register's name."""
MAX_VALUE: Final = 4_096
"""Bytes of a register's value, and of the text of its place."""


class Register(NamedTuple):
    """One cell."""

    channel: str
    user: str
    name: str
    value: str
    merge: Literal["greatest", "newest"]
    key: OrderKey | None
    """What decides between two values, as `merged` says."""


def check(register: Register) -> None:
    """Refuse a register that no log keeps.

    Raises:
        InvalidMessage: It holds U+0000, a lone surrogate, no epoch, or more than there is room for; or it is
            of another user in a direct or personal channel.
    """
    epoch, serial = register.key or (0, "")
    ijson.check({**register._asdict(), "merge": None, "key": [epoch, serial]}, "register")
    if not 1 <= len(register.name) <= MAX_NAME:
        raise ijson.field_error("register.name", f"is not a name of 1 to {MAX_NAME} characters")
    if epoch < 0:
        raise ijson.field_error("register.key.0", "is below 0")
    if may_hear(register.channel, register.user) is False:
        raise ijson.field_error("register.user", "has no register in this channel")
    for field, text in (("value", register.value), ("key.1", serial)):
        if len(text.encode()) > MAX_VALUE:
            raise ijson.field_error(f"register.{field}", f"is longer than {MAX_VALUE} bytes")


def merged(old: Register | None, new: Register) -> Register:
    """Return what a register becomes (D25).

    `greatest` compares places where both have one, else the values as text; `newest` keeps the later call,
    unless both have places and the later call's is older.
    """
    if old is None:
        return new
    placed = old.key is not None and new.key is not None
    if new.merge == "newest":
        return old if placed and new.key < old.key else new  # type: ignore[operator]  # both placed
    if placed:
        return old if new.key <= old.key else new  # type: ignore[operator]  # both placed
    return old if new.value <= old.value else new


def thread_suffix(root: Ident | None) -> str:
    """Return what the names of a thread's marks end in: `read@...` is the mark of one thread.

    Of the root's user and id, since anyone may use the id again (D1); empty for the channel itself.
    """
    if root is None:
        return ""
    named = f"{root.user}\x1f{root.id}".encode()
    return f"@{sha256(named).hexdigest()[:_DIGEST]}"


def place_text(key: OrderKey) -> str:
    """Return a place as the text of a register's value."""
    return f"{key.epoch}:{key.serial}"


def place_of(text: str) -> OrderKey | None:
    """Read `place_text`; `None`: it is none, as of a register that was cleared."""
    epoch, colon, serial = text.partition(":")
    if not colon or not epoch.isascii() or not epoch.isdigit() or len(epoch) > _DIGITS:
        return None
    return OrderKey(int(epoch), serial)


_DIGEST: Final = 24
"""Hexadecimal digits: of two threads of a channel none are alike by chance."""
_DIGITS: Final = 16
"""Of an epoch: an integer of I-JSON."""
