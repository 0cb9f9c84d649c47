"""A pipe to a cluster: each command is executed by the primary of its slot, once or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError, TryAgainError

from rts_server.redis_client.connection import packed
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.slots import slot_of
from rts_server.redis_client.transport import NotPrimary
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey
from tests.helpers.valkey import ask, give_slot, name_of, owner_says
from tests.helpers.waiting import PATIENCE, eventually

SLOT = slot_of("{moving}")


async def gathered(*answers: Awaitable[object]) -> list[object]:
    async with asyncio.timeout(PATIENCE):
        return list(await asyncio.gather(*answers, return_exceptions=True))


def owner(cluster: ValkeyCluster, slot: int = SLOT) -> Valkey:
    return cluster.primaries[slot * 3 // 16384]


def another(cluster: ValkeyCluster, node: Valkey) -> Valkey:
    return next(one for one in cluster.primaries if one is not node)


def redirects(cluster: ValkeyCluster, code: str) -> int:
    found = [ask(node, "INFO", "errorstats") for node in cluster.primaries]
    return sum(one.get(f"errorstat_{code}", {}).get("count", 0) for one in found)


@asynccontextmanager
async def moving(cluster: ValkeyCluster) -> AsyncIterator[tuple[Valkey, Valkey]]:
    """Have the slot between two primaries; what is new is at the second."""
    here = owner(cluster)
    there = another(cluster, here)
    ask(there, "CLUSTER SETSLOT", SLOT, "IMPORTING", name_of(here))
    ask(here, "CLUSTER SETSLOT", SLOT, "MIGRATING", name_of(there))
    try:
        yield here, there
    finally:
        for node in (here, there):
            ask(node, "FLUSHALL")
            ask(node, "CLUSTER SETSLOT", SLOT, "STABLE")
        await give_slot(cluster, SLOT, here)


async def test_a_command_without_a_key_goes_where_the_one_before_it_went(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """So that what is asked of a server behind reads of its keys is asked of that server."""
    names = [f"key{n}" for n in range(40)]
    asked = [one for name in names for one in (("GET", name), ("INFO", "server"))]
    told = (await shards.execute_commands(asked))[1::2]
    ports = [owner(cluster, slot_of(name)).port for name in names]
    assert len(set(ports)) == 3
    assert all(b"tcp_port:%d\r" % port in info for port, info in zip(ports, told, strict=True))
    assert await shards.execute_commands([]) == []


async def test_commands_reach_the_primary_of_their_keys(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """Replies are in the order of the commands, of whichever primaries, and errors among them."""
    keys = [f"key{n}" for n in range(300)]
    await shards.execute_commands([("SET", key, key) for key in keys])
    told = await shards.execute_commands([packed("GET", key) for key in keys])
    assert told == [key.encode() for key in keys]
    assert all(ask(node, "DBSIZE") > 50 for node in cluster.primaries)
    first, wrong, last = await shards.execute_commands(
        [("GET", "key0"), ("INCR", "key1"), ("STRLEN", "key2")]
    )
    assert (first, last) == (b"key0", 4)
    assert isinstance(wrong, ResponseError)
    assert await shards.execute_commands([]) == []


async def test_a_command_without_a_key_goes_where_it_is_sent(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """A script is loaded by the primary that is to run it."""
    for node in cluster.primaries:
        key = next(k for k in map(str, range(999)) if owner(cluster, slot_of(k)) is node)
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        shards.send_beside(key, ("CLUSTER", "MYID"), answer.set_result)
        assert await answer == name_of(node).encode()
    with pytest.raises(ValueError, match="without a key"):
        shards.execute_command("TIME")


async def test_a_slot_that_moved_is_followed(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """MOVED sends a command on, and the next one goes there by itself."""
    here = owner(cluster)
    there = another(cluster, here)
    assert await shards.execute_command("INCR", "{moving}n") == 1
    await give_slot(cluster, SLOT, there)
    before = redirects(cluster, "MOVED")
    try:
        assert await shards.execute_command("INCR", "{moving}n") == 2
        assert redirects(cluster, "MOVED") == before + 1
        assert await shards.execute_command("INCR", "{moving}n") == 3
        assert redirects(cluster, "MOVED") == before + 1
    finally:
        await give_slot(cluster, SLOT, here)


async def test_each_command_is_executed_once_while_its_slot_moves(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """Commands in flight over a move count from one up: none twice, and none is missing."""
    here = owner(cluster)
    there = another(cluster, here)
    await shards.execute_command("SET", "{moving}n", 0)
    ask(here, "CLUSTER MIGRATESLOTS", "SLOTSRANGE", SLOT, SLOT, "NODE", name_of(there))
    told: list[object] = []
    try:
        while owner_says(here, SLOT) == here.port or len(told) < 1_000:
            told += await gathered(
                *(shards.execute_command("INCR", "{moving}n") for _ in range(50))
            )
        assert sorted(told, key=repr) == sorted(range(1, len(told) + 1), key=repr)
    finally:
        await give_slot(cluster, SLOT, here)


async def test_what_has_moved_already_is_asked_for_there(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """ASK sends each command on, together with ASKING, and the slot stays where it was."""
    async with moving(cluster) as (_, there):
        keys = [f"{{moving}}{n}" for n in range(200)]
        told = await gathered(*(shards.execute_command("SET", key, key) for key in keys))
        assert told == [b"OK"] * 200
        told = await gathered(*(shards.execute_command("GET", key) for key in keys))
        assert told == [key.encode() for key in keys]
        assert ask(there, "DBSIZE") == 200


async def test_keys_on_both_sides_of_a_move_are_waited_for(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """TRYAGAIN: the command is repeated until the move is over."""
    await shards.execute_command("SET", "{moving}old", "x")
    before = redirects(cluster, "TRYAGAIN")
    both = ("EVAL", "return redis.call('EXISTS', KEYS[1], KEYS[2])", 2, "{moving}old", "{moving}")
    async with moving(cluster) as (here, there):
        answer = shards.execute_command(*both)
        await eventually(lambda: redirects(cluster, "TRYAGAIN") > before)
        assert not answer.done()
        ask(here, "DEL", "{moving}old")
        for node in (there, *(one for one in cluster.primaries if one is not there)):
            ask(node, "CLUSTER SETSLOT", SLOT, "NODE", name_of(there))
        assert await answer == 0


async def test_a_move_that_does_not_end_is_an_error(
    shards: ShardedPipeline, cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a number of tries the caller is told; nothing was executed."""
    monkeypatch.setattr("rts_server.redis_client.sharded_pipeline.TRY_AGAIN_SECONDS", 0.0)
    await shards.execute_command("SET", "{moving}old", "x")
    async with moving(cluster):
        with pytest.raises(TryAgainError):
            await shards.execute_command("DEL", "{moving}old", "{moving}new")
        assert await shards.execute_command("GET", "{moving}old") == b"x"


async def test_a_slot_that_nobody_serves_fails_alone(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """CLUSTERDOWN is an error of that command; the connections stay, and so do all other slots."""
    here = owner(cluster)
    mine = next(k for k in map(str, range(999)) if owner(cluster, slot_of(k)) is here)
    assert await shards.execute_command("SET", mine, "x")
    client = await _client_id(shards, mine)
    for node in cluster.primaries:
        ask(node, "CLUSTER DELSLOTS", SLOT)
    try:
        for _ in range(2):
            lost, found = await gathered(
                shards.execute_command("GET", "{moving}n"), shards.execute_command("GET", mine)
            )
            assert isinstance(lost, NotPrimary)
            assert lost.code == "CLUSTERDOWN"
            assert found == b"x"
        assert await _client_id(shards, mine) == client
    finally:
        ask(here, "CLUSTER ADDSLOTS", SLOT)
        await give_slot(cluster, SLOT, here)
    await eventually(lambda: _is_served(shards))


async def _client_id(shards: ShardedPipeline, key: str) -> object:
    answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    shards.send_beside(key, ("CLIENT", "ID"), answer.set_result)
    return await answer


async def _is_served(shards: ShardedPipeline) -> bool:
    (told,) = await shards.execute_commands([("GET", "{moving}n")])
    return told is None


async def test_a_lost_command_is_not_repeated(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """It is not known whether it was executed, so the caller decides; others go on."""
    here = owner(cluster)
    elsewhere = next(k for k in map(str, range(999)) if owner(cluster, slot_of(k)) is not here)
    blocked = shards.execute_command("BLPOP", "{moving}list", 0)
    behind = shards.execute_command("INCR", "{moving}n")
    await eventually(lambda: ask(here, "INFO", "clients")["blocked_clients"])
    ask(here, "CLIENT", "KILL", "TYPE", "normal")
    assert [type(one) for one in await gathered(blocked, behind)] == [Lost, Lost]
    assert await shards.execute_command("SET", elsewhere, "x") == b"OK"
    assert await shards.execute_command("EXISTS", "{moving}n") == 0


async def test_a_promoted_replica_is_found(tmp_path: Path) -> None:
    """After a failover of one shard its commands reach the new primary; the other goes on."""
    with valkey.running_cluster(tmp_path, 2, replicas=1) as four:
        async with valkey.pipe_by(four.url) as shards:
            low, high = (
                next(k for k in map(str, range(999)) if (slot_of(k) < 8192) is is_low)
                for is_low in (True, False)
            )
            await shards.execute_commands([("SET", low, "x"), ("SET", high, "x")])
            client = await _client_id(shards, high)
            ask(four.replicas[0][0], "CLUSTER FAILOVER")
            await eventually(lambda: _is_primary(four.replicas[0][0]))
            await asyncio.to_thread(four.primaries[0].kill)  # it cannot say who follows it
            await eventually(lambda: _is_taken(shards, low))
            assert await _client_id(shards, high) == client
            assert ask(four.replicas[0][0], "CLUSTER COUNTKEYSINSLOT", slot_of(low)) == 1


def _is_primary(node: Valkey) -> bool:
    return bool(ask(node, "INFO", "replication")["role"] == "master")


async def _is_taken(shards: ShardedPipeline, key: str) -> bool:
    (told,) = await shards.execute_commands([("SET", key, "y")])
    return bool(told == b"OK")


async def test_while_the_cluster_is_away_commands_are_lost(unused_tcp_port: int) -> None:
    """Before any node has answered, nobody knows where they belong."""
    async with valkey.pipe_by(f"redis://127.0.0.1:{unused_tcp_port}/0") as shards:
        (told,) = await gathered(shards.execute_command("GET", "x"))
        assert isinstance(told, Lost)


async def test_a_closed_pipe_opens_nothing(shards: ShardedPipeline) -> None:
    """Commands that come late are lost at once, and nobody asks where slots are."""
    await shards.execute_command("GET", "a")
    await shards.close()
    (lost,) = await gathered(shards.execute_command("GET", "a"))
    assert isinstance(lost, Lost)
    topology = shards._topology
    await topology.close()
    late = topology.refresh_soon()
    await asyncio.wait([late])
    assert late.cancelled()
