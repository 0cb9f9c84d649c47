"""Commands of one connection that are not answered yet: at a number of them reading stops."""

from __future__ import annotations

import asyncio


class InFlightLimit:
    """Counts; `room` returns when another may be read."""

    __slots__ = ("_most", "_open", "_unanswered")

    def __init__(self, most: int) -> None:
        self._most = most
        self._unanswered = 0
        self._open: asyncio.Event | None = None

    @property
    def full(self) -> bool:
        """Whether nothing more may be read."""
        return self._unanswered >= self._most

    def begun(self) -> None:
        """A command was taken."""
        self._unanswered += 1

    def ended(self) -> None:
        """One was answered."""
        self._unanswered -= 1
        if self._open is not None and not self.full:
            self._open.set()
            self._open = None

    async def room(self) -> None:
        """Wait until there is room for another."""
        while self.full:
            self._open = self._open or asyncio.Event()
            await self._open.wait()
