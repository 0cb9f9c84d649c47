"""Which relays run, on a cluster: they share the partitions of each shard."""

from __future__ import annotations

from pathlib import Path

from rts_server import keys
from rts_server.persistence.scripts import Script
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.relay.leases import TTL_SHARE

_RELAYS = Script(Path(__file__).with_name("relays.lua"))


class RunningRelays:
    """The relays as they were known last.

    They are kept on one shard. While it is away, each relay counts those that it knew; one that
    never knew any takes what is free. Leases alone decide who reads.
    """

    def __init__(self, redis: CommandPipe, relay: str, take_over: float) -> None:
        self._redis, self._relay = redis, relay
        self._ttl_ms = round(take_over * TTL_SHARE * 1000)
        self._names: list[bytes] = []

    async def renew(self) -> None:
        """Say that this one runs, and read which others do. Raises RedisError."""
        self._names = await _RELAYS.evaluate(
            self._redis, [keys.RELAYS], [self._relay, self._ttl_ms]
        )

    async def leave(self) -> None:
        """Say that this one ends. Raises RedisError."""
        await _RELAYS.evaluate(self._redis, [keys.RELAYS], [self._relay, 0])

    def share(self, partitions: int) -> int:
        """Return how many of so many partitions are this relay's; all relays' add up to them."""
        name = self._relay.encode()
        if name not in self._names:
            return partitions
        each, rest = divmod(partitions, len(self._names))
        return each + (self._names.index(name) < rest)
