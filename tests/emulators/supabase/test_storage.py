"""Objects in buckets, by the policies of the database."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.emulators.supabase.raw import Raws, serving

pytestmark = pytest.mark.realtime

OBJECT = "object/files/a/b.txt"


async def called(
    raws: Raws, method: str, path: str, *, token: str = "", json: Any = None, **more: Any
) -> Any:
    """Status, and the body: of an error its code."""
    key = raws.emulator.authority.anon_key
    headers = {"apikey": key, "Authorization": f"Bearer {token or raws.token()}", **more.pop("headers", {})}
    url = f"{raws.emulator.url}/storage/v1/{path}"
    async with raws.session.request(method, url, headers=headers, json=json, **more) as answer:
        is_json = answer.content_type == "application/json"
        told: Any = await answer.json() if is_json else await answer.read()
        if answer.status >= 400:
            return answer.status, (told["statusCode"], told["error"])
        return answer.status, told


async def bucket(raws: Raws, name: str = "files", *, public: bool = False) -> None:
    await called(
        raws,
        "POST",
        "bucket",
        token=raws.emulator.authority.service_key,
        json={"name": name, "public": public},
    )


async def test_an_object_is_there_once_until_it_is_replaced_or_deleted(database: str) -> None:
    """By its body or by a form; its kind is kept."""
    async with serving(database) as raws:
        await bucket(raws)
        assert (await called(raws, "GET", "bucket/files"))[1] == ("404", "Bucket not found")
        service = raws.emulator.authority.service_key
        assert (await called(raws, "GET", "bucket/files", token=service))[1]["public"] is False
        text: dict[str, Any] = {"headers": {"Content-Type": "text/x"}}
        status, told = await called(raws, "POST", OBJECT, data=b"1", **text)
        assert (status, told["Key"]) == (200, "files/a/b.txt")
        assert await called(raws, "POST", OBJECT, data=b"2", **text) == (400, ("409", "Duplicate"))
        form = aiohttp.FormData()
        form.add_field("cacheControl", "3600")
        form.add_field("file", b"3", filename="b.txt", content_type="text/y")
        assert (await called(raws, "PUT", OBJECT, data=form))[0] == 200
        assert await called(raws, "GET", OBJECT) == (200, b"3")
        assert await called(raws, "GET", OBJECT.replace("object", "object/authenticated")) == (200, b"3")
        _, gone = await called(raws, "DELETE", "object/files", json={"prefixes": ["a/b.txt", "none"]})
        assert [each["name"] for each in gone] == ["a/b.txt"]
        assert await called(raws, "GET", OBJECT) == (400, ("404", "not_found"))


async def test_signed_urls_are_for_one_object_one_way_and_a_time(database: str) -> None:
    """Without a key; a public bucket needs neither."""
    async with serving(database) as raws:
        await bucket(raws)
        await bucket(raws, "open", public=True)
        _, upload = await called(raws, "POST", "object/upload/sign/files/c", json={})
        url = upload["url"].removeprefix("/")
        anon = raws.emulator.authority.anon_key
        assert (await called(raws, "PUT", url, token=anon, data=b"c"))[0] == 200
        assert await called(raws, "PUT", url.replace("/c?", "/d?"), data=b"c") == (
            400,
            ("400", "InvalidSignature"),
        )
        _, signed = await called(raws, "POST", "object/sign/files/c", json={"expiresIn": 60})
        url = signed["signedURL"].removeprefix("/")
        assert await called(raws, "GET", url, token=anon) == (200, b"c")
        assert await called(raws, "PUT", url.replace("object/", "object/upload/"), data=b"") == (
            400,
            ("400", "InvalidSignature"),
        )
        raws.emulator.clock.advance(61.0)
        assert await called(raws, "GET", url, token=anon) == (400, ("400", "InvalidJWT"))
        await called(raws, "POST", "object/open/c", data=b"o")
        assert await called(raws, "GET", "object/public/open/c", token=anon) == (200, b"o")
        assert await called(raws, "GET", "object/public/files/c") == (400, ("404", "Bucket not found"))
        assert await called(raws, "GET", "object/public/open/none") == (400, ("404", "not_found"))


async def test_what_is_refused_says_so(database: str) -> None:
    """In the body: no bucket, no right, no token, no key, no file, bodies that are wrong."""
    async with serving(database) as raws:
        await bucket(raws)
        anon = raws.emulator.authority.anon_key
        assert await called(raws, "POST", "object/none/a", data=b"") == (400, ("404", "Bucket not found"))
        assert await called(raws, "POST", OBJECT, token=anon, data=b"") == (400, ("403", "Unauthorized"))
        assert await called(raws, "POST", OBJECT, token="x", data=b"") == (400, ("403", "Unauthorized"))
        assert await called(raws, "POST", "bucket", json={"name": "mine"}) == (400, ("403", "Unauthorized"))
        for path, body in (("bucket", {}), ("bucket", [1]), ("object/sign/files/a", {})):
            assert await called(raws, "POST", path, json=body) == (400, ("400", "invalid_request"))
        assert await called(raws, "DELETE", "object/files", json={}) == (400, ("400", "invalid_request"))
        with aiohttp.MultipartWriter("form-data") as empty:
            empty.append("x").set_content_disposition("form-data", name="x")
        assert await called(raws, "POST", OBJECT, data=empty) == (400, ("400", "invalid_request"))
        async with raws.session.get(f"{raws.emulator.url}/storage/v1/{OBJECT}") as answer:
            assert answer.status == 401
