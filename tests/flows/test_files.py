"""Files from upload to erasure (A6), and hostile uploads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rts_server.tools.dev import aws
from tests.helpers.commands import direct, ok, refused
from tests.helpers.file_samples import png
from tests.helpers.js_client import JsClient
from tests.helpers.objects import keys
from tests.helpers.rooms import group
from tests.helpers.upload_form import asking, citing, get, post, uploaded
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import Process, World, free_port, name, ready

PICTURE = png(blank=500)


def state(world: World, room_id: str, attachment_id: str) -> str:
    """The value of a file's tag."""
    s3 = aws.client(world.stack.settings, "s3")
    key = f"files/{room_id}/{attachment_id}"
    tags = s3.get_object_tagging(Bucket=world.stack.settings.bucket, Key=key)["TagSet"]
    return str({tag["Key"]: tag["Value"] for tag in tags}["state"])


@asynccontextmanager
async def instance(world: World, folder: Path, **more: str) -> AsyncIterator[str]:
    """The address of another web instance with settings of its own."""
    given = {n: v for n, v in world.stack.environment().items() if n != "PYTHONWARNINGS"}
    port = free_port()
    process = Process("serve", given | {"RTS_PORT": str(port)} | more, folder / "web.log")
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        await asyncio.to_thread(until, lambda: ready(url))
        yield url
    finally:
        await asyncio.to_thread(process.stop)


async def test_a_file_reaches_another_member(world: World) -> None:
    """Requested, uploaded, completed, attached: the other member downloads it."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b:
        room_id = await direct(a, bob)
        sides = {"width": 8, "height": 6}
        attachment = await uploaded(a, room_id, PICTURE, name="../Bär\n.png", **sides)
        asked = asking(room_id, PICTURE, **sides)
        kept = ("size", "content_type", "checksum_sha256", "width", "height")
        assert attachment == {n: asked[n] for n in kept} | {
            "name": "Bär.png",
            "attachment_id": attachment["attachment_id"],
        }
        sent = await ok(a, "message.send", citing(room_id, attachment))
        heard = await b.wait_for(lambda e: bool(e["type"] == "message.new"))
        message = heard["data"]["message"]
        assert (message["type"], message["text"]) == ("file", "")
        assert message["attachments"] == [attachment]
        (room,) = (await ok(b, "room.list", {}))["rooms"]
        assert room["last_message"]["preview"] == "Bär.png"
        assert room["unread"] == 1

        wanted = {"room_id": room_id, "message_id": sent["message_id"]}
        wanted["attachment_id"] = attachment["attachment_id"]
        link = await ok(b, "upload.url", wanted)
        status, headers, body = await get(link["url"])
        assert (status, body) == (200, PICTURE)
        assert headers["content-type"] == "image/png"
        assert headers["content-disposition"].startswith("inline; ")
        assert "filename*=UTF-8''B%C3%A4r.png" in headers["content-disposition"]
        assert headers["x-amz-meta-size"] == str(len(PICTURE))
        assert keys(world, room_id) == {"files", "cited"}


async def test_only_the_granted_upload_is_accepted(world: World) -> None:
    """S3 refuses another size, type, key, name or user, and fields outside the policy."""
    async with world.js(name("alice")) as a:
        room_id = await direct(a, name("bob"))
        grant = await ok(a, "upload.request", asking(room_id, PICTURE))
        fields = grant["fields"]
        assert await post(grant, PICTURE + b"x") == 400
        assert await post(grant, PICTURE[:-1]) == 400
        for changed in (
            {"Content-Type": "text/html"},
            {"key": fields["key"] + "x"},
            {"key": fields["key"].replace("pending/", "files/")},
            {"x-amz-meta-name": fields["x-amz-meta-user"]},
            {"x-amz-meta-user": fields["x-amz-meta-name"]},
            {"x-amz-checksum-sha256": asking(room_id, b"other")["checksum_sha256"]},
            {"x-amz-meta-more": "x"},
        ):
            assert await post(grant, PICTURE, **changed) == 403
        named = {"room_id": room_id, "attachment_id": grant["attachment_id"]}
        assert await refused(a, "upload.complete", named) == "not_found"
        assert keys(world, room_id) == set()
        assert await post(grant, PICTURE) == 204
        await ok(a, "upload.complete", named)


async def test_an_upload_with_another_checksum_is_refused(world: World) -> None:
    """Other content of the same size, or of another type, is refused and deleted."""
    async with world.js(name("alice")) as a:
        room_id = await direct(a, name("bob"))
        page = b"<html>" + bytes(94)
        for asked, content in (
            (asking(room_id, PICTURE), PICTURE[:-1] + b"?"),
            (asking(room_id, page), page),
        ):
            grant = await ok(a, "upload.request", asked)
            assert await post(grant, content) == 204
            named = {"room_id": room_id, "attachment_id": grant["attachment_id"]}
            answer = await a.emit("upload.complete", named)
            assert answer["error"]["code"] == "invalid_param"
            assert list(answer["error"]["details"]) == ["attachment_id"]
            assert keys(world, room_id) == set()
            assert await refused(a, "upload.complete", named) == "not_found"


async def test_a_grant_posted_again_is_refused(world: World) -> None:
    """A completed file stays as verified; later uploads of the form are deleted."""
    async with world.js(name("alice")) as a:
        room_id = await direct(a, name("bob"))
        grant = await ok(a, "upload.request", asking(room_id, PICTURE))
        named = {"room_id": room_id, "attachment_id": grant["attachment_id"]}
        assert await post(grant, PICTURE) == 204
        first = await ok(a, "upload.complete", named)
        for content in (PICTURE, PICTURE[:-1] + b"?"):
            assert await post(grant, content) == 204
            answer = await a.emit("upload.complete", named)
            assert answer["error"]["code"] == "invalid_param"
            assert list(answer["error"]["details"]) == ["attachment_id"]
            assert keys(world, room_id) == {"files"}
            assert await ok(a, "upload.complete", named) == first
        sent = await ok(a, "message.send", citing(room_id, first["attachment"]))
        link = await ok(a, "upload.url", named | {"message_id": sent["message_id"]})
        assert (await get(link["url"]))[2] == PICTURE


async def test_fields_are_checked(world: World) -> None:
    """Sizes, types, digests and names outside the limits are refused by field."""
    async with world.js(name("alice")) as a:
        ready_event = a.of_type("session.ready")[0]
        limits = ready_event["data"]["limits"]
        assert (limits["attachments"], limits["attachment_bytes"]) == (10, 25 * 1024 * 1024)
        room_id = await direct(a, name("bob"))
        good = asking(room_id, PICTURE)
        for field, value in (
            ("size", 0),
            ("size", 25 * 1024 * 1024 + 1),
            ("size", "9"),
            ("content_type", "image"),
            ("content_type", "text/html; charset"),
            ("content_type", "a/${filename}"),
            ("checksum_sha256", "abc"),
            ("name", ""),
            ("name", "x" * 256),
            ("width", 0),
        ):
            answer = await a.emit("upload.request", good | {field: value})
            assert answer["error"]["code"] == "invalid_param", (field, value)
            assert list(answer["error"]["details"]) == [field]
        for cited in (["a"] * 11, ["a", "a"], ["../x"], "a"):
            answer = await a.emit(
                "message.send",
                {"room_id": room_id, "client_msg_id": "c", "attachments": cited},
            )
            assert answer["error"]["code"] == "invalid_param"
            assert next(iter(answer["error"]["details"])).startswith("attachments")


async def test_a_file_is_cited_once_by_its_owner(world: World) -> None:
    """Not another user's, an incomplete, another room's or an attached one; a retry is the same
    send."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with world.js(alice) as a, world.js(bob) as b:
        room_id, other = await group(a, [bob]), await group(a, [carol])
        attachment = await uploaded(a, room_id, PICTURE)
        waiting = await ok(a, "upload.request", asking(room_id, PICTURE))
        assert await post(waiting, PICTURE) == 204
        foreign = {"room_id": room_id, "attachment_id": waiting["attachment_id"]}
        assert await refused(b, "upload.complete", foreign) == "not_found"

        async def invalid(client: JsClient, *cited: dict[str, Any] | str, room: str) -> None:
            asked = citing(room, *cited, client_msg_id=secrets.token_hex(8))
            assert await refused(client, "message.send", asked) == "invalid_param"

        await invalid(b, attachment, room=room_id)
        await invalid(a, attachment, room=other)
        await invalid(a, waiting["attachment_id"], room=room_id)
        await invalid(a, "nothing", room=room_id)
        await invalid(a, attachment, "nothing", room=room_id)
        first = await ok(a, "message.send", citing(room_id, attachment, text="here"))
        again = await ok(a, "message.send", citing(room_id, attachment, text="here"))
        assert again.pop("duplicate")
        assert again == first
        await invalid(a, attachment, room=room_id)
        fresh = await uploaded(a, room_id, PICTURE)
        await invalid(a, fresh, attachment, room=room_id)
        await ok(a, "message.send", citing(room_id, fresh, client_msg_id="still-free"))
        changed = citing(room_id, attachment, text="there")
        assert await refused(a, "message.send", changed) == "conflict"
        assert len((await ok(a, "message.list", {"room_id": room_id}))["messages"]) == 2


async def test_one_of_two_concurrent_sends_gets_the_file(world: World) -> None:
    """Of two concurrent messages with one file, one is refused."""
    alice = name("alice")
    async with world.js(alice) as a, world.js(alice) as again:
        room_id = await direct(a, name("bob"))
        attachment = await uploaded(a, room_id, PICTURE)
        answers = await asyncio.gather(
            a.emit("message.send", citing(room_id, attachment, client_msg_id="one")),
            again.emit("message.send", citing(room_id, attachment, client_msg_id="two")),
        )
        assert sorted(answer["ok"] for answer in answers) == [False, True]
        (lost,) = [answer["error"]["code"] for answer in answers if not answer["ok"]]
        assert lost == "invalid_param"


async def test_strangers_and_former_members_get_nothing(world: World) -> None:
    """No form, no completion and no URL without membership."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with world.js(alice) as a, world.js(bob) as b, world.js(carol) as c:
        room_id = await group(a, [bob])
        attachment = await uploaded(a, room_id, PICTURE)
        sent = await ok(a, "message.send", citing(room_id, attachment))
        named = {"room_id": room_id, "attachment_id": attachment["attachment_id"]}
        wanted = named | {"message_id": sent["message_id"]}
        await ok(b, "upload.url", wanted)
        await ok(a, "member.remove", {"room_id": room_id, "user_ids": [bob]})
        for client in (b, c):
            asked = asking(room_id, PICTURE)
            assert await refused(client, "upload.request", asked) == "not_found"
            assert await refused(client, "upload.complete", named) == "not_found"
            assert await refused(client, "upload.url", wanted) == "not_found"
        own = await direct(b, carol)
        assert await refused(b, "upload.url", wanted | {"room_id": own}) == "not_found"
        for part in ("message_id", "attachment_id"):
            assert await refused(a, "upload.url", wanted | {part: "nothing"}) == "not_found"


async def test_a_member_who_may_not_write_may_not_upload(world: World) -> None:
    """Readonly members, and plain members of a frozen room, get no form."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with world.js(alice) as a, world.js(bob) as b, world.js(carol) as c:
        room_id = await group(a, [bob, carol])
        readonly = {"room_id": room_id, "user_id": bob, "role": "readonly"}
        await ok(a, "member.update", readonly)
        asked = asking(room_id, PICTURE)
        assert await refused(b, "upload.request", asked) == "forbidden"
        await ok(c, "upload.request", asked)
        await ok(a, "room.update", {"room_id": room_id, "frozen": True})
        assert await refused(c, "upload.request", asked) == "forbidden"
        await ok(a, "upload.request", asked)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [("image/svg+xml", b"<svg/>"), ("text/html", b"<html>"), ("application/pdf", b"%PDF-1.7")],
)
async def test_files_that_could_run_scripts_are_downloaded(
    world: World, content_type: str, content: bytes
) -> None:
    """HTML, SVG and documents are served as attachments, under their announced type."""
    async with world.js(name("alice")) as a:
        room_id = await direct(a, name("bob"))
        attachment = await uploaded(a, room_id, content, content_type=content_type)
        sent = await ok(a, "message.send", citing(room_id, attachment))
        wanted = {"room_id": room_id, "message_id": sent["message_id"]}
        wanted["attachment_id"] = attachment["attachment_id"]
        _, headers, _ = await get((await ok(a, "upload.url", wanted))["url"])
        assert headers["content-type"] == content_type
        assert headers["content-disposition"].startswith("attachment; ")


async def test_erasing_a_message_erases_its_file(world: World) -> None:
    """An attached file is kept; it is erased with its message and does not come back."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        room_id = await direct(a, bob)
        grant = await ok(a, "upload.request", asking(room_id, PICTURE))
        assert await post(grant, PICTURE) == 204
        named = {"room_id": room_id, "attachment_id": grant["attachment_id"]}
        await ok(a, "upload.complete", named)
        attachment_id = grant["attachment_id"]
        assert state(world, room_id, attachment_id) == "uncited"
        sent = await ok(a, "message.send", citing(room_id, attachment_id))
        await asyncio.to_thread(until, lambda: state(world, room_id, attachment_id) == "cited")
        wanted = named | {"message_id": sent["message_id"]}
        link = await ok(a, "upload.url", wanted)

        message = {"room_id": room_id, "message_id": sent["message_id"]}
        deleted = await ok(a, "message.delete", message)
        assert deleted["message"]["attachments"] == []
        assert await refused(a, "upload.url", wanted) == "not_found"
        await asyncio.to_thread(until, lambda: "files" not in keys(world, room_id))
        assert (await get(link["url"]))[0] == 404

        again = await ok(a, "message.send", citing(room_id, attachment_id))
        assert (again["seq"], again["duplicate"]) == (sent["seq"], True)
        assert await post(grant, PICTURE) == 204
        assert await refused(a, "upload.complete", named) == "not_found"
        assert keys(world, room_id) == {"cited"}
        other = citing(room_id, attachment_id, client_msg_id="m2")
        assert await refused(a, "message.send", other) == "invalid_param"


async def test_grants_and_links_end(world: World, tmp_path: Path) -> None:
    """After its time a form is refused and a URL expires."""
    short = {"RTS_UPLOAD_TTL": "1", "RTS_DOWNLOAD_TTL": "1"}
    alice = name("alice")
    async with world.js(alice) as a:
        room_id = await direct(a, name("bob"))
        attachment = await uploaded(a, room_id, PICTURE)
        sent = await ok(a, "message.send", citing(room_id, attachment))
    wanted = {"room_id": room_id, "message_id": sent["message_id"]}
    wanted["attachment_id"] = attachment["attachment_id"]
    async with instance(world, tmp_path, **short) as url, JsClient() as a:
        await a.connect(url, world.token(alice))
        grant = await ok(a, "upload.request", asking(room_id, PICTURE))
        link = await ok(a, "upload.url", wanted)

        async def status(of: str) -> int:
            return await post(grant, PICTURE) if of == "form" else (await get(link["url"]))[0]

        for of, alive in (("form", 204), ("link", 200)):
            seen = {alive}
            async with asyncio.timeout(PATIENCE):
                while seen <= {alive}:
                    seen.add(await status(of))
            assert seen == {alive, 403}


async def test_without_s3_only_file_commands_fail(world: World, tmp_path: Path) -> None:
    """Uploads are `unavailable`; messages, history and rooms go on."""
    nowhere = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    async with instance(world, tmp_path, **nowhere) as url, JsClient() as a:
        await a.connect(url, world.token(name("alice")))
        room_id = await direct(a, name("bob"))
        answer = await a.emit("upload.request", asking(room_id, PICTURE))
        assert (answer["error"]["code"], answer["error"]["retryable"]) == ("unavailable", True)
        named = {"room_id": room_id, "attachment_id": "some"}
        assert await refused(a, "upload.complete", named) == "unavailable"
        assert await refused(a, "message.send", citing(room_id, "some")) == "unavailable"
        text = {"room_id": room_id, "client_msg_id": "t", "text": "still here"}
        assert (await ok(a, "message.send", text))["status"] == "queued"
        (message,) = (await ok(a, "message.list", {"room_id": room_id}))["messages"]
        assert message["text"] == "still here"


async def test_types_can_be_restricted(world: World, tmp_path: Path) -> None:
    """A deployment for pictures refuses other types as `unsupported_type`."""
    pictures = {"RTS_UPLOAD_TYPES": "image/*, video/mp4"}
    async with instance(world, tmp_path, **pictures) as url, JsClient() as a:
        await a.connect(url, world.token(name("alice")))
        room_id = await direct(a, name("bob"))
        await ok(a, "upload.request", asking(room_id, PICTURE, content_type="Image/PNG"))
        page = asking(room_id, PICTURE, content_type="text/html")
        assert await refused(a, "upload.request", page) == "unsupported_type"
