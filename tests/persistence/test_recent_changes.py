"""What changed a short time ago, on a real Valkey."""

from __future__ import annotations

import asyncio
import time

from redis.asyncio import ConnectionPool, Redis

from rts_server import keys
from rts_server.domain.changes import Changes
from rts_server.persistence.recent_changes import KEPT_MS, RecentChanges
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.sharded_pipeline import ShardedPipeline


async def test_what_was_noted_within_the_time_is_returned(
    redis: Redis, shards: ShardedPipeline
) -> None:
    """Rooms of all partitions, and who came into one or left it; of one Redis and of a cluster."""
    for each in (redis, shards):
        await note_and_read(RecentChanges(each))


async def note_and_read(recent: RecentChanges) -> None:
    rooms = {f"room-{n}" for n in range(2_000)}
    await recent.note(rooms, [("room-1", "alice"), ("room-2", "alice"), ("room-2", "bob")])
    members = {"alice": {"room-1", "room-2"}, "bob": {"room-2"}}
    assert await recent.since(5.0) == Changes(5.0, rooms, members)
    await recent.note()


async def test_what_is_older_is_not_returned_and_then_forgotten(redis: Redis) -> None:
    """By the clock of Redis (R9); nothing of it stays."""
    recent = RecentChanges(redis)
    now_ms = int(time.time() * 1000)
    key = keys.recent(keys.partition("r"))
    await redis.zadd(key, {"older": now_ms - 20_000, "r": now_ms - 9_000, "old": 1})
    changes = await recent.since(10.0)
    assert changes is not None
    assert changes.rooms == {"r"}
    await recent.note(["r"])
    assert await redis.zrange(key, 0, -1) == [b"older", b"r"]
    assert 0 < await redis.pttl(key) <= 2 * KEPT_MS


async def test_it_is_not_known_beyond_the_time_for_which_it_is_kept(redis: Redis) -> None:
    """Then everything is compared."""
    recent = RecentChanges(redis)
    assert await recent.since(KEPT_MS / 1000 - 2) is not None
    assert await recent.since(KEPT_MS / 1000) is None
    assert await recent.since(float("inf")) is None


async def test_it_is_not_known_while_a_relay_of_the_release_before_runs(redis: Redis) -> None:
    """It publishes heads, and notes none."""
    recent = RecentChanges(redis)
    await redis.zadd(keys.RELAYS, {f"1234abcd{keys.KEEPS_RECENT}": 1})
    assert await recent.since(1.0) is not None
    await redis.zadd(keys.RELAYS, {"1234abcd": 1})
    assert await recent.since(1.0) is None


async def test_a_late_reply_reaches_as_far_back(redis: Redis, valkey_url: str) -> None:
    """Redis was busy for longer than the margin, so it is asked for that time as well."""
    recent = RecentChanges(redis)
    await recent.note(["r"])
    other = RedisPipeline(ConnectionPool.from_url(valkey_url, protocol=2))
    await other.execute_command("PING")
    busy = other.execute_command("DEBUG", "SLEEP", "2")
    await asyncio.sleep(0)  # the command is sent
    changes = await recent.since(0.0)
    await other.close()
    await asyncio.gather(busy, return_exceptions=True)
    assert changes is not None
    assert changes.rooms == {"r"}
    assert changes.seconds > 1
