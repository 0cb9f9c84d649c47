"""What happens once, and who waits for it."""

from __future__ import annotations

import asyncio


class LazyEvent:
    """An asyncio.Event that is never cleared. Every connection has some, hardly anybody waits: what
    that takes is made when somebody does.
    """

    __slots__ = ("_set", "_waited")

    def __init__(self) -> None:
        self._set = False
        self._waited: asyncio.Event | None = None

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._set

    def set(self) -> None:
        """It happens."""
        self._set = True
        if self._waited is not None:
            self._waited.set()
            self._waited = None

    async def wait(self) -> None:
        """Return when it has happened."""
        if not self._set:
            self._waited = self._waited or asyncio.Event()
            await self._waited.wait()
