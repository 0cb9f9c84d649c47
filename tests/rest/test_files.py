"""The files of a deleted room, and those of an erased user."""

from __future__ import annotations

import asyncio

from rts_server.tools.dev import aws
from tests.helpers.commands import ok
from tests.helpers.file_samples import png
from tests.helpers.objects import keys
from tests.helpers.rest import Rest, group, member
from tests.helpers.upload_form import asking, citing, post, uploaded
from tests.helpers.waiting import until
from tests.helpers.world import World, name

PICTURE = png(blank=500)


async def test_the_files_of_a_deleted_room_go_with_it(world: World, operator: Rest) -> None:
    """All files and markers of the room are deleted, none of another room."""
    alice = name("alice")
    gone, stays = [await group(operator, member(alice)) for _ in range(2)]
    async with world.js(alice) as a:
        for room_id in (gone, stays):
            attachment = await uploaded(a, room_id, PICTURE)
            await ok(a, "message.send", citing(room_id, attachment))
            await uploaded(a, room_id, PICTURE, name="uncited.png")
        assert keys(world, gone) == {"files", "cited"}
        await operator.ok("DELETE", f"/v1/rooms/{gone}")
        await asyncio.to_thread(until, lambda: keys(world, gone) == set())
        assert keys(world, stays) == {"files", "cited"}


async def test_the_files_of_an_erased_user_go(world: World, operator: Rest) -> None:
    """All uploads of the user are exported and erased, none of other users."""
    alice, bob = name("alice"), name("bob")
    room_id = await group(operator, member(alice), member(bob))
    async with world.js(alice) as a, world.js(bob) as b:
        cited = await uploaded(b, room_id, PICTURE, name="cited.png")
        await ok(b, "message.send", citing(room_id, cited))
        uncited = await uploaded(b, room_id, PICTURE, name="uncited.png")
        arrived = await ok(b, "upload.request", asking(room_id, PICTURE, name="arrived.png"))
        assert await post(arrived, PICTURE) == 204
        kept = await uploaded(a, room_id, PICTURE)
    exported = await operator.lines(f"/v1/users/{bob}:export")
    files = [line["attachment"] for line in exported if line["kind"] == "file"]
    assert {one["name"] for one in files} == {"cited.png", "uncited.png", "arrived.png"}
    assert uncited in files
    erased = await operator.lines(f"/v1/users/{bob}:erase")
    gone = {line["attachment_id"] for line in erased if line["kind"] == "file"}
    assert {cited["attachment_id"], uncited["attachment_id"], arrived["attachment_id"]} >= gone
    assert {uncited["attachment_id"], arrived["attachment_id"]} <= gone
    left = {f"files/{room_id}/{kept['attachment_id']}"}
    left |= {f"cited/{room_id}/{cited['attachment_id']}"}
    await asyncio.to_thread(until, lambda: whole_keys(world, room_id) == left)


def whole_keys(world: World, room_id: str) -> set[str]:
    """The keys of a room's objects."""
    s3 = aws.client(world.stack.settings, "s3")
    found = s3.list_objects_v2(Bucket=world.stack.settings.bucket).get("Contents", [])
    return {one["Key"] for one in found if f"/{room_id}/" in one["Key"]}
