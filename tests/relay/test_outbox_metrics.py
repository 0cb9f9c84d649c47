"""The metrics of the outboxes, by the clock of Redis."""

from __future__ import annotations

import time

import pytest
from redis.asyncio import Redis

from rts_server import keys, metrics
from rts_server.relay.outbox_metrics import OutboxMetrics


async def test_depth_and_age_cover_the_held_partitions(redis: Redis) -> None:
    """The oldest entry of them counts; partitions of other relays do not."""
    seconds, _ = await redis.time()
    for part, age in ((3, 70), (5, 40), (9, 900)):
        await redis.xadd(keys.outbox(part), {"q": "m"}, id=f"{(seconds - age) * 1000}-0")
    await OutboxMetrics(redis, lambda: [3, 5, 7]).measure()
    assert metrics.OUTBOX_ENTRIES._value.get() == 2
    assert 70 <= metrics.OUTBOX_AGE._value.get() < 75
    await OutboxMetrics(redis, lambda: [7]).measure()
    assert metrics.OUTBOX_ENTRIES._value.get() == 0
    assert metrics.OUTBOX_AGE._value.get() == 0


async def test_the_clock_is_that_of_redis(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is off by ten minutes measures the same lag (R9)."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 600)
    measuring = OutboxMetrics(redis, list)
    await measuring.measure()
    seconds, _ = await redis.time()
    assert measuring.redis_time_ms() / 1000 == pytest.approx(seconds, abs=2)
