"""Who is typing: kept in Redis for seconds, never stored, told at most once a second."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.persistence.scripts import Call
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.script import room_script
from rts_server.runtime.tasks import Tasks

_TYPING = room_script(Path(__file__).with_name("typing.lua"))

LINGER = 0.05

log = logging.getLogger(__name__)


class TypingPublisher:
    """Starts and stops, gathered for a moment so that many cost one call; trouble of Redis loses
    them. A start ends by itself: instances count it down, whoever dies meanwhile.
    """

    def __init__(self, settings: Settings, redis: Redis | RedisPipeline) -> None:
        self._redis = redis
        self._said: dict[tuple[str, str], bool] = {}
        self._saying: dict[tuple[str, str], bool] = {}
        # The room may have been told just before a start ends: its end is told an interval later.
        self._lasts = ms(settings.typing_ttl - settings.typing_interval)
        self._every = ms(settings.typing_interval)
        self._most = settings.limits.typing_members
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._tasks = Tasks()

    async def close(self) -> None:
        """What was to be told later is not told."""
        for timer in self._later.values():
            timer.cancel()
        await self._tasks.close()

    def set_typing(self, room_id: str, user_id: str, *, on: bool) -> None:
        """A member types, or does no more: the last word of a moment counts.

        In a room that is not warm, or above 100 members, nobody is told.
        """
        self._put(room_id, user_id, on)

    def sending(self, room_id: str, user_id: str) -> None:
        """What was said of the user before a message of theirs does not outlive it."""
        said = (room_id, user_id)
        if said in self._said or said in self._saying:
            self._put(room_id, user_id, False)

    def tell(self, room_id: str) -> None:
        """The list is another, by the append of a message."""
        self._put(room_id, "", False)

    def _put(self, room_id: str, user_id: str, on: bool) -> None:
        if not self._said:
            self._tasks.keep(self._say())
        self._said[room_id, user_id] = on

    async def _say(self) -> None:
        await asyncio.sleep(LINGER)
        said, self._said = self._said, {}
        self._saying = said
        calls = [self._call(room_id, user_id, on) for (room_id, user_id), on in said.items()]
        try:
            answers = await _TYPING.many(self._redis, calls)
        except (RedisError, OSError) as error:
            log.warning("nobody is told who types", extra={"error": type(error).__name__})
            return
        finally:
            if self._saying is said:
                self._saying = {}
        for (room_id, _), (_, wait) in zip(said, answers, strict=True):
            self._tell_later(room_id, wait)

    def _tell_later(self, room_id: str, wait: int) -> None:
        """The rest is told in so many ms, by this instance if no other; 0: there is none."""
        if timer := self._later.pop(room_id, None):
            timer.cancel()
        if wait:
            loop = asyncio.get_running_loop()
            self._later[room_id] = loop.call_later(wait / 1000, self._tell, room_id)

    def _tell(self, room_id: str) -> None:
        del self._later[room_id]
        self.tell(room_id)

    def _call(self, room_id: str, user_id: str, on: bool) -> Call:
        names = keys.room(room_id)
        channel = keys.room_channel(room_id)
        args: list[str | int] = [user_id, int(on), channel, self._lasts, self._every, self._most]
        return [*names.script_keys, names.typing, names.typing_told], args
