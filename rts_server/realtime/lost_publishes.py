"""Notices publishes that never arrived: Redis delivers them at most once (D5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from redis.asyncio import Redis

from rts_server import keys
from rts_server.realtime.listener import Listener
from rts_server.realtime.lost_rooms import LostRooms
from rts_server.realtime.room_feed import RoomFeed

log = logging.getLogger(__name__)

ROOMS_PER_CHECK = 200
"""Rooms or users that one pipeline to Redis compares."""


class LostPublishes:
    """Compares what was published to this instance with what Redis holds.

    Rooms are compared by the position of their head, users by the version of their room index. A
    Redis that lost its data is noticed by its generation (`LostRooms`).
    """

    def __init__(
        self,
        redis: Redis,
        rooms: Mapping[str, RoomFeed],
        listeners: Mapping[str, Collection[Listener]],
        *,
        lost_rooms: LostRooms,
        rooms_changed: Callable[[str], Awaitable[None]],
        interval: float,
    ) -> None:
        """`rooms` and `listeners` (by user id) are the live mappings of the subscriptions.

        `rooms_changed` compares a user's rooms with the subscriptions; `interval` is in seconds.
        """
        self._redis = redis
        self._rooms = rooms
        self._listeners = listeners
        self._lost_rooms = lost_rooms
        self._rooms_changed = rooms_changed
        self._interval = interval
        self._versions: dict[str, str] = {}

    def note_index_version(self, user_id: str, version: str) -> None:
        """Note the version of the user's room index that a session read.

        The first session's version counts: it may be older, and then the next check compares.
        """
        self._versions.setdefault(user_id, version)

    def forget(self, user_id: str) -> None:
        """Forget a user without listeners."""
        self._versions.pop(user_id, None)

    def forget_versions(self) -> None:
        """Make the next check compare every user: changes may have been missed."""
        self._versions = dict.fromkeys(self._listeners, "")

    async def check_later(self) -> None:
        """Wait for the interval, then check."""
        await asyncio.sleep(self._interval)
        await self.check()

    async def check(self) -> None:
        """Compare all rooms and users. Never raises: what fails is compared at the next check."""
        for check in (self._check_heads, self._lost_rooms.check, self._check_users):
            try:
                await check()
            except Exception as error:
                log.warning("check failed, will be repeated", extra={"error": type(error).__name__})

    async def _check_heads(self) -> None:
        """Repair rooms whose head in Redis is ahead of what was published to us."""
        rooms = list(self._rooms.values())
        for i in range(0, len(rooms), ROOMS_PER_CHECK):
            batch = rooms[i : i + ROOMS_PER_CHECK]
            async with self._redis.pipeline(transaction=False) as pipe:
                for room in batch:
                    pipe.hmget(keys.room(room.room_id).head, "epoch", "offset")
                heads = await pipe.execute()
            for room, (epoch, offset) in zip(batch, heads, strict=True):
                if epoch is not None and (int(epoch), int(offset)) > (room.position or (0, 0)):
                    room.mark_lagging()

    async def _check_users(self) -> None:
        users = list(self._listeners)
        for i in range(0, len(users), ROOMS_PER_CHECK):
            batch = users[i : i + ROOMS_PER_CHECK]
            for user_id, version in zip(batch, await self._user_versions(batch), strict=True):
                if not self._all_ready(user_id):
                    continue  # a session that is opening must not delay the others
                if self._versions.get(user_id) != version:
                    await self._rooms_changed(user_id)
                    self._versions[user_id] = version

    def _all_ready(self, user_id: str) -> bool:
        return all(listener.ready.is_set() for listener in self._listeners.get(user_id, ()))

    async def _user_versions(self, user_ids: list[str]) -> list[str]:
        """Return what changes when a user's rooms change or must be read from the archive."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for user_id in user_ids:
                pipe.hmget(keys.user_rooms(user_id), "#ver", "#complete")
            answers = await pipe.execute()
        return [keys.index_version(version, mark) for version, mark in answers]
