"""A day offline: write, close, open again, come back. Nothing is lost, nothing is there twice.

Runs alone: `python examples/offline_and_back.py`.
"""

import asyncio
import tempfile
from pathlib import Path

import chatkit


async def day_offline(store: Path) -> str:
    """Write without a network; leave. The message is on disk."""
    async with chatkit.connect("memory://notes?offline=1", user="ada", store=store, drain=0) as chat:
        notes = chat.channel("notes")
        delivery = await notes.send("Written in the tunnel", key="tunnel-note")
        shown = notes.timeline.view.messages[-1]
        print(f"offline: shown at once as {shown.status!r}, connection {chat.connection.state!r}")
    if chat.report:
        print(f"closed: {chat.report.queued} queued, durable={chat.report.durable}")
    return delivery.message_id


async def back(store: Path, message_id: str) -> None:
    """Come back: the queue goes out by itself, under the same id, and asking again sends nothing new."""
    async with chatkit.connect("memory://notes", user="ada", store=store) as chat:
        notes = chat.channel("notes")
        again = await notes.send("Written in the tunnel", key="tunnel-note")
        message = await again.wait(timeout=10)
        same = message.message_id == message_id
        print(f"back: {message.text!r} is {message.status}, the same message: {same}")
        print(f"the channel holds it {len((await notes.history()).items)} time")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "ada.db"
        await back(store, await day_offline(store))


if __name__ == "__main__":
    asyncio.run(main())
