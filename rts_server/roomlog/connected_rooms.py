"""The rooms of users who connect stay in Redis, so that the next connect reads no archive."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.config import Settings, ms
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.script import LUA, room_script
from rts_server.runtime.tasks import Tasks

log = logging.getLogger(__name__)

_RENEW = room_script(LUA / "renew.lua")

BATCH_ROOMS = 100
"""Rooms that are renewed in one round trip."""
MAX_LOADS_AHEAD = 2
"""Rooms that are loaded at a time; commands on other cold rooms go first."""
MAX_OFFERED_ROOMS = 10_000
"""Rooms that wait for their turn; the next connect of a member offers the others again."""


class ConnectedRooms:
    """Renews and loads rooms in the background; what fails is offered again by the next connect.

    A room leaves Redis `room_ttl` after its last event. If a member connects in the second half of
    that time, it begins anew. A room that has left, or was lost, is loaded.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        load: Callable[[str], Awaitable[None]],
    ) -> None:
        """`load(room_id)` loads a room unless it is warm; it raises Unavailable."""
        self._ttl = settings.room_ttl
        self._redis = redis
        self._load = load
        self._tasks = Tasks()
        self._aging: set[str] = set()
        self._cold: dict[str, None] = {}
        self._loading = 0

    async def close(self) -> None:
        """Stop."""
        await self._tasks.close()

    def renew_if_aging(self, room_id: str, used_ms: int) -> None:
        """A member connected; renew the room soon if it was last used too long ago.

        `used_ms`: when its expiry was last moved, in Unix ms of Redis' clock.
        """
        if time.time() - used_ms / 1000 < self._ttl / 2 or len(self._aging) >= MAX_OFFERED_ROOMS:
            return
        if not self._aging:
            self._tasks.keep(self._renew())
        self._aging.add(room_id)

    def load_soon(self, room_ids: Iterable[str]) -> None:
        """Load rooms that a member found cold."""
        for room_id in room_ids:
            if len(self._cold) < MAX_OFFERED_ROOMS:
                self._cold.setdefault(room_id)
        while self._loading < min(MAX_LOADS_AHEAD, len(self._cold)):
            self._loading += 1
            self._tasks.keep(self._load_waiting()).add_done_callback(self._loaded)

    async def _renew(self) -> None:
        while self._aging:
            some = [self._aging.pop() for _ in range(min(BATCH_ROOMS, len(self._aging)))]
            calls = [(keys.room(one).script_keys, [ms(self._ttl)]) for one in some]
            try:
                await _RENEW.evaluate_many(self._redis, calls)
            except (RedisError, OSError) as error:
                log.warning("rooms cannot be renewed", extra={"error": type(error).__name__})
                self._aging.clear()

    async def _load_waiting(self) -> None:
        while self._cold:
            room_id = next(iter(self._cold))
            del self._cold[room_id]
            try:
                await self._load(room_id)
            except errors.Refusal as error:
                fields = {"room_id": room_id, "code": error.code, "left_out": len(self._cold)}
                log.warning("rooms cannot be loaded ahead of their use", extra=fields)
                self._cold.clear()

    def _loaded(self, _: object) -> None:
        self._loading -= 1
