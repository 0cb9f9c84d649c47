"""Whether the loop is behind its work: then what is only nice to have is dropped."""

from __future__ import annotations

import asyncio

from rts_server import metrics

EVERY = 0.1
HIGH = 0.1
SMOOTHING = 0.8


class LoadShedding:
    """The lag of a timer, in seconds: up at once, down within about half a second."""

    def __init__(self) -> None:
        self.lag = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def high(self) -> bool:
        """Ephemeral work is to be shed."""
        return self.lag > HIGH

    def start(self) -> None:
        """Begin to measure."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + EVERY
        self._timer = loop.call_at(self._due, self._measure)

    def close(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()

    def _measure(self) -> None:
        late = max(0.0, asyncio.get_running_loop().time() - self._due)
        metrics.LOOP_LAG.observe(late)
        self.lag = max(late, SMOOTHING * self.lag + (1 - SMOOTHING) * late)
        self.start()
