"""What messages cost the relay, in Redis commands and requests to SQS: counts, no times."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.relay import outbox_reader, quiet_heads, relay
from tests.helpers.post import Post
from tests.helpers.relays import only_shard, relay_on
from tests.helpers.waiting import eventually
from tests.relay.outbox_log import OutboxLog

MESSAGES, MOST_REQUESTS = 400, 60
FIRST_READS = keys.PARTITIONS // outbox_reader.MAX_READ_PARTITIONS
"""A relay that starts reads every partition once."""


async def calls(redis: Redis) -> Counter[str]:
    """The commands that Redis has executed, by name, those inside scripts included."""
    stats = await redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


@pytest.mark.parametrize(
    ("rooms", "deletions"), [(1, MESSAGES // 5), (20, MESSAGES // 2), (MESSAGES, MESSAGES)]
)
async def test_messages_share_what_the_relay_does(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, rooms: int, deletions: int
) -> None:
    """Ten share a request to SQS and a notice, those of a partition a deletion. A room that is
    quiet then costs one publish, however many messages it had, and all share a script."""
    post = Post()
    monkeypatch.setattr(relay, "SqsEndpoint", lambda *_: post)
    monkeypatch.setattr(quiet_heads, "QUIET_SECONDS", 5.0)
    log = OutboxLog(redis)
    for n in range(MESSAGES):
        await log.add(f"room-{n % rooms}")
    before = await calls(redis)
    async with relay_on(redis, canary_interval=60.0) as one:
        running = asyncio.create_task(one.run_forever())
        await eventually(log.empty)
        await only_shard(one)._ack_processor.wait_idle()
        sent = await calls(redis) - before
        one.stop()
        await running
        ended = await calls(redis) - before
    print(f"{len(post.batches)} requests: {dict(ended)}")
    assert len(post.batches) <= MOST_REQUESTS
    assert sent["xread"] <= FIRST_READS + MOST_REQUESTS
    assert 0 < sent["xdel"] <= deletions
    assert 0 < sent["publish"] <= MOST_REQUESTS
    assert ended["publish"] - sent["publish"] == rooms
    assert ended["evalsha"] - sent["evalsha"] <= 4
