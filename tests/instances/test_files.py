"""Files across instances, and after a loss of Redis."""

from __future__ import annotations

import asyncio

from tests.helpers.commands import ok, refused
from tests.helpers.file_samples import png
from tests.helpers.rooms import group
from tests.helpers.upload_form import asking, citing, post
from tests.helpers.world import World, name
from tests.helpers.world_redis import wipe

PICTURE = png()


async def test_a_citation_outlives_redis(pair: World) -> None:
    """A file attached on one instance is known to another, with and without Redis."""
    alice, bob = name("alice"), name("bob")
    async with pair.js(alice) as one, pair.js(alice, 1) as other:
        room_id = await group(one, [bob])
        grant = await ok(one, "upload.request", asking(room_id, PICTURE))
        assert await post(grant, PICTURE) == 204
        named = {"room_id": room_id, "attachment_id": grant["attachment_id"]}
        attachment = (await ok(other, "upload.complete", named))["attachment"]
        first = await ok(one, "message.send", citing(room_id, attachment))
        assert first["status"] == "queued"
        second = citing(room_id, attachment, client_msg_id="another")
        for forget in (False, True):
            if forget:
                wipe(pair)
            for client in (other, one):
                again = await ok(client, "message.send", citing(room_id, attachment))
                assert again["duplicate"]
                assert (again["epoch"], again["seq"]) == (first["epoch"], first["seq"])
                assert await refused(client, "message.send", second) == "invalid_param"
        wanted = named | {"message_id": first["message_id"]}
        await ok(other, "upload.url", wanted)


async def test_completions_on_two_instances_at_once(pair: World) -> None:
    """Both instances answer concurrent completions of one upload."""
    alice = name("alice")
    async with pair.js(alice) as one, pair.js(alice, 1) as other:
        room_id = await group(one, [])
        for _ in range(5):
            grant = await ok(one, "upload.request", asking(room_id, PICTURE))
            assert await post(grant, PICTURE) == 204
            named = {"room_id": room_id, "attachment_id": grant["attachment_id"]}
            meeting = (ok(client, "upload.complete", named) for client in (one, other, one, other))
            first, *more = await asyncio.gather(*meeting)
            assert more == [first] * 3
