"""The relay on a real cluster: what concerns one shard concerns its partitions alone."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.config import Settings
from rts_server.redis_client.pipeline import publish_all
from rts_server.redis_client.servers import RedisServers
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.slots import slot_of
from rts_server.relay import relay
from rts_server.relay.relay import Relay
from rts_server.relay.shard_relay import ShardRelay
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey
from tests.helpers.post import Post
from tests.helpers.valkey import ask, give_slot
from tests.helpers.waiting import PATIENCE, eventually

SHORT = 2.0
"""Seconds after which a dead relay is replaced, where a test waits for renewals."""
NINE = 3 * 3
"""Renewals that three relays may be making at once, of three shards."""
LARGEST_SHARE = keys.PARTITIONS // NINE + 10
"""Partitions that one of them renews at most: the shards are not quite alike."""
EVERY = set(range(keys.PARTITIONS))


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    made = Post()
    monkeypatch.setattr(relay, "SqsEndpoint", lambda *_: made)
    return made


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """Three primaries of which tests break one, and mend it."""
    with valkey.running_cluster(tmp_path_factory.mktemp("broken"), 3) as running:
        yield running


@asynccontextmanager
async def relaying(cluster: ValkeyCluster, lease: float = 5.0) -> AsyncIterator[Relay]:
    """Run a relay with a pipe of its own."""
    settings = Settings(redis_url=cluster.url, redis_cluster=1, relay_lease=lease)
    servers = RedisServers(settings)
    pipe = servers.pipe()
    one = Relay(settings, pipe, pipe, servers)
    task = asyncio.create_task(one.run_forever())
    try:
        yield one
    finally:
        one.stop()
        async with asyncio.timeout(PATIENCE):  # a relay that does not end fails its test
            await task
        await pipe.close()
        await servers.close()


class Outboxes:
    """The outboxes of a cluster, as `append` fills them."""

    def __init__(self, pipe: ShardedPipeline) -> None:
        self._pipe = pipe
        self._offsets: dict[str, int] = {}

    async def add(self, room: str, queue: str = "m", **more: str) -> str:
        """Add an entry; return its record."""
        offset = self._offsets[room] = self._offsets.get(room, 0) + 1
        record = f'{{"at":"{room}:{offset}"}}'
        fields = {"q": queue, "r": room, "e": f"1:{offset}", "k": f"k{offset}", "o": "origin"}
        words = [word for pair in (fields | {"d": record} | more).items() for word in pair]
        name = keys.outbox(keys.partition(room))
        await self._pipe.execute_command("XADD", name, "*", *words)
        await publish_all(self._pipe, [(name, "")])
        return record

    async def have(self, rooms: Iterable[str], entries: int) -> bool:
        """Return whether the outboxes of these rooms have so many entries."""
        names = {keys.outbox(keys.partition(room)) for room in rooms}
        found = await self._pipe.execute_commands([("XLEN", name) for name in names])
        return bool(sum(found) == entries)


def held(one: Relay) -> set[int]:
    return set(one.partitions())


def node_of(cluster: ValkeyCluster, key: str) -> Valkey:
    """Return the primary of a key, as the cluster was formed."""
    return cluster.primaries[slot_of(key) * 3 // 16384]


def rooms_of(cluster: ValkeyCluster, node: Valkey, number: int = 3) -> list[str]:
    """Return rooms on a primary."""
    names = (f"room{n}" for n in range(999))
    return [room for room in names if node_of(cluster, keys.outbox(keys.partition(room))) is node][
        :number
    ]


def shard_of(one: Relay, cluster: ValkeyCluster, node: Valkey) -> ShardRelay:
    """Return the part of a relay for a primary."""
    found = one._shards.holder_of(keys.partition(rooms_of(cluster, node)[0]))
    assert found is not None
    return found


def leases_asked(cluster: ValkeyCluster) -> int:
    """Return how often a script looked for the holder of a lease; nothing else here uses GET."""
    stats = [ask(node, "INFO", "commandstats") for node in cluster.primaries]
    return sum(one.get("cmdstat_get", {}).get("calls", 0) for one in stats)


async def test_entries_of_all_shards_are_relayed_in_order(
    shards: ShardedPipeline, cluster: ValkeyCluster, post: Post
) -> None:
    """They leave the outboxes, and the indexes of users have what they say."""
    outboxes, rooms = Outboxes(shards), [f"room{n}" for n in range(60)]
    sent = {room: [await outboxes.add(room) for _ in range(4)] for room in rooms}
    async with relaying(cluster) as one:
        await eventually(lambda: held(one) == EVERY)
        for room in rooms:
            sent[room].append(await outboxes.add(room, u='[["bob","in"],["eve","in"]]'))
        await eventually(lambda: outboxes.have(rooms, 0))
    assert {room: post.bodies(room) for room in rooms} == sent
    for user in ("bob", "eve"):
        index = await shards.execute_command("HKEYS", keys.user_rooms(user))
        assert {name.decode() for name in index} >= set(rooms)
    assert await shards.execute_command("EXISTS", keys.RELAYS) == 0
    leases = [("EXISTS", keys.partition_lease(one)) for one in range(keys.PARTITIONS)]
    assert sum(await shards.execute_commands(leases)) == 0


async def test_relays_share_each_shard_and_ask_for_each_lease_once(
    shards: ShardedPipeline, cluster: ValkeyCluster, post: Post
) -> None:
    """Three hold a third of each shard, and a renewal costs a script for each that is held. When
    one ends, the others take its share."""
    async with relaying(cluster, SHORT) as one, relaying(cluster, SHORT) as two:
        async with relaying(cluster, SHORT) as three:
            every = (one, two, three)
            await eventually(lambda: are_shared(every))
            renewals = shards_renewed(every)
            asked = leases_asked(cluster)
            await eventually(lambda: shards_renewed(every) >= renewals + 3 * NINE)
            asked = leases_asked(cluster) - asked
            assert asked <= (shards_renewed(every) - renewals + NINE) * LARGEST_SHARE
        await eventually(lambda: are_shared((one, two)))


def are_shared(relays: Sequence[Relay]) -> bool:
    """Return whether each partition is held once, and those of each shard are shared evenly."""
    numbers = [number for one in relays for number in held(one)]
    sizes: dict[object, list[int]] = defaultdict(list)
    for one in relays:
        for server, shard in one._shards._shards.items():
            sizes[server].append(len(shard.partitions))
    even = all(max(some) - min(some) <= 1 for some in sizes.values())
    return even and sorted(numbers) == sorted(EVERY)


def shards_renewed(relays: Iterable[Relay]) -> int:
    """Return how many renewals the relays have made, in all shards."""
    return sum(shard.renewals for one in relays for shard in one._shards)


async def test_a_silent_shard_stops_its_own_partitions_alone(
    broken: ValkeyCluster, post: Post
) -> None:
    """Others are relayed meanwhile and nothing of them is read again, but an entry whose user has
    their index there stays in its outbox (T4). Then it goes on."""
    *others, silent = broken.primaries  # the doorbell listens to the first one
    names = (f"user{n}" for n in range(999))
    user = next(one for one in names if node_of(broken, keys.user_rooms(one)) is silent)
    away, here = rooms_of(broken, silent), [r for node in others for r in rooms_of(broken, node)]
    member, *plain = here
    async with valkey.pipe_by(broken.url) as pipe, relaying(broken) as one:
        outboxes = Outboxes(pipe)
        await eventually(lambda: held(one) == EVERY)
        late = [await outboxes.add(room) for room in away]
        await eventually(lambda: {body for r in away for body in post.bodies(r)} == set(late))
        untouched = {shard_of(one, broken, node) for node in others}
        partitions = {shard: set(shard.partitions) for shard in untouched}
        known = {shard: dict(shard._reader._partitions) for shard in untouched}
        silent.signal(signal.SIGSTOP)
        try:
            await eventually(lambda: len(held(one)) < keys.PARTITIONS)
            sent = {member: [await outboxes.add(member, u=f'[["{user}","in"]]')]}
            await eventually(lambda: post.bodies(member) == sent[member])
            sent |= {room: [await outboxes.add(room) for _ in range(5)] for room in plain}
            await eventually(lambda: {room: post.bodies(room) for room in here} == sent)
            assert partitions == {shard: set(shard.partitions) for shard in untouched}
            assert known == {shard: shard._reader._partitions for shard in untouched}
            assert all(shard.is_leased for shard in untouched)
            await eventually(lambda: outboxes.have(plain, 0))
            assert await outboxes.have([member], 1)
        finally:
            silent.signal(signal.SIGCONT)
        await eventually(lambda: held(one) == EVERY)
        await eventually(lambda: outboxes.have([member], 0))
        assert await pipe.execute_command("HEXISTS", keys.user_rooms(user), member)
        more = {room: await outboxes.add(room) for room in away}
        await eventually(lambda: all(post.bodies(r)[-1] == body for r, body in more.items()))


async def test_a_shard_that_lost_its_data_is_read_anew_and_no_other(
    broken: ValkeyCluster, post: Post
) -> None:
    """Its entries in memory are dropped: they are not in it any more. Those of others are sent."""
    lost, other = broken.primaries[1], broken.primaries[2]
    gone, kept = rooms_of(broken, lost, 1)[0], rooms_of(broken, other, 1)[0]
    # The leases outlive the restart: what is held is dropped because the data is another.
    async with valkey.pipe_by(broken.url) as pipe, relaying(broken, 20.0) as one:
        outboxes = Outboxes(pipe)
        await eventually(lambda: held(one) == EVERY)
        post.away = True
        old = await outboxes.add(gone)
        sent = await outboxes.add(kept)
        await eventually(lambda: one._senders["m"].room_queues.held == 2)
        untouched = shard_of(one, broken, other)
        known = dict(untouched._reader._partitions)
        data = shard_of(one, broken, lost)._identity
        await asyncio.to_thread(lost.kill)
        lost.launch()
        await asyncio.to_thread(lost.wait_healthy, 10.0)
        fresh = await eventually_added(outboxes, gone)
        await eventually(
            lambda: held(one) == EVERY and shard_of(one, broken, lost)._identity != data
        )
        await eventually(lambda: one._senders["m"].room_queues.held == 2)
        assert known == untouched._reader._partitions
        post.away = False
        await eventually(lambda: post.bodies(kept) == [sent] and post.bodies(gone) == [fresh])
    assert old not in post.bodies(gone)


async def eventually_added(outboxes: Outboxes, room: str) -> str:
    """Add an entry as soon as its shard is back."""
    records: list[str] = []

    async def is_added() -> bool:
        with suppress(RedisError):
            records.append(await outboxes.add(room))
        return bool(records)

    await eventually(is_added)
    return records[0]


async def test_a_partition_that_moves_is_relayed_there_in_order(
    shards: ShardedPipeline, cluster: ValkeyCluster, post: Post
) -> None:
    """Entries are added over the whole move; none is lost, and each room keeps its order."""
    here, there, _ = cluster.primaries
    room = rooms_of(cluster, here, 1)[0]
    slot = slot_of(keys.outbox(keys.partition(room)))
    outboxes = Outboxes(shards)
    async with relaying(cluster) as one:
        await eventually(lambda: held(one) == EVERY)
        before = shard_of(one, cluster, here)
        sent = [await outboxes.add(room) for _ in range(5)]
        moving = asyncio.create_task(give_slot(cluster, slot, there))
        try:
            while not moving.done():
                sent.append(await outboxes.add(room))
            sent += [await outboxes.add(room) for _ in range(5)]
            partition = keys.partition(room)
            await eventually(lambda: one._shards.holder_of(partition) not in (None, before))
            sent += [await outboxes.add(room) for _ in range(5)]
            await eventually(lambda: outboxes.have([room], 0))
        finally:
            await moving
            await give_slot(cluster, slot, here)
    assert list(dict.fromkeys(post.bodies(room))) == sent
