"""The running instances, and the instances a user is connected to; for operators."""

from __future__ import annotations

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.presence.scripts import groups_of
from rts_server.protocol.event import rfc3339
from rts_server.redis_client.pipeline import CommandPipe, results_of, time_at
from rts_server.types.operator_answers import CountedAnswer, InstanceAnswer

CONNECTIONS_FIELD = "c:"
"""Prefix of the fields of a user's entry that hold connections per instance."""


class InstanceRegistry:
    """Reads leases and presence entries. All methods raise RedisError."""

    def __init__(self, redis: Redis | CommandPipe) -> None:
        self._redis = redis

    async def instances(self) -> list[InstanceAnswer]:
        """Return the instances with a lease, by id, as they last described themselves."""
        group = groups_of(self._redis)[0]
        leases = await self._leases(group)
        about = await self._hash(group.about)
        return [
            {"instance_id": instance.decode(), "expires_at": rfc3339(until / 1000)}
            | orjson.loads(about.get(instance) or b"{}")
            for instance, until in sorted(leases.items())
        ]

    async def connections(self, user_id: str) -> list[CountedAnswer]:
        """Return where a user is counted; `alive` is false for dead ones until the sweep."""
        groups = groups_of(self._redis)
        group = groups[keys.presence_group(user_id, len(groups))]
        leases = await self._leases(group)
        entry = await self._hash(group.users + user_id)
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

    async def _leases(self, group: keys.PresenceKeys) -> dict[bytes, float]:
        """Return instance → end of its lease (ms since 1970), by the clock of Redis."""
        now = await time_at(self._redis, group.instances)
        asked = ("ZRANGEBYSCORE", group.instances, f"({now}", "+inf", "WITHSCORES")
        (found,) = await results_of(self._redis, [asked])
        return {lease: float(until) for lease, until in zip(found[::2], found[1::2], strict=True)}

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        (found,) = await results_of(self._redis, [("HGETALL", key)])
        return dict(zip(found[::2], found[1::2], strict=True))
