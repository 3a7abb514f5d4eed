"""Mirror a channel into a database, each change exactly once, over crashes. Runs until it is stopped.

    CHATKIT_URL=memory://demo python examples/mirror.py support --log sqlite:///chat.db

What a change does and the cursor behind it are one transaction: however this program ends, the next run
goes on where the database says.
"""

import argparse
import asyncio
import sqlite3
import sys

import chatkit
from chatkit import CursorInvalid, Discontinuity, MessageEvent

SCHEMA = """
create table if not exists message(id text primary key, version int, json text);
create table if not exists place(channel text primary key, cursor text);
"""
MESSAGE = """
insert into message values (?, ?, ?)
on conflict(id) do update set version = excluded.version, json = excluded.json
"""
PLACE = "insert into place values (?, ?) on conflict(channel) do update set cursor = excluded.cursor"


async def mirror(room: chatkit.Channel, db: sqlite3.Connection) -> None:
    db.executescript(SCHEMA)
    row = db.execute("select cursor from place where channel = ?", (room.name,)).fetchone()
    since = chatkit.Cursor(row[0]) if row else chatkit.START
    async for event in room.events(MessageEvent, Discontinuity, since=since):  # from the log, then live
        if isinstance(event, Discontinuity):
            print("messages may be missing between", event.after, "and", event.until, flush=True)
            continue
        m = event.message
        with db:  # effect and cursor in one transaction
            db.execute(MESSAGE, (m.message_id, m.version, m.to_json()))
            db.execute(PLACE, (room.name, event.cursor))
        print(m.message_id, m.version, flush=True)


async def run(args: argparse.Namespace) -> int:
    db = sqlite3.connect(args.into)
    try:
        async with chatkit.connect(
            user="mirror", store=":memory:", log=args.log, require=["history", "order"]
        ) as chat:
            await mirror(chat.channel(args.channel, presence=False, receipts="off"), db)
    except CursorInvalid as error:  # trimmed, or another provider's
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("channel")
    parser.add_argument("--into", default="mirror.db")
    parser.add_argument("--log")
    sys.exit(asyncio.run(run(parser.parse_args())))
