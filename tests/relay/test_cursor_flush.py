"""Cursors on their way from Redis to their queue."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.queues import SqsQueue
from rts_server.persistence.sqs_endpoint import SqsEndpoint
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.relay import cursor_flush, relay
from rts_server.relay.cursor_flush import CursorFlush
from rts_server.relay.turns import PARTITIONS_PER_TURN
from tests.helpers.post import Post
from tests.helpers.relays import relay_on
from tests.helpers.waiting import eventually
from tests.relay.outbox_log import OutboxLog
from tests.relay.queues import CURSORS, ROOMS

AGAIN = 30.0


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def flush(pipe: CommandPipe, post: Post) -> CursorFlush:
    """The flush of all partitions, of which each has rung."""
    return flush_of(pipe, post)


def flush_of(redis: CommandPipe, post: Post) -> CursorFlush:
    queue = SqsQueue(cast(SqsEndpoint, post), CURSORS)
    made = CursorFlush(
        redis, queue, asyncio.Semaphore(2), lambda: range(keys.PARTITIONS), again=AGAIN
    )
    for partition in range(keys.PARTITIONS):
        made.ring(partition)
    return made


async def move(redis: Redis, room_id: str, user: str, read: int, delivered: int) -> None:
    """Move cursors as receipts.lua does; they are due at once."""
    await redis.hset(
        keys.room(room_id).cursors, mapping={f"r:{user}": read, f"d:{user}": delivered}
    )
    dirty = keys.dirty_cursors(keys.partition(room_id))
    await redis.zadd(dirty, {f"{room_id} {user}": 0}, nx=True)


async def dirty(redis: Redis, room_id: str) -> list[Any]:
    """The cursors that are not stored yet, with the ms when they are due."""
    name = keys.dirty_cursors(keys.partition(room_id))
    return list(await redis.zrange(name, 0, -1, withscores=True))


def cursors(post: Post) -> dict[tuple[str, str], tuple[int, int]]:
    """The cursors that SQS accepted, by room and user."""
    records = [orjson.loads(one["MessageBody"])["cursors"] for one in post.sent]
    return {
        (record["room_id"], one["user_id"]): (one["read_seq"], one["delivered_seq"])
        for record in records
        for one in record["members"]
    }


async def test_cursors_that_are_due_are_sent_once(
    redis: Redis, post: Post, flush: CursorFlush
) -> None:
    """One record per room has the cursors of that moment; what is not due yet waits."""
    await move(redis, "a", "bob", 1, 2)
    await move(redis, "a", "carol", 0, 3)
    await move(redis, "a", "bob", 2, 2)
    await move(redis, "b", "bob", 4, 4)
    later = keys.dirty_cursors(keys.partition("c"))
    await redis.zadd(later, {"c bob": 2.0**45})
    assert await flush.flush() == 3
    assert len(post.sent) == 2
    assert cursors(post) == {("a", "bob"): (2, 2), ("a", "carol"): (0, 3), ("b", "bob"): (4, 4)}
    assert await dirty(redis, "a") == []
    assert await flush.flush() == 0
    assert len(post.batches) == 1
    assert [word for word, _ in await dirty(redis, "c")] == [b"c bob"]


async def test_a_cursor_that_moves_while_it_is_sent_is_due_again(
    redis: Redis, post: Post, flush: CursorFlush
) -> None:
    """Its later position is sent after the pause."""
    await move(redis, "a", "bob", 1, 1)
    post.before = lambda: move(redis, "a", "bob", 1, 5)
    await flush.flush()
    assert cursors(post) == {("a", "bob"): (1, 1)}
    ((word, due),) = await dirty(redis, "a")
    seconds, _ = await redis.time()
    assert word == b"a bob"
    assert due > seconds * 1000


async def test_what_sqs_does_not_take_stays_dirty(
    redis: Redis, post: Post, flush: CursorFlush
) -> None:
    """A refused record alone, and all while SQS is away; the next flush sends them (D4)."""
    for room_id in ("a", "b", "c"):
        await move(redis, room_id, "bob", 1, 1)
    post.away = True
    assert await flush.flush() == 0
    post.away = False
    post.refuses = lambda entry: '"room_id":"b"' in entry["MessageBody"]
    assert await flush.flush() == 2
    post.refuses = lambda entry: False
    assert await flush.flush() == 1
    assert {room for room, _ in cursors(post)} == {"a", "b", "c"}


async def test_cursors_of_who_left_are_forgotten(
    redis: Redis, post: Post, flush: CursorFlush
) -> None:
    """Also those of a room whose keys expired, or are of another type."""
    for room_id in ("a", "b"):
        await move(redis, room_id, "bob", 1, 1)
    await redis.delete(keys.room("a").cursors, keys.room("b").cursors)
    await redis.set(keys.room("b").cursors, "x")
    assert await flush.flush() == 0
    assert post.sent == []
    assert await dirty(redis, "a") == await dirty(redis, "b") == []


async def test_a_flush_is_many_short_scripts_and_small_records(
    redis: Redis, post: Post, flush: CursorFlush, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None holds Redis up, and none takes a function long."""
    monkeypatch.setattr(cursor_flush, "MAX_CURSORS", 100)
    await redis.script_load(cursor_flush._DUE.source)
    await redis.script_load(cursor_flush._SENT.source)
    await flush.flush()  # none has a dirty cursor yet
    for n in range(260):
        await move(redis, "large", f"user{n}", n, n)
    flush.ring(keys.partition("large"))
    before = await scripts(redis)
    assert await flush.flush() == 260
    assert await scripts(redis) - before == 3 * 2
    members = [len(orjson.loads(one["MessageBody"])["cursors"]["members"]) for one in post.sent]
    assert members == [25] * 8 + [25, 25, 10]


async def test_only_partitions_with_dirty_cursors_are_looked_at_with_each_flush(
    redis: Redis, post: Post, flush: CursorFlush
) -> None:
    """The others have their turn, some with each flush: a ring may be missed."""
    await move(redis, "a", "bob", 1, 1)
    post.away = True
    await flush.flush()
    looks = await looked_at(redis)
    await flush.flush()
    assert await looked_at(redis) - looks in (PARTITIONS_PER_TURN, PARTITIONS_PER_TURN + 1)
    post.away = False
    await flush.flush()
    await move(redis, "b", "bob", 1, 1)
    for _ in range(keys.PARTITIONS // PARTITIONS_PER_TURN + 1):
        await flush.flush()
    assert {room for room, _ in cursors(post)} == {"a", "b"}


async def looked_at(redis: Redis) -> int:
    """The number of partitions whose cursors were counted."""
    stats: Any = await redis.info("commandstats")
    return int(stats["cmdstat_zcard"]["calls"])


async def scripts(redis: Redis) -> int:
    """How many scripts were run."""
    stats: Any = await redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def test_changes_of_members_do_not_wait_behind_cursors(
    redis: Redis, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand cursors are due and their queue does not answer; all changes are sent."""
    monkeypatch.setattr(relay, "SqsEndpoint", lambda *_: post)
    answers, waiting = asyncio.Event(), list[str]()
    send = post.send_message_batch

    async def send_unless_cursors(url: str, entries: list[dict[str, str]]) -> list[str]:
        if url == CURSORS:
            waiting.append(url)
            await answers.wait()
        return await send(url, entries)

    monkeypatch.setattr(post, "send_message_batch", send_unless_cursors)
    for n in range(1_000):
        await move(redis, f"room-{n % 50}", f"user{n}", 1, 1)
    log = OutboxLog(redis)
    async with relay_on(redis, relay_lease=1.0) as one:
        task = asyncio.create_task(one.run_forever())
        await eventually(lambda: len(waiting) == cursor_flush.CURSOR_QUEUE_SLOTS)
        sent = [await log.add(f"room-{n}", "r") for _ in range(3) for n in range(50)]
        await eventually(lambda: len(post.sent) == len(sent))
        assert {url for url, _ in post.batches} == {ROOMS}
        assert sorted(entry["MessageBody"] for entry in post.sent) == sorted(sent)
        answers.set()
        await eventually(lambda: len(cursors_of(post)) == 1_000)
        one.stop()
        await task


def cursors_of(post: Post) -> dict[tuple[str, str], tuple[int, int]]:
    """The cursors in the batches of their queue."""
    found = Post()
    found.batches = [batch for batch in post.batches if batch[0] == CURSORS]
    return cursors(found)


async def test_cursors_of_all_primaries_are_sent(shards: ShardedPipeline, post: Post) -> None:
    """Of a cluster each partition is asked by itself, and forgets what was sent."""
    flush = flush_of(shards, post)
    rooms = [f"room{n}" for n in range(100)]
    for room_id in rooms:
        await shards.execute_command("HSET", keys.room(room_id).cursors, "r:bob", "1", "d:bob", "2")
        name = keys.dirty_cursors(keys.partition(room_id))
        await shards.execute_command("ZADD", name, 0, f"{room_id} bob")
    assert await flush.flush() == len(rooms)
    assert cursors(post) == {(room_id, "bob"): (1, 2) for room_id in rooms}
    left = [("ZCARD", keys.dirty_cursors(keys.partition(room_id))) for room_id in rooms]
    assert await shards.execute_commands(left) == [0] * len(rooms)
