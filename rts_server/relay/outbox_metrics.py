"""Measures how many records wait in the outboxes and for how long, by the clock of Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from redis.asyncio import Redis

from rts_server import keys, metrics
from rts_server.redis_client.pipeline import RedisPipeline, results_of
from rts_server.runtime.loops import repeat_forever

OUTBOX_MEASURE_SECONDS = 5.0
"""Time between two measurements."""


class OutboxMetrics:
    """Measures the partitions of this relay every 5 s. `partitions` returns their numbers."""

    def __init__(
        self, redis: Redis | RedisPipeline, partitions: Callable[[], Iterable[int]]
    ) -> None:
        self._redis, self._partitions = redis, partitions
        self._redis_ahead_ms = 0.0

    def redis_time_ms(self) -> float:
        """Return the time of Redis in ms since 1970, as estimated at the last measurement.

        The ids of entries carry this time, and the clock of this host may differ (R9).
        """
        return time.time() * 1000 + self._redis_ahead_ms

    async def run_forever(self) -> None:
        """Measure until cancelled. A failed measurement is logged and repeated."""
        await repeat_forever(
            "outbox depth", self.measure, partial(asyncio.sleep, OUTBOX_MEASURE_SECONDS)
        )

    async def measure(self) -> None:
        """Set the gauges `rts_outbox_entries` and `rts_outbox_age_seconds`. Raises RedisError."""
        streams = [keys.outbox(one) for one in self._partitions()]
        (seconds, micros), *rest = await results_of(
            self._redis,
            [
                ("TIME",),
                *(("XLEN", one) for one in streams),
                *(("XRANGE", one, "-", "+", "COUNT", 1) for one in streams),
            ],
        )
        lengths, firsts = rest[: len(streams)], rest[len(streams) :]
        now = int(seconds) * 1000 + int(micros) / 1000
        self._redis_ahead_ms = now - time.time() * 1000
        oldest = [appended_ms(first[0][0].decode()) for first in firsts if first]
        metrics.OUTBOX_ENTRIES.set(sum(lengths))
        metrics.OUTBOX_AGE.set(max(0.0, now - min(oldest)) / 1000 if oldest else 0.0)


def appended_ms(entry_id: str) -> float:
    """Return when an entry was appended, in ms since 1970: a stream id begins with its time."""
    return float(entry_id.partition("-")[0])
