"""Leases on groups of partitions, where one Redis holds all partitions."""

from __future__ import annotations

import time
from pathlib import Path

from rts_server import keys
from rts_server.persistence.scripts import Script
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.relay.leases import TTL_SHARE, HeldLeases

_LEASE = Script(Path(__file__).with_name("group_leases.lua"))
_KEYS = [keys.RELAYS, *map(keys.group_lease, range(keys.LEASE_GROUPS))]


class GroupLeases:
    """The leases of one relay. `take_over`: seconds after which a dead relay is replaced.

    `redis`: the connection by which the partitions are read, so that a lease is never of another
    Redis than the entries. One script renews all of them.
    """

    def __init__(self, redis: CommandPipe, relay: str, take_over: float) -> None:
        self._redis, self._relay = redis, relay
        self._ttl_seconds = take_over * TTL_SHARE

    async def renew(self) -> HeldLeases:
        """Renew the leases; see `Leases`. Raises RedisError."""
        requested_at = time.monotonic()
        ttl_ms = round(self._ttl_seconds * 1000)
        identity, *groups = await _LEASE.evaluate(self._redis, _KEYS, [self._relay, ttl_ms])
        partitions = frozenset(one for group in groups for one in keys.group_partitions(group))
        return HeldLeases(partitions, identity.decode(), requested_at + self._ttl_seconds)

    async def release(self) -> None:
        """Release all leases. Raises RedisError."""
        await _LEASE.evaluate(self._redis, _KEYS, [self._relay, 0])
