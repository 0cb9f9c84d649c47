"""Measures whether the event loop is behind; then ephemeral work is dropped (E5)."""

from __future__ import annotations

import asyncio

from rts_server import metrics

MEASURE_SECONDS = 0.5
"""Time between two measurements while nothing is late: each wakes an idle process."""
LAGGING_MEASURE_SECONDS = 0.1
"""Time between two measurements otherwise."""
NOTICEABLE_LAG_SECONDS = 0.02
HIGH_LAG_SECONDS = 0.1
"""Lag above which ephemeral work is dropped."""
SMOOTHING = 0.8
"""Share of the old value in the new one, while the lag decreases."""


class LoadShedding:
    """`lag`: how late a timer fires, in seconds; it rises at once and falls within about 1 s."""

    def __init__(self) -> None:
        self.lag = 0.0
        self._due = 0.0
        self._timer: asyncio.Handle | None = None

    @property
    def high(self) -> bool:
        """True while ephemeral work should be dropped."""
        return self.lag > HIGH_LAG_SECONDS

    def start(self) -> None:
        """Begin to measure."""
        loop = asyncio.get_running_loop()
        lagging = self.lag > NOTICEABLE_LAG_SECONDS
        self._due = loop.time() + (LAGGING_MEASURE_SECONDS if lagging else MEASURE_SECONDS)
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
