"""Ada and Bob talk, edit, react and read, wherever CHATKIT_URL says; each prints what is seen in the end.

    python examples/conversation.py                                    inside the process
    CHATKIT_URL=supabase://KEY@PROJECT python examples/conversation.py

CHATKIT_SECRET is the provider's secret, CHATKIT_LOG a log beside it. `test_conversation.py` tests it there.
"""

import asyncio
import os
import tempfile
import uuid
from pathlib import Path

import chatkit
from chatkit import MessageCreated, TimelineView

URL = os.environ.get("CHATKIT_URL", "memory://conversation")
LOG = os.environ.get("CHATKIT_LOG")
PATIENCE = 30.0
LAST = ["ada: Is there coffee? ☕", "bob: (deleted)", "bob: Half a pot."]


def shown(view: TimelineView) -> list[str]:
    return [
        " ".join(
            [
                f"{message.sender.user}: {'(deleted)' if message.deleted else message.text}",
                *sorted(message.reactions),
            ]
        )
        for message in view.messages
    ]


async def until(channel: chatkit.Channel, wanted: list[str]) -> list[str]:
    """Wait until a screen shows this; in any case return what it shows."""
    seen: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE):
            async for view in channel.timeline.watch():
                seen = shown(view)
                if seen == wanted:
                    break
    except TimeoutError:
        pass
    return seen


async def talk(folder: Path) -> dict[str, list[str]]:
    """Have the conversation in a channel of its own; returns what each user sees."""
    name = f"talk-{uuid.uuid4()}"
    async with (
        chatkit.connect(URL, user="ada", store=folder / "ada.db", log=LOG) as ada,
        chatkit.connect(URL, user="bob", store=folder / "bob.db", log=LOG) as bob,
    ):
        hers, his = ada.channel(name), bob.channel(name)
        said = his.events(MessageCreated)
        _ = await asyncio.gather(hers.attach(timeout=PATIENCE), his.attach(timeout=PATIENCE))

        delivery = await hers.send("Is there coffe?")
        question = (await said.next(timeout=PATIENCE)).message
        answer = await his.send("Just made.", reply_to=question)
        _ = await his.react(question, "☕")
        _ = await hers.edit(await delivery.wait(timeout=PATIENCE), "Is there coffee?")
        _ = await his.delete(await answer.wait(timeout=PATIENCE))
        _ = await his.send("Half a pot.")

        return {"ada": await until(hers, LAST), "bob": await until(his, LAST)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for user, seen in asyncio.run(talk(Path(folder))).items():
            print(f"{user} sees {seen}")


if __name__ == "__main__":
    main()
