"""Users who are not members learn nothing (A1, A4, A5)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from statistics import median
from typing import Any

from redis.asyncio import Redis

from tests.helpers.commands import ok
from tests.helpers.raw import Raw
from tests.helpers.rooms import group, send
from tests.helpers.waiting import slowness
from tests.helpers.world import World, name
from tests.helpers.world_redis import home_of

ASKED: list[tuple[str, dict[str, Any]]] = [
    ("room.get", {}),
    ("room.update", {"name": "x"}),
    ("room.hide", {"hidden": True}),
    ("room.mute", {"muted": True}),
    ("member.list", {}),
    ("member.add", {"user_ids": ["x"]}),
    ("member.update", {"user_id": "x", "role": "admin"}),
    ("member.remove", {"user_ids": ["x"]}),
    ("message.send", {"client_msg_id": "x", "text": "x"}),
    ("message.edit", {"message_id": "x", "text": "x"}),
    ("message.react", {"message_id": "x", "emoji": "x", "on": True}),
    ("message.delete", {"message_id": "x"}),
    ("message.list", {}),
    ("message.get", {"message_id": "x"}),
]


async def timed_answer(
    client: Raw, ack_id: int, event: str, data: dict[str, Any]
) -> tuple[Any, float]:
    """Return the answer and its time in seconds."""
    began = time.perf_counter()
    answer = await client.ask(ack_id, json.dumps([event, data]))
    return answer, time.perf_counter() - began


async def test_absent_and_foreign_are_alike(world: World) -> None:
    """Every command gives the same answer, and its medians differ by less than 5 ms (T11)."""
    alice, eve = name("alice"), name("eve")
    async with world.js(alice) as a, world.raw(eve) as e, world.raw(alice) as writer:
        room_id = await group(a, [name("bob")])
        busy = asyncio.create_task(write(writer, room_id))
        took: dict[bool, list[float]] = {True: [], False: []}
        ids = iter(range(100_000))
        for _ in range(8):
            for event, more in ASKED:
                answers = []
                for foreign in (True, False):
                    where = room_id if foreign else secrets.token_hex(13)
                    data = {"room_id": where} | more
                    answer, seconds = await timed_answer(e, next(ids), event, data)
                    answers.append(answer)
                    took[foreign].append(seconds * 1000)
                assert answers[0] == answers[1], event
                assert answers[0]["error"]["code"] == "not_found", event
        busy.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await busy
        print("not_found, ms:", {k: round(median(v), 2) for k, v in took.items()})
        assert abs(median(took[True]) - median(took[False])) < 5 * slowness()
        left = [
            await timed_answer(e, next(ids), "room.leave", {"room_id": r})
            for r in (room_id, "x" * 26)
        ]
        assert left[0][0] == left[1][0] == {"ok": True, "data": {"status": "stored"}}


async def write(client: Raw, room_id: str) -> None:
    """Keep a room busy."""
    for n in range(100_000):
        message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": "x"}
        await client.ask(n, json.dumps(["message.send", message]))


async def test_foreign_rooms_cost_what_absent_ones_cost(world: World) -> None:
    """Redis sees the same commands, which name the user's index and never the room."""
    alice, eve = name("alice"), name("eve")
    async with world.js(alice) as a, world.raw(eve) as e:
        room_id = await group(a, [name("bob")])
        url = home_of(world, room_id).url
        async with Redis.from_url(url) as client, client.monitor() as monitor:
            marker = secrets.token_hex(8)
            for n, (event, more) in enumerate(ASKED):
                await e.ask(n, json.dumps([event, {"room_id": room_id} | more]))
            await e.ask(99, json.dumps(["sync", {"cursors": {room_id: [1, 2]}}]))
            async with Redis.from_url(url) as other:
                await other.get(marker)
            seen: list[str] = []
            async for command in monitor.listen():
                if marker in command["command"]:
                    break
                seen.append(command["command"])
        assert not [command for command in seen if f":room:{room_id}:" in command]


async def test_a_former_member_reads_nothing(world: World) -> None:
    """Neither by a command nor by a cursor, once leaving was acked."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b:
        room_id = await group(a, [bob])
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        sent = (await send(a, room_id, "before"))["data"]
        await ok(b, "room.leave", {"room_id": room_id})
        await send(a, room_id, "behind")
        for event, more in (
            ("message.list", {}),
            ("message.get", {"message_id": sent["message_id"]}),
            ("room.get", {}),
        ):
            answer = await b.emit(event, {"room_id": room_id} | more)
            assert answer["error"]["code"] == "not_found"
        synced = await ok(b, "sync", {"cursors": {room_id: [1, 2]}})
        assert synced["rooms"] == {room_id: {"removed": True}}
        async with world.js(bob, cursors={room_id: [1, 2]}) as again:
            await again.wait_for(lambda e: bool(e["type"] == "room.removed"))
            assert (await ok(again, "room.list", {}))["rooms"] == []
            for client in (b, again):
                texts = [e["data"]["message"]["text"] for e in client.of_type("message.new")]
                assert "behind" not in texts
                assert "before" not in texts or client is b


async def test_ready_missed_and_live_events_come_in_order_under_load(world: World) -> None:
    """session.ready comes first, then missed events, then live ones, whenever it connects."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.raw(alice) as writer:
        room_id = await group(a, [bob])
        busy = asyncio.create_task(write(writer, room_id))
        for _ in range(10):
            async with world.raw(bob, cursors={room_id: [1, 2]}) as client:
                got = len(client.events)
                await client.until(lambda c=client, g=got: len(c.events) > g + 20)
                kinds = [event["type"] for event in client.events]
                assert kinds[0] == "session.ready"
                assert client.events[0]["data"]["recovered"] in ({room_id: True}, {room_id: False})
                offsets = [e["offset"] for e in client.events if e.get("room_id") == room_id]
                assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
                assert offsets[0] == 3 or not client.events[0]["data"]["recovered"][room_id]
        busy.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await busy
