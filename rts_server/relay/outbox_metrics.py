"""How much waits in the outboxes and for how long, in Redis' own time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from redis.asyncio import Redis

from rts_server import keys, metrics
from rts_server.runtime.loops import forever

EVERY = 5.0


class OutboxMetrics:
    """Looks every 5 s at the partitions this relay holds. `clock`: now as Redis sees it, in ms."""

    def __init__(self, redis: Redis, parts: Callable[[], Iterable[int]]) -> None:
        self._redis, self._parts = redis, parts
        self._ahead_ms = 0.0

    def clock(self) -> float:
        """Milliseconds since 1970; entries carry Redis' time, and host clocks may differ."""
        return time.time() * 1000 + self._ahead_ms

    async def run(self) -> None:
        """Until cancelled; what cannot be read is said and tried again."""
        await forever("outbox depth", self.look, partial(asyncio.sleep, EVERY))

    async def look(self) -> None:
        """Set the gauges."""
        parts = list(self._parts())
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for part in parts:
                pipe.xlen(keys.outbox(part))
                pipe.xrange(keys.outbox(part), count=1)
            (seconds, micros), *rest = await pipe.execute()
        now = seconds * 1000 + micros / 1000
        self._ahead_ms = now - time.time() * 1000
        oldest = [accepted_ms(first[0][0].decode()) for first in rest[1::2] if first]
        metrics.OUTBOX_ENTRIES.set(sum(rest[::2]))
        metrics.OUTBOX_AGE.set(max(0.0, now - min(oldest)) / 1000 if oldest else 0.0)


def accepted_ms(entry_id: str) -> float:
    """When an entry was accepted: the time in its id."""
    return float(entry_id.partition("-")[0])
