"""Leases on partitions: plain, renewed, taken over when their relay falls silent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.scripts import Script

_LEASE = Script(Path(__file__).with_name("partition_lease.lua"))
_KEYS = [keys.RELAYS, *(keys.lease(part) for part in range(keys.PARTITIONS))]

TTL_SHARE, RENEW_SHARE = 0.6, 0.2
"""Of the take-over time: dead after 0.6, noticed 0.2 later, the rest is for the first reading."""


@dataclass(frozen=True)
class HeldLease:
    """What one renewal brought. `until` is monotonic seconds, on the safe side."""

    parts: frozenset[int]
    fence: str
    until: float


class PartitionLeases:
    """The partitions of one relay. `take_over` is in seconds."""

    def __init__(self, redis: Redis, relay: str, take_over: float) -> None:
        self._redis, self._relay = redis, relay
        self._ttl = take_over * TTL_SHARE
        self.every = take_over * RENEW_SHARE

    async def renew(self) -> HeldLease:
        """Renew, take what is free up to a fair share, give back what is above it."""
        asked = time.monotonic()
        answer = await _LEASE.run(self._redis, _KEYS, [self._relay, round(self._ttl * 1000)])
        return HeldLease(frozenset(answer[1:]), answer[0].decode(), asked + self._ttl)

    async def release(self) -> None:
        """Give all back, so that nobody has to wait."""
        await _LEASE.run(self._redis, _KEYS, [self._relay, 0])
