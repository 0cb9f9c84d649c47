"""Publishes the head of a room in which nothing follows: who missed its last event notices (D5)."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.position import Position
from rts_server.persistence.outbox import Entry
from rts_server.redis_client.pipeline import RedisPipeline, results_of
from rts_server.runtime.loops import repeat_forever

QUIET_SECONDS = 2.0
"""Seconds without a further event after which the head is published."""
PUBLISH_SECONDS = 0.5
"""Time between two looks for quiet rooms."""
HEADS_PER_PIPELINE = 500
HEAD_EVENT = "~head@-"
"""An ephemeral event for nobody: instances compare its position and write it to no connection."""


class QuietHeads:
    """The last positions of rooms, from the entries that the relay reads.

    An instance whose stream is behind a published head repairs it. So a lost publish costs one
    publish for each pause of a room, and no instance has to ask for the heads of all its rooms.
    """

    def __init__(self, redis: Redis | RedisPipeline) -> None:
        self._redis = redis
        self._heads: dict[str, tuple[float, Position]] = {}

    def note(self, entry: Entry) -> None:
        """Note the position of an entry; records of cursors and barriers have none."""
        epoch, _, offset = entry.position.partition(":")
        if not offset or epoch == "0":
            return
        position = int(epoch), int(offset)
        known = self._heads.pop(
            entry.room_id, None
        )  # back to the end: the dict is in order of time
        due = asyncio.get_running_loop().time() + QUIET_SECONDS
        self._heads[entry.room_id] = due, max(position, known[1]) if known else position

    async def run_forever(self) -> None:
        """Publish until cancelled. What could not be published is published later."""
        await repeat_forever("quiet heads", self._wait_and_publish)

    async def _wait_and_publish(self) -> None:
        await asyncio.sleep(PUBLISH_SECONDS)
        now = asyncio.get_running_loop().time()
        quiet: list[tuple[str, Position]] = []
        for room_id, (due, position) in self._heads.items():
            if due > now or len(quiet) == HEADS_PER_PIPELINE:
                break
            quiet.append((room_id, position))
        if not quiet:
            return
        await results_of(
            self._redis,
            [
                ("PUBLISH", keys.room_channel(room_id), f"{epoch} {offset} {HEAD_EVENT} {{}}")
                for room_id, (epoch, offset) in quiet
            ],
        )
        for room_id, position in quiet:
            if self._heads[room_id][1] == position and self._heads[room_id][0] <= now:
                del self._heads[room_id]
