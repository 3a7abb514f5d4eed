"""Providers on this machine, for the tests of an app; needs the extra `emulators`, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from chatkit.testing.emulators.serving import Emulator

app = typer.Typer(name="dev", help="Serve a provider on this machine, for tests.", no_args_is_help=True)

Host = Annotated[str, typer.Option(help="Address to listen at.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")]


def run(make: Callable[[], Emulator[Any]]) -> None:
    """Serve until SIGTERM or Ctrl-C; `make` imports the emulator."""
    try:
        from chatkit.testing.emulators import serving

        emulator = make()
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        typer.echo("chatkit dev: aiohttp is missing: pip install 'chatkit-realtime[emulators]'", err=True)
        raise typer.Exit(2) from None
    try:
        asyncio.run(serving.serve(emulator))
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

    def make() -> Emulator[Any]:
        from chatkit.testing.emulators.pusher import PusherEmulator, PusherSettings

        settings = PusherSettings(app_id=app_id, key=key, secret=secret)
        return PusherEmulator(settings, host=host, port=port)

    run(make)
