"""Trims the hot logs of rooms: an event leaves Redis once it is old and the archive has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.domain.position import Position
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import ScriptCall
from rts_server.redis_client.pipeline import CommandPipe, results_of, time_at
from rts_server.roomlog.script import LUA, room_script
from rts_server.runtime.loops import repeat_forever

TRIM = room_script(LUA / "trim.lua")

ROUND_SECONDS = 30.0
"""Time between two looks at a partition."""
LOOKS_PER_ROUND = 30
"""Parts into which the partitions are cut, one to be looked at after the other."""
PARTITIONS_PER_LOOK = 64
"""Partitions that are looked at in one round trip."""
MAX_ROOMS = 100
"""Rooms of a partition that are read at a time."""
MAX_TRIMMED_EVENTS = 1000
"""Events that one script trims, which takes Redis a few milliseconds."""
LARGE_FLOOR_SECONDS = 10.0
"""How long an event stays even in a log that is too large; storing takes less, as a rule (D11)."""


class HotLogTrims:
    """Trims the rooms of this relay's partitions that are due. `partitions` returns their numbers.

    An append notes its room, with the time at which it is due. What the archive does not have yet
    stays, so that an outage of the queue, however long, leaves no hole in the history (D2, D9).
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        archive: Archive,
        partitions: Callable[[], Iterable[int]],
    ) -> None:
        self._redis, self._archive, self._partitions = redis, archive, partitions
        self._limits = trim_limits(settings)
        # Where times are shortened, this one is, too.
        self._round_seconds = min(ROUND_SECONDS, max(1.0, settings.hot_log_floor / 10))
        self._waiting: list[int] = []

    async def run_forever(self) -> None:
        """Trim until cancelled. While the archive cannot be read nothing is trimmed."""
        await repeat_forever("hot log trim", self._wait_and_trim)

    async def _wait_and_trim(self) -> None:
        await asyncio.sleep(self._round_seconds / LOOKS_PER_ROUND)
        await self.trim(self._next_partitions())

    def _next_partitions(self) -> list[int]:
        """Return those whose turn it is: each comes once in a round."""
        held = set(self._partitions())
        if not self._waiting:
            self._waiting = sorted(held)
        count = -(-len(held) // LOOKS_PER_ROUND)
        some, self._waiting = self._waiting[:count], self._waiting[count:]
        return [one for one in some if one in held]

    async def trim(self, partitions: Sequence[int]) -> int:
        """Trim the rooms of some partitions that are due; return the number of events.

        Raises RedisError, Unavailable.
        """
        trimmed = 0
        for at in range(0, len(partitions), PARTITIONS_PER_LOOK):
            some = partitions[at : at + PARTITIONS_PER_LOOK]
            seen: set[str] = set()
            while due := set(await self._due(some)) - seen:
                seen |= due
                trimmed += await self._trim_rooms(list(due))
        return trimmed

    async def _due(self, partitions: Sequence[int]) -> list[str]:
        """Return the rooms that are due, up to MAX_ROOMS of each partition."""
        # Of any of their servers: it is no matter of seconds.
        now = await time_at(self._redis, keys.trims(partitions[0]))
        looks = [
            ("ZRANGEBYSCORE", keys.trims(one), "-inf", now, "LIMIT", 0, MAX_ROOMS)
            for one in partitions
        ]
        found = await results_of(self._redis, looks)
        return [room_id.decode() for rooms in found for room_id in rooms]

    async def _trim_rooms(self, room_ids: list[str]) -> int:
        stored = await self._archive.message_heads(room_ids)
        due, trimmed = room_ids, 0
        while due:
            calls = [trim_call(one, stored.get(one, (0, 0)), self._limits) for one in due]
            replies = await TRIM.evaluate_many(self._redis, calls)
            trimmed += sum(replies)
            due = [one for one, n in zip(due, replies, strict=True) if n == MAX_TRIMMED_EVENTS]
        return trimmed


def trim_limits(settings: Settings) -> list[int]:
    """Return how long events stay in a hot log, as trim.lua takes it; times in ms."""
    floor = ms(settings.hot_log_floor)
    return [
        min(ms(LARGE_FLOOR_SECONDS), floor),
        floor,
        settings.hot_log_events,
        ms(settings.hot_log_age),
        settings.hot_log_bytes,
    ]


def trim_call(room_id: str, stored: Position, limits: list[int]) -> ScriptCall:
    """Return keys and arguments of trim.lua. `stored`: see `Archive.message_heads`."""
    names = keys.room(room_id).script_keys
    args: list[str | int] = [room_id, *stored, *limits, MAX_TRIMMED_EVENTS]
    return [*names, keys.trims(keys.partition(room_id))], args
