"""The running instances, and the instances a user is connected to; for operators."""

from __future__ import annotations

from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.protocol.event import rfc3339
from rts_server.types.operator_answers import CountedAnswer, InstanceAnswer

CONNECTIONS_FIELD = "c:"
"""Prefix of the fields of a user's entry that hold connections per instance."""


class InstanceRegistry:
    """Reads leases and presence entries. All methods raise RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def instances(self) -> list[InstanceAnswer]:
        """Return the instances with a lease, by id, as they last described themselves."""
        leases = await self._leases()
        about: Any = await self._redis.hgetall(keys.PRESENCE.about)
        return [
            {"instance_id": instance.decode(), "expires_at": rfc3339(until / 1000)}
            | orjson.loads(about.get(instance) or b"{}")
            for instance, until in sorted(leases.items())
        ]

    async def connections(self, user_id: str) -> list[CountedAnswer]:
        """Return where a user is counted; `alive` is false for dead ones until the sweep."""
        leases = await self._leases()
        entry: Any = await self._redis.hgetall(f"{keys.PRESENCE_USERS}{user_id}")
        counted = {
            k.decode().removeprefix(CONNECTIONS_FIELD): k
            for k in entry
            if k.startswith(CONNECTIONS_FIELD.encode())
        }
        return [
            {
                "instance_id": instance,
                "connections": int(entry[key]),
                "alive": instance.encode() in leases,
            }
            for instance, key in sorted(counted.items())
        ]

    async def _leases(self) -> dict[bytes, float]:
        """Return instance → end of its lease (ms since 1970), by the clock of Redis."""
        seconds, microseconds = await self._redis.time()
        now = seconds * 1000 + microseconds // 1000
        found: Any = await self._redis.zrangebyscore(
            keys.PRESENCE.instances, f"({now}", "+inf", withscores=True
        )
        return dict(found)
