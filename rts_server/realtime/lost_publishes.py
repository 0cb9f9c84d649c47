"""Repairs what was published while the link to Redis was down: Redis delivers at most once (D5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.changes import Changes
from rts_server.realtime.room_feed import RoomFeed
from rts_server.redis_client.pipeline import CommandPipe, results_of
from rts_server.redis_client.slots import slot_of
from rts_server.runtime.backoff import backoff
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

ROOMS_PER_PIPELINE = 200
"""Rooms that one pipeline to Redis compares."""
NOTHING_MISSED = float("inf")
_PARTITION_OF = {slot_of(keys.room_prefix(number)): number for number in range(keys.PARTITIONS)}
"""The partition that is in a slot of a cluster; no two are in one."""


Partitions = Collection[int]
ChangesSince = Callable[[float, Partitions | None], Awaitable[Changes | None]]
"""What changed in the last seconds in some partitions, None for all; None if it is not known."""


class LostPublishes:
    """Compares what was published to this instance with what Redis holds, after a break.

    Only what changed meanwhile is compared, so a break costs what happened in it, not the rooms of
    the instance; all of them, if it was long. Without a break nothing is asked: the relay publishes
    the head of a room in which nothing follows. `on_missed` is called with what changed, None for
    anything, once it is known.

    On a cluster a break is one of some slots. The rooms in them are repaired by what their own
    primaries know. The words about a user are in another slot than the rooms, so for `on_missed`
    all primaries are asked, after that.
    """

    def __init__(
        self,
        redis: Redis | CommandPipe,
        rooms: Mapping[str, RoomFeed],
        changes_since: ChangesSince,
        *,
        on_missed: Callable[[Changes | None], None],
        start_task: Callable[[Any], Any],
    ) -> None:
        """`rooms` is the live mapping of the subscriptions."""
        self._redis = redis
        self._rooms = rooms
        self._changes_since = changes_since
        self._on_missed = on_missed
        self._start_task = start_task
        self._missed_since = NOTHING_MISSED
        self._partitions: set[int] | None = set()
        self._repairing = False
        self._throttled_log = ThrottledLog(log)

    def resumed(self, heard_until: float, slots: Collection[int] | None = None) -> None:
        """Repair what was published since then, in loop time; minus infinity is all.

        `slots`: those in which it was, None for all.
        """
        self._missed_since = min(self._missed_since, heard_until)
        self._add(None if slots is None else _partitions_in(slots))
        if not self._repairing:
            self._repairing = True
            self._start_task(self._repair())

    def _add(self, partitions: set[int] | None) -> None:
        known = self._partitions
        self._partitions = None if known is None or partitions is None else known | partitions

    async def _repair(self) -> None:
        """Repair until it is done: nothing else would notice what was missed."""
        failures = 0
        while (since := self._missed_since) < NOTHING_MISSED:
            self._missed_since = NOTHING_MISSED
            partitions, self._partitions = self._partitions, set()
            try:
                changes = await self._repair_since(since, partitions)
                failures = 0
            except Exception as error:
                self._missed_since = min(self._missed_since, since)
                self._add(partitions)
                failures += 1
                self._throttled_log.warning("break is not repaired yet", error)
                await asyncio.sleep(backoff(failures))
                continue
            if self._missed_since < NOTHING_MISSED:  # another break: both are one
                self._missed_since = min(self._missed_since, since)
                self._add(partitions)
            else:
                self._on_missed(changes)
        self._repairing = False

    async def _repair_since(self, since: float, partitions: set[int] | None) -> Changes | None:
        loop = asyncio.get_running_loop()
        changes = await self._changes_since(loop.time() - since, partitions)
        if changes is not None:
            rooms = [room_id for room_id in changes.rooms if room_id in self._rooms]
        elif partitions is None:
            rooms = list(self._rooms)
        else:
            rooms = [one for one in self._rooms if keys.partition(one) in partitions]
        await self.compare(rooms)
        if partitions is None:
            return changes
        return await self._changes_since(loop.time() - since, None)

    async def compare(self, room_ids: Collection[str]) -> None:
        """Repair rooms whose head in Redis is ahead of what was published to us.

        A read cursor may have moved too, so their unread counts are in doubt. Raises RedisError.
        """
        rooms = [self._rooms[room_id] for room_id in room_ids if room_id in self._rooms]
        for room in rooms:
            room.doubt()
        for i in range(0, len(rooms), ROOMS_PER_PIPELINE):
            batch = rooms[i : i + ROOMS_PER_PIPELINE]
            heads = await results_of(
                self._redis,
                [("HMGET", keys.room(room.room_id).head, "epoch", "offset") for room in batch],
            )
            for room, (epoch, offset) in zip(batch, heads, strict=True):
                if epoch is not None and (int(epoch), int(offset)) > (room.position or (0, 0)):
                    room.mark_lagging()


def _partitions_in(slots: Collection[int]) -> set[int]:
    return {_PARTITION_OF[slot] for slot in slots if slot in _PARTITION_OF}
