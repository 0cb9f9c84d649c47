"""Runs blocking calls in a bounded pool of threads, each under a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rts_server.errors import Unavailable

Answer = TypeVar("Answer")


class BlockingCalls:
    """A pool of threads for calls to one service.

    Args:
        name: The service, for error texts and the names of the threads.
        threads: Number of threads.
        max_calls: Calls that may run or wait at the same time.
        deadline: Seconds that one call may take, including its wait for a thread.
    """

    def __init__(self, name: str, threads: int, max_calls: int, deadline: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._name, self._max_calls, self._deadline = name, max_calls, deadline
        self._calls = 0

    def close(self) -> None:
        """Drop the calls that still wait for a thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run_in_thread(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Return what `work(*args)` returns, or raise what it raises.

        Raises Unavailable at once if `max_calls` are in progress, and TimeoutError at the deadline;
        the work may then still be running.
        """
        if self._calls >= self._max_calls:
            raise Unavailable(f"The {self._name} is too busy.")
        loop = asyncio.get_running_loop()
        self._calls += 1
        try:
            async with asyncio.timeout(self._deadline):
                return await loop.run_in_executor(self._pool, work, *args)
        finally:
            self._calls -= 1
