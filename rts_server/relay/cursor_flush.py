"""Moves read and delivered cursors from Redis to the outbox, a while after they changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.scripts import Script
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.runtime.loops import repeat_forever

_FLUSH = Script(Path(__file__).with_name("cursor_flush.lua"))

FLUSH_SECONDS = 1.0
"""Time between two flushes."""
MAX_CURSORS = 500
"""Cursors of one partition in one flush; the rest is due at the next."""


async def flush(redis: Redis | RedisPipeline, partitions: Iterable[int]) -> int:
    """Write the cursors that are due to the outboxes, with one script call for all partitions.

    Return how many were written. Raises RedisError.
    """
    held = list(partitions)
    names = [name for one in held for name in (keys.dirty_cursors(one), keys.outbox(one))]
    return int(await _FLUSH.evaluate(redis, names, [MAX_CURSORS, *map(keys.room_prefix, held)]))


class CursorFlush:
    """Flushes the partitions of this relay every second. `partitions` returns their numbers."""

    def __init__(
        self, redis: Redis | RedisPipeline, partitions: Callable[[], Iterable[int]]
    ) -> None:
        self._redis, self._partitions = redis, partitions

    async def run_forever(self) -> None:
        """Flush until cancelled. A failed flush is repeated."""
        await repeat_forever("cursor flush", self._wait_and_flush)

    async def _wait_and_flush(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await flush(self._redis, self._partitions())
