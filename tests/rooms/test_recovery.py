"""Which Redis lost its data: the one server, or some primaries of a cluster."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost

from rts_server import keys
from rts_server.redis_client.pipeline import CommandPipe, time_at
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.slots import slot_of
from rts_server.rooms.recovery import RoomRecovery
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers.valkey import ask

NAMES = [keys.room(f"room-{n}").head for n in range(50)]


def recovery_on(redis: Redis | CommandPipe) -> RoomRecovery:
    """Return a recovery that can only find losses."""
    nothing = cast(Any, None)
    return RoomRecovery(redis, nothing, snapshots=nothing, archive=nothing, drains=nothing)


def of(cluster: ValkeyCluster, node: Valkey) -> set[str]:
    """Return the names that are on a primary."""
    share = cluster.primaries.index(node)
    return {name for name in NAMES if slot_of(name) * 3 // 16384 == share}


async def lost_by(recovery: RoomRecovery) -> set[str]:
    """Return the names that were lost."""
    was_lost = await recovery.losses()
    return set() if was_lost is None else {name for name in NAMES if was_lost(name)}


async def in_a_later_ms(redis: Redis | CommandPipe) -> None:
    """Wait for another ms: a Redis that begins anew in the one in which it began is the same."""
    begun = await time_at(redis, NAMES[0])
    while await time_at(redis, NAMES[0]) == begun:
        pass


async def test_one_server_loses_everything(redis: Redis) -> None:
    """Each loss is reported once, and none before the first look."""
    recovery = recovery_on(redis)
    assert await lost_by(recovery) == await lost_by(recovery) == set()
    await in_a_later_ms(redis)
    await redis.flushall()
    assert await lost_by(recovery) == set(NAMES)
    assert await lost_by(recovery) == set()


async def test_a_primary_loses_its_own(shards: ShardedPipeline, cluster: ValkeyCluster) -> None:
    """What is on the others is not compared."""
    await shards.execute_command("EXISTS", "nothing")
    recovery = recovery_on(shards)
    assert await lost_by(recovery) == set()
    for node in cluster.primaries[:2]:
        await in_a_later_ms(shards)
        ask(node, "FLUSHALL")
        assert await lost_by(recovery) == of(cluster, node)
        assert await lost_by(recovery) == set()


async def test_a_primary_that_is_away_hides_no_loss_of_others(
    shards: ShardedPipeline, cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is compared when it is back; where none answers there is nothing to report."""
    await shards.execute_command("EXISTS", "nothing")
    recovery = recovery_on(shards)
    assert await lost_by(recovery) == set()
    first, second, _ = cluster.primaries
    read, away = recovery._generation, {first.port}

    async def unless_away(number: int) -> bytes:
        if cast(Any, recovery._server(number)).port in away:
            raise Lost
        return await read(number)

    monkeypatch.setattr(recovery, "_generation", unless_away)
    for node in (first, second):
        ask(node, "FLUSHALL")
    assert await lost_by(recovery) == of(cluster, second)
    away.clear()
    assert await lost_by(recovery) == of(cluster, first)
    away |= {node.port for node in cluster.primaries}
    with pytest.raises(Lost):
        await recovery.losses()


async def test_a_partition_that_moved_is_no_loss_of_its_new_primary(
    shards: ShardedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its generation is another one there; the primary is still known by one that stayed."""
    await shards.execute_command("EXISTS", "nothing")
    recovery = recovery_on(shards)
    assert await lost_by(recovery) == set()
    moved, *stayed = recovery._known
    new = recovery._known[stayed[0]].server
    where = shards.server_of
    name = keys.generation(moved)
    monkeypatch.setattr(shards, "server_of", lambda key: new if key == name else where(key))
    await shards.execute_command("SET", name, "another 1")
    assert await lost_by(recovery) == set()
    assert {one.server for one in recovery._known.values()} == {
        where(keys.generation(number)) for number in (moved, *stayed)
    }
