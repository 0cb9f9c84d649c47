"""receipts.lua and flush.lua on a real Valkey."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from redis.asyncio.client import PubSub

from rts_server import keys
from rts_server.relay.cursor_flush import flush
from rts_server.rooms.receipts import _RECEIPTS
from tests.helpers.bench import Bench, message
from tests.helpers.waiting import PATIENCE

EVERY = 50


async def moved(
    bench: Bench, room_id: str, user: str, read: int, delivered: int = 0, *, most: int = 100
) -> list[Any]:
    """The reply of receipts.lua."""
    names = keys.room(room_id)
    dirty = keys.dirty_cursors(keys.partition(room_id))
    channel = keys.room_channel(room_id)
    args: list[str | int] = [user, read, delivered, room_id, channel, 0, EVERY, most]
    answer: list[Any] = await _RECEIPTS.evaluate(
        bench.redis, [*names.script_keys, names.receipts, dirty], args
    )
    return answer


async def room_of(bench: Bench, messages: int) -> str:
    """A room of alice, bob and carol with some messages of alice."""
    room_id = await bench.group("alice", "bob", "carol")
    for n in range(messages):
        await bench.append(message(room_id, "alice", f"m{n}"))
    return room_id


async def flushed(bench: Bench, room_id: str) -> list[dict[str, Any]]:
    """The cursors in the outbox after a flush of the partition."""
    part = keys.partition(room_id)
    before = len(await bench.outbox(room_id))
    await flush(bench.redis, [0 if part else 1, part])
    entries = (await bench.outbox(room_id))[before:]
    return [orjson.loads(entry[b"d"])["cursors"] for entry in entries]


async def test_cursors_move_forward_and_never_beyond(bench: Bench) -> None:
    """For any request 0 ≤ read ≤ delivered ≤ seq, and the room stays warm (D8)."""
    room_id = await room_of(bench, 5)
    assert await moved(bench, room_id, "bob", 2) == [b"warm", 2, 2, 3, 0]
    for read, delivered, wanted in ((1, 0, [2, 2, 3]), (0, 4, [2, 4, 3]), (9, 9, [5, 5, 0])):
        answer = await moved(bench, room_id, "bob", read, delivered)
        assert [answer[0], *answer[1:4]] == [b"warm", *wanted]
    assert await moved(bench, room_id, "eve", 1) == [b"not_found"]
    assert await bench.state(room_id) == "warm"


async def published(channel: PubSub) -> list[tuple[str, str, str, str]]:
    """What was published until nothing more comes: epoch, offset, type, JSON."""
    found = []
    while word := await channel.get_message(timeout=0.05):
        found.append(tuple(word["data"].decode().split(" ", 3)))
    return found


async def test_a_moved_read_cursor_is_published_at_the_head_to_its_user(bench: Bench) -> None:
    """With the unread messages that are left; nothing is published where it did not move."""
    room_id = await room_of(bench, 3)
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        for read in (2, 1, 2):
            await moved(bench, room_id, "bob", read)
        told = [one for one in await published(channel) if one[2].startswith("~read.moved")]
    ((epoch, offset, kind, text),) = told
    assert (epoch, offset, kind) == ("1", "5", "~read.moved@bob")
    assert orjson.loads(text)["data"] == {"read_seq": 2, "unread": 1}


async def test_cursors_are_published_together_at_most_once_per_interval(bench: Bench) -> None:
    """The first move is published at once, the next ones together after the interval."""
    room_id = await room_of(bench, 3)
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        await moved(bench, room_id, "bob", 1)
        waits = [(await moved(bench, room_id, user, 2))[4] for user in ("bob", "carol")]
        assert all(0 < wait <= EVERY for wait in waits)
        await asyncio.sleep(EVERY / 1000)  # the interval itself is what is tested
        assert (await moved(bench, room_id, "", 0))[4] == 0
        assert (await moved(bench, room_id, "", 0))[4] == 0
        told = [one for one in await published(channel) if one[2] == "~receipt.updated"]
    assert len(told) == 2
    assert [(int(epoch), int(offset)) for epoch, offset, _, _ in told] == [(1, 5)] * 2
    cursors = [orjson.loads(text)["data"]["cursors"] for *_, text in told]
    assert [[c["user_id"] for c in one] for one in cursors] == [["bob"], ["bob", "carol"]]
    assert cursors[1][0] == {"user_id": "bob", "read_seq": 2, "delivered_seq": 2}


async def test_cursors_of_large_rooms_are_not_published(bench: Bench) -> None:
    """They move and are stored all the same."""
    room_id = await room_of(bench, 3)
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        assert await moved(bench, room_id, "bob", 2, most=2) == [b"warm", 2, 2, 1, 0]
        kinds = [kind for _, _, kind, _ in await published(channel)]
        assert kinds == ["~read.moved@bob"]
    (record,) = await flushed(bench, room_id)
    assert record["members"] == [{"user_id": "bob", "read_seq": 2, "delivered_seq": 2}]


async def test_moved_cursors_are_flushed_once(bench: Bench) -> None:
    """One record per room has the cursors of that moment; without a move there is none."""
    room_id = await room_of(bench, 4)
    await moved(bench, room_id, "bob", 1)
    await moved(bench, room_id, "carol", 0, 2)
    await moved(bench, room_id, "bob", 3)
    (record,) = await flushed(bench, room_id)
    assert record["room_id"] == room_id
    assert {m["user_id"]: (m["read_seq"], m["delivered_seq"]) for m in record["members"]} == {
        "bob": (3, 3),
        "carol": (0, 2),
    }
    assert await flushed(bench, room_id) == []
    await moved(bench, room_id, "bob", 3)
    assert await flushed(bench, room_id) == []


async def test_a_key_of_another_type_is_a_reply_and_no_half_write(bench: Bench) -> None:
    """The script replies `broken` before it writes."""
    room_id = await room_of(bench, 2)
    await bench.redis.set(keys.room(room_id).receipts, "x")
    before = await bench.dump()
    assert await moved(bench, room_id, "bob", 1) == [b"broken"]
    assert await bench.dump() == before
