"""The metrics of the outboxes, by the clock of Redis."""

from __future__ import annotations

import time

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.relay.outbox_metrics import OutboxMetrics


async def test_depth_and_age_cover_the_held_partitions(redis: Redis, pipe: RedisPipeline) -> None:
    """The oldest entry of them counts; partitions of other relays do not."""
    seconds, _ = await redis.time()
    for part, age in ((3, 70), (5, 40), (9, 900)):
        await redis.xadd(keys.outbox(part), {"q": "m"}, id=f"{(seconds - age) * 1000}-0")
    occupied = {3, 5, 7}
    measuring = OutboxMetrics(pipe, held=lambda: range(8), occupied=lambda: occupied)
    await measuring.measure()
    assert measuring.entries == 2
    assert 70 <= measuring.age_seconds < 75
    occupied -= {3, 5}
    await measuring.measure()
    assert measuring.entries == 0
    assert measuring.age_seconds == 0


async def test_the_clock_is_that_of_redis(
    redis: Redis, pipe: RedisPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is off by ten minutes measures the same lag (R9)."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 600)
    measuring = OutboxMetrics(pipe, held=lambda: [0], occupied=list)
    await measuring.measure()
    seconds, _ = await redis.time()
    assert measuring.redis_time_ms() / 1000 == pytest.approx(seconds, abs=2)
