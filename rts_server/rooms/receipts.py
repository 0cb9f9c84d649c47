"""Moves read and delivered cursors, publishes them to the room and marks them to be stored."""

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
from rts_server.persistence.scripts import ScriptCall
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.log import RoomLog
from rts_server.roomlog.script import room_script
from rts_server.runtime.tasks import Tasks

_RECEIPTS = room_script(Path(__file__).with_name("receipts.lua"))

log = logging.getLogger(__name__)

Cursors = tuple[int, int]
"""(read_seq, delivered_seq); 0 leaves a cursor as it is."""


@dataclass(frozen=True)
class MovedCursors:
    """A member's cursors after a move, and their unread messages."""

    read_seq: int
    delivered_seq: int
    unread: int


class ReceiptWriter:
    """Moves cursors. Safe to repeat: cursors only move forward, to at most the room's seq (D8)."""

    def __init__(self, settings: Settings, redis: Redis | RedisPipeline, room_log: RoomLog) -> None:
        self._settings = settings
        self._redis = redis
        self._room_log = room_log
        self._tasks = Tasks()
        self._publishing: set[str] = set()

    async def close(self) -> None:
        """Stop. Cursors not published yet are published with the next receipt of their room."""
        await self._tasks.close()

    async def move(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, MovedCursors]:
        """Move the user's cursors in several rooms; cold rooms are loaded first.

        Returns the cursors per room, without rooms the user is not a member of. Raises Unavailable
        if a room cannot be loaded.
        """
        answers = await self._move(user_id, cursors)
        cold = [r for r, answer in answers.items() if answer[0] in (b"cold", b"expired")]
        if cold:
            await asyncio.gather(*map(self._room_log.load_if_cold, cold))
            answers |= await self._move(user_id, {room_id: cursors[room_id] for room_id in cold})
        if any(answer[0] not in (b"warm", b"not_found") for answer in answers.values()):
            raise errors.Unavailable()
        for room_id, answer in answers.items():
            if answer[0] == b"warm" and answer[4]:
                self._publish_later(room_id, answer[4] / 1000)
        return {
            room_id: MovedCursors(answer[1], answer[2], answer[3])
            for room_id, answer in answers.items()
            if answer[0] == b"warm"
        }

    async def _move(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, list[Any]]:
        calls = [self._script_call(room_id, user_id, *at) for room_id, at in cursors.items()]
        return dict(zip(cursors, await _RECEIPTS.evaluate_many(self._redis, calls), strict=True))

    def _script_call(self, room_id: str, user_id: str, read: int, delivered: int) -> ScriptCall:
        names = keys.room(room_id)
        settings = self._settings
        return [*names.script_keys, names.receipts, keys.dirty_cursors(keys.partition(room_id))], [
            user_id,
            read,
            delivered,
            room_id,
            keys.room_channel(room_id),
            ms(settings.cursor_flush),
            ms(settings.receipt_interval),
            settings.limits.receipt_members,
        ]

    def _publish_later(self, room_id: str, seconds: float) -> None:
        """Publish what is pending after a pause, once for all moves of this instance."""
        if room_id not in self._publishing:
            self._publishing.add(room_id)
            self._tasks.keep(self._log_errors(self._publish_after(room_id, seconds)))

    async def _publish_after(self, room_id: str, seconds: float) -> None:
        try:
            while seconds:
                await asyncio.sleep(seconds)
                (answer,) = await _RECEIPTS.evaluate_many(
                    self._redis, [self._script_call(room_id, "", 0, 0)]
                )
                seconds = answer[4] / 1000 if answer[0] == b"warm" else 0
        finally:
            self._publishing.discard(room_id)

    @staticmethod
    async def _log_errors(work: Any) -> None:
        try:
            await work
        except (RedisError, OSError, errors.Refusal) as error:
            log.warning("receipt.updated is not published", extra={"error": type(error).__name__})
