"""receipts.lua on a real Valkey."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
from redis.asyncio.client import PubSub

from rts_server import keys
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.rooms import receipt_script
from rts_server.rooms.receipt_script import Cursors, MovedRoom, ReceiptScript
from tests.helpers.bench import Bench, message
from tests.helpers.waiting import PATIENCE

INTERVAL = 0.05
READ_SECONDS, DELIVERED_SECONDS = 30, 300
MOST_PER_ROOM, MOST_PER_MOVE = 24, 3
"""Commands of a move that is alone in its room, and of one of many there."""


def script(bench: Bench, *, most: int = 100) -> ReceiptScript:
    """The script with an interval of 50 ms; rooms of more than `most` members are not published."""
    limits = replace(bench.settings.limits, receipt_members=most)
    return ReceiptScript(
        replace(bench.settings, limits=limits, receipt_interval=INTERVAL), bench.redis
    )


async def moved(
    bench: Bench, room_id: str, *users: str, read: int = 0, delivered: int = 0, most: int = 100
) -> MovedRoom:
    """What became of a move of some users to the same cursors."""
    moves: dict[str, dict[str, Cursors]] = {room_id: dict.fromkeys(users, (read, delivered))}
    return (await script(bench, most=most).move(moves))[room_id]


async def cursors(
    bench: Bench, room_id: str, user: str, read: int, delivered: int = 0
) -> list[int]:
    """The cursors of a user after a move, and their unread messages."""
    one = (await moved(bench, room_id, user, read=read, delivered=delivered)).members[user]
    return [one.read_seq, one.delivered_seq, one.unread]


async def room_of(bench: Bench, messages: int) -> str:
    """A room of alice, bob and carol with some messages of alice."""
    room_id = await bench.group("alice", "bob", "carol")
    for n in range(messages):
        await bench.append(message(room_id, "alice", f"m{n}"))
    return room_id


async def test_cursors_move_forward_and_never_beyond(bench: Bench) -> None:
    """For any request 0 ≤ read ≤ delivered ≤ seq, and the room stays warm (D8)."""
    room_id = await room_of(bench, 5)
    for read, delivered, wanted in (
        (2, 0, [2, 2, 3]),
        (1, 0, [2, 2, 3]),
        (0, 4, [2, 4, 0]),
        (9, 9, [5, 5, 0]),
    ):
        assert await cursors(bench, room_id, "bob", read, delivered) == wanted
    assert (await moved(bench, room_id, "eve", read=1)).members == {}
    assert await bench.state(room_id) == "warm"


async def test_moves_of_many_rooms_are_made_by_few_scripts(bench: Bench) -> None:
    """A hundred moves by one, also of a room with more members."""
    rooms = [await bench.group("alice", "bob", room=f"r{n}") for n in range(60)]
    users = [f"user{n}" for n in range(250)]
    large = await bench.group("alice", *users, room="large")
    for room_id in (*rooms, large):
        await bench.append(message(room_id, "alice"))
    moves = {room_id: {"bob": (1, 0)} for room_id in rooms} | {large: dict.fromkeys(users, (0, 1))}
    await script(bench).move({large: {"alice": (0, 1)}})  # the script is loaded
    before = await scripts(bench)
    rooms_moved = await script(bench).move(moves)
    assert await scripts(bench) - before == 4
    assert {room_id: set(one.members) for room_id, one in rooms_moved.items()} == {
        room_id: set(asked) for room_id, asked in moves.items()
    }


async def test_a_move_costs_the_same_however_many_messages_and_members_its_room_has(
    bench: Bench,
) -> None:
    """Redis' commands for a move in a room of its own, and for one of many in a room."""
    cost: dict[tuple[int, int], float] = {}
    for members, messages in ((3, 2), (200, 60)):
        users = [f"user{n}" for n in range(members)]
        rooms = [await bench.group("alice", *users, room=f"{members}-{n}") for n in range(10)]
        for room_id in rooms:
            for n in range(messages):
                await bench.append(message(room_id, "alice", f"m{n}"))
        cost[members, 1] = await commands(bench, {r: {"user0": (1, 0)} for r in rooms}) / 10
        some = dict.fromkeys(users[1:], (1, 0))
        cost[members, len(some)] = await commands(bench, {rooms[0]: some}) / len(some)
    print(cost)
    few, _, many, together = cost.values()
    assert many <= few <= MOST_PER_ROOM
    assert together <= MOST_PER_MOVE


async def commands(bench: Bench, moves: dict[str, dict[str, Cursors]]) -> int:
    """How many commands Redis runs for moves, those inside scripts included."""
    await script(bench).move({room_id: {} for room_id in moves})  # the script is loaded
    before = await all_calls(bench)
    await script(bench).move(moves)
    return await all_calls(bench) - before - 1  # one INFO is ours


async def all_calls(bench: Bench) -> int:
    """How many commands were run."""
    stats: Any = await bench.redis.info("commandstats")
    return sum(int(one["calls"]) for one in stats.values())


async def scripts(bench: Bench) -> int:
    """How many scripts were run."""
    return int((await bench.redis.info("commandstats"))["cmdstat_evalsha"]["calls"])


async def test_a_room_that_is_not_warm_is_said_to_be_so_and_others_are_moved(bench: Bench) -> None:
    """A room is loaded by who asked for it."""
    room_id = await room_of(bench, 2)
    moves: dict[str, dict[str, Cursors]] = {"nowhere": {"bob": (1, 0)}, room_id: {"bob": (1, 0)}}
    rooms = await script(bench).move(moves)
    assert rooms["nowhere"] == MovedRoom("cold", {}, 0)
    assert rooms[room_id].members["bob"].read_seq == 1


async def published(channel: PubSub) -> list[tuple[str, str, str, str]]:
    """What was published until nothing more comes: epoch, offset, type, JSON."""
    found = []
    while word := await channel.get_message(timeout=0.05):
        found.append(tuple(word["data"].decode().split(" ", 3)))
    return found


async def test_a_room_in_which_a_read_cursor_moved_changed_recently(bench: Bench) -> None:
    """Who missed that in a break reads the counts again; a delivered cursor is no count (D5)."""
    room_id, other = await room_of(bench, 3), await bench.group("alice", "bob", room="other")
    await bench.append(message(other, "alice"))
    recent = RecentChanges(bench.redis)
    await moved(bench, room_id, "bob", read=2)
    await moved(bench, other, "bob", delivered=1)
    await moved(bench, room_id, "bob", read=1)
    changes = await recent.since(30.0)
    assert changes is not None
    assert (changes.rooms, changes.members) == ({room_id}, {})
    key = keys.recent(keys.partition(room_id))
    assert await bench.redis.pttl(key) > 0
    await bench.redis.set(key, "of another type")
    assert await cursors(bench, room_id, "bob", 3) == [3, 3, 0]


async def test_a_moved_read_cursor_is_published_at_the_head_to_its_user(bench: Bench) -> None:
    """With the unread messages that are left; nothing is published where it did not move."""
    room_id = await room_of(bench, 3)
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        for read in (2, 1, 2):
            await moved(bench, room_id, "bob", read=read)
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
        assert (await moved(bench, room_id, "bob", read=1)).publish_in == 0
        waits = [
            (await moved(bench, room_id, user, read=2)).publish_in for user in ("bob", "carol")
        ]
        assert all(0 < wait <= INTERVAL for wait in waits)
        await asyncio.sleep(INTERVAL)  # the interval itself is what is tested
        for _ in range(2):
            assert await moved(bench, room_id) == MovedRoom("warm", {}, 0)
        told = [one for one in await published(channel) if one[2] == "~receipt.updated"]
    assert len(told) == 2
    assert [(int(epoch), int(offset)) for epoch, offset, _, _ in told] == [(1, 5)] * 2
    shown = [orjson.loads(text)["data"]["cursors"] for *_, text in told]
    assert [sorted(c["user_id"] for c in one) for one in shown] == [["bob"], ["bob", "carol"]]
    assert {"user_id": "bob", "read_seq": 2, "delivered_seq": 2} in shown[1]


async def test_cursors_of_large_rooms_are_not_published(bench: Bench) -> None:
    """They move and are stored all the same; the user's own devices hear of what was read."""
    room_id = await room_of(bench, 3)
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        assert (await moved(bench, room_id, "bob", delivered=2, most=2)).publish_in == 0
        assert await published(channel) == []
        assert (await moved(bench, room_id, "bob", read=2, most=2)).publish_in == 0
        assert [kind for _, _, kind, _ in await published(channel)] == ["~read.moved@bob"]
    assert set(await due(bench, room_id)) == {"bob"}


async def test_the_first_dirty_cursor_of_a_partition_rings(bench: Bench) -> None:
    """The relay looks at such partitions only; further cursors say nothing new."""
    room_id = await room_of(bench, 3)
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.outbox(keys.partition(room_id)))
        assert await channel.get_message(timeout=PATIENCE) is not None
        await moved(bench, room_id, "bob", delivered=1)
        await moved(bench, room_id, "carol", read=1)
        await bench.redis.delete(keys.dirty_cursors(keys.partition(room_id)))  # all were sent
        await moved(bench, room_id, "carol", read=2)
        rings = []
        while ring := await channel.get_message(timeout=0.05):
            rings.append(ring["data"])
    assert rings == [b"cursors", b"cursors"]


async def due(bench: Bench, room_id: str) -> dict[str, float]:
    """The users whose cursors wait to be stored, and in how many seconds they are."""
    seconds, micros = await bench.redis.time()
    now = int(seconds) + int(micros) / 1e6
    name = keys.dirty_cursors(keys.partition(room_id))
    found: Any = await bench.redis.zrange(name, 0, -1, withscores=True)
    return {word.decode().split()[1]: score / 1000 - now for word, score in found}


async def test_thirty_seconds_of_reading_are_stored_once(bench: Bench) -> None:
    """From the first move on; what was only delivered waits for five minutes, or for a read."""
    room_id = await room_of(bench, 9)
    await moved(bench, room_id, "bob", "carol", delivered=1)
    waits = await due(bench, room_id)
    assert all(DELIVERED_SECONDS - PATIENCE < wait <= DELIVERED_SECONDS for wait in waits.values())
    await moved(bench, room_id, "bob", read=1)
    first = await scores(bench, room_id)
    assert (await due(bench, room_id))["bob"] <= READ_SECONDS
    for seq in range(2, 10):
        await moved(bench, room_id, "bob", read=seq, delivered=seq)
        await moved(bench, room_id, "carol", delivered=seq)
    assert await scores(bench, room_id) == first
    assert len(first) == 2


async def scores(bench: Bench, room_id: str) -> Any:
    """The cursors that wait to be stored, with their times."""
    name = keys.dirty_cursors(keys.partition(room_id))
    return await bench.redis.zrange(name, 0, -1, withscores=True)


async def test_cursors_are_stored_before_the_hot_keys_expire(bench: Bench) -> None:
    """They are read from these; a room that is about to expire has them stored at once."""
    room_id = await room_of(bench, 2)
    await bench.redis.hset(keys.room(room_id).head, "ttl", 1_000)
    await moved(bench, room_id, "bob", read=1)
    await moved(bench, room_id, "carol", delivered=1)
    assert all(wait <= 0 for wait in (await due(bench, room_id)).values())


async def test_a_key_of_another_type_is_a_reply_and_no_half_write(bench: Bench) -> None:
    """The script replies `broken` before it writes."""
    room_id = await room_of(bench, 2)
    await bench.redis.set(keys.room(room_id).receipts, "x")
    before = await bench.dump()
    assert (await moved(bench, room_id, "bob", read=1)).state == "broken"
    assert await bench.dump() == before


async def test_a_portion_of_a_large_room_is_no_larger_than_a_call() -> None:
    """Nothing is lost and nothing is asked twice."""
    users = {f"user{n}": (0, 1) for n in range(2 * receipt_script.MAX_MOVES + 1)}
    moves = {"a": {}, "b": users, "c": {"bob": (1, 0)}}
    parts = list(receipt_script._parts(moves.items()))
    assert [sum(max(1, len(some)) for _, some in part) for part in parts] == [1, 100, 100, 2]


async def test_rooms_of_a_cluster_are_moved_by_a_script_for_each_slot(
    bench: Bench, shards: ShardedPipeline
) -> None:
    """One script names the rooms of one slot only; what became of each room is told."""
    moves = {f"room{n}": {"bob": (1, 1)} for n in range(300)}
    found = await ReceiptScript(bench.settings, shards).move(moves)
    assert {room_id: one.state for room_id, one in found.items()} == dict.fromkeys(moves, "cold")
