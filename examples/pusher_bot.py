"""`pusher_bot.py CHANNEL`: answers who asks for `!order NUMBER`, on Pusher or whatever `CHATKIT_URL` names.

    chatkit dev pusher --port 6001 --app-id 1001 --key app-key --secret app-secret &
    export CHATKIT_URL='pusher://app-key@local/1001?host=127.0.0.1&port=6001&tls=0' CHATKIT_SECRET=app-secret
    python examples/pusher_bot.py support

SIGTERM or Ctrl+C ends it once what it has to say is said. An answer is sent once, even if the bot dies at it:
its key is the question's id, and the outbox is a file.
"""

import asyncio
import signal
import sys

import chatkit

ORDERS = {"17": "on its way", "18": "waits for payment"}


async def answer(channel: chatkit.Channel, question: chatkit.Message) -> None:
    command, _, number = question.text.partition(" ")
    if command == "!order":
        text = f"Order {number} {ORDERS.get(number, 'is unknown to me')}."
        _ = await channel.send(text, reply_to=question, key=f"answer-{question.message_id}")


async def run(name: str) -> None:
    ended = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, ended.set)
    async with chatkit.connect(user="order-bot", store="order-bot.db") as chat:
        channel = chat.channel(name)

        @channel.on(chatkit.MessageCreated)
        async def heard(event: chatkit.MessageCreated) -> None:
            if not event.own:
                await answer(channel, event.message)

        await channel.attach(timeout=30)
        print(f"listening in {name}", flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
