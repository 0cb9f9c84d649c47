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

    def begun(self) -> None:
        """A command was taken."""
        self._unanswered += 1
        if self._unanswered >= self._most:
            self._open.clear()

    def ended(self) -> None:
        """One was answered."""
        self._unanswered -= 1
        if self._unanswered < self._most:
            self._open.set()

    async def room(self) -> float:
        """Wait until there is room for another; the seconds it took."""
        if self._open.is_set():
            return 0.0
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._open.wait()
        return loop.time() - began
