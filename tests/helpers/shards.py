"""Faults of a cluster whose primaries have a replica each."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError

from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers.valkey import ask, lengths, name_of, owner_says, save
from tests.helpers.waiting import eventually

Mend = Callable[[], Awaitable[None]]
"""Ends a fault."""
WITHIN = 30.0
"""Seconds within which a fault has begun, and the cluster is whole again behind it."""


class Shards:
    """`redis0` is the first shard: a primary and its replica, whichever of the two is which."""

    def __init__(self, cluster: ValkeyCluster, data: Path) -> None:
        self._cluster = cluster
        self._pairs = [
            (primary, *replicas)
            for primary, replicas in zip(cluster.primaries, cluster.replicas, strict=True)
        ]
        self._dump = data / "older.rdb"
        self._kinds = {
            "stop": self._stop,
            "restart": self._restart,
            "takeover": self._hand_over,
            "failover": self._fail_over,
            "lose-all": self._lose_all,
            "lose-tail": self._lose_tail,
            "migrate": self._migrate,
        }

    @property
    def nodes(self) -> Mapping[str, Valkey]:
        """All nodes, by the names of links to them."""
        return {
            f"redis{number}-{part}": node
            for number, pair in enumerate(self._pairs)
            for part, node in enumerate(pair)
        }

    def stop(self) -> None:
        """End nothing: the cluster belongs to the stack."""

    async def break_(self, kind: str, target: str) -> Mend:
        """Inject a fault; return the function that ends it. Call it on the main thread."""
        mend = await self._kinds[kind](int(target.removeprefix("redis")))

        async def mended() -> None:
            await mend()
            await eventually(self._is_whole, WITHIN)

        return mended

    def lengths(self, pattern: str) -> int:
        """Return the number of entries in the streams of this pattern."""
        return sum(lengths(self.primary(shard), pattern) for shard in range(len(self._pairs)))

    # A shard

    def first_slot(self, shard: int) -> int:
        """Return the first slot of a shard."""
        return shard * REDIS_CLUSTER_HASH_SLOTS // len(self._pairs)

    def primary(self, shard: int) -> Valkey:
        """Return the primary of a shard, as the next shard has it; or by its own word, if it has
        given its slots away.
        """
        other = next(node for node in self._pairs[shard - 1] if node.alive)
        port = owner_says(other, self.first_slot(shard))
        own = {node.port: node for node in self._pairs[shard] if node.alive}
        return own.get(port) or next(
            node for node in own.values() if ask(node, "ROLE")[0] == b"master"
        )

    def replica(self, shard: int) -> Valkey:
        """Return the other node of a shard."""
        primary = self.primary(shard)
        return next(node for node in self._pairs[shard] if node is not primary)

    def _is_whole(self) -> bool:
        try:
            return self._cluster.is_whole()
        except RedisError:
            return False

    # Faults

    async def _stop(self, shard: int) -> Mend:
        primary = self.primary(shard)
        primary.signal(signal.SIGSTOP)

        async def mend() -> None:
            primary.signal(signal.SIGCONT)

        return mend

    async def _restart(self, shard: int) -> Mend:
        """Stop a primary in order, so that it saves its data."""
        primary = self.primary(shard)
        primary.terminate()
        await asyncio.to_thread(primary.wait, WITHIN)
        return _started(primary)

    async def _hand_over(self, shard: int) -> Mend:
        """Make a replica the primary. Connections to the old one stay, and it becomes a replica."""
        await self.take_over(shard, self.replica(shard))

        async def mend() -> None:
            return None

        return mend

    async def _fail_over(self, shard: int) -> Mend:
        """Kill a primary; the replica has what was replicated so far."""
        primary, replica = self.primary(shard), self.replica(shard)
        primary.kill()
        await self.take_over(shard, replica)
        return _started(primary)

    async def take_over(self, shard: int, replica: Valkey) -> None:
        """Make the replica the primary, whatever it has."""
        ask(replica, "CLUSTER FAILOVER", "TAKEOVER")
        await eventually(lambda: self.primary(shard) is replica, WITHIN)

    async def _lose_all(self, shard: int) -> Mend:
        pair = self._pairs[shard]
        for node in pair:
            node.kill()
            node.dump.unlink(missing_ok=True)
        return _started(*pair)

    async def _lose_tail(self, shard: int) -> Mend:
        primary, replica = self.primary(shard), self.replica(shard)
        await asyncio.to_thread(save, primary)
        shutil.copy(primary.dump, self._dump)

        async def mend() -> None:
            for node in (primary, replica):
                node.kill()
                node.dump.unlink(missing_ok=True)
            shutil.copy(self._dump, primary.dump)
            await _started(primary, replica)()

        return mend

    async def _migrate(self, shard: int) -> Mend:
        """Give the upper half of a shard's slots to the next one, for a while."""
        end = self.first_slot(shard + 1) - 1
        half = (self.first_slot(shard) + end) // 2, end
        there = (shard + 1) % len(self._pairs)
        await self.give(half, shard, there)
        return lambda: self.give(half, there, shard)

    async def give(self, slots: tuple[int, int], here: int, there: int) -> None:
        """Move a range of slots from one shard to another, as operators do."""
        giver, taker = self.primary(here), self.primary(there)
        ask(giver, "CLUSTER MIGRATESLOTS", "SLOTSRANGE", *slots, "NODE", name_of(taker))
        await eventually(lambda: owner_says(giver, slots[1]) == taker.port, WITHIN)


def _started(*nodes: Valkey) -> Mend:
    """Return what starts them."""

    async def mend() -> None:
        for node in nodes:
            node.start_and_wait()

    return mend
