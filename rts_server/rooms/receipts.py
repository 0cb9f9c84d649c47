"""Read and delivered cursors: forward only, told to the room, stored a while later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.config import Settings, ms
from rts_server.persistence.scripts import Call
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.log import RoomLog
from rts_server.roomlog.script import room_script
from rts_server.runtime.tasks import Tasks

_RECEIPTS = room_script(Path(__file__).with_name("receipts.lua"))

log = logging.getLogger(__name__)

Cursors = tuple[int, int]
"""(read_seq, delivered_seq); 0 leaves one as it is."""


@dataclass(frozen=True)
class MovedCursors:
    """Where a member's cursors are now; `read` tells whether that one moved."""

    read_seq: int
    delivered_seq: int
    read: bool


class ReceiptWriter:
    """Every call is safe to repeat: a cursor only moves forward, never beyond the room's seq."""

    def __init__(self, settings: Settings, redis: Redis | RedisPipeline, room_log: RoomLog) -> None:
        self._settings = settings
        self._redis = redis
        self._log = room_log
        self._tasks = Tasks()
        self._telling: set[str] = set()

    async def close(self) -> None:
        """What was to be told later is told with the next receipt of its room."""
        await self._tasks.close()

    async def move(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, MovedCursors]:
        """Per room where he is a member: his cursors now. Cold rooms are loaded first.

        Raises Unavailable when one cannot be.
        """
        answers = await self._moved(user_id, cursors)
        away = [r for r, answer in answers.items() if answer[0] in (b"cold", b"expired")]
        if away:
            await asyncio.gather(*map(self._log.warm, away))
            answers |= await self._moved(user_id, {room_id: cursors[room_id] for room_id in away})
        if any(answer[0] not in (b"warm", b"not_found") for answer in answers.values()):
            raise errors.Unavailable()
        for room_id, answer in answers.items():
            if answer[0] == b"warm" and answer[4]:
                self._tell_later(room_id, answer[4] / 1000)
        return {
            room_id: MovedCursors(answer[1], answer[2], bool(answer[3]))
            for room_id, answer in answers.items()
            if answer[0] == b"warm"
        }

    async def _moved(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, Any]:
        calls = [self._call(room_id, user_id, *at) for room_id, at in cursors.items()]
        return dict(zip(cursors, await _RECEIPTS.many(self._redis, calls), strict=True))

    def _call(self, room_id: str, user_id: str, read: int, delivered: int) -> Call:
        names = keys.room(room_id)
        settings = self._settings
        return [*names.script_keys, names.receipts, keys.dirty(keys.partition(room_id))], [
            user_id,
            read,
            delivered,
            room_id,
            keys.room_channel(room_id),
            ms(settings.cursor_flush),
            ms(settings.receipt_interval),
            settings.limits.receipt_members,
        ]

    def _tell_later(self, room_id: str, seconds: float) -> None:
        """Whoever waits is told together, once for all that this instance moves meanwhile."""
        if room_id not in self._telling:
            self._telling.add(room_id)
            self._tasks.keep(self._quietly(self._tell(room_id, seconds)))

    async def _tell(self, room_id: str, seconds: float) -> None:
        try:
            while seconds:
                await asyncio.sleep(seconds)
                (answer,) = await _RECEIPTS.many(self._redis, [self._call(room_id, "", 0, 0)])
                seconds = answer[4] / 1000 if answer[0] == b"warm" else 0
        finally:
            self._telling.discard(room_id)

    @staticmethod
    async def _quietly(work: Any) -> None:
        try:
            await work
        except (RedisError, OSError, errors.Refusal) as error:
            log.warning("nobody is told of cursors", extra={"error": type(error).__name__})
