"""Notices publishes that never arrived: Redis delivers them at most once (D5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

from redis.asyncio import Redis

from rts_server import keys
from rts_server.realtime.listener import Listener
from rts_server.realtime.lost_rooms import LostRooms
from rts_server.realtime.room_feed import RoomFeed

log = logging.getLogger(__name__)

ROOMS_PER_PIPELINE = 200
"""Rooms or users that one pipeline to Redis compares."""
ROOMS_PER_CHECK = 50
"""Rooms, and users, that one check compares, in turn: what it costs does not grow with their
number. A lost publish is noticed before by the head that the relay publishes (D5)."""


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
        self._rooms_in_turn: list[str] = []
        self._users_in_turn: list[str] = []

    def note_index_version(self, user_id: str, version: str) -> None:
        """Note the version of the user's room index that a session read.

        The first session's version counts: it may be older, and then the next check compares.
        """
        self._versions.setdefault(user_id, version)

    def is_noted(self, user_id: str, version: int) -> bool:
        """Return whether the noted version of the user's room index is this, or a later one."""
        noted = self._versions.get(user_id, "").partition(" ")[0]
        return bool(noted) and int(noted) >= version

    def forget(self, user_id: str) -> None:
        """Forget a user without listeners."""
        self._versions.pop(user_id, None)

    def forget_versions(self) -> None:
        """Make the next check compare every user: changes may have been missed."""
        self._versions = dict.fromkeys(self._listeners, "")

    async def check_later(self) -> None:
        """Wait for the interval, then compare the rooms and users whose turn it is."""
        await asyncio.sleep(self._interval)
        rooms = _next_in_turn(self._rooms_in_turn, self._rooms)
        await self._compare(rooms, _next_in_turn(self._users_in_turn, self._listeners))

    async def check(self) -> None:
        """Compare all rooms and users."""
        await self._compare(list(self._rooms), list(self._listeners))

    async def _compare(self, room_ids: list[str], users: list[str]) -> None:
        """Never raises: what fails is compared at a later check."""
        checks = (
            partial(self._check_heads, room_ids),
            self._lost_rooms.check,
            partial(self._check_users, users),
        )
        for check in checks:
            try:
                await check()
            except Exception as error:
                log.warning("check failed, will be repeated", extra={"error": type(error).__name__})

    async def _check_heads(self, room_ids: list[str]) -> None:
        """Repair rooms whose head in Redis is ahead of what was published to us."""
        rooms = [self._rooms[room_id] for room_id in room_ids if room_id in self._rooms]
        for i in range(0, len(rooms), ROOMS_PER_PIPELINE):
            batch = rooms[i : i + ROOMS_PER_PIPELINE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for room in batch:
                    pipe.hmget(keys.room(room.room_id).head, "epoch", "offset")
                heads = await pipe.execute()
            for room, (epoch, offset) in zip(batch, heads, strict=True):
                if epoch is not None and (int(epoch), int(offset)) > (room.position or (0, 0)):
                    room.mark_lagging()

    async def _check_users(self, users: list[str]) -> None:
        for i in range(0, len(users), ROOMS_PER_PIPELINE):
            batch = users[i : i + ROOMS_PER_PIPELINE]
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


def _next_in_turn(waiting: list[str], every: Collection[str]) -> list[str]:
    """Take the next ones off `waiting`, which begins anew with all of them when it is empty."""
    if not waiting:
        waiting.extend(every)
    taken, waiting[:] = waiting[:ROOMS_PER_CHECK], waiting[ROOMS_PER_CHECK:]
    return taken
