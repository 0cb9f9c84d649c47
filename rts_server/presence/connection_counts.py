"""Connections per user, written to Redis as numbers, not differences: repeating is harmless."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from redis.asyncio import Redis

from rts_server.config import Settings, ms
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.scripts import presence_script, script_call
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.runtime.loops import repeat_forever

_COUNT = presence_script("count.lua")

FLUSH_DELAY_SECONDS = 0.02
"""Seconds for which changes are collected."""
USERS_PER_FLUSH = 200


class Counts(Protocol):
    """The connections of users on this instance; see `ConnectionCounts`."""

    def entered(self, user_id: str, connection: str) -> None:
        """Count a new connection of a user."""

    def left(self, user_id: str, connection: str) -> None:
        """Count a connection that ended; unknown ones are ignored."""

    def here(self, user_id: str) -> list[str]:
        """Return the user's connections on this instance, oldest first."""

    def recount(self, user_id: str) -> None:
        """Write the user's number again, so that `on_counted` is called."""


class ConnectionCounts:
    """The connections of each user of a group on this instance, and their number in Redis.

    `on_counted` is called with the user, the user's connections here that were counted, oldest
    first, and the number of their connections on all instances.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        lease: InstanceLease,
        on_counted: Callable[[str, list[str], int], None] = lambda user_id, here, everywhere: None,
    ) -> None:
        self._redis = redis
        self._lease = lease
        self._grace = settings.presence_grace
        self._here: dict[str, dict[str, None]] = {}
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._on_counted = on_counted

    @property
    def connections(self) -> int:
        """The connections of all users on this instance."""
        return sum(map(len, self._here.values()))

    def entered(self, user_id: str, connection: str) -> None:
        """Count a new connection of a user."""
        self._here.setdefault(user_id, {})[connection] = None
        self._mark_changed(user_id)

    def left(self, user_id: str, connection: str) -> None:
        """Count a connection that ended; unknown ones are ignored (see `forget`)."""
        here = self._here.get(user_id)
        if here is None or connection not in here:
            return
        del here[connection]
        if not here:
            del self._here[user_id]
        self._mark_changed(user_id)

    def here(self, user_id: str) -> list[str]:
        """Return the user's connections on this instance, oldest first."""
        return list(self._here.get(user_id, ()))

    def recount(self, user_id: str) -> None:
        """Write the user's number again, so that `on_counted` is called."""
        self._mark_changed(user_id)

    def forget(self) -> list[str]:
        """Forget all connections: the lease was lost, so the others count them no more.

        Returns them.
        """
        lost = [connection for here in self._here.values() for connection in here]
        self._here.clear()
        self._changed.clear()
        return lost

    def announce_all(self) -> None:
        """Write the numbers of all users again, under the lease that is held now."""
        for user_id in self._here:
            self._mark_changed(user_id)

    def _mark_changed(self, user_id: str) -> None:
        self._changed[user_id] = None
        self._wake.set()

    async def run_forever(self) -> None:
        """Write changed numbers in batches, until cancelled."""
        await repeat_forever("presence counts", self._flush_soon)

    async def _flush_soon(self) -> None:
        await self._wake.wait()
        await asyncio.sleep(FLUSH_DELAY_SECONDS)
        await self._lease.registered.wait()
        await self.flush()

    async def flush(self) -> None:
        """Write changed numbers now. Raises RedisError; what was not written is written later."""
        async with self._flushing:
            self._wake.clear()
            while self._changed:
                part = list(self._changed)[:USERS_PER_FLUSH]
                for user_id in part:
                    del self._changed[user_id]
                if not await self._write(part):
                    return

    async def _write(self, users: list[str]) -> bool:
        lease, grace = self._lease, ms(self._grace)
        here = [self.here(user) for user in users]
        calls = [
            script_call(
                self._redis, lease.group, lease.instance, lease.token, user, len(some), grace
            )
            for user, some in zip(users, here, strict=True)
        ]
        try:
            answers = await _COUNT.evaluate_many(self._redis, calls)
        except BaseException:
            self._retry(users)
            raise
        refused = [u for u, (state, _) in zip(users, answers, strict=True) if state != b"ok"]
        for user_id, some, (state, connections) in zip(users, here, answers, strict=True):
            if state == b"ok":
                self._on_counted(user_id, some, connections)
        if refused:
            self._retry(refused)
            lease.invalidate()
        return not refused

    def _retry(self, users: list[str]) -> None:
        for user_id in users:
            self._changed[user_id] = None
        self._wake.set()
