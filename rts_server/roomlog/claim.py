"""The claim of the one instance that loads a cold room; it ends when released, or after its TTL."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.persistence.scripts import Script
from rts_server.redis_client.pipeline import CommandPipe

_LUA = Path(__file__).with_name("lua")
_RELEASE = Script(_LUA / "claim_release.lua")
_RENEW = Script(_LUA / "claim_renew.lua")


async def renew_claim(redis: Redis | CommandPipe, room_id: str, nonce: str, ttl_ms: int) -> bool:
    """Prolong a claim; False if this nonce does not hold it any more. Raises RedisError."""
    return bool(await _RENEW.evaluate(redis, [keys.room(room_id).claim], [nonce, ttl_ms]))


async def release_claim(redis: Redis | CommandPipe, room_id: str, nonce: str) -> None:
    """Release a claim if this nonce still holds it. If Redis is away, it ends by itself."""
    with suppress(RedisError, OSError):
        await _RELEASE.evaluate(redis, [keys.room(room_id).claim], [nonce])
