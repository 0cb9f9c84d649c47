"""Asks Redis for the durability of appends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.persistence.scripts import Script, ScriptCall
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.pending import PendingAppend, Recorded
from rts_server.roomlog.script import LUA, RESULTS, room_script

_DURABILITY = room_script(RESULTS, LUA / "durability.lua")
_WAITING = Script(LUA / "waiting.lua")

APPENDS_PER_SCRIPT = 500
"""Appends of a partition that one script looks for in its outbox, which takes Redis about 1 ms."""

RECORDED_RETRY_SECONDS = 0.25
"""Seconds until Redis is asked again after an error."""


class RecordedDurability:
    """Reads what Redis has of appends: `pending`, `queued`, `failed` or `lost`."""

    def __init__(self, redis: Redis | CommandPipe) -> None:
        self._redis = redis

    async def read(self, pendings: Sequence[PendingAppend]) -> list[Recorded]:
        """Of each append, in one round trip. Raises RedisError, OSError."""
        calls: list[ScriptCall] = []
        for pending in pendings:
            room = keys.room(pending.request.room_id)
            calls.append(([*room.script_keys, room.idem(pending.request.request_id)], []))
        return [reply.decode() for reply in await _DURABILITY.evaluate_many(self._redis, calls)]

    async def read_late(self, pendings: Sequence[PendingAppend]) -> list[Recorded]:
        """As `read`, for any number of appends that most likely wait in the outbox.

        While the queue is away all of them do: a script per partition finds them there, and only of
        the others, which are queued or lost, each is asked for.
        """
        waiting = await self._waiting(pendings)
        others = [one for one in pendings if one not in waiting]
        recorded = dict(zip(others, await self.read(others), strict=True)) if others else {}
        return [recorded.get(one, "pending") for one in pendings]

    async def _waiting(self, pendings: Sequence[PendingAppend]) -> set[PendingAppend]:
        """Return those of which an entry is in the outbox."""
        partitions: dict[int, list[PendingAppend]] = defaultdict(list)
        for pending in pendings:
            if pending.unqueued:
                partitions[keys.partition(pending.request.room_id)].append(pending)
        batches = [
            (partition, of_partition[at : at + APPENDS_PER_SCRIPT])
            for partition, of_partition in partitions.items()
            for at in range(0, len(of_partition), APPENDS_PER_SCRIPT)
        ]
        calls = [([keys.outbox(partition)], _entries(batch)) for partition, batch in batches]
        replies = await _WAITING.evaluate_many(self._redis, calls) if calls else []
        return {
            pending
            for (_, batch), found in zip(batches, replies, strict=True)
            for pending, is_waiting in zip(batch, found, strict=True)
            if is_waiting
        }

    async def read_once_redis_answers(self, pendings: Sequence[PendingAppend]) -> list[Recorded]:
        """As `read`, repeated for as long as Redis is away."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                return await self.read(pendings)
            await asyncio.sleep(RECORDED_RETRY_SECONDS)


def _entries(pendings: Sequence[PendingAppend]) -> list[str | int]:
    return [arg for one in pendings for arg in (min(one.unqueued), one.request.request_id)]
