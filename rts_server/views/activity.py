"""When something last happened in warm rooms: what lists are ordered by."""

from __future__ import annotations

from collections.abc import Collection

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import CommandPipe, replies_to
from rts_server.roomlog.rehydrate import milliseconds


async def last_activity(redis: Redis | CommandPipe, room_ids: Collection[str]) -> dict[str, int]:
    """Return the time (ms) of each room's last message, or of its creation if it has none.

    Rooms whose head is not as expected are left out. Raises RedisError.
    """
    times = await _head_field(redis, room_ids, "last_ms")
    found = {room_id: ms for room_id, text in times.items() if (ms := int(text or 0))}
    fields = await _head_field(redis, [one for one in room_ids if one not in found], "room")
    created = {room_id: orjson.loads(text)["created_at"] for room_id, text in fields.items()}
    return found | {room_id: milliseconds(at) for room_id, at in created.items()}


async def _head_field(
    redis: Redis | CommandPipe, room_ids: Collection[str], field: str
) -> dict[str, bytes]:
    commands: list[Command] = [("HGET", keys.room(one).head, field) for one in room_ids]
    replies = await replies_to(redis, commands) if commands else []
    return {r: one for r, one in zip(room_ids, replies, strict=True) if isinstance(one, bytes)}
