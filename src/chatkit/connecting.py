"""`connect`: puts the parts together and gives each what it needs. No I/O."""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from chatkit.client import Chat, checked_user
from chatkit.engine.context import Context
from chatkit.engine.presenting import log_handler_error
from chatkit.engine.system import LogObserver, SystemClock
from chatkit.errors import ConfigError
from chatkit.model.capabilities import Capabilities, Feature, Support
from chatkit.model.config import Config
from chatkit.model.options import AuthRequest, OutboxLimits, Token
from chatkit.model.values import EMPTY
from chatkit.ports import Parts
from chatkit.shared import Setup
from chatkit.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from chatkit.model.events import HandlerError
    from chatkit.model.message import User
    from chatkit.model.registers import Role
    from chatkit.ports import Adapter, AdapterFactory, Clock, Log, Observer, RandomSource, Store

    RoleProvider = Callable[[str, str], Awaitable[Role | None]]
    TokenProvider = Callable[[AuthRequest], Awaitable[str | Token | Mapping[str, Any]]]

GROUP: Final = "chatkit.adapters"
"""Entry point group under which packages register further schemes."""
_BUILT_IN: Final = {
    "ably": "chatkit.adapters.ably",
    "memory": "chatkit.adapters.memory",
    "pusher": "chatkit.adapters.pusher",
    "supabase": "chatkit.adapters.supabase",
}
_FEATURES: Final[frozenset[str]] = frozenset(
    {
        "durable",
        "history",
        "order",
        "resume",
        "presence",
        "edit",
        "react",
        "receipts",
        "search",
        "direct",
        "roles",
        "pins",
        "as_user",
    }
)


def connect(
    source: str | Config | Adapter | None = None,
    /,
    *,
    user: str | User,
    store: str | PathLike[str] | Store | None = None,
    log: str | Log | None = None,
    auth: str | TokenProvider | None = None,
    client: object | None = None,
    durability: Literal["power", "process"] = "power",
    drain: float = 5.0,
    require: Iterable[Feature] = (),
    directs: bool = False,
    order: Literal["strict", "pipelined"] = "strict",
    staleness: float = 30.0,
    rebind: bool = False,
    limits: OutboxLimits | None = None,
    index: bool = True,
    roles: RoleProvider | None = None,
    on_error: Callable[[HandlerError], object] | None = None,
    clock: Clock | None = None,
    seed: int | None = None,
    observer: Observer | None = None,
) -> Chat:
    """Return a client; open it with `async with` or `await`. No I/O.

    Options come by keyword, URL and environment, in this order.

    Args:
        source: A URL such as ``memory://demo``, a config, or an adapter; `None` reads ``CHATKIT_URL`` and
            ``CHATKIT_SECRET``.
        user: Who sends: an id of 1 to 128 bytes, or a `User`.
        store: Where this device keeps what is queued: a file; a directory, ending in ``/``, in which each
            process takes a file of its own and adopts those of dead ones; or ``":memory:"`` to accept that it
            dies with the process. Required with a networked provider; `None` reads ``CHATKIT_STORE``.
        log: A log to use in place of the provider's own memory: ``sqlite:///shop.db`` or
            ``postgresql://...``, which is closed with this client, or a `Log`, which is not.
        auth: Asked for a token, and asked again before it ends; or for each channel, where the provider wants
            that. There it may also be the address of the app's auth endpoint.
        client: The provider's own client, whose credentials are used.
        durability: ``"power"``: a queued message survives a power cut; ``"process"``: a killed process.
        drain: Seconds that leaving waits for the outbox.
        require: Features without which opening raises `CapabilityError`.
        directs: Hear who opens a direct channel with the user: the event `DirectOpened`.
        order: ``"pipelined"`` publishes several messages of a channel at once and gives up their order (D8).
        staleness: Seconds within which a live channel is compared with its log; 1 to 3,600.
        rebind: Use a store that belongs to another provider: what was never attempted moves, what is in doubt
            ends failed and uncertain (D27).
        limits: How much may wait.
        index: Keep the words of cached messages in the store, so that search works offline.
        roles: Asked who is what in a channel, where nobody has a role in its log: an async function of
            channel and user id that returns ``"owner"``, ``"moderator"``, ``"member"`` or `None`. Its answer
            holds for 60 seconds; one that does not come within 5, or raises, counts as `None`.
        on_error: Told what handlers and middleware raise; by default it is logged.
        clock: The source of time, for tests.
        seed: Makes every random choice repeatable, for tests.
        observer: Told each labelled point; by default they are logged at DEBUG.

    Raises:
        ConfigError: Something of this cannot work; secrets are masked.
        InvalidMessage: The user id cannot be one.
    """
    who = checked_user(user)
    wanted = _features(require)
    _check_parts(limits, auth, on_error, roles)
    if not 0 <= drain <= 3_600 or not 1 <= staleness <= 3_600:
        raise ConfigError("drain is 0 to 3,600 seconds and staleness 1 to 3,600")
    if durability not in ("power", "process") or order not in ("strict", "pipelined"):
        raise ConfigError("durability is 'power' or 'process', order 'strict' or 'pipelined'")
    chance: RandomSource = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311  # a seed is for tests
    time = clock or SystemClock()
    watcher = observer or LogObserver()
    bounds = limits or OutboxLimits()
    memory = _log(log, time, chance, watcher, inline=clock is not None)

    def parts(secret: str | None) -> Parts:
        asked = None if isinstance(auth, str) else auth
        return Parts(who.id, Secrets(who.id, secret, asked), memory, client, time, chance, watcher)

    adapter, networked = _adapter(source, parts, endpoint=auth if isinstance(auth, str) else None)
    place = _store_of(store, networked=networked)
    kept = open_store(
        place,
        durability=durability,
        limits=bounds,
        clock=time,
        random=chance,
        inline=clock is not None,
        index=index,
        observer=watcher,
    )
    opened = memory if isinstance(log, str) else None
    context = Context(who.id, adapter, kept, time, chance, watcher, bounds, staleness, opened, roles)
    return Chat(
        Setup(
            context=context,
            capabilities=_capabilities(
                adapter.capabilities,
                kept,
                pipelined=order == "pipelined",
                trusted=adapter.trusted,
                index=index,
                roles=roles is not None,
            ),
            require=wanted,
            rebind=rebind,
            pipelined=order == "pipelined",
            drain=drain,
            directs=directs,
            on_error=on_error or log_handler_error,
        ),
        who,
    )


class Secrets:
    """`Credentials` out of a URL, the environment or a token provider; cached, fetched again on demand.

    Args:
        user: For whom.
        secret: What this client holds, if anything.
        auth: The app's token provider.
    """

    def __init__(self, user: str, secret: str | None, auth: TokenProvider | None) -> None:
        self._user = user
        self._secret = secret
        self._auth = auth
        self._token: Token | None = None

    async def get(
        self, *, channel: str | None = None, params: Mapping[str, str] = EMPTY, refresh: bool = False
    ) -> Token | Mapping[str, Any]:
        """Return a token, or the provider's own answer for one channel and socket."""
        if self._auth is None:
            raise ConfigError(
                "this provider asks for a token",
                hint="Give connect() an `auth=` token provider, or a backend its secret in CHATKIT_SECRET.",
            )
        if channel is None and self._token is not None and not refresh:
            return self._token
        found = await self._auth(AuthRequest(user=self._user, channel=channel, params=params))
        if isinstance(found, str):
            found = Token(value=found)
        if channel is None and isinstance(found, Token):
            self._token = found
        return found

    def secret(self) -> str | None:
        """Return the secret, if this client holds one."""
        return self._secret

    def __repr__(self) -> str:
        return f"Secrets(user={self._user!r})"


def _adapter(
    source: str | Config | Adapter | None, parts: Callable[[str | None], Parts], *, endpoint: str | None
) -> tuple[Adapter, bool]:
    """Return the adapter that a source stands for, and whether it leaves the process."""
    if isinstance(source, str):
        source = Config.from_url(source).with_environment()
    elif source is None:
        source = Config.from_env()
    if not isinstance(source, Config):
        if not hasattr(source, "capabilities") or not hasattr(source, "open"):
            raise ConfigError(
                f"the source is neither a URL nor a config nor an adapter, but {type(source).__name__}"
            )
        return source, True
    factory = _factory(source.scheme)
    if endpoint is not None:  # an option like any other, where the provider has it
        source = replace(source, options={**source.options, "auth": endpoint})
    config = factory.configure(source)
    return factory.build(config, parts(config.secret)), factory.networked


def _factory(scheme: str) -> AdapterFactory:
    module = _BUILT_IN.get(scheme)
    if module is not None:
        return cast("AdapterFactory", importlib.import_module(module).factory)
    for point in entry_points(group=GROUP):
        if point.name == scheme:
            try:
                return cast("AdapterFactory", point.load())
            except ImportError as error:
                raise ConfigError(
                    f"the adapter of {scheme}:// needs {error.name or 'a package'}, which is not installed",
                    hint=f"Install the extra that brings it: `pip install 'chatkit-realtime[{scheme}]'`.",
                ) from error
    known = sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})
    raise ConfigError(f"no adapter for {scheme}://", hint=f"Known schemes: {', '.join(known)}.")


def _store_of(store: str | PathLike[str] | Store | None, *, networked: bool) -> Any:
    if store is None:
        store = os.environ.get("CHATKIT_STORE") or None
    if store is None and networked:
        raise ConfigError(
            "store= must be said aloud with a networked provider",
            hint="Give a file to keep what is queued, or ':memory:' to accept that it dies with the process.",
        )
    if store is not None and not isinstance(store, str | PathLike) and not hasattr(store, "durable"):
        raise ConfigError(
            f"store= is a path or a Store, not {type(store).__name__}", hint='Write store="ada.db".'
        )
    return store


def _log(
    log: str | Log | None, clock: Clock, random: RandomSource, observer: Observer, *, inline: bool
) -> Log | None:
    if not isinstance(log, str):
        return log
    from chatkit.logs import open_log

    return open_log(log, clock=clock, random=random, inline=inline, observer=observer)


def _check_parts(limits: object, auth: object, on_error: object, roles: object) -> None:
    if limits is not None and not isinstance(limits, OutboxLimits):
        raise ConfigError("limits= is an OutboxLimits", hint="Write limits=OutboxLimits(entries=1_000).")
    endpoint = isinstance(auth, str) and auth.startswith(("https://", "http://"))
    if auth is not None and not callable(auth) and not endpoint:
        raise ConfigError(
            "auth= is a token provider, not a token",
            hint="Give an async function that returns a fresh token.",
        )
    if roles is not None and not callable(roles):
        raise ConfigError(
            "roles= is no function", hint="Give an async function of channel and user that returns a role."
        )
    if on_error is not None and not callable(on_error):
        raise ConfigError("on_error= is not callable", hint="Give a function that takes a HandlerError.")


def _features(require: Iterable[Feature]) -> tuple[Feature, ...]:
    if isinstance(require, str):
        raise ConfigError("require is a list of features, not text", hint=f"Write require=[{require!r}].")
    wanted = tuple(require)
    for feature in wanted:
        if feature not in _FEATURES:
            raise ConfigError(f"{feature!r} is no feature", hint=f"Known: {', '.join(sorted(_FEATURES))}.")
    return wanted


def _capabilities(
    own: Capabilities, store: Store, *, pipelined: bool, trusted: bool, index: bool, roles: bool
) -> Capabilities:
    """Return what the provider, the store and the options can do together."""
    features: dict[Feature, Support] = dict(own.features)
    features["durable"] = "emulated" if store.durable else "none"
    if index and own.support("search") == "none":
        features["search"] = "emulated"  # of what was cached
    if pipelined:
        features["order"] = "none"
    if roles and own.support("roles") == "none":
        features["roles"] = "emulated"  # as the app says
    if not trusted:
        features["as_user"] = "none"
    return replace(own, features=features)
