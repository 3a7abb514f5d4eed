"""`supabase_bot.py CHANNEL`: finds what was said, on Supabase or whatever `CHATKIT_URL` names.

    chatkit dev supabase --port 8000 &               # prints `service_role KEY` and `database URL`
    chatkit supabase migrate --dsn URL
    export CHATKIT_URL='supabase://KEY@127.0.0.1:8000?tls=0'
    python examples/supabase_bot.py support

`!find coffee` is answered with the newest three messages that hold the word: PostgreSQL searches. What was
asked while the bot was away it answers when it is back, once: its cursor and its outbox are files, and an
answer's key is the question's id. SIGTERM or Ctrl+C ends it.
"""

import asyncio
import signal
import sys
from pathlib import Path

import chatkit

CURSOR = Path("finder.cursor")


async def answer(channel: chatkit.Channel, question: chatkit.Message) -> None:
    command, _, words = question.text.partition(" ")
    if command == "!find" and words:
        found = await channel.search(words, limit=10)
        said = [hit for hit in found.items if not hit.text.startswith("!") and hit.sender.user != "finder"]
        lines = [f"{hit.sender.user}: {hit.text}" for hit in said[:3]]
        text = "\n".join(lines) or f"Nobody has said {words}."
        _ = await channel.send(text, reply_to=question, key=f"found-{question.message_id}")


async def listen(channel: chatkit.Channel) -> None:
    async for event in channel.events(chatkit.MessageCreated, since=saved()):
        if not event.own:
            await answer(channel, event.message)
        if event.cursor:
            save(event.cursor)


def saved() -> chatkit.Cursor:
    return chatkit.Cursor(CURSOR.read_text()) if CURSOR.exists() else chatkit.START


def save(cursor: chatkit.Cursor) -> None:
    _ = CURSOR.write_text(cursor)


async def run(name: str) -> None:
    ended = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, ended.set)
    async with chatkit.connect(user="finder", store="finder.db") as chat:
        channel = chat.channel(name)
        listening = asyncio.create_task(listen(channel))
        await channel.attach(timeout=30)
        print(f"listening in {name}", flush=True)
        await ended.wait()
        _ = listening.cancel()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
