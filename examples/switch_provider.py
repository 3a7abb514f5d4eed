"""From Pusher to Ably: the URL in the environment changes, this file does not.

    chatkit log migrate postgresql://localhost/app
    CHATKIT_URL=pusher://KEY@eu/APP_ID CHATKIT_SECRET=... python examples/switch_provider.py
    CHATKIT_URL=ably://APP.KEY@ CHATKIT_SECRET=... python examples/switch_provider.py

What was said at the one is there at the other: the log remembers it. `rebind=True` lets the outbox move, too.
SIGTERM or Ctrl+C ends it.
"""

import asyncio
import os
import signal

import chatkit
from chatkit import CustomEvent, ForeignFrame, MessageCreated

LOG = os.environ.get("CHATKIT_LOG", "postgresql://localhost/app")


async def run() -> None:
    need: list[chatkit.Feature] = ["history", "resume", "presence"]
    async with chatkit.connect(
        user="backend", store="backend.db", rebind=True, log=LOG, require=need
    ) as chat:
        print({feature: chat.capabilities.support(feature) for feature in need})  # native, emulated or none
        support = chat.channel("support")

        @support.on(ForeignFrame)  # old pages that still trigger "new-comment"
        async def old(event: ForeignFrame) -> None:
            if event.name == "new-comment":
                _ = await support.send(str(event.data), key=event.event_id)

        await support.attach(timeout=30)
        for message in reversed((await support.history()).items):
            print("so far:", message.text)
        await support.emit("price-tick", {"eur": 12})
        print("listening", flush=True)
        async for event in support.events(CustomEvent, MessageCreated):
            match event:
                case CustomEvent(name="price-tick", data=data):
                    print("price:", data["eur"], flush=True)
                case MessageCreated(message=message):
                    print("said:", message.text, flush=True)
                case _:
                    pass


async def main() -> None:
    running = asyncio.ensure_future(run())
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, running.cancel)
    _ = await asyncio.wait([running])
    if not running.cancelled():
        running.result()


if __name__ == "__main__":
    asyncio.run(main())
