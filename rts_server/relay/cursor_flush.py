"""Cursors on their way to the table: gathered in Redis, written a while after they moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.scripts import Script
from rts_server.runtime.loops import forever

_FLUSH = Script(Path(__file__).with_name("cursor_flush.lua"))

EVERY = 1.0
MOST = 500
"""Cursors of one partition at once; what is left is due a second later."""


async def flush(redis: Redis, parts: Iterable[int]) -> int:
    """One call for all partitions; how many cursors are on their way now."""
    held = list(parts)
    names = [name for part in held for name in (keys.dirty(part), keys.outbox(part))]
    return int(await _FLUSH.run(redis, names, [MOST, *map(keys.room_prefix, held)]))


class CursorFlush:
    """Looks every second at the partitions this relay holds."""

    def __init__(self, redis: Redis, parts: Callable[[], Iterable[int]]) -> None:
        self._redis, self._parts = redis, parts

    async def run(self) -> None:
        """Until cancelled; trouble is tried again a second later."""
        await forever("cursor flush", self._flush_later)

    async def _flush_later(self) -> None:
        await asyncio.sleep(EVERY)
        await flush(self._redis, self._parts())
