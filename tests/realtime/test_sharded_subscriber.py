"""Subscriptions on a cluster of real Valkeys: each slot is followed, and nothing is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rts_server import keys
from rts_server.channels import CLUSTER
from rts_server.config import Settings
from rts_server.realtime.sharded_subscriber import ShardedSubscriber
from rts_server.redis_client.pipeline import CommandPipe, publish_all
from rts_server.redis_client.servers import RedisServers
from rts_server.redis_client.slots import slot_of
from rts_server.runtime import backoff
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey
from tests.helpers.valkey import ask
from tests.helpers.waiting import PATIENCE, Changes, eventually

ROOMS = [CLUSTER.room(f"room-{n}") for n in range(60)]


class Ear:
    """A subscriber, and everything it reported."""

    def __init__(self, cluster: ValkeyCluster) -> None:
        settings = Settings(
            redis_url=cluster.url, redis_cluster=1, canary_interval=0.05, deaf_after=0.5
        )
        self.servers = RedisServers(settings)
        self.pipe: CommandPipe = self.servers.pipe()
        self.heard: list[tuple[str, bytes]] = []
        self.resumed: list[frozenset[int]] = []
        self.since: list[float] = []
        self._changes = Changes()
        self.until = self._changes.until
        assert self.servers.topology is not None
        self.topology = self.servers.topology
        self.subscriber = ShardedSubscriber(
            settings, self.pipe, self.topology, self._hear, self._resume, name="me"
        )

    def _hear(self, channel: str, data: bytes) -> None:
        self.heard.append((channel, data))
        self._changes.notify()

    def _resume(self, slots: frozenset[int], since: float) -> None:
        self.resumed.append(slots)
        self.since.append(since)
        self._changes.notify()

    async def subscribe(self, names: list[str]) -> None:
        """Subscribe, with patience."""
        async with asyncio.timeout(PATIENCE):
            await self.subscriber.subscribe(names)

    async def hears_all(self, names: list[str]) -> None:
        """Publish on each channel, and return when all were heard."""
        self.heard.clear()
        await publish_all(self.pipe, [(name, name) for name in names])
        await self.until(lambda: {(name, name.encode()) for name in names} <= set(self.heard))
        assert len(self.heard) == len(names)

    async def close(self) -> None:
        """Close everything."""
        await self.subscriber.close()
        await self.pipe.close()
        await self.servers.close()


@pytest.fixture
async def ear(cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ear]:
    """Listening to three primaries."""
    monkeypatch.setattr(backoff, "MAX_BACKOFF_SECONDS", 0.05)
    made = Ear(cluster)
    made.subscriber.start()
    yield made
    await made.close()


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """Three primaries, as two are no majority without the third, and each with a replica."""
    with valkey.running_cluster(tmp_path, 3, 1) as running:
        yield running


def at(cluster: ValkeyCluster, node: Valkey) -> list[str]:
    """Return the rooms' channels that a primary of an undisturbed cluster has."""
    share = cluster.primaries.index(node)
    count = len(cluster.primaries)
    return [name for name in ROOMS if slot_of(name) * count // 16384 == share]


def subscribed(node: Valkey) -> int:
    """Return how many of the rooms' channels somebody is subscribed to at a primary."""
    return sum(ask(node, "PUBSUB", "SHARDNUMSUB", *ROOMS)[1::2])


def sings_everywhere(ear: Ear) -> bool:
    """Return whether a canary came back from each primary."""
    return all(one.canary.heard_until > 0 for one in ear.subscriber.shards.values())


def name_of(node: Valkey) -> str:
    """Return the id of a node."""
    return str(ask(node, "CLUSTER MYID").decode())


async def test_each_channel_is_heard_from_the_primary_of_its_slot(
    ear: Ear, cluster: ValkeyCluster
) -> None:
    """In the order in which it was published there; what is given up is not heard any more."""
    await ear.subscribe([*ROOMS, "instances"])
    await ear.subscribe(ROOMS[:3])
    await ear.hears_all([*ROOMS, "instances"])
    for node in cluster.primaries:
        assert len(ask(node, "PUBSUB", "SHARDCHANNELS", "{p*")) == len(at(cluster, node)) > 5
    ear.heard.clear()
    for n in range(50):
        await publish_all(ear.pipe, [(ROOMS[0], str(n))])
    await ear.until(lambda: len(ear.heard) == 50)
    assert ear.heard == [(ROOMS[0], str(n).encode()) for n in range(50)]
    ear.subscriber.unsubscribe(ROOMS[1:])
    await eventually(
        lambda: (
            sum(len(ask(one, "PUBSUB", "SHARDCHANNELS", "{p*")) for one in cluster.primaries) == 1
        )
    )
    await ear.hears_all([ROOMS[0]])
    assert ear.resumed == []


async def test_a_primary_without_channels_has_a_canary(ear: Ear, cluster: ValkeyCluster) -> None:
    """It is known of each whether it is heard."""
    await eventually(lambda: len(ear.subscriber.shards) == 3)
    await eventually(lambda: sings_everywhere(ear))
    assert ear.subscriber.answered
    assert ear.subscriber.not_ready() == []
    for node in cluster.primaries:
        (name,) = ask(node, "PUBSUB", "SHARDCHANNELS", "*:canary:me")
        assert slot_of(name) * 3 // 16384 == cluster.primaries.index(node)


async def test_deaf_to_one_primary_is_deaf(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness says to which one; when it is heard again its slots are compared, and no others."""
    await ear.subscribe(ROOMS)
    await eventually(lambda: len(ear.subscriber.shards) == 3)
    address, shard = next(iter(ear.subscriber.shards.items()))
    await eventually(lambda: shard.canary.heard_until > 0)
    right, shard.canary.channel = shard.canary.channel, shard.canary.channel + "x}"
    monkeypatch.setattr(ear.subscriber, "_keep_canaries", lambda: None)
    await eventually(lambda: ear.subscriber.not_ready() == [f"deaf to {address}"])
    shard.canary.channel = right
    await eventually(lambda: ear.subscriber.not_ready() == [])
    await ear.until(lambda: ear.resumed)
    assert set().union(*ear.resumed) == shard.slots < {slot_of(name) for name in ROOMS}


async def test_a_broken_link_reports_its_own_slots(ear: Ear, cluster: ValkeyCluster) -> None:
    """Since the last canary that came back; the links to the others stay (D5)."""
    await ear.subscribe(ROOMS)
    node = cluster.primaries[1]
    (shard,) = [one for at, one in ear.subscriber.shards.items() if at.port == node.port]
    await eventually(lambda: shard.canary.heard_until > 0)
    before = shard.canary.heard_until
    ask(node, "CLIENT", "KILL", "TYPE", "PUBSUB")
    await ear.until(lambda: ear.resumed)
    assert ear.resumed == [frozenset(map(slot_of, at(cluster, node)))]
    assert ear.since[0] >= before
    assert ear.subscriber.is_whole
    await ear.hears_all(ROOMS)


async def test_a_slot_that_moves_is_followed(ear: Ear, cluster: ValkeyCluster) -> None:
    """The primary says that it is gone; it is subscribed to elsewhere, and reported (D5)."""
    await ear.subscribe(ROOMS)
    here, there = cluster.primaries[:2]
    slots = sorted({slot_of(name) for name in at(cluster, here)})[:3]
    spans = [word for slot in slots for word in (slot, slot)]
    await eventually(lambda: sings_everywhere(ear))
    try:
        ask(here, "CLUSTER MIGRATESLOTS", "SLOTSRANGE", *spans, "NODE", name_of(there))
        await ear.until(lambda: set().union(*ear.resumed) == set(slots))
        assert all(since > 0 for since in ear.since)
        await ear.hears_all(ROOMS)
    finally:
        await eventually(lambda: _owns(there, slots))
        ask(there, "CLUSTER MIGRATESLOTS", "SLOTSRANGE", *spans, "NODE", name_of(here))
        await eventually(lambda: all(_owns(here, slots, one) for one in cluster.primaries))
    await ear.until(lambda: len(set(ear.resumed)) and subscribed(here) == len(at(cluster, here)))
    await ear.hears_all(ROOMS)
    assert ear.subscriber.is_whole


def _owns(node: Valkey, slots: list[int], asked: Valkey | None = None) -> bool:
    """Return whether a node owns all of the slots, as `asked` has it."""
    spans = ask(asked or node, "CLUSTER SLOTS")
    mine = [(low, high) for low, high, at, *_ in spans if at[1] == node.port]
    return all(any(low <= slot <= high for low, high in mine) for slot in slots)


async def test_channels_of_a_slot_that_has_moved_before_are_found(
    ear: Ear, cluster: ValkeyCluster
) -> None:
    """MOVED says where; nothing was missed, as nothing was subscribed to."""
    await ear.subscribe(["instances"])
    here, there = cluster.primaries[:2]
    name = at(cluster, here)[0]
    slot = slot_of(name)
    span = ("SLOTSRANGE", slot, slot, "NODE")
    ask(here, "CLUSTER MIGRATESLOTS", *span, name_of(there))
    await eventually(lambda: _owns(there, [slot], here))
    try:
        assert str(ear.topology.owner(slot)) == f"127.0.0.1:{here.port}"
        await ear.subscribe([name])
        await ear.hears_all([name])
    finally:
        ask(there, "CLUSTER MIGRATESLOTS", *span, name_of(here))
        await eventually(lambda: all(_owns(here, [slot], one) for one in cluster.primaries))


async def test_the_replica_of_a_dead_primary_is_subscribed_to(
    pairs: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slots are reported when they have all their channels, and no others are; meanwhile the
    other primary is heard."""
    monkeypatch.setattr(backoff, "MAX_BACKOFF_SECONDS", 0.05)
    ear = Ear(pairs)
    ear.subscriber.start()
    try:
        await ear.subscribe(ROOMS)
        await eventually(lambda: sings_everywhere(ear))
        dead, *living = pairs.primaries
        of_dead = at(pairs, dead)
        dead.kill()
        await ear.hears_all([name for node in living for name in at(pairs, node)])
        await ear.until(lambda: ear.resumed)
        assert set().union(*ear.resumed) == set(map(slot_of, of_dead))
        await eventually(lambda: not ear.subscriber.not_ready() and ear.subscriber.is_whole)
        nodes = [*living, pairs.replicas[0][0]]
        assert {one.port for one in ear.subscriber.shards} == {node.port for node in nodes}
        await ear.hears_all(ROOMS)
    finally:
        await ear.close()


async def test_channels_without_a_primary_wait_for_one(ear: Ear, cluster: ValkeyCluster) -> None:
    """And nobody waits for them who asks for others."""
    await ear.subscribe(["instances"])
    node = cluster.primaries[2]
    name, other = at(cluster, node)[0], at(cluster, cluster.primaries[0])[0]
    slot = slot_of(name)
    for one in cluster.primaries:
        ask(one, "CLUSTER DELSLOTS", slot)
    try:
        await asyncio.shield(ear.topology.refresh_soon())
        waiting = asyncio.create_task(ear.subscriber.subscribe([name]))
        await ear.subscribe([other])
        await ear.hears_all([other])
        assert not waiting.done()
    finally:
        ask(node, "CLUSTER ADDSLOTS", slot)
        await eventually(lambda: all(_owns(node, [slot], one) for one in cluster.primaries))
    await eventually(lambda: _asked_again(ear, waiting))
    await ear.hears_all([name, other])


def _asked_again(ear: Ear, waiting: asyncio.Task[None]) -> bool:
    ear.topology.refresh_soon()
    return waiting.done()


def test_partitions_lie_in_slots_of_their_own() -> None:
    """A slot says which rooms to compare."""
    slots = {slot_of(keys.room_prefix(number)) for number in range(keys.PARTITIONS)}
    assert len(slots) == keys.PARTITIONS


async def test_a_channel_may_be_given_up_after_the_end(cluster: ValkeyCluster) -> None:
    """The parts of a process end one after the other."""
    ear = Ear(cluster)
    ear.subscriber.start()
    await ear.subscribe(ROOMS)
    await ear.close()
    ear.subscriber.unsubscribe(ROOMS)
