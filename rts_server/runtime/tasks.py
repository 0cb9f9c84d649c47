"""Background tasks that are kept alive, log their failures, and can be cancelled for certain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

CANCEL_REPEAT_SECONDS = 0.05
"""Pause before a cancellation that had no effect is repeated.

redis-py writes under asyncio.wait_for, which before Python 3.12 can swallow one (bpo-37658).
"""


class Tasks:
    """Holds tasks until they are done: the event loop has only weak references to them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def keep(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start work in the background and return its task. A failure is logged.

        After `close` the work does not begin: its task is cancelled.
        """
        task = asyncio.create_task(work)
        if self._is_closed:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """Cancel all tasks and wait for their end, also of those that an end would have started."""
        self._is_closed = True
        while self._tasks:
            await cancelled(*self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a background task failed", exc_info=error)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they are done: one cancellation can be swallowed (bpo-37658)."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_REPEAT_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
