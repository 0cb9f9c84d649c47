"""Publishes `unread.changed` to a user's devices after their read cursor or settings changed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.persistence.scripts import ScriptCall
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.script import room_script
from rts_server.runtime.tasks import Tasks
from rts_server.views.inbox import Inbox, InboxReader

_UNREAD = room_script(Path(__file__).with_name("unread.lua"))

BATCH_INTERVAL_SECONDS = 0.1
"""Pause between two batches. Changes that arrive meanwhile are published together, each once."""

log = logging.getLogger(__name__)


class UnreadPublisher:
    """Runs in the background, in batches: sends never wait for it."""

    def __init__(self, redis: Redis | RedisPipeline, inboxes: InboxReader) -> None:
        self._redis = redis
        self._inboxes = inboxes
        self._changed: dict[tuple[str, str], None] = {}
        self._running = False
        self._tasks = Tasks()

    async def close(self) -> None:
        """Stop. Changes that were not published are part of the user's next `unread.changed`."""
        await self._tasks.close()

    def publish_soon(self, user_id: str, room_id: str) -> None:
        """Publish the user's counts in a room now, or with the next batch if one is running.

        An error of Redis or the archive is logged and the event is lost; the next one repairs it.
        """
        self._changed[user_id, room_id] = None
        if not self._running:
            self._running = True
            self._tasks.keep(self._publish_batches())

    async def _publish_batches(self) -> None:
        try:
            while self._changed:
                changed, self._changed = list(self._changed), {}
                try:
                    await self._publish(changed)
                except (RedisError, OSError, errors.Refusal) as error:
                    log.warning(
                        "unread.changed is not published", extra={"error": type(error).__name__}
                    )
                await asyncio.sleep(BATCH_INTERVAL_SECONDS)
        finally:
            self._running = False

    async def _publish(self, changed: list[tuple[str, str]]) -> None:
        """Publish at the room's head; the totals of the user's other rooms are read before."""
        inboxes = await self._inboxes.read_many(dict.fromkeys(user_id for user_id, _ in changed))
        calls = [
            _script_call(user_id, room_id, inboxes[user_id])
            for user_id, room_id in changed
            if user_id in inboxes
        ]
        await _UNREAD.evaluate_many(self._redis, calls)


def _script_call(user_id: str, room_id: str, inbox: Inbox) -> ScriptCall:
    others = Inbox([row for row in inbox.rows if row.room_id != room_id]).unread
    channel = keys.room_channel(room_id)
    args: list[str | int] = [user_id, room_id, channel, others["total"], others["rooms"]]
    return keys.room(room_id).script_keys, args
