"""Which instances there are, and where a user's connections are; for operators."""

from __future__ import annotations

from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.protocol.event import rfc3339

COUNTED = "c:"


class InstanceRegistry:
    """Reads of leases and of users' entries. Raises RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def instances(self) -> list[dict[str, Any]]:
        """Those whose lease lives, in order of their ids, as they last told of themselves."""
        leases = await self._leases()
        about: Any = await self._redis.hgetall(keys.PRESENCE.about)
        return [
            {
                "instance_id": instance.decode(),
                "expires_at": rfc3339(until / 1000),
                **orjson.loads(about.get(instance) or b"{}"),
            }
            for instance, until in sorted(leases.items())
        ]

    async def connections(self, user_id: str) -> list[dict[str, Any]]:
        """Where a user is counted; `alive` false: an instance that died, until the sweep."""
        leases = await self._leases()
        entry: Any = await self._redis.hgetall(f"{keys.PRESENCE_USERS}{user_id}")
        counted = {k.decode().removeprefix(COUNTED): k for k in entry if k.startswith(b"c:")}
        return [
            {
                "instance_id": instance,
                "connections": int(entry[key]),
                "alive": instance.encode() in leases,
            }
            for instance, key in sorted(counted.items())
        ]

    async def _leases(self) -> dict[bytes, float]:
        """Living instance → ms since 1970 until when; by Redis' own clock."""
        seconds, microseconds = await self._redis.time()
        now = seconds * 1000 + microseconds // 1000
        found: Any = await self._redis.zrangebyscore(
            keys.PRESENCE.instances, f"({now}", "+inf", withscores=True
        )
        return dict(found)
