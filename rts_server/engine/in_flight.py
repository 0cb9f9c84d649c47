"""Limits the unanswered commands of one connection: at the limit, reading from it stops."""

from __future__ import annotations

import asyncio


class InFlightLimit:
    """Counts the unanswered commands of a connection, at most `limit`."""

    __slots__ = ("_count", "_has_room", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._has_room: asyncio.Event | None = None

    @property
    def full(self) -> bool:
        """Whether no further command may be read."""
        return self._count >= self._limit

    def command_started(self) -> None:
        """Count a command that was read."""
        self._count += 1

    def command_answered(self) -> None:
        """Count the answer of a command."""
        self._count -= 1
        if self._has_room is not None and not self.full:
            self._has_room.set()
            self._has_room = None

    async def wait_for_room(self) -> None:
        """Return when another command may be read."""
        while self.full:
            self._has_room = self._has_room or asyncio.Event()
            await self._has_room.wait()
