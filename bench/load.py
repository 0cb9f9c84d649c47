"""Arrivals on a schedule: a late act does not delay the next one (open loop)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Action = Callable[[int], None]
"""Called with the intended time (monotonic ns) of one act."""

START_DELAY_NS = 20_000_000


@dataclass(frozen=True)
class LoadPlan:
    """`rate` actions per second for so many seconds, in bursts of `burst`."""

    rate: float
    seconds: float
    burst: int = 1

    @property
    def count(self) -> int:
        """Return the number of actions, in whole bursts."""
        return max(1, round(self.rate * self.seconds / self.burst)) * self.burst

    def due(self, number: int) -> int:
        """Return the ns after the start at which an act is intended."""
        return int(number // self.burst * self.burst * 1e9 / self.rate)


async def run_plan(plan: LoadPlan, actions: Sequence[Action]) -> None:
    """Run the actions in turn, each at its intended time."""
    start = time.monotonic_ns() + START_DELAY_NS
    for number in range(plan.count):
        due = start + plan.due(number)
        if (early := due - time.monotonic_ns()) > 0:
            await asyncio.sleep(early / 1e9)
        actions[number % len(actions)](due)
