"""The start of a session: order on the wire, cursors, and early commands."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.helpers.commands import direct, ok
from tests.helpers.rooms import burst
from tests.helpers.world import World, name


async def test_session_ready_comes_first_and_names_the_user(world: World) -> None:
    """session.ready has the user, the expiry and the totals."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        room_id = await direct(a, bob)
        await ok(a, "message.send", {"room_id": room_id, "client_msg_id": "m", "text": "hi"})
    async with world.js(bob) as b:
        first = b.events[0]
        assert first["type"] == "session.ready"
        assert first["data"]["user_id"] == bob
        assert first["data"]["unread"] == {"total": 1, "rooms": 1}
        limits = first["data"]["limits"]
        assert limits["text"] == 4000
        told = {"metadata_depth": 8, "metadata_keys": 64, "room_name": 200}
        assert limits | told | {"status_text": 140, "watched": 500} == limits
        assert first["data"]["recovered"] == {}


async def test_commands_before_ready_wait_for_it(world: World) -> None:
    """Commands sent right after CONNECT are answered in order, after session.ready."""
    async with world.raw(None) as m:
        await m.send("40/chat," + json.dumps({"token": world.token(name("alice"))}))
        for n in range(20):
            await m.send(f'42/chat,{n}["room.list",{{}}]')
        await m.until(lambda: len(m.acks) == 20)
        assert list(m.acks) == list(range(20))
        assert m.events[0]["type"] == "session.ready"


async def test_sends_of_one_connection_keep_their_order(world: World) -> None:
    """A burst without waiting for acks is stored in the order of sending."""
    alice, bob = name("alice"), name("bob")
    async with world.js(bob) as b, world.raw(alice) as m:
        room_id = await direct(b, alice)
        await burst(m, room_id, 100)
        await b.until(lambda: len(b.of_type("message.new")) == 100)
        texts = [e["data"]["message"]["text"] for e in b.of_type("message.new")]
        assert texts == [f"m{n}" for n in range(100)]


async def test_reconnect_with_cursor_gets_the_rest_once(world: World) -> None:
    """All events behind the cursor come once and in order, then live ones without a gap."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        room_id = await direct(a, bob)
        for n in range(10):
            send = {"room_id": room_id, "client_msg_id": f"m{n}", "text": str(n)}
            sent = await ok(a, "message.send", send)
            if n == 3:
                cursor = [sent["epoch"], sent["offset"]]

        async def more() -> None:
            for n in range(10, 40):
                send = {"room_id": room_id, "client_msg_id": f"m{n}", "text": str(n)}
                await ok(a, "message.send", send)

        writing = asyncio.create_task(more())
        async with world.js(bob, cursors={room_id: cursor}) as b:
            await writing
            await b.until(lambda: len(b.of_type("message.new")) >= 36)
            assert b.events[0]["data"]["recovered"] == {room_id: True}
            texts = [e["data"]["message"]["text"] for e in b.of_type("message.new")]
            assert texts == [str(n) for n in range(4, 40)]


@pytest.mark.parametrize("cursor", [[1, 10**9], [99, 1], [0, 0]])
async def test_impossible_cursor_is_not_recovered(world: World, cursor: list[int]) -> None:
    """A cursor that the log cannot continue is `recovered: false`, never filled in part."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        room_id = await direct(a, bob)
        await ok(a, "message.send", {"room_id": room_id, "client_msg_id": "m", "text": "hi"})
        async with world.js(bob, cursors={room_id: cursor}) as b:
            assert b.events[0]["data"]["recovered"] == {room_id: False}
            await ok(a, "message.send", {"room_id": room_id, "client_msg_id": "n", "text": "ho"})
            await b.until(lambda: len(b.of_type("message.new")) == 1)


async def test_too_many_missed_events_are_not_recovered(world: World) -> None:
    """More than 300 missed events are not replayed in part."""
    alice, bob = name("alice"), name("bob")
    async with world.raw(alice) as m, world.js(bob) as b:
        room_id = await direct(b, alice)
        await burst(m, room_id, 301)
        for offset, recovered in ((2, False), (3, True)):
            async with world.js(bob, cursors={room_id: [1, offset]}) as late:
                assert late.events[0]["data"]["recovered"] == {room_id: recovered}
                count = 300 if recovered else 0
                await late.until(lambda n=count: len(late.of_type("message.new")) == n)  # type: ignore[misc]


async def test_cursor_of_a_foreign_room_is_answered_with_removal(world: World) -> None:
    """A cursor of a room without membership gets room.removed; an invalid one is ignored."""
    cursors = {"nosuchroom": [1, 1], "bad id!": [1, 1], "x": "y"}
    async with world.js(name("alice"), cursors=cursors) as a:
        removed = await a.wait_for(lambda e: bool(e["type"] == "room.removed"))
        assert removed["room_id"] == "nosuchroom"
        await ok(a, "room.list", {})
        assert len(a.of_type("room.removed")) == 1
