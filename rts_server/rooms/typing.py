"""Typing members of a room: kept in Redis for seconds, published at most once a second."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.persistence.scripts import ScriptCall
from rts_server.redis_client.pipeline import CommandPipe, channels_of
from rts_server.roomlog.script import room_script
from rts_server.runtime.tasks import Tasks

_TYPING = room_script(Path(__file__).with_name("typing.lua"))

BATCH_DELAY_SECONDS = 0.05
"""Seconds in which starts and stops are gathered before one call to Redis."""

log = logging.getLogger(__name__)


class TypingPublisher:
    """Publishes starts and stops of typing, in batches.

    Errors of Redis lose them. A start ends by itself: instances count it down, so that it also ends
    if the instance that published it dies (E4).
    """

    def __init__(self, settings: Settings, redis: Redis | CommandPipe) -> None:
        self._redis = redis
        self._pending: dict[tuple[str, str], bool] = {}
        self._in_flight: dict[tuple[str, str], bool] = {}
        # A list may be published just before a start ends; the end follows an interval later.
        self._lasts_ms = ms(settings.typing_ttl - settings.typing_interval)
        self._interval_ms = ms(settings.typing_interval)
        self._max_members = settings.limits.typing_members
        self._timers: dict[str, asyncio.Handle] = {}
        self._tasks = Tasks()

    async def close(self) -> None:
        """Stop. Pending changes are dropped."""
        for timer in self._timers.values():
            timer.cancel()
        await self._tasks.close()

    def set_typing(self, room_id: str, user_id: str, *, on: bool) -> None:
        """A member started or stopped typing; the last change of a batch counts.

        Nothing is published in a room that is not warm or has more than 100 members.
        """
        self._put(room_id, user_id, on)

    def end_for_message(self, room_id: str, user_id: str) -> None:
        """Replace a pending start of the user by a stop, as they are about to send a message."""
        key = (room_id, user_id)
        if key in self._pending or key in self._in_flight:
            self._put(room_id, user_id, False)

    def publish(self, room_id: str) -> None:
        """Publish the list, which the append of a message has changed."""
        self._put(room_id, "", False)

    def _put(self, room_id: str, user_id: str, on: bool) -> None:
        if not self._pending:
            self._tasks.keep(self._publish_batch())
        self._pending[room_id, user_id] = on

    async def _publish_batch(self) -> None:
        await asyncio.sleep(BATCH_DELAY_SECONDS)
        batch, self._pending = self._pending, {}
        self._in_flight = batch
        calls = [
            self._script_call(room_id, user_id, on) for (room_id, user_id), on in batch.items()
        ]
        try:
            answers = await _TYPING.evaluate_many(self._redis, calls)
        except (RedisError, OSError) as error:
            log.warning("typing.changed is not published", extra={"error": type(error).__name__})
            return
        finally:
            if self._in_flight is batch:
                self._in_flight = {}
        for (room_id, _), (_, wait) in zip(batch, answers, strict=True):
            self._publish_later(room_id, wait)

    def _publish_later(self, room_id: str, wait_ms: int) -> None:
        """Publish the rest after `wait_ms`, unless another instance does; 0: nothing is pending."""
        if timer := self._timers.pop(room_id, None):
            timer.cancel()
        if wait_ms:
            loop = asyncio.get_running_loop()
            self._timers[room_id] = loop.call_later(wait_ms / 1000, self._publish_now, room_id)

    def _publish_now(self, room_id: str) -> None:
        del self._timers[room_id]
        self.publish(room_id)

    def _script_call(self, room_id: str, user_id: str, on: bool) -> ScriptCall:
        names = keys.room(room_id)
        channel = channels_of(self._redis).room(room_id)
        args: list[str | int] = [
            user_id,
            int(on),
            channel,
            self._lasts_ms,
            self._interval_ms,
            self._max_members,
        ]
        return [*names.script_keys, names.typing, names.typing_published], args
