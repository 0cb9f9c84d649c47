"""Who is connected here, told to Redis: numbers, not differences, so twice said is once said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis

from rts_server.config import Settings, ms
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.scripts import call, presence_script
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.runtime.loops import forever

_COUNT = presence_script("count.lua")

LINGER = 0.02
SLICE = 200


class ConnectionCounts:
    """The connections of each user on this instance, and their number in Redis.

    `on_counted` is called with the user, the user's connections here that were counted, oldest
    first, and the number of their connections on all instances.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | RedisPipeline,
        lease: InstanceLease,
        on_counted: Callable[[str, list[str], int], None] = lambda user_id, here, everywhere: None,
    ) -> None:
        self._redis = redis
        self._lease = lease
        self._grace = settings.presence_grace
        self._here: dict[str, dict[str, None]] = {}
        self._moved: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._on_counted = on_counted

    @property
    def connections(self) -> int:
        """Of all users, here."""
        return sum(map(len, self._here.values()))

    def entered(self, user_id: str, connection: str) -> None:
        """A connection of the user began."""
        self._here.setdefault(user_id, {})[connection] = None
        self._move(user_id)

    def left(self, user_id: str, connection: str) -> None:
        """It ended; one that was given up is not known any more."""
        here = self._here.get(user_id)
        if here is None or connection not in here:
            return
        del here[connection]
        if not here:
            del self._here[user_id]
        self._move(user_id)

    def here(self, user_id: str) -> list[str]:
        """The user's connections on this instance, oldest first."""
        return list(self._here.get(user_id, ()))

    def recount(self, user_id: str) -> None:
        """Count the user's connections once more."""
        self._move(user_id)

    def forget(self) -> None:
        """Everybody was given up: what is connected now counts for nobody."""
        self._here.clear()
        self._moved.clear()

    def announce(self) -> None:
        """Say everything again, under the lease that is held now."""
        for user_id in self._here:
            self._move(user_id)

    def _move(self, user_id: str) -> None:
        self._moved[user_id] = None
        self._wake.set()

    async def run(self) -> None:
        """Tell Redis what moved, a moment later and together, until cancelled."""
        await forever("presence counts", self._flush_soon)

    async def _flush_soon(self) -> None:
        await self._wake.wait()
        await asyncio.sleep(LINGER)
        await self._lease.registered.wait()
        await self.flush()

    async def flush(self) -> None:
        """Tell what moved, now. Raises RedisError; what was not told stays to be told."""
        async with self._flushing:
            self._wake.clear()
            while self._moved:
                part = list(self._moved)[:SLICE]
                for user_id in part:
                    del self._moved[user_id]
                if not await self._told(part):
                    return

    async def _told(self, users: list[str]) -> bool:
        lease, grace = self._lease, ms(self._grace)
        here = [self.here(user) for user in users]
        calls = [
            call(lease.instance, lease.token, user, len(some), grace)
            for user, some in zip(users, here, strict=True)
        ]
        try:
            answers = await _COUNT.many(self._redis, calls)
        except BaseException:
            self._again(users)
            raise
        refused = [u for u, (state, _) in zip(users, answers, strict=True) if state != b"ok"]
        for user_id, some, (state, connections) in zip(users, here, answers, strict=True):
            if state == b"ok":
                self._on_counted(user_id, some, connections)
        if refused:
            self._again(refused)
            lease.doubt()
        return not refused

    def _again(self, users: list[str]) -> None:
        for user_id in users:
            self._moved[user_id] = None
        self._wake.set()
