"""A deadline that moves: asyncio.timeout without a timer for each time, and one that is obeyed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

AGAIN = 0.05
"""Seconds after which a cancellation that had no effect is repeated: redis-py writes under
asyncio.wait_for, which before Python 3.12 can swallow one (bpo-37658)."""


class Deadline:
    """Cancels the task that works past it, until it stops. Its moments only ever move forward.

    One timer, set anew where it rang too early: between two commands of a connection nothing
    is started or stopped.
    """

    __slots__ = ("_at", "_cancels", "_task", "_timer")

    def __init__(self) -> None:
        self._at: float | None = None
        self._cancels = 0
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, at: float) -> None:
        """The current task has until then, in loop time."""
        self._at, self._task = at, asyncio.current_task()
        if self._timer is not None and self._timer.when() > at:  # it was to repeat
            self.close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def end(self) -> bool:
        """It is done with that; whether it was too late, and cancelled for nothing else."""
        cancels, task = self._cancels, self._task
        self._at, self._task, self._cancels = None, None, 0
        if task is None:
            return False
        for _ in range(cancels):
            task.uncancel()
        return cancels > 0 and task.cancelling() == 0

    def close(self) -> None:
        """Nothing more is begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._at is None or self._task is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._at:
            self._timer = loop.call_at(self._at, self._ring)
            return
        self._cancels += 1
        self._task.cancel()
        self._timer = loop.call_later(AGAIN, self._ring)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """asyncio.timeout for work that may swallow a cancellation. Raises TimeoutError."""
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
