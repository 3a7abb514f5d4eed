"""A chat in the terminal: what is stored shows at once, statuses, who types, unread, retry of a failed send.

    pip install textual
    CHATKIT_URL=memory://demo python examples/terminal_ui.py

Enter on a message that failed sends it again.
"""

from textual.app import App, ComposeResult
from textual.widgets import Input, ListItem, ListView, Static

import chatkit


class ChatApp(App[None]):
    chat: chatkit.Chat
    room: chatkit.Channel

    def compose(self) -> ComposeResult:
        yield Static(id="banner", markup=False)
        yield ListView(id="messages")
        yield Static(id="typing", markup=False)
        yield Input(id="box")

    async def on_mount(self) -> None:
        self.chat = await chatkit.connect(user="ada", store="ada.db")  # does not wait: offline works
        self.room = self.chat.channel("support")
        self.run_worker(self.show_timeline())
        self.run_worker(self.show_typing())
        self.run_worker(self.show_connection())
        self.run_worker(self.show_unread())

    async def show_timeline(self) -> None:
        rows = self.query_one(ListView)
        async for view in self.room.timeline.watch():  # first the snapshot, then each newer one
            if view.changes is None:
                await rows.clear()
                await rows.extend(self.row(m) for m in view.messages)
            for change in view.changes or ():
                if change.op != "insert":
                    await rows.pop(change.index)
                if change.op != "remove":
                    await rows.insert(change.index, [self.row(change.message)])
            await self.room.receipts.mark_read()

    def row(self, m: chatkit.Message) -> ListItem:
        mark = "" if m.status == "sent" else f" [{m.status}]"
        return ListItem(Static(f"{m.sender.user}: {m.text}{mark}", markup=False), name=m.message_id)

    async def show_typing(self) -> None:
        async for users in self.room.typing.watch():
            self.query_one("#typing", Static).update(f"{', '.join(sorted(users))} typing" if users else "")

    async def show_connection(self) -> None:
        async for _ in self.chat.connection.watch():
            self.show_banner()

    async def show_unread(self) -> None:
        async for _ in self.room.receipts.watch():
            self.show_banner()

    def show_banner(self) -> None:
        connection, unread = self.chat.connection, self.room.receipts.unread
        text = f"{connection.state} {connection.reason or ''} {unread.messages} unread"
        self.query_one("#banner", Static).update(text)

    async def on_input_changed(self, event: Input.Changed) -> None:
        if event.value:
            await self.room.typing.keystroke()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            await self.room.send(event.value)
        except chatkit.ChatkitError as error:  # it stays in the box, to be mended
            self.notify(f"{error}\n{error.hint}", severity="error", markup=False)
        else:
            event.input.clear()

    async def on_list_view_selected(self, event: ListView.Selected) -> None:
        for delivery in await self.chat.outbox.entries(status="failed"):
            if delivery.message_id == event.item.name:
                await delivery.retry()

    async def action_quit(self) -> None:
        self.workers.cancel_all()  # they would draw on what is no longer there
        await super().action_quit()

    async def on_unmount(self) -> None:
        self.workers.cancel_all()  # they would use a chat that is closed
        await self.chat.aclose()


if __name__ == "__main__":
    ChatApp().run()
