"""Measures how long a message takes from the log to DynamoDB (D11), by samples."""

from __future__ import annotations

import asyncio
import math

from rts_server import errors, metrics
from rts_server.persistence.archive import Archive
from rts_server.runtime.backoff import delay
from rts_server.runtime.tasks import Tasks

SAMPLE_SECONDS = 5.0
"""Seconds between two sampled messages."""
LOOKS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between two looks; the last repeats."""
PATIENCE = 900.0


class PersistLag:
    """Looks for one message at a time: only the function hears of all, and tells its own line."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._next = 0.0
        self._tasks = Tasks()

    async def close(self) -> None:
        """Look no more."""
        await self._tasks.close()

    def offer(self, room_id: str, message_id: str, began: float) -> None:
        """A message is queued that was accepted at `began` (loop time); most are passed over."""
        if asyncio.get_running_loop().time() >= self._next:
            self._next = math.inf
            self._tasks.keep(self._look(room_id, message_id, began))

    async def _look(self, room_id: str, message_id: str, began: float) -> None:
        try:
            await self._until_stored(room_id, message_id, began)
        finally:
            self._next = asyncio.get_running_loop().time() + SAMPLE_SECONDS

    async def _until_stored(self, room_id: str, message_id: str, began: float) -> None:
        loop, looks = asyncio.get_running_loop(), 0
        while loop.time() - began < PATIENCE and not await self._is_stored(room_id, message_id):
            await asyncio.sleep(delay(LOOKS, looks))
            looks += 1
        metrics.STORED_SECONDS.observe(loop.time() - began)

    async def _is_stored(self, room_id: str, message_id: str) -> bool:
        try:
            return await self._archive.message(room_id, message_id) is not None
        except errors.Unavailable:
            return False
