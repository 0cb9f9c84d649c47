"""A user's first name in a room: who was added by somebody else brings it in their token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import CommandPipe, replies_to
from rts_server.rooms.display_names import DisplayNames
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog

MOST_MEMBERS = 20
"""Members of the largest room that is told a name so: each member of it is told each name."""
USERS_AT_ONCE = 4
"""Users of an instance whose names are written at once: when many connect, the rest wait."""
_NAMED = b',"name":"'
"""In the JSON of a member with a name; a quote within a text is escaped."""

log = logging.getLogger(__name__)


class Introductions:
    """Gives users the name of their token in rooms of few members where they have none.

    A name that is there stays: it may be the operator's. It happens in the background and while a
    room is warm; what fails is tried when a session without cursors begins.
    """

    def __init__(self, redis: Redis | CommandPipe, names: DisplayNames) -> None:
        self._redis = redis
        self._names = names
        self._turns = asyncio.Semaphore(USERS_AT_ONCE)
        self._tasks = Tasks()
        self._throttled_log = ThrottledLog(log)

    async def close(self) -> None:
        """Stop. Who was not introduced yet waits for another session."""
        await self._tasks.close()

    def begin(self, user_id: str, name: str | None, room_ids: Collection[str]) -> None:
        """Introduce a user in these rooms; nothing for a user without a name."""
        if name is not None and room_ids:
            self._tasks.keep(self._introduce(user_id, name, list(room_ids)))

    async def _introduce(self, user_id: str, name: str, room_ids: Sequence[str]) -> None:
        async with self._turns:
            try:
                for room_id in await self._without_name(user_id, room_ids):
                    await self._names.rename_in(room_id, user_id, user_id, name)
            except (RedisError, OSError, errors.Refusal) as error:
                self._throttled_log.warning("a name is not written", error)

    async def _without_name(self, user_id: str, room_ids: Sequence[str]) -> list[str]:
        commands: list[Command] = []
        for room_id in room_ids:
            members = keys.room(room_id).members
            commands += (("HGET", members, user_id), ("HLEN", members))
        replies = await replies_to(self._redis, commands)
        return [
            room_id
            for room_id, member, count in zip(room_ids, replies[::2], replies[1::2], strict=True)
            if isinstance(member, bytes) and _NAMED not in member and count <= MOST_MEMBERS
        ]
