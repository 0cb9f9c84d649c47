"""Which partitions ring, on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.pipeline import publish_all
from rts_server.redis_client.servers import RedisServers
from rts_server.redis_client.slots import slot_of
from rts_server.relay.doorbell import CURSORS, ENTRIES, Doorbell
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers.valkey import ask
from tests.helpers.waiting import eventually

Rings = list[tuple[int, bytes]]


@pytest.fixture
def rings() -> Rings:
    return []


@pytest.fixture
async def doorbell(redis: Redis, valkey_url: str, rings: Rings) -> AsyncIterator[Doorbell]:
    """A doorbell that listens to no partition yet."""
    settings = Settings(redis_url=valkey_url, canary_interval=0.05, deaf_after=0.4)
    made = Doorbell(settings, redis, "me", lambda *ring: rings.append(ring), RedisServers(settings))
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
    assert isinstance(doorbell._subscriber, Subscriber)
    link = doorbell._subscriber._link
    assert link is not None
    link.send(("UNSUBSCRIBE", keys.outbox(3)))
    await eventually(lambda: len(rings) == 2)


async def test_on_a_cluster_the_partitions_of_a_broken_link_ring_and_no_others(
    cluster: ValkeyCluster, rings: Rings
) -> None:
    """Each primary has a link of its own; rings come by the channel of the partition's slot."""
    settings = Settings(redis_url=cluster.url, redis_cluster=1, canary_interval=0.05)
    servers = RedisServers(settings)
    pipe = servers.pipe()
    made = Doorbell(settings, pipe, "me", lambda *ring: rings.append(ring), servers)
    task = asyncio.create_task(made.run_forever())
    parts = {slot_of(keys.outbox(one)) * 3 // 16384: one for one in range(9)}
    try:
        made.listen(parts.values())
        await eventually(lambda: len(rings) == 6)
        rings.clear()
        await publish_all(pipe, [(keys.outbox(one), "") for one in parts.values()])
        await eventually(lambda: len(rings) == 3)
        assert set(rings) == {(one, ENTRIES) for one in parts.values()}
        rings.clear()
        ask(cluster.primaries[1], "CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: len(rings) == 2)
        assert set(rings) == {(parts[1], ENTRIES), (parts[1], CURSORS)}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pipe.close()
        await servers.close()
