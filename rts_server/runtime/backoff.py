"""Delays between tries."""

from __future__ import annotations

from collections.abc import Sequence

FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.05, 1.0


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row (exponential, at most 1 s)."""
    return min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))


def delay(delays: Sequence[float], attempt: int) -> float:
    """Return the seconds to wait before try `attempt` (0, 1, 2 …); the last delay repeats."""
    return delays[min(attempt, len(delays) - 1)]
