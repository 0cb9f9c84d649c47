"""After Redis lost its memory: which rooms stand elsewhere than their listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import IDENTITY, Script
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.log import RoomLog
from rts_server.roomlog.rehydrate import last_position
from rts_server.views.snapshots import Position, SnapshotReader

_GENERATION = Script(
    IDENTITY, *(IDENTITY.with_name(f"{name}.lua") for name in ("generation", "generation_read"))
)

PATIENCE = 3.0
"""Seconds for the queue of a slice of rooms; what is behind is compared the next time."""
LOADS = 16
"""Rooms loaded at once: nobody waits for them but who missed something."""


class RoomRecovery:
    """Reads, but for the loads of rooms where somebody missed something."""

    def __init__(
        self,
        redis: Redis | RedisPipeline,
        reads: tuple[SnapshotReader, Archive, RoomDrains],
        room_log: RoomLog,
    ) -> None:
        self._redis = redis
        self._snapshots, self._archive, self._drains = reads
        self._log = room_log
        self._loads = asyncio.Semaphore(LOADS)

    async def generations(self) -> list[str]:
        """The memory of Redis per partition: another one after every loss."""
        parts = [keys.generation(part) for part in range(keys.PARTITIONS)]
        return [found.decode() for found in await _GENERATION.run(self._redis, parts, ())]

    async def recover(self, stands: Mapping[str, set[Position]]) -> set[str]:
        """Load every cold room whose archive stands elsewhere than its listeners; the rooms done.

        A warm room's head is compared by who listens. Raises Unavailable.
        """
        warm = await self._snapshots.read_many([(room_id, ()) for room_id in stands])
        cold = [room_id for room_id, one in zip(stands, warm, strict=True) if one is None]
        heads = await self._drains.settled(cold, PATIENCE)
        told = {room_id: head for room_id, head in heads.items() if head is not None}
        told |= await self._archived(heads.keys() - told.keys())
        missed = [room_id for room_id in told if stands[room_id] - {told[room_id]}]
        loaded = await asyncio.gather(*map(self._load, missed))
        failed = {room_id for room_id, done in zip(missed, loaded, strict=True) if not done}
        return (stands.keys() - set(cold)) | (heads.keys() - failed)

    async def _archived(self, room_ids: Iterable[str]) -> dict[str, Position]:
        """Where drained rooms stand, by their own items and those of their members."""
        stored = await self._archive.rooms(room_ids)
        members = await asyncio.gather(*map(self._archive.members, stored))
        return {
            room_id: last_position(room, theirs)
            for (room_id, room), theirs in zip(stored.items(), members, strict=True)
        }

    async def _load(self, room_id: str) -> bool:
        async with self._loads:
            try:
                await self._log.warm(room_id)
            except errors.Unavailable:
                return False
        return True
