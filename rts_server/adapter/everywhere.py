"""What all instances are to do at once."""

from __future__ import annotations

import orjson
from redis.asyncio import Redis

from rts_server import keys


class Everywhere:
    """Told to who is there now; an instance that does not hear has closed its sockets, or will."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def close(self, user_id: str, code: str) -> int:
        """Close a user's connections; how many instances were told. Raises RedisError."""
        message = orjson.dumps({"user_id": user_id, "close": code})
        return int(await self._redis.publish(keys.INSTANCES, message))
