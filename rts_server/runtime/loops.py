"""Loops that run for the life of a process: after an error the next step is tried."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError, ResponseError

from rts_server import metrics
from rts_server.errors import Refusal
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 1.0

Step = Callable[[], Awaitable[object]]

_running: set[Loop] = set()
"""The loops of this process."""


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row (exponential, at most 1 s)."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 10))


def failing(seconds: float) -> list[str]:
    """Return the loops that have only failed for so many seconds.

    Error replies of Redis or the archive do not count: they are the same for all instances.
    """
    before = time.monotonic() - seconds
    return sorted({loop.name for loop in _running if loop.fails_since(before)})


async def forever(name: str, step: Step, pause: Step | None = None) -> None:
    """Run `step`, then wait for `pause`, until cancelled. Raises nothing else."""
    await Loop(name).run(step, pause)


class Loop:
    """A loop. `name` is shown in log lines, in the metric and by the readiness check."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._failures = 0
        self._since: float | None = None
        self._throttled_log = ThrottledLog(log)

    def fails_since(self, moment: float) -> bool:
        """Whether steps, not just one that is seldom taken, only failed since that moment of the
        monotonic clock."""
        return self._failures > 1 and self._since is not None and self._since <= moment

    async def run(self, step: Step, pause: Step | None = None) -> None:
        """As `forever`. A step that takes long says itself when all is `well`."""
        this = asyncio.current_task()
        assert this is not None
        _running.add(self)
        try:
            # Asked each time: redis-py can swallow a cancellation before Python 3.12.
            while not this.cancelling():
                try:
                    await step()
                    self.well()
                    if pause is not None:
                        await pause()
                except asyncio.CancelledError as error:
                    if this.cancelling():
                        raise
                    await self._failed(error)  # of something it waited for, not of the loop
                except Exception as error:
                    await self._failed(error)
        finally:
            _running.discard(self)

    def well(self) -> None:
        """Forget earlier failures."""
        self._failures, self._since = 0, None

    async def _failed(self, error: BaseException) -> None:
        self._failures += 1
        metrics.LOOP_FAILURES.labels(self.name).inc()
        if isinstance(error, (ResponseError, Refusal)):
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()
        if isinstance(error, (RedisError, OSError, Refusal)):
            self._throttled_log.warning("loop waits", error, loop=self.name)
        else:
            self._throttled_log.exception("loop failed", error, loop=self.name)
        await asyncio.sleep(backoff(self._failures))
