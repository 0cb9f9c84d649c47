"""The shards of a relay, as they come, move and go."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import suppress
from functools import partial

from redis.exceptions import RedisError

from rts_server import keys
from rts_server.persistence.outbox import Entry
from rts_server.relay.group_leases import GroupLeases
from rts_server.relay.leases import RENEW_SHARE
from rts_server.relay.partition_leases import PartitionLeases
from rts_server.relay.running_relays import RunningRelays
from rts_server.relay.shard_relay import ShardRelay, Surroundings
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import cancelled


class RelayShards:
    """A `ShardRelay` for each shard. One Redis is one; those of a cluster are followed."""

    def __init__(self, around: Surroundings, relay: str) -> None:
        """`relay`: its name."""
        self._around, self._relay = around, relay
        self._pipe, self._take_over = around.pipe, around.settings.relay_lease
        self._relays = RunningRelays(self._pipe, relay, self._take_over)
        self._shards: dict[Hashable, ShardRelay] = {}
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        self._partitions_of: dict[Hashable, list[int]] = {}
        if not self._pipe.channels.sharded:
            leases = GroupLeases(self._pipe, relay, self._take_over)
            self._shards[None] = ShardRelay(around, leases)

    def __iter__(self) -> Iterator[ShardRelay]:
        return iter(self._shards.values())

    def holder_of(self, partition: int) -> ShardRelay | None:
        """Return the one that holds a partition."""
        return next((one for one in self._shards.values() if partition in one.partitions), None)

    def partitions(self) -> list[int]:
        """Return the numbers of all partitions that are held."""
        return [number for one in self._shards.values() for number in one.partitions]

    def leased(self) -> int:
        """Return the number of those that are held under a valid lease."""
        return sum(len(one.partitions) for one in self._shards.values() if one.is_leased)

    def may_send(self) -> bool:
        """Return whether entries in memory may be sent: all are of partitions under a valid lease.

        A shard whose leases are over is away. Its entries are forgotten, so that those of others
        are still sent; the partitions are read from their start when it is back.
        """
        if not any(one.is_leased for one in self._shards.values()):
            return False
        for one in self._shards.values():
            if not one.is_leased:
                one.forget()
        return True

    def taken_by_sqs(self, entries: list[Entry]) -> None:
        """Clear entries that SQS accepted, each where its partition is. Never blocks."""
        of_shard: dict[ShardRelay, list[Entry]] = defaultdict(list)
        for entry in entries:
            if shard := self.holder_of(entry.partition):
                of_shard[shard].append(entry)
        for shard, some in of_shard.items():
            shard.taken_by_sqs(some)
        for shard in self._shards.values():
            shard.space_freed()

    def ring(self, partition: int, what: bytes) -> None:
        """Look at a partition soon; see `keys.outbox` for what was said."""
        if shard := self.holder_of(partition):
            shard.ring(partition, what)

    async def run_forever(self) -> None:
        """Relay until cancelled. Then nothing more is read; `finish` has to follow."""
        try:
            if self._pipe.channels.sharded:
                pause = partial(asyncio.sleep, self._take_over * RENEW_SHARE)
                await repeat_forever("shards", self._follow, pause)
            else:
                await self._shards[None].run_forever()
        finally:
            await cancelled(*self._tasks.values())

    async def finish(self) -> None:
        """Clear what SQS accepted, then release the leases."""
        await asyncio.gather(*(one.finish() for one in self._shards.values()))
        if self._pipe.channels.sharded:
            with suppress(RedisError, OSError):
                await self._relays.leave()

    async def close(self) -> None:
        """Stop all that is left."""
        for one in self._shards.values():
            await one.close()

    async def _follow(self) -> None:
        """Count the relays, and have a `ShardRelay` for each shard that serves partitions.

        A partition that moves to another shard is dropped by the one before it is taken by the
        other (`_candidates`), so that its entries are in memory once (D3).
        """
        try:
            await self._relays.renew()  # it also opens the pipe, which learns the shards
        finally:
            self._partitions_of = self._partitions_by_server()
            for server in self._partitions_of.keys() - self._shards.keys():
                self._start(server)
        for server in self._shards.keys() - self._partitions_of.keys():
            await self._end(server)
        for task in self._tasks.values():
            if task.done():
                task.result()

    def _partitions_by_server(self) -> dict[Hashable, list[int]]:
        """Return the partitions of each server, without those that nobody is known to serve."""
        found: dict[Hashable, list[int]] = defaultdict(list)
        for number in range(keys.PARTITIONS):
            found[self._pipe.server_of(keys.outbox(number))].append(number)
        found.pop(None, None)
        return found

    def _start(self, server: Hashable) -> None:
        leases = PartitionLeases(
            self._pipe,
            self._relay,
            self._take_over,
            partitions=partial(self._candidates, server),
            share=self._relays.share,
        )
        shard = self._shards[server] = ShardRelay(self._around, leases)
        self._tasks[server] = asyncio.create_task(shard.run_forever())

    async def _end(self, server: Hashable) -> None:
        """End the one of a server that serves nothing any more."""
        shard = self._shards.pop(server)
        await cancelled(self._tasks.pop(server))
        await shard.close()

    def _candidates(self, server: Hashable) -> list[int]:
        """Return the partitions of a server that no other shard of this relay still holds."""
        others = [one.partitions for name, one in self._shards.items() if name != server]
        numbers = self._partitions_of.get(server, ())
        return [one for one in numbers if not any(one in other for other in others)]
