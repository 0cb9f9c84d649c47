"""Calls that block, in a bounded pool of threads and under a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rts_server.errors import Unavailable

Answer = TypeVar("Answer")


class Threads:
    """`name`: what they reach. At most `waiting` calls wait or run, each for `deadline` seconds."""

    def __init__(self, name: str, threads: int, waiting: int, deadline: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._name, self._most, self._deadline = name, waiting, deadline
        self._waiting = 0

    def close(self) -> None:
        """Give up what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[..., Answer], *given: Any) -> Answer:
        """What the work answers or raises. Raises Unavailable at once beyond the bound,
        TimeoutError at the deadline; the work may then still run.
        """
        if self._waiting >= self._most:
            raise Unavailable(f"The {self._name} is too busy.")
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline):
                return await loop.run_in_executor(self._pool, work, *given)
        finally:
            self._waiting -= 1
