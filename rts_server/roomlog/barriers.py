"""Barriers: their record, and one batched read of the archive for all that are waited for."""

from __future__ import annotations

import asyncio
import logging

import orjson

from rts_server.persistence.archive import Archive
from rts_server.runtime.throttled_log import ThrottledLog

FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.25
"""Seconds between two reads; they double until a barrier is found."""

log = logging.getLogger(__name__)


def barrier_record(room_id: str, nonce: str) -> str:
    """The record that a Lambda function applies by writing the nonce into the room's item."""
    return orjson.dumps({"v": 1, "barrier": {"room_id": room_id, "nonce": nonce}}).decode()


class Barriers:
    """Rooms whose barrier is on its way through the queue. Without any, nothing is read."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._waiting: dict[asyncio.Future[None], tuple[str, str]] = {}
        self._throttled_log = ThrottledLog(log)
        self._task: asyncio.Task[None] | None = None

    def passed(self, room_id: str, nonce: str) -> asyncio.Future[None]:
        """A future that resolves once the room's item has the nonce; cancel it to stop waiting."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = room_id, nonce
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        return future

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()

    async def _poll(self) -> None:
        look = FIRST_POLL_SECONDS
        while self._waiting:
            await asyncio.sleep(look)
            look = min(look * 2, MAX_POLL_SECONDS)
            try:
                found = await self._archive.rooms([room for room, _ in self._waiting.values()])
            except Exception as error:  # rooms wait for the answer until it comes
                self._throttled_log.warning("barriers cannot be read", error)
                continue
            for future, (room_id, nonce) in list(self._waiting.items()):
                stored = found.get(room_id)
                if stored is not None and stored.barrier == nonce and not future.done():
                    future.set_result(None)
                    look = FIRST_POLL_SECONDS
                if future.done():
                    del self._waiting[future]
