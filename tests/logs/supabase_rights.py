"""Who may read and write what in a project, by its calls: for each server that answers them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from random import Random
from typing import Any, Self, TypeAlias

import httpx
import pytest

from chatkit.adapters.supabase import rpc
from chatkit.adapters.supabase.rpc import Rpc, RpcLog
from chatkit.errors import AuthenticationError, ChatkitError, ConfigError, InvalidMessage, NotAllowed
from chatkit.logs.postgres import migrate_supabase
from chatkit.model.names import EVERYONE, direct, personal
from chatkit.model.registers import KIND, READ, ROLE, UNREAD, Register
from chatkit.ports.outgoing import Ack, Outgoing
from chatkit.postgres.migrations import supabase
from chatkit.testing.contract.log.kit import (
    SUPPORT,
    append,
    key,
    kind,
    read,
    role,
    says,
    search,
    texts,
    unread_from,
)
from chatkit.testing.wishes import change, text_of, wish
from tests.logs.postgres_kit import ask, session
from tests.logs.supabase_kit import Door, Project


class Opened:
    """Doors for several, closed at the end."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._doors: dict[str, Door] = {}

    def __getitem__(self, who: str) -> Door:
        if who not in self._doors:
            made = {"service": self._project.service, "anon": self._project.anybody}.get(who)
            self._doors[who] = self._project.user(who) if made is None else made()
        return self._doors[who]

    async def __aenter__(self) -> Self:
        service = self["service"]
        await append(service, wish(1, user="bob"), wish(2, user="ada"))
        await service.put([role("ada", "owner"), role("mod", "moderator")])
        return self

    async def __aexit__(self, *_: object) -> None:
        for door in self._doors.values():
            await door.aclose()


async def told(call: Awaitable[Any]) -> str:
    """What a call comes to: what it gives, or how it is refused."""
    try:
        found = await call
    except ChatkitError as error:
        return type(error).__name__ if error.hint else "no hint"
    return found if isinstance(found, str) else "ok"


async def appended(log: RpcLog, entry: Outgoing, channel: str = SUPPORT) -> str:
    (ack,) = (await log.append(channel, [entry])).acks
    return ack.outcome if ack.error is None else type(ack.error).__name__


Call: TypeAlias = Callable[[RpcLog, str], Awaitable[Any]]
TARGET = wish(1, user="bob")
CALLS: dict[str, Call] = {
    "heads": lambda log, me: log.heads([SUPPORT]),
    "entries": lambda log, me: log.entries(SUPPORT, after=None, limit=10),
    "messages": lambda log, me: log.messages(SUPPORT, limit=10),
    "get": lambda log, me: log.get(SUPPORT, [TARGET.ident]),
    "versions": lambda log, me: log.versions(SUPPORT, TARGET.ident),
    "search": lambda log, me: log.search("text", channels=[SUPPORT], limit=10),
    "registers": lambda log, me: log.registers(SUPPORT, [ROLE]),
    "find": lambda log, me: log.find(SUPPORT, [TARGET.ident]),
    "unread": lambda log, me: log.unread(me, [SUPPORT]),
    "unread of another": lambda log, me: log.unread("bob", [SUPPORT]),
    "say": lambda log, me: appended(log, wish(10, user=me)),
    "say as another": lambda log, me: appended(log, wish(11, user="bob")),
    "delete another's": lambda log, me: appended(log, change(12, "message.delete", TARGET, user=me)),
    "own mark": lambda log, me: log.put([read(1, me)]),
    "another's mark": lambda log, me: log.put([read(1, "bob")]),
    "own unread": lambda log, me: log.put([unread_from(1, me)]),
    "claim": lambda log, me: log.put([role(me, "owner")]),
    "make a moderator": lambda log, me: log.put([role("bob", "moderator")]),
    "pin": lambda log, me: log.put([Register(SUPPORT, EVERYONE, "pin.00", "x", "newest", None)]),
    "kind": lambda log, me: log.put([kind()]),
    "trim": lambda log, me: log.trim(SUPPORT, key(1)),
    "restored": lambda log, me: log.restored(),
}
NO = "NotAllowed"
READS = ("heads", "entries", "messages", "get", "versions", "search", "registers", "find")
NOTHING = dict.fromkeys(CALLS, NO)
"""Who belongs to nothing."""
READING = {**NOTHING, **dict.fromkeys(READS, "ok")}
SIGNED = {"unread": "ok", "own mark": "ok", "own unread": "ok"}
READER = {**READING, **SIGNED}
MEMBER = {**READER, "say": "new"}
MODERATOR = {**MEMBER, "delete another's": "new", "pin": "ok"}
OWNER = {**MODERATOR, "make a moderator": "ok", "kind": "ok", "claim": "ok"}
ALL = {name: {"say": "new", "say as another": "new"}.get(name, "ok") for name in CALLS}


async def writing(log: RpcLog, user: str, count: int) -> list[Ack]:
    """Say numbered messages; some batches go again, cut otherwise and while they are still under way."""
    random = Random(user)
    acks: list[Ack] = []
    start = 1
    while start <= count:
        batch = [wish(n, user=user) for n in range(start, min(start + random.randint(1, 5), count + 1))]
        calls = [log.append(SUPPORT, batch)]
        if random.random() < 0.4:
            calls.append(log.append(SUPPORT, batch[: random.randint(1, len(batch))]))
        for appended in await asyncio.gather(*calls):
            acks += appended.acks
        start += len(batch)
    return acks


def request(project: Project, user: str | None, function: str, body: Any) -> dict[str, Any]:
    """A call as any program makes it."""
    door = project.anybody() if user is None else project.user(user)
    token = door.given.token or door.given.key
    return {
        "url": f"{project.url}/rest/v1/rpc/chatkit_{function}",
        "headers": {"apikey": project.anon_key, "Authorization": f"Bearer {token}"},
        "json": body,
    }


async def raw_append(
    project: Project, by: str, entry: Outgoing, channel: str, /, **changed: Any
) -> list[str]:
    item = {
        "user": entry.ident.user,
        "id": entry.ident.id,
        "device": entry.device,
        "seq": entry.seq,
        "not_after": None,
        "data": entry.data.decode(),
    }
    async with httpx.AsyncClient() as client:
        body = {"channel": channel, "entries": [item | changed]}
        answer = await client.post(**request(project, by, "append", body))
    assert answer.status_code == 200, answer.text
    return [ack.get("error") or ack["outcome"] for ack in answer.json()["acks"]]


MEMBERS = next(step.text for step in supabase() if step.name.endswith("_members.sql"))
OURS = MEMBERS[(start := MEMBERS.index("create function membership")) : MEMBERS.index("$$;", start) + 3]


class Rights:
    """Who may do what, by calls; `project` comes from whoever inherits them."""

    @pytest.fixture
    def project(self, served: Project) -> Generator[Project]:
        """With a channel that ada owns, in which bob wrote, and roles of others."""
        served.member(SUPPORT, "ada")
        served.member(SUPPORT, "bob")
        served.member(SUPPORT, "mod")
        served.member(SUPPORT, "rita", writes=False)
        yield served
        served.empty()

    @pytest.mark.parametrize(
        ("who", "may"),
        [
            ("anon", NOTHING),
            ("eve", NOTHING),
            ("rita", READER),
            ("zoe", MEMBER),
            ("mod", MODERATOR),
            ("ada", OWNER),
        ],
    )
    async def test_each_does_what_is_theirs(self, project: Project, who: str, may: dict[str, str]) -> None:
        """Nobody signed in, a stranger, who reads, a member, a moderator, an owner: call by call."""
        project.member(SUPPORT, "zoe")
        async with Opened(project) as doors:
            log = doors[who]
            me = "" if who == "anon" else who
            found = {name: await told(call(log, me or "nobody")) for name, call in CALLS.items()}

        assert {name: outcome for name, outcome in found.items() if outcome != may[name]} == {}

    async def test_a_secret_key_speaks_for_anybody(self, project: Project) -> None:
        """And trims, and says that a backup was put in place."""
        async with Opened(project) as doors:
            log = doors["service"]
            found = {name: await told(call(log, "carl")) for name, call in CALLS.items()}

        denied = {name for name, outcome in found.items() if outcome == NO}
        assert denied == {"delete another's"}  # carl is no moderator: the key speaks for him, and no more
        assert found["say as another"] == "new"

    async def test_what_is_open_to_anybody_is_read_without_signing_in(self, project: Project) -> None:
        """And written by nobody."""
        project.member(SUPPORT, "", writes=False)
        async with Opened(project) as doors:
            found = {name: await told(call(doors["anon"], "nobody")) for name, call in CALLS.items()}

        assert {name for name, outcome in found.items() if outcome == "ok"} == set(READS)

    async def test_what_is_open_to_everyone_is_of_who_is_signed_in(self, project: Project) -> None:
        """`*` in one channel, or in all of them; derived channels stay whose they are."""
        project.member("", EVERYONE)
        async with Opened(project) as doors:
            assert await appended(doors["eve"], wish(10, user="eve")) == "new"
            assert await appended(doors["eve"], wish(11, user="eve", channel="new"), "new") == "new"
            assert await told(doors["anon"].heads([SUPPORT])) == NO
            assert await told(doors["eve"].entries(direct("ada", "bob"), after=None, limit=1)) == "NotAllowed"

    async def test_a_user_whose_membership_ended_reads_no_more(self, project: Project) -> None:
        """At the next call."""
        async with Opened(project) as doors:
            await doors["bob"].entries(SUPPORT, after=None, limit=1)
            ask(project.dsn, "SELECT chatkit.remove_member(%s, %s)", SUPPORT, "bob")

            assert await told(doors["bob"].entries(SUPPORT, after=None, limit=1)) == NO

    async def test_an_app_says_itself_who_belongs(self, project: Project) -> None:
        """By a function of its own in place of ours, which a later migration leaves alone."""
        ask(
            project.dsn,
            "CREATE OR REPLACE FUNCTION chatkit.membership(channel text, user_id text) RETURNS text"
            " LANGUAGE sql STABLE AS $$ SELECT CASE user_id WHEN 'eve' THEN 'write' END $$",
        )
        try:
            async with Opened(project) as doors:
                assert await appended(doors["eve"], wish(10, user="eve")) == "new"
                assert await told(doors["bob"].heads([SUPPORT])) == NO
                migrate_supabase(project.dsn)
                assert await told(doors["bob"].heads([SUPPORT])) == NO
        finally:
            with session(project.dsn) as connection:
                connection.execute("SET search_path = chatkit")
                connection.execute(OURS.replace("create function", "create or replace function").encode())

    # ------------------------------------------------------------------ direct and personal channels

    async def test_a_direct_channel_is_of_its_two(self, project: Project) -> None:
        """Nobody made them members: the name says who they are."""
        name = direct("ada", "bob")
        async with Opened(project) as doors:
            assert await appended(doors["ada"], wish(10, channel=name), name) == "new"
            assert await appended(doors["bob"], wish(11, user="bob", channel=name), name) == "new"
            assert await appended(doors["eve"], wish(12, user="eve", channel=name), name) == NO
            assert [await told(doors[who].messages(name, limit=1)) for who in ("ada", "bob")] == ["ok", "ok"]
            with pytest.raises(NotAllowed):
                await doors["eve"].messages(name, limit=1)

    async def test_a_direct_channel_whose_name_is_a_hash_needs_rows(self, project: Project) -> None:
        """Nobody can tell whose it is; a row that opens all channels does not open it."""
        long = "жж" * 20
        name = direct("ada", long)
        project.member("", EVERYONE)
        async with Opened(project) as doors:
            assert await appended(doors["ada"], wish(10, channel=name), name) == NO
            project.member(name, "ada", writes=False)  # of two who may both speak there is no such thing
            assert await appended(doors["ada"], wish(10, channel=name), name) == NO
            project.member(name, "ada")
            assert await appended(doors["ada"], wish(10, channel=name), name) == "new"

    async def test_a_personal_channel_is_read_by_one_and_invited_into_by_all(self, project: Project) -> None:
        """Who invites reads nothing there, and finds what is theirs alone (D31)."""
        name = personal("bob")
        invitation = wish(10, kind="direct.open", channel=name)
        async with Opened(project) as doors:
            assert await appended(doors["ada"], invitation, name) == "new"
            assert (
                await appended(doors["eve"], wish(11, user="eve", kind="direct.open", channel=name), name)
                == "new"
            )
            with pytest.raises(NotAllowed):
                await doors["ada"].entries(name, after=None, limit=1)
            asked = [invitation.ident, wish(11, user="eve").ident]
            assert set((await doors["ada"].find(name, asked)).items) == {invitation.ident}
            assert len((await doors["bob"].entries(name, after=None, limit=5)).items) == 2
            assert await told(doors["anon"].heads([name])) == NO

    async def test_a_personal_channel_takes_invitations_alone(self, project: Project) -> None:
        """Whatever client calls: the log itself says no."""
        name = personal("bob")
        async with Opened(project) as doors:
            assert await raw_append(project, "ada", wish(10, channel=name), name) == [NO]
            assert (await doors["bob"].heads([name]))[name].head is None

    async def test_a_claim_check_is_for_frames(self, project: Project) -> None:
        """A log keeps the body itself; what merely speaks of claims is kept."""
        claim = wish(10, body={"type": "claim", "bytes": 5, "summary": None})
        async with Opened(project):
            assert await raw_append(project, "ada", claim, SUPPORT) == ["Rejected"]
            assert await raw_append(project, "ada", says(11, 'a "claim"'), SUPPORT) == ["new"]

    # ------------------------------------------------------------------ roles

    async def test_an_unclaimed_channel_belongs_to_who_claims_it(self, project: Project) -> None:
        """Once: the second claim is refused, also by who left no trace there."""
        for user in ("ada", "bob"):
            project.member("new", user)
        async with Opened(project) as doors:
            await doors["ada"].put([role("ada", "owner", "new")])
            with pytest.raises(NotAllowed, match="only an owner gives roles"):
                await doors["bob"].put([role("bob", "owner", "new")])
            await doors["ada"].put([role("bob", "owner", "new")])
            await doors["ada"].put([role("ada", "", "new")])
            with pytest.raises(NotAllowed, match="last owner"):
                await doors["bob"].put([role("bob", "member", "new")])

    async def test_where_others_have_spoken_nobody_claims(self, project: Project) -> None:
        """A role must be given by a backend there."""
        for user in ("ada", "bob"):
            project.member("new", user)
        async with Opened(project) as doors:
            await appended(doors["bob"], wish(10, user="bob", channel="new"), "new")
            with pytest.raises(NotAllowed, match="not to be claimed"):
                await doors["ada"].put([role("ada", "owner", "new")])
            await doors["service"].put([role("ada", "owner", "new")])
            await doors["ada"].put([role("bob", "moderator", "new")])

    async def test_all_of_a_call_is_refused_where_one_register_is(self, project: Project) -> None:
        """And nothing of it is kept."""
        async with Opened(project) as doors:
            with pytest.raises(NotAllowed):
                await doors["bob"].put([read(1, "bob"), role("bob", "owner")])
            assert await doors["bob"].registers(SUPPORT, [READ]) == ()

    async def test_what_one_marked_unread_nobody_else_sees(self, project: Project) -> None:
        """It is private; the mark of reading is not (D25)."""
        async with Opened(project) as doors:
            await doors["bob"].put([unread_from(1, "bob"), read(1, "bob")])
            seen = [
                [cell.name for cell in await doors[who].registers(SUPPORT, [READ, UNREAD])]
                for who in ("bob", "ada", "service")
            ]

        assert seen == [[READ, UNREAD], [READ], [READ, UNREAD]]

    @pytest.mark.parametrize(
        "cell",
        [
            ["support", "bob", "", "x", "newest", None, None],
            ["support", "bob", "x" * 65, "x", "newest", None, None],
            ["support", "bob", "x", "x" * 4097, "newest", None, None],
            ["support", "bob", "x", "x", "latest", None, None],
            ["support", "bob", "x", "x", None, None, None],
            ["support", "bob", "x", "x", "newest", -1, ""],
            ["support", "bob", "x", "x", "newest", 1, None],
            ["support", "bob", "x", "x", "newest", 1, "x" * 4097],
            ["support", "bob", "x", "x", "newest", "1", "x"],
            ["support", "", "x", "x", "newest", None, None],
            ["support", None, "x", "x", "newest", None, None],
            ["support", "bob", "x", 1, "newest", None, None],
            ["", "bob", "x", "x", "newest", None, None],
            ["dm.x", "bob", "x", "x", "newest", None, None],
            ["support", "bob", "x", "x", "newest", None],
            "support",
            None,
            {},
        ],
    )
    async def test_what_is_no_register_is_kept_by_nobody(self, project: Project, cell: object) -> None:
        """Whatever client sends it."""
        async with Opened(project) as doors, httpx.AsyncClient() as client:
            given = {"given": [["support", "bob", "read", "x", "greatest", None, None], cell]}
            answer = await client.post(**request(project, "bob", "put", given))
            assert answer.status_code == 422
            assert await doors["bob"].registers(SUPPORT, [READ]) == ()

    # ------------------------------------------------------------------ searching

    async def test_a_search_is_among_what_may_be_read(self, project: Project) -> None:
        """Without names all of that; a name of another channel is refused."""
        project.member("other", "eve")
        async with Opened(project) as doors:
            await appended(doors["eve"], wish(10, user="eve", channel="other"), "other")
            assert await search(doors["ada"], "text") == ["text 2", "text 1"]
            assert await search(doors["eve"], "text") == ["text 10"]
            assert await search(doors["service"], "text") == ["text 10", "text 2", "text 1"]
            assert await search(doors["anon"], "text") == []
            with pytest.raises(NotAllowed):
                await doors["ada"].search("text", channels=[SUPPORT, "other"], limit=5)

    async def test_heads_are_of_what_may_be_read(self, project: Project) -> None:
        """One channel that is lost hides no other."""
        async with Opened(project) as doors:
            heads = await doors["ada"].heads([SUPPORT, "secret"])

        assert set(heads) == {SUPPORT}

    # ------------------------------------------------------------------ forging

    async def test_a_member_forges_neither_sender_nor_serial_nor_time(self, project: Project) -> None:
        """What they write of these is not read: a stamp within an envelope stays text."""
        stamp = {"epoch": 1, "serial": "9" * 20, "at": "2099-01-01T00:00:00.000Z", "user": "bob"}
        async with Opened(project) as doors:
            assert await raw_append(project, "ada", wish(10, user="bob"), SUPPORT) == [NO]
            assert await raw_append(project, "ada", wish(10, user="bob"), SUPPORT, user="ada") == [NO]
            forged = {"serial": 999, "at": 1, "prev": 5, "channel": 1}
            assert await raw_append(project, "ada", wish(11, stamp=stamp), SUPPORT, **forged) == ["new"]
            (entry,) = (await doors["bob"].entries(SUPPORT, after=key(2), limit=10)).items

        assert (entry.stamp.key, entry.stamp.user) == (key(3), "ada")
        assert entry.stamp.at.year < 2099

    @pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
    @pytest.mark.parametrize("profile", ["public", "chatkit", "realtime"])
    @pytest.mark.parametrize("table", ["entries", "channels", "members", "registers", "header", "messages"])
    async def test_no_table_is_reached(self, project: Project, method: str, profile: str, table: str) -> None:
        """By no method, in no schema, for a member as for a stranger."""
        async with Opened(project), httpx.AsyncClient() as client:
            for user in ("ada", "eve", None):
                given = request(project, user, "", {"name": "x"} if method in {"POST", "PATCH"} else None)
                given["headers"] |= {"Accept-Profile": profile, "Content-Profile": profile}
                answer = await client.request(method, **{**given, "url": f"{project.url}/rest/v1/{table}"})
                assert answer.status_code in {401, 403, 404, 406}, answer.text

    # ------------------------------------------------------------------ credentials

    async def test_an_expired_token_is_renewed_once(self, project: Project) -> None:
        """The call goes again with the next one; a second refusal is told."""
        async with Opened(project) as doors:
            log = doors["ada"]
            good = log.given.token
            assert good is not None
            expired = str(project.user("ada", seconds=-3600).given.token)
            log.given.token = expired
            log.given.fresh = [good]
            assert await told(log.heads([SUPPORT])) == "ok"
            log.given.token, log.given.fresh = expired, [expired]
            with pytest.raises(AuthenticationError) as refused:
                await log.heads([SUPPORT])

        assert expired not in f"{refused.value!r} {refused.value} {refused.value.hint}"

    async def test_a_user_who_is_everyone_is_nobody(self, project: Project) -> None:
        """No token makes somebody a user that there cannot be."""
        project.member("", EVERYONE)
        async with Opened(project) as doors:
            for sub in (EVERYONE, "", "a\nb", "e\u0301"):
                assert await told(doors[sub].heads([SUPPORT])) == NO

    async def test_more_than_a_call_takes_is_refused(self, project: Project) -> None:
        """At once, before any of it is read (I10)."""
        async with Opened(project) as doors:
            with pytest.raises(ChatkitError, match="at most 1,000"):
                await doors["ada"].append(SUPPORT, [wish(number) for number in range(10, 1_011)])
            with pytest.raises(ChatkitError, match="at most 10,000"):
                await doors["ada"].find(SUPPORT, [wish(1).ident] * 10_001)
            for text in ("x" * 65_537, " ".join(f"w{number}" for number in range(2_001))):
                with pytest.raises(ChatkitError, match="at most 2,000 words"):
                    await doors["ada"].search(text, limit=1)

    async def test_a_project_without_the_schema_says_what_to_do(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the command that makes it."""
        monkeypatch.setattr(rpc, "STALE", 0.0)
        with session(project.dsn) as connection:
            connection.execute("ALTER FUNCTION public.chatkit_heads RENAME TO hidden_heads")
            try:
                async with Opened(project) as doors:
                    with pytest.raises(ConfigError) as refused:
                        await doors["ada"].heads([SUPPORT])
            finally:
                connection.execute("ALTER FUNCTION public.hidden_heads RENAME TO chatkit_heads")

        assert "chatkit supabase migrate" in refused.value.hint

    async def test_what_the_database_cannot_hold_is_no_failure(self, project: Project) -> None:
        """U+0000 in a name is no such channel."""
        async with Opened(project) as doors:
            assert texts(await doors["service"].messages("a\0b", limit=1)) == []
            async with httpx.AsyncClient() as client:
                answer = await client.post(**request(project, "ada", "heads", {"names": ["a\0b"]}))
            assert answer.status_code == 400
            with pytest.raises(InvalidMessage):
                await doors["ada"].put([Register(SUPPORT, "ada", KIND, "a\0b", "newest", None)])

    # ------------------------------------------------------------------ many at once

    async def test_twenty_users_write_at_once(self, project: Project) -> None:
        """None is lost, doubled or out of order, numbers have no hole, and each is told once (D9)."""
        project.member(SUPPORT, EVERYONE)
        users = [f"user{number}" for number in range(20)]
        ask(project.dsn, "DELETE FROM realtime.messages")
        async with Opened(project) as doors:
            acks = await asyncio.gather(*(writing(doors[user], user, 25) for user in users))
            found = await doors["service"].entries(SUPPORT, after=None, limit=1_000)
        with session(project.dsn) as connection:
            told = connection.execute(
                "SELECT e ->> 'serial' FROM realtime.messages, jsonb_array_elements(payload -> 'entries') AS e"
            ).fetchall()

        places = {(entry.stamp.user, entry.stamp.key) for entry in found.items}
        assert [int(entry.stamp.key.serial) for entry in found.items] == list(range(1, 503))
        for user, mine in zip(users, acks, strict=True):
            own = [text_of(entry.data) for entry in found.items if entry.stamp.user == user]
            assert own == [f"text {number}" for number in range(1, 26)]
            assert {ack.outcome for ack in mine} <= {"new", "duplicate"}
            assert [ack.outcome for ack in mine].count("new") == 25
            assert {(user, ack.key) for ack in mine} <= places
        assert sorted(int(serial) for (serial,) in told) == list(range(1, 503))

    async def test_of_two_who_claim_a_channel_at_once_one_gets_it(self, project: Project) -> None:
        """Whoever comes second is told that it has an owner."""
        names = [f"new{number}" for number in range(10)]
        project.member("", EVERYONE)
        async with Opened(project) as doors:
            claims = [
                doors[user].put([role(user, "owner", name)]) for name in names for user in ("ada", "bob")
            ]
            ended = await asyncio.gather(*(told(claim) for claim in claims))
            owners = [await doors["ada"].registers(name, [ROLE]) for name in names]

        assert sorted(ended) == [NO] * 10 + ["ok"] * 10
        assert [len(found) for found in owners] == [1] * 10

    async def test_no_limit_of_rows_cuts_an_answer(self, project: Project) -> None:
        """A project's Data API gives a thousand rows at most, and says nothing of the others."""
        marks = [read(number, f"user{number}") for number in range(1, 1_201)]
        async with Opened(project) as doors:
            await doors["service"].put(marks)
            found = await doors["ada"].registers(SUPPORT, [READ])
            await append(doors["service"], *(wish(number, seq=None) for number in range(10, 1_010)))
            page = await doors["ada"].entries(SUPPORT, after=None, limit=1_000)

        assert len(found) == 1_200
        assert (len(page.items), page.more) == (1_000, True)

    # ------------------------------------------------------------------ members

    async def test_a_server_makes_members(self, project: Project) -> None:
        """With the secret key, by the same calls as all else; no user does, for themself or another."""
        body = {"channel": SUPPORT, "user_id": "eve"}
        async with Opened(project) as doors, httpx.AsyncClient() as client:
            for user, status in (("ada", 403), ("eve", 403), (None, 401)):
                for function in ("add_member", "remove_member"):
                    assert (await client.post(**request(project, user, function, body))).status_code == status
            assert await told(doors["eve"].heads([SUPPORT])) == NO

            service = doors["service"]
            await Rpc(project.url, service.client, service.given).call("add_member", **body, writes=False)
            assert await told(doors["eve"].heads([SUPPORT])) == "ok"
            assert await appended(doors["eve"], wish(10, user="eve")) == NO
            await Rpc(project.url, service.client, service.given).call("remove_member", **body)
            assert await told(doors["eve"].heads([SUPPORT])) == NO
