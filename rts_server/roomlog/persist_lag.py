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
READ_DELAYS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between two reads of the archive; the last repeats."""
MAX_LAG_SECONDS = 900.0
"""Seconds after which a sample ends, and is counted as that long."""


class PersistLag:
    """Samples one message at a time: a read of the archive per message would cost as much as it.

    The Lambda functions measure every record (`AcceptedToStored`), but not how a reader sees it.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._next = 0.0
        self._tasks = Tasks()

    async def close(self) -> None:
        """Stop. A sample that has not ended is dropped."""
        await self._tasks.close()

    def offer(self, room_id: str, message_id: str, began: float) -> None:
        """Take a message that is queued now as a sample, unless there is one or was one lately.

        `began`: loop time at which it was accepted.
        """
        if asyncio.get_running_loop().time() >= self._next:
            self._next = math.inf
            self._tasks.keep(self._sample(room_id, message_id, began))

    async def _sample(self, room_id: str, message_id: str, began: float) -> None:
        try:
            await self._until_stored(room_id, message_id, began)
        finally:
            self._next = asyncio.get_running_loop().time() + SAMPLE_SECONDS

    async def _until_stored(self, room_id: str, message_id: str, began: float) -> None:
        loop, reads = asyncio.get_running_loop(), 0
        while loop.time() - began < MAX_LAG_SECONDS:
            if await self._is_stored(room_id, message_id):
                break
            await asyncio.sleep(delay(READ_DELAYS, reads))
            reads += 1
        metrics.STORED_SECONDS.observe(loop.time() - began)

    async def _is_stored(self, room_id: str, message_id: str) -> bool:
        try:
            return await self._archive.message(room_id, message_id) is not None
        except errors.Unavailable:
            return False
