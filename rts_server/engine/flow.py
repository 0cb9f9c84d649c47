"""Commands of one connection that are not answered yet: at a number of them reading stops."""

from __future__ import annotations

import asyncio


class Flow:
    """Counts; `room` returns when another may be read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._unanswered = 0
        self._open = asyncio.Event()
        self._open.set()

    @property
    def full(self) -> bool:
        """Whether nothing more may be read."""
        return self._unanswered >= self._most

    def begun(self) -> None:
        """A command was taken."""
        self._unanswered += 1
        if self.full:
            self._open.clear()

    def ended(self) -> None:
        """One was answered."""
        self._unanswered -= 1
        if not self.full:
            self._open.set()

    async def room(self) -> None:
        """Wait until there is room for another."""
        await self._open.wait()
