"""The claim of whoever loads a cold room: nobody else does until it is given back or has ended."""

from __future__ import annotations

from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys


async def give_back(redis: Redis, room_id: str, nonce: str) -> None:
    """End a claim that is still this one's. With trouble of Redis it ends by itself."""
    claim = keys.room(room_id).claim
    with suppress(RedisError, OSError):
        if await redis.get(claim) == nonce.encode():
            await redis.delete(claim)
