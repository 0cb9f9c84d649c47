"""Which partitions ring, on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.relay.doorbell import CURSORS, ENTRIES, Doorbell
from tests.helpers.waiting import eventually

Rings = list[tuple[int, bytes]]


@pytest.fixture
def rings() -> Rings:
    return []


@pytest.fixture
async def doorbell(redis: Redis, valkey_url: str, rings: Rings) -> AsyncIterator[Doorbell]:
    """A doorbell that listens to no partition yet."""
    settings = Settings(redis_url=valkey_url, canary_interval=0.05, deaf_after=0.4)
    made = Doorbell(settings, redis, "me", lambda *ring: rings.append(ring))
    task = asyncio.create_task(made.run_forever())
    await eventually(lambda: made._subscriber.ever_subscribed)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_partition_rings_once_it_is_listened_to_and_when_something_is_said(
    redis: Redis, doorbell: Doorbell, rings: Rings
) -> None:
    """What was added before the subscription is read too; others do not ring."""
    doorbell.listen([3, 5])
    await eventually(lambda: len(rings) == 4)
    assert set(rings) == {(part, what) for part in (3, 5) for what in (ENTRIES, CURSORS)}
    rings.clear()
    await redis.publish(keys.outbox(7), "")
    await redis.publish(keys.outbox(5), "")
    await redis.publish(keys.outbox(3), "cursors")
    await eventually(lambda: len(rings) == 2)
    assert rings == [(5, ENTRIES), (3, CURSORS)]


async def test_a_partition_that_was_left_does_not_ring(
    redis: Redis, doorbell: Doorbell, rings: Rings
) -> None:
    """Another relay listens to it."""
    doorbell.listen([3, 5])
    await eventually(lambda: len(rings) == 4)
    doorbell.leave([3])
    rings.clear()
    for part in (3, 5):
        await redis.publish(keys.outbox(part), "")
    await eventually(lambda: bool(rings))
    assert rings == [(5, ENTRIES)]


async def test_every_partition_rings_after_a_break_of_the_link(
    redis: Redis, doorbell: Doorbell, rings: Rings
) -> None:
    """What was said meanwhile was missed."""
    doorbell.listen([3])
    await eventually(lambda: len(rings) == 2)
    rings.clear()
    await redis.client_kill_filter(_type="pubsub")
    await eventually(lambda: len(rings) == 2)
    assert set(rings) == {(3, ENTRIES), (3, CURSORS)}


async def test_a_subscription_that_redis_forgot_is_renewed(
    doorbell: Doorbell, rings: Rings
) -> None:
    """The canary counts the channels: a doorbell that cannot ring is noticed."""
    doorbell.listen([3])
    await eventually(lambda: len(rings) == 2)
    rings.clear()
    link = doorbell._subscriber._link
    assert link is not None
    link.send(("UNSUBSCRIBE", keys.outbox(3)))
    await eventually(lambda: len(rings) == 2)
