"""Two people talk: send, hear, react. Runs alone, with no account: `python examples/quick_start.py`.

On another provider only the URL changes.
"""

import asyncio

import chatkit
from chatkit import MessageCreated

URL = "memory://quick-start"


async def ada(store: str) -> None:
    async with chatkit.connect(URL, user="ada", store=store) as chat:
        support = chat.channel("support")
        events = support.events(MessageCreated)  # attached before the send leaves: no answer is missed
        delivery = await support.send("Hello")  # on disk; works offline
        message = await delivery.wait(timeout=10)  # accepted: serial and server time
        print(message.serial, message.sent_at)
        async for event in events:
            if not event.own:
                print(event.message.sender.user, event.message.text)
                await support.react(event.message, "👋")
                break


async def bob() -> None:
    async with chatkit.connect(URL, user="bob") as chat:
        support = chat.channel("support")
        hello = await support.wait_for(MessageCreated, since=chatkit.START, timeout=10)
        await support.send(f"Hi {hello.message.sender.user}!", reply_to=hello.message)


async def main(store: str = "quick-start.db") -> None:
    await asyncio.gather(ada(store), bob())


if __name__ == "__main__":
    asyncio.run(main())
