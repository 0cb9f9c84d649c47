"""The content of messages, through socket.io-client: captions, edits, replies."""

from __future__ import annotations

import asyncio
from typing import Any

from rts_server import keys
from rts_server.rooms.typing import BATCH_DELAY_SECONDS
from tests.helpers.commands import direct, ok, refused
from tests.helpers.js_client import JsClient
from tests.helpers.presence import here
from tests.helpers.rest import Rest
from tests.helpers.upload_form import citing, uploaded
from tests.helpers.world import World, name
from tests.helpers.world_redis import client_of


async def sent(client: JsClient, room_id: str, client_msg_id: str, **more: Any) -> Any:
    """The ack of a message."""
    asked = {"room_id": room_id, "client_msg_id": client_msg_id, "text": client_msg_id} | more
    return await ok(client, "message.send", asked)


async def test_a_recording_keeps_its_type_and_may_lose_its_caption(world: World) -> None:
    """`audio/webm;codecs=opus` survives; a caption can be cleared, a text cannot."""
    async with world.js(name("alice")) as a:
        room_id = await direct(a, name("bob"))
        kind = "audio/webm;codecs=opus"
        file = await uploaded(a, room_id, b"sound", name="می‌خواهم.webm", content_type=kind)
        assert (file["content_type"], file["name"]) == (kind, "می‌خواهم.webm")
        message = await ok(a, "message.send", citing(room_id, file, text="a caption"))
        at = {"room_id": room_id, "message_id": message["message_id"]}
        cleared = (await ok(a, "message.edit", at | {"text": ""}))["message"]
        assert (cleared["text"], cleared["attachments"]) == ("", [file])
        plain = at | {"message_id": (await sent(a, room_id, "plain"))["message_id"]}
        assert await refused(a, "message.edit", plain | {"text": ""}) == "invalid_param"


async def test_an_edit_takes_mentions_and_its_time_is_the_texts(world: World) -> None:
    """`edited_at` changes with the text only; a misplaced field is refused."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b:
        room_id = await direct(a, bob)
        at = {"room_id": room_id, "message_id": (await sent(a, room_id, "m1"))["message_id"]}
        mentioned = await ok(a, "message.edit", at | {"mentions": [bob], "metadata": {"a": 1}})
        assert mentioned["message"]["mentions"] == [bob]
        assert mentioned["message"]["version"] == 2
        assert "edited_at" not in mentioned["message"]
        texted = (await ok(a, "message.edit", at | {"text": "other", "mentions": []}))["message"]
        assert (texted["mentions"], texted["version"]) == ([], 3)
        pinned = (await ok(a, "message.edit", at | {"metadata": {"a": 2}}))["message"]
        assert pinned["edited_at"] == texted["edited_at"]
        assert await refused(a, "message.edit", at | {"text": "x", "reply_to": "y"}) == (
            "invalid_param"
        )
        await b.wait_for(lambda e: e["data"].get("message", {}).get("version") == 4)
        (heard,) = (await ok(b, "message.list", {"room_id": room_id}))["messages"]
        assert heard == pinned


async def test_a_reply_is_to_a_message_of_the_room(world: World) -> None:
    """A reply to a deleted message is allowed, one to another room's is refused."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with world.js(alice) as a:
        room_id, other = await direct(a, bob), await direct(a, carol)
        first = (await sent(a, room_id, "m1"))["message_id"]
        reply = await sent(a, room_id, "m2", reply_to=first)
        foreign = (await sent(a, other, "m1"))["message_id"]
        for nowhere in (foreign, "nowhere", reply["message_id"][::-1]):
            asked = {"room_id": room_id, "client_msg_id": "m3", "text": "x", "reply_to": nowhere}
            answer = await a.emit("message.send", asked)
            assert answer["error"]["code"] == "invalid_param"
            assert set(answer["error"]["details"]) == {"reply_to"}
        await ok(a, "message.delete", {"room_id": room_id, "message_id": first})
        assert (await sent(a, room_id, "m2", reply_to=first))["duplicate"]
        assert "duplicate" not in await sent(a, room_id, "m4", reply_to=first)
        async with Rest(world.urls[0], world.token("ops", scope="operator")) as operator:
            path, body = f"/v1/rooms/{room_id}/messages", {"text": "x", "reply_to": foreign}
            assert await operator.refused("POST", path, body) == "invalid_param"
            await operator.ok("POST", path, body | {"reply_to": first, "on_behalf_of": bob})


async def test_a_message_ends_its_senders_typing(world: World) -> None:
    """From any device; the typing of others goes on."""
    alice, bob = name("alice"), name("bob")
    async with here(world, alice, 0) as a, here(world, bob, 0) as b, world.js(bob) as phone:
        at = {"room_id": await direct(a, bob)}
        await ok(b, "typing.start", at)
        await ok(a, "typing.start", at)
        await a.until(lambda: lists(a)[-1:] == [sorted([alice, bob])])
        with client_of(world, keys.room(at["room_id"]).typing) as client:

            def types() -> list[bytes]:
                found: list[bytes] = client.zrange(keys.room(at["room_id"]).typing, 0, -1)
                return found

            await sent(phone, at["room_id"], "m1")
            assert bob.encode() not in types()
            await a.until(lambda: lists(a)[-1:] == [[alice]])
            await ok(b, "typing.start", at)
            await sent(b, at["room_id"], "m2")
            await asyncio.sleep(4 * BATCH_DELAY_SECONDS)
            assert bob.encode() not in types()


def lists(client: JsClient) -> list[list[str]]:
    """The lists of typing users that a client received."""
    return [event["data"]["user_ids"] for event in client.of_type("typing.changed")]
