"""Leases on groups of partitions: renewed by their relay, taken by another when they expire."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rts_server import keys
from rts_server.persistence.scripts import Script
from rts_server.redis_client.pipeline import RedisPipeline

_LEASE = Script(Path(__file__).with_name("partition_lease.lua"))
_KEYS = [keys.RELAYS, *map(keys.partition_lease, range(keys.LEASE_GROUPS))]

TTL_SHARE, RENEW_SHARE = 0.6, 0.2
"""Shares of the take-over time: a lease lives for 0.6 of it and is renewed every 0.2 of it, so that
another relay notices within 0.2 more, and the rest is left for its first read."""


@dataclass(frozen=True)
class HeldLeases:
    """The result of one renewal.

    `identity` identifies the Redis that granted the leases, and its data. `until` is monotonic
    seconds; it counts from before the request, so it is never later than the expiry in Redis.
    """

    partitions: frozenset[int]
    identity: str
    until: float


class PartitionLeases:
    """The leases of one relay. `take_over`: seconds after which a dead relay is replaced.

    `redis`: the connection by which the partitions are read, so that a lease is never of another
    Redis than the entries.
    """

    def __init__(self, redis: RedisPipeline, relay: str, take_over: float) -> None:
        self._redis, self._relay = redis, relay
        self._ttl_seconds = take_over * TTL_SHARE
        self.renew_seconds = take_over * RENEW_SHARE

    async def renew(self) -> HeldLeases:
        """Renew the leases, take free ones up to a fair share, release those above it.

        Raises RedisError.
        """
        requested_at = time.monotonic()
        ttl_ms = round(self._ttl_seconds * 1000)
        identity, *groups = await _LEASE.evaluate(self._redis, _KEYS, [self._relay, ttl_ms])
        partitions = frozenset(one for group in groups for one in keys.group_partitions(group))
        return HeldLeases(partitions, identity.decode(), requested_at + self._ttl_seconds)

    async def release(self) -> None:
        """Release all leases, so that no other relay waits for their expiry. Raises RedisError."""
        await _LEASE.evaluate(self._redis, _KEYS, [self._relay, 0])
