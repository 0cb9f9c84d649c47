"""What leases on partitions are: a relay renews its own, and takes those that expire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class Leases(Protocol):
    """The leases of one relay on the partitions of one shard."""

    async def renew(self) -> HeldLeases:
        """Renew the leases, take free ones up to a fair share, release those above it.

        Raises RedisError.
        """

    async def release(self) -> None:
        """Release all leases, so that no other relay waits for their expiry. Raises RedisError."""
