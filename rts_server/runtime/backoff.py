"""Waiting times that grow from try to try."""

from __future__ import annotations

from collections.abc import Sequence


def delay(delays: Sequence[float], attempt: int) -> float:
    """Seconds before try number `attempt` (0, 1, 2 …); the last delay repeats."""
    return delays[min(attempt, len(delays) - 1)]
