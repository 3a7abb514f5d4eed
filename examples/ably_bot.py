"""`ably_bot.py CHANNEL`: keeps the minutes of a channel, on Ably or whatever `CHATKIT_URL` names.

    chatkit dev ably --port 8080 --key app.key:secret &
    export CHATKIT_URL='ably://app.key@127.0.0.1:8080?tls=0' CHATKIT_SECRET=secret
    python examples/ably_bot.py support

`!minutes` asks for what was said since the bot last told. After a crash it reads again from there, as far as
the account keeps history (`&history=72h`): its cursor and its outbox are files, and an answer's key is the
question's id, so it is sent once. SIGTERM or Ctrl+C ends it.
"""

import asyncio
import signal
import sys
from pathlib import Path

import chatkit

CURSOR = Path("minutes.cursor")


async def keep(channel: chatkit.Channel, since: chatkit.Cursor) -> None:
    minutes: list[str] = []
    async for event in channel.events(chatkit.MessageCreated, since=since):
        message = event.message
        if message.text == "!minutes":
            text = "\n".join(minutes) or "Nothing was said."
            _ = await channel.send(text, reply_to=message, key=f"minutes-{message.message_id}")
            minutes.clear()
            save(event.cursor or since)
        elif not event.own:
            minutes.append(f"{message.sender.user}: {message.text}")


def saved() -> chatkit.Cursor:
    return chatkit.Cursor(CURSOR.read_text()) if CURSOR.exists() else chatkit.START


def save(cursor: chatkit.Cursor) -> None:
    _ = CURSOR.write_text(cursor)


async def run(name: str) -> None:
    ended = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, ended.set)
    async with chatkit.connect(user="minutes-bot", store="minutes-bot.db") as chat:
        channel = chat.channel(name)
        keeping = asyncio.create_task(keep(channel, saved()))
        await channel.attach(timeout=30)
        print(f"listening in {name}", flush=True)
        await ended.wait()
        keeping.cancel()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
