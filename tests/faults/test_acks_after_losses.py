"""Acks stay true: repeated commands, and losses between the append and the table."""

from __future__ import annotations

import asyncio
import signal

import pytest

from rts_server import keys
from rts_server.tools.dev import aws as local
from rts_server.tools.dev import deploy
from tests.helpers.commands import direct, ok
from tests.helpers.sender import Sender
from tests.helpers.world import World, name
from tests.helpers.world_redis import restart, saved


@pytest.mark.on_both
async def test_lost_edit_is_made_again(breakable: World) -> None:
    """An edit that Redis lost before the queue had it is in the history afterwards."""
    async with breakable.js(name("alice")) as a:
        sender = Sender(a, await direct(a, name("bob")))
        sent = await sender.send("first")
        at = {"room_id": sender.room_id, "message_id": sent["message_id"]}
        breakable.relay.signal(signal.SIGSTOP)
        editing = asyncio.create_task(a.emit("message.edit", at | {"text": "second"}))
        await a.wait_for(lambda e: bool(e["type"] == "message.updated"))
        restart(breakable, {})
        breakable.relay.signal(signal.SIGCONT)
        answer = await editing
        assert answer["data"]["status"] in ("queued", "accepted"), answer
        await sender.send("behind")
        assert [m["text"] for m in await sender.history()] == ["second", "behind"]


async def test_repeated_command_claims_no_more_than_the_first(breakable: World) -> None:
    """While nothing is stored, a repetition says accepted as the first did."""
    settings = breakable.stack.settings
    alice, bob = name("alice"), name("bob")
    async with breakable.js(alice) as a:
        room_id = (
            await ok(a, "room.create", {"type": "group", "client_room_id": "g", "members": []})
        )["room"]["room_id"]
        await asyncio.to_thread(
            deploy.set_queue_enabled, settings, "chat-room-to-db", enabled=False
        )
        try:
            add = {"room_id": room_id, "user_ids": [bob]}
            for _ in range(2):
                assert (await ok(a, "member.add", add))["status"] == "accepted"
        finally:
            await asyncio.to_thread(
                deploy.set_queue_enabled, settings, "chat-room-to-db", enabled=True
            )
        assert (await ok(a, "member.add", add))["status"] == "stored"


@pytest.mark.on_both
async def test_room_of_an_older_redis_is_found(breakable: World) -> None:
    """A room that an older state of Redis lacks is in its members' lists and can be written."""
    alice, bob = name("alice"), name("bob")
    async with breakable.js(alice) as a:
        first = await direct(a, bob)
        await Sender(a, first).send("one")
        older = saved(breakable)
        second = (
            await ok(a, "room.create", {"type": "group", "client_room_id": "g", "members": [bob]})
        )["room"]["room_id"]
        await Sender(a, second).send("two")
    restart(breakable, older)
    async with breakable.js(bob) as b:
        rooms = (await ok(b, "room.list", {}))["rooms"]
        assert {room["room_id"] for room in rooms} == {first, second}
        await Sender(b, second).send("three")
        assert [m["text"] for m in await Sender(b, second).history()] == ["two", "three"]


async def test_room_without_members_is_made_again(breakable: World) -> None:
    """If only the room's item was stored, the members are stored again."""
    settings = breakable.stack.settings
    alice, bob = name("alice"), name("bob")
    room_id = keys.direct_room_id(alice, bob)
    table = local.client(settings, "dynamodb")
    table.update_item(
        TableName=settings.rooms_table,
        Key={"room_id": {"S": room_id}, "sk": {"S": "ROOM"}},
        UpdateExpression="SET #t = :t, epoch = :e, pos = :p, created_at = :c, starts = :s",
        ExpressionAttributeNames={"#t": "type"},
        ExpressionAttributeValues={
            ":t": {"S": "direct"},
            ":e": {"N": "1"},
            ":p": {"S": "0000000001#0000000001"},
            ":c": {"S": "2026-01-01T00:00:00.000Z"},
            ":s": {"L": [{"S": "1:0"}]},
        },
    )
    async with breakable.js(alice) as a, breakable.js(bob) as b:
        assert await direct(a, bob) == room_id
        await Sender(b, room_id).send("hello")
        assert [m["text"] for m in await Sender(a, room_id).history()] == ["hello"]
