"""Arrivals on a schedule: who is late does not slow down what comes next (open loop)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Act = Callable[[int], None]
"""Does one thing that was intended for a moment (monotonic ns)."""

HEAD_START = 20_000_000


@dataclass(frozen=True)
class Plan:
    """`rate` acts a second for so many seconds, `burst` of them at the same moment."""

    rate: float
    seconds: float
    burst: int = 1

    @property
    def count(self) -> int:
        """Acts in all, whole bursts."""
        return max(1, round(self.rate * self.seconds / self.burst)) * self.burst

    def due(self, number: int) -> int:
        """ns after the start at which an act is intended."""
        return int(number // self.burst * self.burst * 1e9 / self.rate)


async def play(plan: Plan, acts: Sequence[Act]) -> None:
    """Let the acts take turns."""
    start = time.monotonic_ns() + HEAD_START
    for number in range(plan.count):
        due = start + plan.due(number)
        if (early := due - time.monotonic_ns()) > 0:
            await asyncio.sleep(early / 1e9)
        acts[number % len(acts)](due)
