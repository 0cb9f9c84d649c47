"""Asks Redis for the durability of appends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.persistence.scripts import ScriptCall
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.pending import PendingAppend, Recorded
from rts_server.roomlog.script import LUA, room_script

_DURABILITY = room_script(LUA / "durability.lua")

RECORDED_RETRY_SECONDS = 0.25
"""Seconds until Redis is asked again after an error."""


class RecordedDurability:
    """Reads what Redis has of appends: `pending`, `queued`, `failed` or `lost`."""

    def __init__(self, redis: Redis | RedisPipeline) -> None:
        self._redis = redis

    async def read(self, pendings: Sequence[PendingAppend]) -> list[Recorded]:
        """Of each append, in one round trip. Raises RedisError, OSError."""
        calls: list[ScriptCall] = []
        for pending in pendings:
            room = keys.room(pending.request.room_id)
            calls.append(([*room.script_keys, room.idem(pending.request.request_id)], []))
        return [reply.decode() for reply in await _DURABILITY.evaluate_many(self._redis, calls)]

    async def read_once_redis_answers(self, pendings: Sequence[PendingAppend]) -> list[Recorded]:
        """As `read`, repeated for as long as Redis is away."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                return await self.read(pendings)
            await asyncio.sleep(RECORDED_RETRY_SECONDS)
