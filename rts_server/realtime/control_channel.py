"""Requests that are published to all instances."""

from __future__ import annotations

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.redis_client.pipeline import CommandPipe, publish_all


class ControlChannel:
    """Publishes to all running instances. A deaf one misses it; its connections end anyway."""

    def __init__(self, redis: Redis | CommandPipe) -> None:
        self._redis = redis

    async def close(self, user_id: str, code: str) -> int:
        """Close a user's connections; return how many instances got it. Raises RedisError."""
        return await self._publish({"close": code, "user_id": user_id})

    async def check(self, user_id: str) -> int:
        """Ping a user's connections; return how many instances got it. Raises RedisError."""
        return await self._publish({"check": user_id})

    async def drain(self, instance_id: str) -> int:
        """Drain one instance; return how many instances got it. Raises RedisError."""
        return await self._publish({"drain": instance_id})

    async def _publish(self, message: dict[str, str]) -> int:
        return (await publish_all(self._redis, [(keys.INSTANCES, orjson.dumps(message))]))[0]
