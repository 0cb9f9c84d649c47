"""Leases on single partitions, each in the slot of its partition, on one shard of a cluster."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from redis.exceptions import ResponseError

from rts_server import keys
from rts_server.persistence.scripts import Script, ScriptCall
from rts_server.redis_client.pipeline import CommandPipe, replies_beside
from rts_server.relay.leases import TTL_SHARE, HeldLeases

_LEASE = Script(Path(__file__).with_name("partition_lease.lua"))
_IDENTITY = re.compile(rb"run_id:(\w+).*master_replid:(\w+)", re.DOTALL)

LEAST_TRIES = 64
"""Leases of which a relay below its share tries to take at least so many at once."""


class PartitionLeases:
    """The leases of one relay on one shard. `take_over`: see `GroupLeases`.

    A lease is beside the data of its partition, and moves with it to another shard. The commands of
    a renewal leave together. What a relay does not hold it asks for only while it is below its
    share; the shares add up to all partitions, so at rest each lease is asked for by one relay.
    """

    def __init__(
        self,
        redis: CommandPipe,
        relay: str,
        take_over: float,
        partitions: Callable[[], Collection[int]],
        share: Callable[[int], int],
    ) -> None:
        """`partitions` returns those of the shard; `share` how many of so many are this relay's."""
        self._redis, self._relay = redis, relay
        self._ttl_seconds = take_over * TTL_SHARE
        self._partitions, self._share = partitions, share
        self._held: list[int] = []

    async def renew(self) -> HeldLeases:
        """Renew the leases; see `Leases`. Raises RedisError.

        A lease of which the renewal fails is not held: its slot is on its way to another shard, or
        lost, and others are not.
        """
        requested_at = time.monotonic()
        candidates = list(self._partitions())
        if not candidates:
            self._held = []
            return HeldLeases(frozenset(), "", requested_at + self._ttl_seconds)
        # Asked before: leases that are granted behind it are of this Redis, or of a later one,
        # which the next renewal notices.
        identity = await self._identity_of(candidates[0])
        share, known = self._share(len(candidates)), set(candidates)
        mine = [one for one in self._held if one in known]
        held, _ = await asyncio.gather(
            self._ask(mine[:share], self._ttl_ms), self._ask(mine[share:], 0)
        )
        others = list(known.difference(mine))
        random.shuffle(others)  # relays that start together do not all try the same
        while (missing := share - len(held)) > 0 and others:
            tries = max(missing, LEAST_TRIES)
            some, others = others[:tries], others[tries:]
            held += await self._ask(some, self._ttl_ms)
        self._held = held
        return HeldLeases(frozenset(held), identity, requested_at + self._ttl_seconds)

    async def release(self) -> None:
        """Release all leases. Raises RedisError."""
        held, self._held = self._held, []
        await self._ask(held, 0)

    @property
    def _ttl_ms(self) -> int:
        return round(self._ttl_seconds * 1000)

    async def _ask(self, partitions: Sequence[int], ttl_ms: int) -> list[int]:
        """Return those that are held then. Raises RedisError if none of the commands succeeds."""
        if not partitions:
            return []
        calls: list[ScriptCall] = [
            ([keys.partition_lease(one)], [self._relay, ttl_ms]) for one in partitions
        ]
        answers = await _LEASE.answers(self._redis, calls)
        failures = [one for one in answers if isinstance(one, Exception)]
        if len(failures) == len(answers):
            first, *_ = failures
            raise first
        return [one for one, answer in zip(partitions, answers, strict=True) if answer == 1]

    async def _identity_of(self, partition: int) -> str:
        """Return the identity of the server of a partition, and its data."""
        command = ("INFO", "server", "replication")
        (info,) = await replies_beside(self._redis, [keys.outbox(partition)], command)
        if isinstance(info, Exception):
            raise info
        found = _IDENTITY.search(info)
        if found is None:
            raise ResponseError("INFO has no run id")
        return b":".join(found.groups()).decode()
