"""Fills the filters of message ids of rooms that were loaded from the archive."""

from __future__ import annotations

import asyncio
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.persistence.archive import Archive
from rts_server.redis_client.pipeline import CommandPipe, results_of
from rts_server.roomlog.script import IDS, LUA, room_script
from rts_server.runtime.tasks import Tasks

log = logging.getLogger(__name__)

_FILL = room_script(IDS, LUA / "ids_fill.lua")

BATCH_IDS = 500
"""Ids in one call of the script."""
MAX_CONCURRENT_ROOMS = 2
"""Rooms that are read at a time."""
MAX_WAITING_ROOMS = 1_000
"""Rooms that wait for their turn; further ones ask again with their next new id."""
CLAIM_MS = 60_000
"""Milliseconds for which no other instance begins with the same room."""


class MessageIds:
    """Fills the filters of rooms that came from the archive, a few at a time, in the background.

    Until a room's filter is complete each new id is looked for in the archive.
    """

    def __init__(self, redis: Redis | CommandPipe, archive: Archive) -> None:
        self._redis = redis
        self._archive = archive
        self._tasks = Tasks()
        self._reading: set[str] = set()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_ROOMS)

    def read_soon(self, room_id: str, filters: bytes) -> None:
        """Fill the filter of a room, unless too many wait; then its next new id asks again.

        `filters`: `ids` of its head, when it was found to be incomplete.
        """
        if room_id not in self._reading and len(self._reading) < MAX_WAITING_ROOMS:
            self._reading.add(room_id)
            task = self._tasks.keep(self._read(room_id, filters))
            task.add_done_callback(lambda _: self._reading.discard(room_id))

    async def close(self) -> None:
        """Stop. Another instance begins again with the first page."""
        await self._tasks.close()

    async def _read(self, room_id: str, filters: bytes) -> None:
        claim = keys.room(room_id).ids_claim
        async with self._slots:
            try:
                asked = ("SET", claim, "", "NX", "PX", CLAIM_MS)
                if (await results_of(self._redis, [asked]))[0]:
                    await self._fill(room_id, filters)
            except (RedisError, OSError, errors.Unavailable) as error:
                fields = {"room_id": room_id, "error": type(error).__name__}
                log.warning("message ids of a room cannot be read", extra=fields)

    async def _fill(self, room_id: str, filters: bytes) -> None:
        """Page by page; the filter counts as complete only with the last page (D7)."""
        names, after = keys.room(room_id).script_keys, None
        while True:
            found, after = await self._archive.ids(room_id, after)
            for at in range(0, max(len(found), 1), BATCH_IDS):
                part = found[at : at + BATCH_IDS]
                last = after is None and at + BATCH_IDS >= len(found)
                args: list[str | int] = [filters.decode(), int(last)]
                for message_id, seq in part:
                    args += [message_id, seq]
                if not await _FILL.evaluate(self._redis, names, args):
                    return
            if after is None:
                return
