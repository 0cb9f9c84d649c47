"""Moves read and delivered cursors, publishes them to the room and marks them to be stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from redis.asyncio import Redis

from rts_server import errors
from rts_server.config import Settings
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.log import RoomLog
from rts_server.rooms.receipt_batch import ReceiptBatch
from rts_server.rooms.receipt_script import Cursors, MovedCursors, MovedRoom, ReceiptScript
from rts_server.runtime.tasks import Tasks

LINGER_SECONDS = 0.05
"""Pause before the first move after a quiet time: who receive a message report it together."""

log = logging.getLogger(__name__)

Move = Callable[[str, Mapping[str, Cursors]], Awaitable[Mapping[str, MovedRoom]]]


class ReceiptWriter:
    """Moves cursors. Safe to repeat: cursors only move forward, to at most the room's seq (D8).

    What sessions report is gathered, and goes to Redis once in `receipt_interval`: the scripts of
    an instance do not grow with its users, rooms or messages, but for one per MAX_MOVES.
    """

    def __init__(self, settings: Settings, redis: Redis | CommandPipe, room_log: RoomLog) -> None:
        self._interval = settings.receipt_interval
        self._script = ReceiptScript(settings, redis)
        self._room_log = room_log
        self._tasks = Tasks()
        self._batch: ReceiptBatch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_at = 0.0
        self._publishing: dict[str, asyncio.TimerHandle] = {}

    async def close(self) -> None:
        """Stop. Cursors not published yet are published with the next receipt of their room."""
        for timer in (self._timer, *self._publishing.values()):
            if timer is not None:
                timer.cancel()
        await self._tasks.close()

    async def move(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, MovedCursors]:
        """Move the user's cursors in several rooms at once; cold rooms are loaded first.

        Returns the cursors per room, without rooms the user is not a member of. Raises Unavailable
        if a room cannot be loaded.
        """
        return await self._move(user_id, cursors, self._move_now)

    async def move_gathered(
        self, user_id: str, cursors: Mapping[str, Cursors]
    ) -> dict[str, MovedCursors]:
        """The same together with what others move meanwhile, within `receipt_interval`."""
        return await self._move(user_id, cursors, self._gather)

    async def _move(
        self, user_id: str, cursors: Mapping[str, Cursors], move: Move
    ) -> dict[str, MovedCursors]:
        rooms = dict(await move(user_id, cursors))
        cold = [room_id for room_id in cursors if rooms[room_id].state == "cold"]
        if cold:
            await asyncio.gather(*map(self._room_log.load_if_cold, cold))
            rooms |= await move(user_id, {room_id: cursors[room_id] for room_id in cold})
        if any(rooms[room_id].state != "warm" for room_id in cursors):
            raise errors.Unavailable()
        moved = ((room_id, rooms[room_id].members.get(user_id)) for room_id in cursors)
        return {room_id: one for room_id, one in moved if one is not None}

    async def _move_now(
        self, user_id: str, cursors: Mapping[str, Cursors]
    ) -> Mapping[str, MovedRoom]:
        batch = ReceiptBatch()
        batch.add(user_id, cursors)
        await self._write(batch)
        return batch.done.result()

    def _gather(
        self, user_id: str, cursors: Mapping[str, Cursors]
    ) -> Awaitable[Mapping[str, MovedRoom]]:
        batch = self._open_batch()
        batch.add(user_id, cursors)
        return asyncio.shield(batch.done)  # others wait for it too

    def _open_batch(self) -> ReceiptBatch:
        if self._batch is None:
            self._batch = ReceiptBatch()
            loop = asyncio.get_running_loop()
            at = max(self._next_at, loop.time() + LINGER_SECONDS)
            self._timer = loop.call_at(at, self._write_batch)
        return self._batch

    def _write_batch(self) -> None:
        batch, self._batch = self._batch, None
        assert batch is not None
        self._next_at = asyncio.get_running_loop().time() + self._interval
        self._tasks.keep(self._write(batch))

    async def _write(self, batch: ReceiptBatch) -> None:
        try:
            rooms = await self._script.move(batch.moves)
        except Exception as error:  # of any kind: who waits for it is answered
            log.warning("receipts are not written", extra={"error": type(error).__name__})
            batch.done.set_exception(error)
            return
        for room_id, room in rooms.items():
            if room.publish_in:
                self._publish_later(room_id, room.publish_in)
        batch.done.set_result(rooms)

    def _publish_later(self, room_id: str, seconds: float) -> None:
        """Publish what waits with the first batch after a pause, once for all its moves."""
        if room_id not in self._publishing:
            loop = asyncio.get_running_loop()
            self._publishing[room_id] = loop.call_later(seconds, self._publish, room_id)

    def _publish(self, room_id: str) -> None:
        del self._publishing[room_id]
        self._open_batch().publish(room_id)
