"""`unread.changed` to a user's devices: his own cursor, mute or hide moved."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.persistence.scripts import Call
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.script import room_script
from rts_server.runtime.tasks import Tasks
from rts_server.views.inbox import Inbox, InboxReader

_UNREAD = room_script(Path(__file__).with_name("unread.lua"))

PAUSE = 0.1
"""Seconds between two looks: whatever moves meanwhile is read and told together, and once."""

log = logging.getLogger(__name__)


class UnreadPublisher:
    """Off the line of commands: a message that reads its sender's room on waits for none of it."""

    def __init__(self, redis: Redis | RedisPipeline, inboxes: InboxReader) -> None:
        self._redis = redis
        self._inboxes = inboxes
        self._moved: dict[tuple[str, str], None] = {}
        self._telling = False
        self._tasks = Tasks()

    async def close(self) -> None:
        """What was not told yet is in the next `unread.changed`."""
        await self._tasks.close()

    def publish_soon(self, user_id: str, room_id: str) -> None:
        """At once, or with all that moves until PAUSE is over. Trouble of Redis loses the word."""
        self._moved[user_id, room_id] = None
        if not self._telling:
            self._telling = True
            self._tasks.keep(self._run())

    async def _run(self) -> None:
        try:
            while self._moved:
                moved, self._moved = list(self._moved), {}
                try:
                    await self._tell(moved)
                except (RedisError, OSError, errors.Refusal) as error:
                    log.warning("unread is not told", extra={"error": type(error).__name__})
                await asyncio.sleep(PAUSE)
        finally:
            self._telling = False

    async def _tell(self, moved: list[tuple[str, str]]) -> None:
        """At its place among the room's events, with the totals of the user's other rooms."""
        lists = await self._inboxes.read_many(dict.fromkeys(user_id for user_id, _ in moved))
        calls = [_call(u, room_id, lists[u]) for u, room_id in moved if u in lists]
        await _UNREAD.many(self._redis, calls)


def _call(user_id: str, room_id: str, inbox: Inbox) -> Call:
    others = Inbox([row for row in inbox.rows if row.room_id != room_id]).unread
    channel = keys.room_channel(room_id)
    args: list[str | int] = [user_id, room_id, channel, others["total"], others["rooms"]]
    return keys.room(room_id)[:9], args
