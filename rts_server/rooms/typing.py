"""Who is typing: kept in Redis for seconds, never stored, told at most once a second."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.config import Settings, ms
from rts_server.rooms.appender import room_script
from rts_server.tasks import Tasks

_TYPING = room_script("typing.lua")

log = logging.getLogger(__name__)


class Typing:
    """Starts and stops. A start ends by itself: instances count it down, whoever dies meanwhile."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._redis = redis
        # The room may have been told just before a start ends: its end is told an interval later.
        self._lasts = ms(settings.typing_ttl - settings.typing_interval)
        self._every = ms(settings.typing_interval)
        self._most = settings.limits.typing_members
        self._telling: set[str] = set()
        self._tasks = Tasks()

    async def close(self) -> None:
        """What was to be told later is not told."""
        await self._tasks.close()

    async def set(self, room_id: str, user_id: str, *, on: bool) -> None:
        """A member types, or does no more. Raises NotFound, RedisError.

        In a room that is not warm, or above 100 members, nobody is told.
        """
        state, wait = await self._run(room_id, user_id, on)
        if state == b"not_found":
            raise errors.NotFound()
        if wait and room_id not in self._telling:
            self._telling.add(room_id)
            self._tasks.keep(self._tell(room_id, wait))

    async def _tell(self, room_id: str, wait: int) -> None:
        """Once, for all that this instance is told meanwhile."""
        try:
            while wait:
                await asyncio.sleep(wait / 1000)
                _, wait = await self._run(room_id, "", False)
        except (RedisError, OSError) as error:
            log.warning("nobody is told who types", extra={"error": type(error).__name__})
        finally:
            self._telling.discard(room_id)

    async def _run(self, room_id: str, user_id: str, on: bool) -> Any:
        names = keys.room(room_id)
        channel = keys.room_channel(room_id)
        args: list[str | int] = [user_id, int(on), channel, self._lasts, self._every, self._most]
        return await _TYPING.run(self._redis, [*names[:9], names.typing, names.typing_told], args)
