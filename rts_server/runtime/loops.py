"""Loops that run for the life of a process: after an error the next step is tried.

An object that owns such a loop has a method `run_forever`, which returns only by cancellation.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError, ResponseError

from rts_server import metrics
from rts_server.errors import Refusal
from rts_server.runtime.backoff import backoff
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[object]]

_running: set[Loop] = set()
"""The loops of this process."""


def failing(seconds: float) -> list[str]:
    """Return the loops that have only failed for so many seconds.

    Error replies of Redis or the archive do not count: they are the same for all instances.
    """
    before = time.monotonic() - seconds
    return sorted({loop.name for loop in _running if loop.fails_since(before)})


async def repeat_forever(name: str, step: Step, pause: Step | None = None) -> None:
    """Run `step`, then wait for `pause`, again and again. Raises CancelledError, nothing else."""
    await Loop(name).repeat(step, pause)


class Loop:
    """A loop that counts its failures.

    `name` is shown in log lines, in the metric `rts_loop_failures_total` and by /health/ready.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._failures = 0
        self._since: float | None = None
        self._throttled_log = ThrottledLog(log)

    def fails_since(self, moment: float) -> bool:
        """Return whether two steps or more failed since then, and none succeeded.

        `moment` is in seconds of the monotonic clock. One failed step of a loop that runs seldom
        says nothing yet.
        """
        return self._failures > 1 and self._since is not None and self._since <= moment

    async def repeat(self, step: Step, pause: Step | None = None) -> None:
        """Do as `repeat_forever`. A step that takes long calls `mark_succeeded` itself."""
        this = asyncio.current_task()
        assert this is not None
        _running.add(self)
        try:
            # Checked in each round: redis-py can swallow a cancellation before Python 3.12.
            while not this.cancelling():
                try:
                    await step()
                    self.mark_succeeded()
                    if pause is not None:
                        await pause()
                except asyncio.CancelledError as error:
                    if this.cancelling():
                        raise
                    await self._failed(error)  # what it waited for was cancelled, not the loop
                except Exception as error:
                    await self._failed(error)
        finally:
            _running.discard(self)

    def mark_succeeded(self) -> None:
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
