"""Measures how many records wait in the outboxes and for how long, by the clock of Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from functools import partial

from rts_server import keys
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import CommandPipe, replies_beside, results_of
from rts_server.runtime.loops import repeat_forever

OUTBOX_MEASURE_SECONDS = 5.0
"""Time between two measurements."""


class OutboxMetrics:
    """Measures the partitions of one shard every 5 s.

    `held` returns the numbers of those that are held, `occupied` of those with entries.

    Attributes:
        entries: The records in the outboxes, when they were measured last.
        age_seconds: The age of the oldest of them.
    """

    def __init__(
        self,
        redis: CommandPipe,
        held: Callable[[], Collection[int]],
        occupied: Callable[[], Collection[int]],
    ) -> None:
        self._redis, self._held, self._occupied = redis, held, occupied
        self._redis_ahead_ms = 0.0
        self.entries, self.age_seconds = 0, 0.0

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
        """Measure once. Raises RedisError."""
        if not (held := self._held()):
            self.entries, self.age_seconds = 0, 0.0
            return
        streams = [keys.outbox(one) for one in self._occupied()]
        looks: list[Command] = [
            *(("XLEN", one) for one in streams),
            *(("XRANGE", one, "-", "+", "COUNT", 1) for one in streams),
        ]
        time_asked = replies_beside(self._redis, [keys.outbox(next(iter(held)))], ("TIME",))
        (clock,), found = await asyncio.gather(time_asked, results_of(self._redis, looks))
        if isinstance(clock, Exception):
            raise clock
        lengths, firsts = found[: len(streams)], found[len(streams) :]
        now = int(clock[0]) * 1000 + int(clock[1]) / 1000
        self._redis_ahead_ms = now - time.time() * 1000
        oldest = [appended_ms(first[0][0].decode()) for first in firsts if first]
        self.entries = sum(lengths)
        self.age_seconds = max(0.0, now - min(oldest)) / 1000 if oldest else 0.0


def appended_ms(entry_id: str) -> float:
    """Return when an entry was appended, in ms since 1970: a stream id begins with its time."""
    return float(entry_id.partition("-")[0])
