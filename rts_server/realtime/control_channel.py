"""What all instances are to do at once."""

from __future__ import annotations

import orjson
from redis.asyncio import Redis

from rts_server import keys


class ControlChannel:
    """Told to who is there now; an instance that does not hear has closed its sockets, or will."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def close(self, user_id: str, code: str) -> int:
        """Close a user's connections; how many instances were told. Raises RedisError."""
        return await self._tell({"close": code, "user_id": user_id})

    async def check(self, user_id: str) -> int:
        """Ping a user's connections; how many instances were told. Raises RedisError."""
        return await self._tell({"check": user_id})

    async def drain(self, instance_id: str) -> int:
        """Begin the end of one instance; how many were told. Raises RedisError."""
        return await self._tell({"drain": instance_id})

    async def _tell(self, message: dict[str, str]) -> int:
        return int(await self._redis.publish(keys.INSTANCES, orjson.dumps(message)))
