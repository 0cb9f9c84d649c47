"""Read and delivered cursors: forward only, told to the room, stored a while later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.config import Settings, ms
from rts_server.persistence.scripts import Call
from rts_server.rooms import events
from rts_server.rooms.appender import room_script
from rts_server.rooms.chatlist import ChatLists
from rts_server.rooms.log import RoomLog
from rts_server.tasks import Tasks

_RECEIPTS = room_script("receipts.lua")
_UNREAD = room_script("unread.lua")

log = logging.getLogger(__name__)

UNREAD_PAUSE = 0.1
"""Seconds between two looks at all rooms of one user."""

Cursors = tuple[int, int]
"""(read_seq, delivered_seq); 0 leaves one as it is."""


@dataclass(frozen=True)
class Moved:
    """Where a member's cursors are now; `read` tells whether that one moved."""

    read_seq: int
    delivered_seq: int
    read: bool


class Receipts:
    """Every call is safe to repeat: a cursor only moves forward, never beyond the room's seq."""

    def __init__(
        self, settings: Settings, redis: Redis, room_log: RoomLog, chat_lists: ChatLists
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._log = room_log
        self._chat_lists = chat_lists
        self._tasks = Tasks()
        self._telling: set[str] = set()
        self._untold: dict[str, dict[str, None]] = {}

    async def close(self) -> None:
        """What was to be told later is told with the next receipt of its room."""
        await self._tasks.close()

    async def move(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, Moved]:
        """Per room where he is a member: his cursors now. Cold rooms are loaded first.

        Raises Unavailable when one cannot be.
        """
        answers = await self._moved(user_id, cursors)
        away = [r for r, answer in answers.items() if answer[0] in (b"cold", b"quiet")]
        if away:
            await asyncio.gather(*(self._warm(room_id, user_id) for room_id in away))
            answers |= await self._moved(user_id, {room_id: cursors[room_id] for room_id in away})
        if any(answer[0] not in (b"warm", b"not_found") for answer in answers.values()):
            raise errors.Unavailable()
        for room_id, answer in answers.items():
            if answer[0] == b"warm" and answer[4]:
                self._tell_later(room_id, answer[4] / 1000)
        return {
            room_id: Moved(answer[1], answer[2], bool(answer[3]))
            for room_id, answer in answers.items()
            if answer[0] == b"warm"
        }

    async def tell_unread(self, user_id: str, room_id: str) -> None:
        """`unread.changed` to his devices, at its place among the room's events."""
        rows = (await self._chat_lists.of(user_id, partly=True)).rows
        others = [row.unread for row in rows if row.room_id != room_id and row.unread > 0]
        channel = keys.room_channel(room_id)
        args: list[str | int] = [user_id, room_id, channel, sum(others), len(others)]
        await _UNREAD.run(self._redis, keys.room(room_id)[:9], args)

    def tell_unread_soon(self, user_id: str, room_id: str) -> None:
        """The same, off the line of commands, a user's rooms one after the other: what moves
        meanwhile is told once. Trouble of Redis only loses the word.
        """
        waiting = self._untold.get(user_id)
        if waiting is not None:
            waiting[room_id] = None
            return
        self._untold[user_id] = {room_id: None}
        self._tasks.keep(self._tell_all_unread(user_id))

    async def _tell_all_unread(self, user_id: str) -> None:
        waiting = self._untold[user_id]
        try:
            while waiting:
                room_id = next(iter(waiting))
                del waiting[room_id]
                await self._quietly(self.tell_unread(user_id, room_id))
                await asyncio.sleep(UNREAD_PAUSE)
        finally:
            del self._untold[user_id]

    async def _moved(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, Any]:
        calls = [self._call(room_id, user_id, *at) for room_id, at in cursors.items()]
        return dict(zip(cursors, await _RECEIPTS.many(self._redis, calls), strict=True))

    def _call(self, room_id: str, user_id: str, read: int, delivered: int) -> Call:
        names = keys.room(room_id)
        settings = self._settings
        return [*names[:9], names.receipts, keys.dirty(keys.partition(room_id))], [
            user_id,
            read,
            delivered,
            room_id,
            keys.room_channel(room_id),
            ms(settings.cursor_flush),
            ms(settings.receipt_interval),
            settings.limits.receipt_members,
        ]

    async def _warm(self, room_id: str, user_id: str) -> None:
        """A member's touch loads the room."""
        try:
            await self._log.append(events.touched(room_id, user_id))
        except errors.NotFound:
            return

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
