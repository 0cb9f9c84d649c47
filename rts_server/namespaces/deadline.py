"""A deadline that moves: asyncio.timeout without a timer for each time."""

from __future__ import annotations

import asyncio
from typing import Any


class Deadline:
    """Cancels the task that works past it. Its moments only ever move forward.

    One timer, set anew where it rang too early: between two commands of a connection nothing
    is started or stopped.
    """

    __slots__ = ("_at", "_passed", "_task", "_timer")

    def __init__(self) -> None:
        self._at: float | None = None
        self._passed = False
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, at: float) -> None:
        """The current task has until then, in loop time."""
        self._at, self._task = at, asyncio.current_task()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def end(self) -> bool:
        """It is done with that; whether it was too late, and cancelled for nothing else."""
        passed, task = self._passed, self._task
        self._at, self._task, self._passed = None, None, False
        return passed and task is not None and task.uncancel() == 0

    def _ring(self) -> None:
        self._timer = None
        if self._at is None or self._task is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._at:
            self._timer = loop.call_at(self._at, self._ring)
        else:
            self._passed = True
            self._task.cancel()
