"""Deadlines that are enforced, and that cost no timer per use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rts_server.runtime.tasks import CANCEL_REPEAT_SECONDS


class Deadline:
    """Cancels a task that works past its deadline, repeatedly, until it stops.

    Deadlines of one object only move forward. There is one timer; if it fires before the current
    deadline it is set again, so that consecutive uses neither start nor stop a timer.
    """

    __slots__ = ("_at", "_cancels", "_rings_at", "_task", "_timer")

    def __init__(self) -> None:
        self._at: float | None = None
        self._cancels = 0
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.Handle | None = None
        self._rings_at = 0.0  # uvloop's handle of a timer that is due at once has no time

    def begin(self, at: float) -> None:
        """Give the current task until `at`, in loop time."""
        self._at, self._task = at, asyncio.current_task()
        if self._timer is not None and self._rings_at > at:  # a repeated cancellation was scheduled
            self.close()
        if self._timer is None:
            self._set_timer(at)

    def end(self) -> bool:
        """End the use; return whether the task was late and was cancelled for no other reason."""
        cancels, task = self._cancels, self._task
        self._at, self._task, self._cancels = None, None, 0
        if task is None:
            return False
        for _ in range(cancels):
            task.uncancel()
        return cancels > 0 and task.cancelling() == 0

    def close(self) -> None:
        """Stop the timer. The object must not be used again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._at is None or self._task is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._at:
            self._set_timer(self._at)
            return
        self._cancels += 1
        self._task.cancel()
        self._set_timer(loop.time() + CANCEL_REPEAT_SECONDS)

    def _set_timer(self, at: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(at, self._ring)
        self._rings_at = at


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Work like asyncio.timeout, for work that may swallow a cancellation. Raises TimeoutError."""
    deadline = Deadline()
    deadline.begin(asyncio.get_running_loop().time() + seconds)
    late = False
    try:
        yield
    except asyncio.CancelledError:
        late = deadline.end()
        if not late:
            raise
    finally:
        deadline.end()
        deadline.close()
    if late:
        raise TimeoutError
