"""Private channels, tokens, broadcasts from the database and replay."""

from __future__ import annotations

import time

import httpx
from harness import ADA, Tools, case, refused, until
from realtime import RealtimeSubscribeStates

ERROR = RealtimeSubscribeStates.CHANNEL_ERROR
EVE = "00000000-0000-4000-8000-00000000e4e0"


@case("a private channel is joined by who is signed in")
async def private(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.joined(name, private=True), await t.joined(name, private=True)
    await writer.channel.send_broadcast("e", {"n": 1})
    assert await reader.reach(1) == [{"n": 1}]


@case("a private channel that the policies deny is refused")
async def denied(t: Tools) -> None:
    tried = await t.tried(t.name(suffix=":denied"), private=True)
    assert tried.states[-1] == ERROR
    assert "Unauthorized: You do not have permissions to read from this Channel topic" in tried.error


@case("nobody signed in is refused on a private channel")
async def anonymous(t: Tools) -> None:
    client = await t.supabase()
    tried = await t.tried(t.name(), client=client.realtime, private=True)
    assert "Unauthorized" in tried.error


@case("the service key may use every private channel")
async def service(t: Tools) -> None:
    await t.joined(t.name(suffix=":denied"), client=t.realtime(key=t.project["service"]), private=True)


@case("an expired token is refused by a join")
async def expired(t: Tools) -> None:
    client = t.realtime(key=t.project["anon"])
    client.access_token = t.token(exp=int(time.time()) - 60)
    tried = await t.tried(t.name(), client=client)
    assert "InvalidJWTToken: Token has expired" in tried.error


@case("a token that is none, or of another secret, is refused by a join")
async def forged(t: Tools) -> None:
    for token, reason in (("x", "MalformedJWT"), (t.token()[:-3] + "AAA", "JwtSignatureError")):
        client = t.realtime(key=t.project["anon"])
        client.access_token = token
        tried = await t.tried(t.name(), client=client)
        assert reason in tried.error, tried.error


@case("a public and a private channel of one name never meet")
async def apart(t: Tools) -> None:
    name = t.name()
    public, private = await t.joined(name, itself=True), await t.joined(name, private=True, itself=True)
    await public.channel.send_broadcast("e", {"n": 1})
    await private.channel.send_broadcast("e", {"n": 2})
    assert await public.reach(1) == [{"n": 1}]
    assert await private.reach(1) == [{"n": 2}]


@case("what may not be written is silently lost")
async def silent(t: Tools) -> None:
    name = t.name(suffix=":silent")
    reader, writer = await t.joined(name, private=True), await t.joined(name, private=True)
    await writer.channel.send_broadcast("e", {"n": 1})
    messages = [{"topic": name, "event": "e", "payload": {"n": 2}, "private": True}]
    for token, status in ((None, 202), (t.project["service"], 202)):
        answer = await t.post("/realtime/v1/api/broadcast", {"messages": messages}, token)
        assert answer.status_code == status
    assert await reader.reach(1) == [{"n": 2}]
    single = await t.post(f"/realtime/v1/api/broadcast/{name}/events/e?private=true", {})
    assert single.status_code == 403


@case("a token is renewed on a joined channel")
async def renewed(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.joined(name, private=True), await t.joined(name, private=True)
    await reader.channel.socket.set_auth(t.token(renewed=True))
    await writer.channel.send_broadcast("e", {"n": 1})
    assert await reader.reach(1) == [{"n": 1}]
    assert reader.joined


@case("a renewal with a token that may not read closes the channel")
async def demoted(t: Tools) -> None:
    joined = await t.joined(t.name(), private=True)
    await joined.channel.socket.set_auth(t.project["anon"])
    await until(lambda: joined.states[-1] == RealtimeSubscribeStates.CLOSED)


@case("a channel is closed when its token expires")
async def expires(t: Tools) -> None:
    client = t.realtime()
    client.access_token = t.token(exp=int(time.time()) + 2)
    joined = await t.joined(t.name(), client=client)
    await until(lambda: joined.states[-1] == RealtimeSubscribeStates.CLOSED)


# -- the database


@case("what a transaction sends arrives in its order, with its id")
async def committed(t: Tools) -> None:
    name = t.name()
    joined = await t.joined(name, private=True, broadcast={"replication_ready": True})
    await until(lambda: joined.told)
    client = await t.supabase(token=t.token())
    await client.rpc("say", {"topic": name, "many": 3}).execute()
    assert [each["n"] for each in await joined.reach(3)] == [0, 1, 2]
    ids = [each["payload"]["id"] for each in joined.heard]
    assert [each["meta"]["id"] for each in joined.heard] == ids
    assert len(set(ids)) == 3


@case("what a transaction sent and rolled back does not arrive")
async def rolled_back(t: Tools) -> None:
    name = t.name()
    joined = await t.joined(name, private=True, broadcast={"replication_ready": True})
    await until(lambda: joined.told)
    client = await t.supabase(token=t.token())
    error = await refused(client.rpc("say_and_fail", {"topic": name}).execute())
    assert (error.code, error.message) == ("P0001", "no")
    await client.rpc("say", {"topic": name, "many": 1}).execute()
    assert [each["n"] for each in await joined.reach(1)] == [0]


@case("a trigger broadcasts a new row")
async def trigger(t: Tools) -> None:
    name = t.name()
    joined = await t.joined(name, "INSERT", private=True, broadcast={"replication_ready": True})
    await until(lambda: joined.told)
    client = await t.supabase(token=t.token())
    await client.table("notes").insert({"topic": name, "body": "é"}).execute()
    (told,) = await joined.reach(1)
    assert (told["operation"], told["record"]["body"], told["record"]["author"]) == ("INSERT", "é", ADA)


@case("replay gives the latest, oldest first, and marks them")
async def replay(t: Tools) -> None:
    name, since = t.name(), int(time.time() * 1000) - 60_000
    client = await t.supabase(token=t.token())
    for _ in range(4):
        await client.rpc("say", {"topic": name, "many": 1}).execute()
    joined = await t.joined(name, private=True, broadcast={"replay": {"since": since, "limit": 3}})
    await joined.reach(3)
    assert all(each["meta"]["replayed"] for each in joined.heard)
    public = await t.tried(t.name(), broadcast={"replay": {"since": since}})
    assert "UnableToReplayMessages: Replay is not allowed for public channels" in public.error


@case("database broadcasts that were held back come in order", alone=True)
async def held(t: Tools) -> None:
    name = t.name()
    joined = await t.joined(name, private=True, broadcast={"replication_ready": True})
    await until(lambda: joined.told)
    client = await t.supabase(token=t.token())
    await t.deed("pause-replication")
    try:
        await client.rpc("say", {"topic": name, "many": 2}).execute()
        await joined.channel.send_broadcast("e", {"n": "live"})
        assert joined.heard == []
    finally:
        await t.deed("resume-replication")
    assert [each["n"] for each in await joined.reach(2)] == [0, 1]


# -- tables and functions


@case("rows are inserted, read, changed and deleted by whose they are")
async def rows(t: Tools) -> None:
    name = t.name()
    ada, eve = await t.supabase(token=t.token()), await t.supabase(token=t.token(sub=EVE))
    made = await ada.table("notes").insert([{"topic": name, "body": str(n)} for n in range(3)]).execute()
    ids = [row["id"] for row in made.data]
    query = (
        ada.table("notes")
        .select("id,body", count="exact")
        .eq("topic", name)
        .gt("id", ids[0])
        .order("id")
        .limit(1)
    )
    found = await query.execute()
    assert (found.data, found.count) == ([{"id": ids[1], "body": "1"}], 2)
    assert (await eve.table("notes").update({"body": "x"}).eq("id", ids[0]).execute()).data == []
    changed = await ada.table("notes").update({"body": "y"}).eq("id", ids[0]).execute()
    assert changed.data[0]["body"] == "y"
    await ada.table("notes").delete().eq("topic", name).execute()
    assert (await eve.table("notes").select("*").eq("topic", name).execute()).data == []


@case("errors of tables and functions have their codes")
async def errors(t: Tools) -> None:
    name = t.name()
    ada, anon = await t.supabase(token=t.token()), await t.supabase()
    late = await t.supabase(token=t.token(exp=int(time.time()) - 60))
    await ada.table("notes").insert({"topic": name, "body": "a", "key": name}).execute()
    wrong = {
        "23505": ada.table("notes").insert({"topic": name, "body": "b", "key": name}),
        "23502": ada.table("notes").insert({"topic": name}),
        "42501": anon.table("notes").insert({"topic": name, "body": "a"}),
        "42703": ada.table("notes").select("nothing"),
        "42P01": ada.table("nowhere").select("*"),
        "PGRST202": ada.rpc("nothing", {}),
        "PGRST116": ada.table("notes").select("*").eq("topic", "none").single(),
        "PGRST301": late.table("notes").select("*"),
        "P0001": ada.rpc("say_and_fail", {"topic": name}),
    }
    for code, call in wrong.items():
        error = await refused(call.execute())
        assert error.code == code, (code, error)


@case("a call without a key of the project is refused")
async def no_key(t: Tools) -> None:
    answer = await t.post("/rest/v1/rpc/say", {"topic": "x", "many": 1})
    assert (answer.status_code, answer.json()["message"]) == (401, "No API key found in request")


@case("a publishable key stands for the anon key")
async def publishable(t: Tools) -> None:
    client = await t.supabase(key=t.project["publishable"])
    assert (await client.rpc("whoami", {}).execute()).data == "anon"
    assert (await (await t.supabase(token=t.token())).rpc("whoami", {}).execute()).data == "authenticated"


# -- users


@case("who signs up is signed in, and may use private channels and tables")
async def signs_up(t: Tools) -> None:
    name = t.name()
    client = await t.supabase()
    answer = await client.auth.sign_up({"email": f"{name}@example.org", "password": "a password"})
    assert answer.session is not None
    assert answer.user is not None
    joined = await t.joined(name, client=client.realtime, private=True)
    made = await client.table("notes").insert({"topic": name, "body": "mine"}).execute()
    assert made.data[0]["author"] == answer.user.id
    assert joined.joined


@case("a session is refreshed once by each of its tokens")
async def refreshes(t: Tools) -> None:
    address = {"email": f"{t.name()}@example.org", "password": "a password"}
    client, other = await t.supabase(), await t.supabase()
    first = (await client.auth.sign_up(address)).session
    wrong = await refused(other.auth.sign_in_with_password({**address, "password": "another one"}))
    assert (wrong.code, wrong.message) == ("invalid_credentials", "Invalid login credentials")
    second = (await other.auth.sign_in_with_password(address)).session
    assert second.user.id == first.user.id
    third = (await client.auth.refresh_session()).session
    assert third.refresh_token != first.refresh_token
    assert (await client.auth.get_user()).user.email == address["email"]
    error = await refused(other.auth.refresh_session(first.refresh_token))
    assert error.code == "refresh_token_already_used", error
    await client.auth.sign_out()
    assert (await refused(other.auth.refresh_session(second.refresh_token))).code == "refresh_token_not_found"


# -- files


@case("a file is uploaded, replaced, downloaded by a signed URL and removed")
async def files(t: Tools) -> None:
    path, content = f"{ADA}/{t.name()}", bytes(range(256))
    client, anon = await t.supabase(token=t.token()), await t.supabase()
    bucket = client.storage.from_("files")
    await bucket.upload(path, content, {"content-type": "application/x-test"})
    assert "already exists" in str(await refused(bucket.upload(path, content)))
    assert await bucket.download(path) == content
    await bucket.update(path, b"new")
    signed = await bucket.create_signed_url(path, 60)
    async with httpx.AsyncClient() as http:
        assert (await http.get(signed["signedURL"])).content == b"new"
    assert "not_found" in str(await refused(anon.storage.from_("files").download(path)))
    assert "row-level security" in str(await refused(bucket.upload(f"{EVE}/x", b"x")))
    assert len(await bucket.remove([path])) == 1
    upload = await bucket.create_signed_upload_url(path)
    await anon.storage.from_("files").upload_to_signed_url(path, upload["token"], b"by url")
    assert await bucket.download(path) == b"by url"
