"""An event that happens once, and is cheap while no task waits for it."""

from __future__ import annotations

import asyncio


class LazyEvent:
    """Like asyncio.Event, but never cleared; `trigger` is its `set`.

    Every connection has some and hardly anything waits for them, so the event itself is created by
    the first waiter.
    """

    __slots__ = ("_set", "_waited")

    def __init__(self) -> None:
        self._set = False
        self._waited: asyncio.Event | None = None

    def is_set(self) -> bool:
        """Return whether the event has happened."""
        return self._set

    def trigger(self) -> None:
        """Mark the event as happened and wake the waiters."""
        self._set = True
        if self._waited is not None:
            self._waited.set()
            self._waited = None

    async def wait(self) -> None:
        """Wait until the event has happened."""
        if not self._set:
            self._waited = self._waited or asyncio.Event()
            await self._waited.wait()
